//! Where the objects are kept.

use std::path::PathBuf;

use clap::Args;
use tokenward_store::EtcdEndpoint;

const STORAGE: &str = "Storage";

/// The flags.
#[derive(Debug, Args)]
pub(crate) struct StorageArgs {
    /// Keep objects, keys and certificates in this directory, so that they outlive the process [default: in memory].
    #[arg(long, value_name = "DIR", conflicts_with = "etcd", help_heading = STORAGE)]
    data_dir: Option<PathBuf>,
    /// Keep the objects in etcd, which several servers may share; any of its servers, as http://HOST:PORT.
    #[arg(long, value_name = "URL,...", value_delimiter = ',', help_heading = STORAGE)]
    etcd: Vec<EtcdEndpoint>,
}

/// What is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Storage {
    /// They go with the process.
    Memory,
    /// In a directory, which is this process's alone.
    Directory(PathBuf),
    /// In etcd.
    Etcd(Vec<EtcdEndpoint>),
}

impl StorageArgs {
    pub(crate) fn resolve(self) -> Storage {
        match self.data_dir {
            Some(directory) => Storage::Directory(directory),
            None if self.etcd.is_empty() => Storage::Memory,
            None => Storage::Etcd(self.etcd),
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
        let Ok(Storage::Etcd(endpoints)) = parse(&["--etcd=http://a:1,http://b:2", "--etcd=http://c:3"])
        else {
            panic!("etcd");
        };
        let endpoints: Vec<String> = endpoints.iter().map(ToString::to_string).collect();
        assert_eq!(endpoints, ["http://a:1", "http://b:2", "http://c:3"]);
        for (arguments, expected) in [
            (&["--data-dir=d", "--etcd=http://a:1"][..], "cannot be used with"),
            (&["--etcd=https://a:1"], "etcd is spoken to without TLS"),
            (&["--etcd=a:1"], "no address of an etcd server"),
        ] {
            let error = parse(arguments).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
