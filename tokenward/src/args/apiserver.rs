//! `tokenward apiserver` as it is typed.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use tokenward_kube_rules::FeatureGates;

use crate::args::release::ReleaseArgs;
use crate::args::server::{ServerArgs, ServerConfig};
use crate::failure::Failure;

const EXAMPLES: &str = "\
Examples:
  A server for kubectl in another terminal:
      tokenward apiserver --kubeconfig-out ./kubeconfig

  With objects and keys that outlive it:
      tokenward apiserver --data-dir ./data --kubeconfig-out ./kubeconfig

  With a user who has a token, on a free port:
      echo 'hunter2,admin,1,\"system:masters\"' > tokens.csv
      tokenward apiserver --listen 127.0.0.1:0 --token-auth-file tokens.csv --kubeconfig-out ./kubeconfig

  With the files of a cluster that kubeadm made:
      tokenward apiserver --client-ca-file pki/ca.crt \\
          --tls-cert-file pki/apiserver.crt --tls-private-key-file pki/apiserver.key \\
          --service-account-signing-key-file pki/sa.key --service-account-key-file pki/sa.pub";

/// Serve the part of the Kubernetes API that CSI service account tokens need.
///
/// Objects are kept in memory unless --data-dir or --etcd says otherwise. No controllers run, as in kube-apiserver: nobody makes default service accounts, schedules pods or binds
/// claims. `tokenward up` has all of it.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES, after_help = "See --help for examples.")]
pub(crate) struct ApiserverArgs {
    /// Where to listen; port 0 is a free one.
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:6443")]
    listen: SocketAddr,
    #[command(flatten)]
    release: ReleaseArgs,
    /// Write a kubeconfig for the administrator to this file.
    #[arg(long, value_name = "FILE")]
    kubeconfig_out: Option<PathBuf>,
    #[command(flatten)]
    server: ServerArgs,
}

/// What is meant.
#[derive(Debug)]
pub(crate) struct ApiserverConfig {
    pub(crate) listen: SocketAddr,
    pub(crate) gates: FeatureGates,
    pub(crate) kubeconfig_out: Option<PathBuf>,
    pub(crate) server: ServerConfig,
}

impl ApiserverArgs {
    pub(crate) fn resolve(self) -> Result<ApiserverConfig, Failure> {
        Ok(ApiserverConfig {
            listen: self.listen,
            gates: self.release.resolve()?,
            kubeconfig_out: self.kubeconfig_out,
            server: self.server.resolve()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use tokenward_kube_rules::Release;

    use super::*;
    use crate::args::{Cli, Command};

    fn resolve(arguments: &[&str]) -> ApiserverConfig {
        let cli = Cli::try_parse_from(["tokenward", "apiserver"].iter().chain(arguments)).unwrap();
        let Command::Apiserver(args) = cli.command else { panic!("another command") };
        args.resolve().unwrap()
    }

    #[test]
    fn it_listens_on_loopback_where_kube_apiserver_does() {
        let config = resolve(&[]);
        assert_eq!(config.listen.to_string(), "127.0.0.1:6443");
        assert_eq!(config.gates.release(), Release::V1_35);
        assert_eq!(config.kubeconfig_out, None);
    }

    #[test]
    fn all_flags_of_the_server_are_there() {
        let config = resolve(&["--kubernetes-version=1.34", "--api-audiences=api", "--listen=[::1]:0"]);
        assert_eq!(config.gates.release(), Release::V1_34);
        assert_eq!(config.server.issuer.api_audiences(), ["api"]);
        assert!(config.listen.is_ipv6());
    }
}
