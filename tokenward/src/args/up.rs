//! `tokenward up`: what is typed, and what it means.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use tokenward_kube_rules::FeatureGates;
use tokenward_transport::SocketPath;

use crate::args::delivery::{DeliveryArgs, DeliveryConfig};
use crate::args::release::ReleaseArgs;
use crate::args::server::{ServerArgs, ServerConfig};
use crate::duration;
use crate::failure::Failure;
use crate::records::OutputFormat;

const EXAMPLES: &str = "\
Examples:
  Deliver the quickstart's tokens, print one record for each volume, and end:
      tokenward up --apply examples/quickstart.yaml --once

  The same on a cluster that is a release behind, as JSON:
      tokenward up --apply examples/quickstart.yaml --once -o json --kubernetes-version 1.34

  A cluster that stays, for kubectl in another terminal:
      tokenward up --apply examples/quickstart.yaml --kubeconfig-out ./kubeconfig --wait

  Try a driver of your own, which listens on a socket already:
      tokenward up --apply manifests.yaml --driver-endpoint files.example.com=unix:///tmp/files.sock";

/// Start a control plane, nodes and drivers on this machine.
///
/// Everything runs in this process, speaks the real protocols over real sockets, and is gone when it ends. Each applied
/// CSIDriver is served by the sample driver, token-files, unless --driver-endpoint names another.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES, after_help = "See --help for examples.")]
pub(crate) struct UpArgs {
    /// Apply this manifest (YAML, any number of documents); may be repeated.
    #[arg(long, value_name = "FILE")]
    apply: Vec<PathBuf>,
    /// How many nodes to start.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=100))]
    nodes: u8,
    #[command(flatten)]
    release: ReleaseArgs,
    /// Write a kubeconfig for the administrator to this file.
    #[arg(long, value_name = "FILE")]
    kubeconfig_out: Option<PathBuf>,
    /// Keep the nodes' sockets and volumes below this directory [default: a temporary one].
    #[arg(long, value_name = "DIR")]
    root_dir: Option<PathBuf>,
    /// Where the API server listens; port 0 is a free one.
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Register the driver that listens on this socket, instead of a sample driver of that name; may be repeated.
    #[arg(long, value_name = "NAME=SOCKET")]
    driver_endpoint: Vec<String>,
    /// Print `ready` once every CSI volume of every applied pod is mounted.
    #[arg(long)]
    wait: bool,
    /// End once every CSI volume of every applied pod is mounted, and print one record for each.
    #[arg(long, conflicts_with = "wait")]
    once: bool,
    /// How long --wait and --once wait.
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration::parse)]
    timeout: Duration,
    /// How --once prints its records.
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: OutputFormat,
    #[command(flatten)]
    delivery: DeliveryArgs,
    #[command(flatten)]
    server: ServerArgs,
}

/// What is meant.
#[derive(Debug)]
pub(crate) struct UpConfig {
    pub(crate) manifests: Vec<PathBuf>,
    pub(crate) nodes: usize,
    pub(crate) gates: FeatureGates,
    pub(crate) server: ServerConfig,
    pub(crate) delivery: DeliveryConfig,
    pub(crate) kubeconfig_out: Option<PathBuf>,
    pub(crate) root_dir: Option<PathBuf>,
    pub(crate) listen: SocketAddr,
    pub(crate) endpoints: BTreeMap<String, SocketPath>,
    pub(crate) until: Until,
}

/// When the command has done its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    /// When it is told to.
    Stopped,
    /// The same, and it says when everything is mounted.
    ReadyThenStopped { timeout: Duration },
    /// When everything is mounted.
    Ready { timeout: Duration, output: OutputFormat },
}

impl UpArgs {
    /// The second step: everything that can be decided without touching the machine.
    pub(crate) fn resolve(self) -> Result<UpConfig, Failure> {
        let until = match (self.once, self.wait) {
            (true, _) => Until::Ready { timeout: self.timeout, output: self.output },
            (false, true) => Until::ReadyThenStopped { timeout: self.timeout },
            (false, false) => Until::Stopped,
        };
        Ok(UpConfig {
            manifests: self.apply,
            nodes: usize::from(self.nodes),
            gates: self.release.resolve()?,
            server: self.server.resolve()?,
            delivery: self.delivery.resolve(),
            kubeconfig_out: self.kubeconfig_out,
            root_dir: self.root_dir,
            listen: self.listen,
            endpoints: endpoints(&self.driver_endpoint)?,
            until,
        })
    }
}

fn endpoints(arguments: &[String]) -> Result<BTreeMap<String, SocketPath>, Failure> {
    let mut endpoints = BTreeMap::new();
    for argument in arguments {
        let Some((name, socket)) = argument.split_once('=').filter(|(name, _)| !name.is_empty()) else {
            return Err(Failure::usage(format!(
                "--driver-endpoint: `{argument}` is not of the form NAME=SOCKET"
            ))
            .hint("Write the driver's name and its socket: files.example.com=unix:///run/files.sock"));
        };
        let socket = SocketPath::parse(socket)
            .map_err(|error| Failure::usage(format!("--driver-endpoint {name}: {error}")))?;
        if endpoints.insert(name.to_owned(), socket).is_some() {
            return Err(Failure::usage(format!("--driver-endpoint: {name} has two sockets; keep one")));
        }
    }
    Ok(endpoints)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use tokenward_kube_rules::{FeatureGate, Release};

    use super::*;
    use crate::args::{Cli, Command};
    use crate::terminal::Style;

    fn resolve(arguments: &[&str]) -> Result<UpConfig, Failure> {
        let cli = Cli::try_parse_from(["tokenward", "up"].iter().chain(arguments)).unwrap();
        let Command::Up(args) = cli.command else { panic!("another command") };
        args.resolve()
    }

    #[test]
    fn nothing_typed_is_one_node_of_the_default_release_on_a_free_port() {
        let config = resolve(&[]).unwrap();
        assert_eq!(config.nodes, 1);
        assert_eq!(config.gates.release(), Release::V1_35);
        assert!(config.gates.enabled(FeatureGate::CsiServiceAccountTokenSecrets));
        assert_eq!(config.listen.to_string(), "127.0.0.1:0");
        assert_eq!(config.until, Until::Stopped);
    }

    #[test]
    fn gates_are_read_with_their_release() {
        let config = resolve(&["--feature-gates", "CSIServiceAccountTokenSecrets=false"]).unwrap();
        assert!(!config.gates.enabled(FeatureGate::CsiServiceAccountTokenSecrets));
        let locked =
            ["--kubernetes-version", "1.36", "--feature-gates", "CSIServiceAccountTokenSecrets=false"];
        let text = resolve(&locked).unwrap_err().render(Style::plain());
        assert!(text.starts_with("Error: --feature-gates: "), "{text}");
    }

    #[test]
    fn endpoints_are_name_and_socket() {
        let config = resolve(&["--driver-endpoint", "a.example=unix:///run/a.sock"]).unwrap();
        assert_eq!(config.endpoints["a.example"].as_path().to_str(), Some("/run/a.sock"));
        for (arguments, expected) in [
            (vec!["--driver-endpoint", "a.example"], "`a.example` is not of the form NAME=SOCKET"),
            (vec!["--driver-endpoint", "=/run/a"], "`=/run/a` is not of the form NAME=SOCKET"),
            (vec!["--driver-endpoint", "a=relative"], "--driver-endpoint a: "),
            (
                vec!["--driver-endpoint", "a=/run/a", "--driver-endpoint", "a=/run/b"],
                "a has two sockets; keep one",
            ),
        ] {
            let text = resolve(&arguments).unwrap_err().render(Style::plain());
            assert!(text.contains(expected), "{text}");
        }
    }

    #[test]
    fn when_it_ends() {
        let timeout = Duration::from_secs(300);
        assert_eq!(
            resolve(&["--once", "-o", "json", "--timeout", "5m"]).unwrap().until,
            Until::Ready { timeout, output: OutputFormat::Json }
        );
        assert_eq!(
            resolve(&["--wait", "--timeout", "5m"]).unwrap().until,
            Until::ReadyThenStopped { timeout }
        );
    }
}
