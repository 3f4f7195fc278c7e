//! Where the objects are kept.

use std::path::PathBuf;

use clap::Args;
use tokenward_store::EtcdEndpoint;

use crate::args::server::ServingFiles;

const STORAGE: &str = "Storage";

/// The flags.
#[derive(Debug, Args)]
pub(crate) struct StorageArgs {
    /// Keep objects, keys and certificates in this directory, so that they outlive the process [default: in memory].
    #[arg(long, value_name = "DIR", conflicts_with = "etcd", help_heading = STORAGE)]
    data_dir: Option<PathBuf>,
    /// Keep the objects in etcd, which several servers may share; any of its servers, as http://HOST:PORT or https://HOST:PORT.
    #[arg(long, value_name = "URL,...", value_delimiter = ',', help_heading = STORAGE)]
    etcd: Vec<EtcdEndpoint>,
    /// Believe etcd servers whose certificates these authorities have signed [default: this machine's authorities].
    #[arg(long, value_name = "PEM", requires = "etcd", help_heading = STORAGE)]
    etcd_cafile: Option<PathBuf>,
    /// The client certificate that etcd is shown; etcd takes its common name for the user.
    #[arg(long, value_name = "PEM", requires_all = ["etcd", "etcd_keyfile"], help_heading = STORAGE)]
    etcd_certfile: Option<PathBuf>,
    /// The key of that certificate.
    #[arg(long, value_name = "PEM", requires_all = ["etcd", "etcd_certfile"], help_heading = STORAGE)]
    etcd_keyfile: Option<PathBuf>,
}

/// What is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Storage {
    /// They go with the process.
    Memory,
    /// In a directory, which is this process's alone.
    Directory(PathBuf),
    /// In etcd.
    Etcd(EtcdServers),
}

/// Where etcd is, and the files for TLS with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EtcdServers {
    pub(crate) endpoints: Vec<EtcdEndpoint>,
    pub(crate) authority_file: Option<PathBuf>,
    pub(crate) client: Option<ServingFiles>,
}

impl StorageArgs {
    pub(crate) fn resolve(self) -> Storage {
        match self.data_dir {
            Some(directory) => Storage::Directory(directory),
            None if self.etcd.is_empty() => Storage::Memory,
            None => Storage::Etcd(EtcdServers {
                endpoints: self.etcd,
                authority_file: self.etcd_cafile,
                client: self
                    .etcd_certfile
                    .zip(self.etcd_keyfile)
                    .map(|(certificates, key)| ServingFiles { certificates, key }),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Typed {
        #[command(flatten)]
        storage: StorageArgs,
    }

    fn parse(arguments: &[&str]) -> Result<Storage, String> {
        let typed = Typed::try_parse_from(["t"].iter().chain(arguments));
        typed.map(|typed| typed.storage.resolve()).map_err(|error| error.to_string())
    }

    #[test]
    fn one_place_at_most_is_named() {
        assert_eq!(parse(&[]), Ok(Storage::Memory));
        assert_eq!(parse(&["--data-dir=d"]), Ok(Storage::Directory("d".into())));
        let Ok(Storage::Etcd(servers)) = parse(&["--etcd=http://a:1,http://b:2", "--etcd=http://c:3"]) else {
            panic!("etcd");
        };
        let endpoints: Vec<String> = servers.endpoints.iter().map(ToString::to_string).collect();
        assert_eq!(endpoints, ["http://a:1", "http://b:2", "http://c:3"]);
        for (arguments, expected) in [
            (&["--data-dir=d", "--etcd=http://a:1"][..], "cannot be used with"),
            (&["--etcd=a:1"], "no address of an etcd server"),
            (&["--etcd=https://root@a:1"], "found one with a user in it"),
            (&["--etcd-cafile=ca"], "required arguments were not provided"),
            (&["--etcd=https://a:1", "--etcd-certfile=c"], "--etcd-keyfile"),
            (&["--etcd=https://a:1", "--etcd-keyfile=k"], "--etcd-certfile"),
        ] {
            let error = parse(arguments).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn etcd_may_want_tls() {
        let flags = ["--etcd=https://a:1", "--etcd-cafile=ca", "--etcd-certfile=cert", "--etcd-keyfile=key"];
        let Ok(Storage::Etcd(servers)) = parse(&flags) else { panic!("etcd") };
        assert_eq!(servers.authority_file, Some("ca".into()));
        assert_eq!(servers.client, Some(ServingFiles { certificates: "cert".into(), key: "key".into() }));
    }
}
