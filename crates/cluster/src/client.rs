//! A client of any Kubernetes API server, found as kubectl finds it. No error quotes a kubeconfig: it holds credentials.

use std::error::Error;
use std::io::ErrorKind;
use std::path::PathBuf;

use kube::Client;
use kube::config::{Config, KubeConfigOptions, Kubeconfig as KubeKubeconfig, KubeconfigError, LoadDataError};

use crate::kubeconfig::Kubeconfig;

/// What the user said about the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterChoice {
    /// `--kubeconfig`; none is the file, or the files, that `KUBECONFIG` names, then `~/.kube/config`, then the pod that this runs in.
    pub kubeconfig: Option<PathBuf>,
    /// `--context`; none is the kubeconfig's current one.
    pub context: Option<String>,
}

/// A client and the server that it talks to.
pub struct Connection {
    /// The client.
    pub client: Client,
    /// The server's URL.
    pub server: String,
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The context, or what it refers to, is not there.
    #[error("the kubeconfig has no {what} `{name}`")]
    Absent {
        /// `context` or `cluster of the context`.
        what: &'static str,
        /// The context's name.
        name: String,
    },
    /// Something in the kubeconfig cannot be used.
    #[error("the kubeconfig's {what} cannot be used: {why}")]
    Content {
        /// Which part.
        what: &'static str,
        /// Why, without a quotation.
        why: &'static str,
    },
    /// The kubeconfig names no current context.
    #[error("the kubeconfig has no current context")]
    NoCurrentContext,
    /// A file that is no kubeconfig.
    #[error("the kubeconfig is no YAML, or not that of a kubeconfig")]
    NotAKubeconfig,
    /// Neither a kubeconfig nor a pod.
    #[error("found no cluster: there is no kubeconfig, and this process does not run in a pod")]
    Nowhere,
    /// A file cannot be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The client could not be made of what the kubeconfig says.
    #[error("cannot make a client for {server}")]
    Client {
        /// The server.
        server: String,
        /// Why; none where the reason may quote credentials.
        #[source]
        source: Option<Box<dyn Error + Send + Sync>>,
    },
}

/// Makes a client. Nothing is sent yet, except by programs that the kubeconfig names to get credentials.
///
/// # Errors
/// When there is no cluster to be found, or its kubeconfig cannot be used.
pub async fn connect(choice: &ClusterChoice) -> Result<Connection, ClientError> {
    let options = KubeConfigOptions { context: choice.context.clone(), ..KubeConfigOptions::default() };
    let config = match &choice.kubeconfig {
        Some(path) => {
            let kubeconfig = KubeKubeconfig::read_from(path).map_err(explain)?;
            Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(explain)?
        }
        None => match Config::from_kubeconfig(&options).await {
            Ok(config) => config,
            Err(error) if choice.context.is_none() && is_absence(&error) => {
                Config::incluster().map_err(|_| ClientError::Nowhere)?
            }
            Err(error) => return Err(explain(error)),
        },
    };
    of_config(config)
}

/// A client with a kubeconfig made here.
pub(crate) async fn of_kubeconfig(kubeconfig: &Kubeconfig) -> Result<Client, ClientError> {
    let kubeconfig = KubeKubeconfig::from_yaml(kubeconfig.expose_yaml()).map_err(explain)?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
    Ok(of_config(config.map_err(explain)?)?.client)
}

fn of_config(config: Config) -> Result<Connection, ClientError> {
    let server = config.cluster_url.to_string().trim_end_matches('/').to_owned();
    match Client::try_from(config) {
        Ok(client) => Ok(Connection { client, server }),
        Err(kube::Error::InferKubeconfig(error)) => Err(explain(error)),
        // What a program for credentials has printed would be in the text.
        Err(kube::Error::Auth(_)) => Err(ClientError::Client { server, source: None }),
        // kube's texts hold those of their causes already.
        Err(other) => Err(ClientError::Client { server, source: Some(other.to_string().into()) }),
    }
}

/// Nobody has written a kubeconfig where one is looked for.
fn is_absence(error: &KubeconfigError) -> bool {
    match error {
        KubeconfigError::CurrentContextNotSet | KubeconfigError::FindPath => true,
        KubeconfigError::ReadConfig(error, _) => error.kind() == ErrorKind::NotFound,
        _ => false,
    }
}

fn explain(error: KubeconfigError) -> ClientError {
    let content = |what, why| ClientError::Content { what, why };
    match error {
        KubeconfigError::CurrentContextNotSet => ClientError::NoCurrentContext,
        KubeconfigError::FindPath => ClientError::Nowhere,
        KubeconfigError::LoadContext(name) => ClientError::Absent { what: "context", name },
        KubeconfigError::LoadClusterOfContext(name) => {
            ClientError::Absent { what: "cluster of the context", name }
        }
        KubeconfigError::ReadConfig(source, path) => ClientError::Read { path, source },
        KubeconfigError::MissingClusterUrl => content("server", "it is missing"),
        KubeconfigError::ParseClusterUrl(_) => content("server", "it is no URL"),
        KubeconfigError::ParseProxyUrl(_) => content("proxy-url", "it is no URL"),
        KubeconfigError::LoadCertificateAuthority(error) => data("certificate authority", error),
        KubeconfigError::LoadClientCertificate(error) => data("client certificate", error),
        KubeconfigError::LoadClientKey(error) => data("client key", error),
        KubeconfigError::ParseCertificates(_) => content("certificate authority", "it is no PEM"),
        // YAML errors quote the text around them.
        _ => ClientError::NotAKubeconfig,
    }
}

fn data(what: &'static str, error: LoadDataError) -> ClientError {
    match error {
        LoadDataError::ReadFile(source, path) => ClientError::Read { path, source },
        LoadDataError::DecodeBase64(_) => ClientError::Content { what, why: "it is no Base64" },
        LoadDataError::NoBase64DataOrFile => ClientError::Content { what, why: "it is missing" },
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::pki::Authority;

    async fn refused(yaml: &str, context: Option<&str>) -> String {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("kubeconfig");
        fs::write(&path, yaml).unwrap();
        let choice = ClusterChoice { kubeconfig: Some(path), context: context.map(str::to_owned) };
        let error = connect(&choice).await.err().unwrap();
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }

    #[tokio::test]
    async fn what_is_wrong_is_said_and_credentials_are_not() {
        let contexts = "\
            contexts: [{name: c, context: {cluster: k, user: u}}]\n\
            clusters: [{name: k, cluster: {server: \"https://127.0.0.1:1\"}}]\n";
        let user = |user: &str| format!("current-context: c\n{contexts}users: [{{name: u, user: {user}}}]\n");
        for (yaml, context, expected) in [
            ("token: [canary".to_owned(), None, "the kubeconfig is no YAML, or not that of a kubeconfig"),
            ("users: canary".to_owned(), None, "the kubeconfig is no YAML, or not that of a kubeconfig"),
            (String::new(), None, "the kubeconfig has no current context"),
            (user("{}"), Some("d"), "the kubeconfig has no context `d`"),
            (
                user("{client-certificate-data: canary!, client-key-data: canary!}"),
                None,
                "cannot be used: it is no Base64",
            ),
        ] {
            let text = refused(&yaml, context).await;
            assert!(text.contains(expected), "{text}");
            assert!(!text.contains("canary"), "{text}");
        }
    }

    #[tokio::test]
    async fn a_missing_file_is_named() {
        let choice = ClusterChoice { kubeconfig: Some("/no/such/kubeconfig".into()), context: None };
        let error = connect(&choice).await.err().unwrap();
        assert_eq!(error.to_string(), "cannot read `/no/such/kubeconfig`");
    }

    #[tokio::test]
    async fn the_server_is_that_of_the_context() {
        let now = "2026-03-01T12:00:00Z".parse().unwrap();
        let authority = Authority::generate(now).unwrap();
        let admin = authority.admin(now).unwrap();
        let kubeconfig = Kubeconfig::new("https://127.0.0.1:6443", &authority, "admin", &admin);
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("kubeconfig");
        kubeconfig.write(&path).unwrap();
        let choice = ClusterChoice { kubeconfig: Some(path), context: Some("tokenward".to_owned()) };
        assert_eq!(connect(&choice).await.ok().unwrap().server, "https://127.0.0.1:6443");
    }
}
