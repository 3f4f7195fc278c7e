//! What an API server is told, the same for `apiserver` and `up`. The flags are kube-apiserver's and mean what they mean there.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args};
use tokenward_apiserver::RequestLimits;
use tokenward_cluster::control_plane::DEFAULT_ISSUER;
use tokenward_issuer::IssuerConfig;

use crate::args::storage::{Storage, StorageArgs};
use crate::duration;
use crate::failure::Failure;

const TLS: &str = "Serving";
const CLIENTS: &str = "Clients";
const NODES: &str = "Nodes";
const SERVICE_ACCOUNTS: &str = "Service account tokens";

/// The flags.
#[derive(Debug, Args)]
pub(crate) struct ServerArgs {
    #[command(flatten)]
    storage: StorageArgs,
    /// The host, with or without a port, by which clients elsewhere call the server.
    #[arg(long, value_name = "HOST[:PORT]", help_heading = TLS)]
    external_hostname: Option<String>,
    /// The serving certificate, followed by those that lead to its authority [default: made here].
    #[arg(long, value_name = "PEM", help_heading = TLS)]
    tls_cert_file: Option<PathBuf>,
    /// The key of the serving certificate.
    #[arg(long, value_name = "PEM", help_heading = TLS)]
    tls_private_key_file: Option<PathBuf>,
    /// Believe client certificates that these authorities have signed.
    #[arg(long, value_name = "PEM", help_heading = CLIENTS)]
    client_ca_file: Option<PathBuf>,
    /// Users with static tokens: lines of `token,user,uid[,"group1,group2"]`.
    #[arg(long, value_name = "CSV", help_heading = CLIENTS)]
    token_auth_file: Option<PathBuf>,
    /// Whether requests without credentials are answered, as those of system:anonymous, which may read the health and the version.
    #[arg(
        long,
        value_name = "BOOL",
        action = ArgAction::Set,
        num_args = 0..=1,
        default_value = "true",
        default_missing_value = "true",
        value_parser = parse_bool,
        help_heading = CLIENTS
    )]
    anonymous_auth: bool,
    /// How many requests that read run at once; more wait, or are told to come back. 0 for any number.
    #[arg(long, value_name = "NUMBER", default_value_t = RequestLimits::default().reading, help_heading = CLIENTS)]
    max_requests_inflight: usize,
    /// The same for requests that change something.
    #[arg(long, value_name = "NUMBER", default_value_t = RequestLimits::default().changing, help_heading = CLIENTS)]
    max_mutating_requests_inflight: usize,
    /// Believe nodes whose serving certificates these authorities have signed, when requests are passed on to them.
    #[arg(long, value_name = "PEM", help_heading = NODES)]
    kubelet_certificate_authority: Option<PathBuf>,
    /// The client certificate that nodes are shown [default: made for the run].
    #[arg(long, value_name = "PEM", help_heading = NODES)]
    kubelet_client_certificate: Option<PathBuf>,
    /// The key of that certificate.
    #[arg(long, value_name = "PEM", help_heading = NODES)]
    kubelet_client_key: Option<PathBuf>,
    /// Who issues service account tokens; may be repeated: the first signs, all are accepted [default: the cluster's own name].
    #[arg(long, value_name = "URL", help_heading = SERVICE_ACCOUNTS)]
    service_account_issuer: Vec<String>,
    /// Where clients are told to fetch the keys, https [default: this server].
    #[arg(long, value_name = "URL", help_heading = SERVICE_ACCOUNTS)]
    service_account_jwks_uri: Option<String>,
    /// The audiences of the API server itself [default: the issuers].
    #[arg(long, value_name = "AUDIENCE,...", value_delimiter = ',', help_heading = SERVICE_ACCOUNTS)]
    api_audiences: Vec<String>,
    /// The private key that signs: RSA, or EC on P-256, P-384 or P-521 [default: an RSA key made here].
    #[arg(long, value_name = "PEM", help_heading = SERVICE_ACCOUNTS)]
    service_account_signing_key_file: Option<PathBuf>,
    /// Accept tokens of these keys too, public or private, any number in a file; may be repeated.
    #[arg(long, value_name = "PEM", help_heading = SERVICE_ACCOUNTS)]
    service_account_key_file: Vec<PathBuf>,
    /// The longest that a token may live, 1h at the least; 0s is no limit.
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = duration::parse, help_heading = SERVICE_ACCOUNTS)]
    service_account_max_token_expiration: Duration,
    /// Whether tokens without an audience, of the old kind that lives in Secrets, are good only while their objects exist.
    #[arg(
        long,
        value_name = "BOOL",
        action = ArgAction::Set,
        num_args = 0..=1,
        default_value = "true",
        default_missing_value = "true",
        value_parser = parse_bool,
        help_heading = SERVICE_ACCOUNTS
    )]
    service_account_lookup: bool,
    /// Whether tokens of pods' own volumes, of 3607 seconds, live for a year.
    #[arg(
        long,
        value_name = "BOOL",
        action = ArgAction::Set,
        num_args = 0..=1,
        default_value = "true",
        default_missing_value = "true",
        value_parser = parse_bool,
        help_heading = SERVICE_ACCOUNTS
    )]
    service_account_extend_token_expiration: bool,
}

/// What is meant; the files are still to be read.
#[derive(Clone, Debug)]
pub(crate) struct ServerConfig {
    pub(crate) storage: Storage,
    pub(crate) external_hostname: Option<String>,
    pub(crate) serving: Option<ServingFiles>,
    pub(crate) client_ca_file: Option<PathBuf>,
    pub(crate) token_auth_file: Option<PathBuf>,
    pub(crate) anonymous: bool,
    pub(crate) request_limits: RequestLimits,
    pub(crate) node_authority_file: Option<PathBuf>,
    pub(crate) node_client: Option<ServingFiles>,
    pub(crate) issuer: IssuerConfig,
    pub(crate) signing_key_file: Option<PathBuf>,
    pub(crate) key_files: Vec<PathBuf>,
}

/// A certificate and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServingFiles {
    pub(crate) certificates: PathBuf,
    pub(crate) key: PathBuf,
}

impl ServingFiles {
    /// What `--tls-cert-file` and `--tls-private-key-file` name, if anything.
    pub(crate) fn of(certificates: Option<PathBuf>, key: Option<PathBuf>) -> Result<Option<Self>, Failure> {
        match (certificates, key) {
            (None, None) => Ok(None),
            (Some(certificates), Some(key)) => Ok(Some(Self { certificates, key })),
            (Some(_), None) => Err(Failure::usage(
                "--tls-cert-file is of no use without --tls-private-key-file",
            )
            .hint("Name the key of that certificate, or neither: then a certificate is made for the run.")),
            (None, Some(_)) => Err(Failure::usage(
                "--tls-private-key-file is of no use without --tls-cert-file",
            )
            .hint("Name the certificate of that key, or neither: then a certificate is made for the run.")),
        }
    }
}

impl ServerArgs {
    /// Everything that can be decided without touching the machine.
    pub(crate) fn resolve(self) -> Result<ServerConfig, Failure> {
        let serving = ServingFiles::of(self.tls_cert_file, self.tls_private_key_file)?;
        let node_client = match (self.kubelet_client_certificate, self.kubelet_client_key) {
            (None, None) => None,
            (Some(certificates), Some(key)) => Some(ServingFiles { certificates, key }),
            _ => {
                let text =
                    "--kubelet-client-certificate and --kubelet-client-key are of no use without each other";
                return Err(Failure::usage(text)
                    .hint("Name both, or neither: then a certificate is made for the run."));
            }
        };
        if self.external_hostname.as_deref().is_some_and(|host| host.is_empty() || host.contains('/')) {
            return Err(Failure::usage("--external-hostname wants a host, with or without a port")
                .hint("Leave out https:// and any path: api.example or api.example:6443."));
        }
        let mut issuer = match self.service_account_issuer.as_slice() {
            [] => IssuerConfig::new([DEFAULT_ISSUER]),
            issuers => IssuerConfig::new(issuers.iter().cloned()),
        }
        .map_err(|error| Failure::usage(format!("--service-account-issuer: {error}")))?
        .with_api_audiences(self.api_audiences)
        .with_extended_expiration(self.service_account_extend_token_expiration)
        .with_lookup(self.service_account_lookup);
        if let Some(uri) = self.service_account_jwks_uri {
            if !uri.starts_with("https://") {
                return Err(Failure::usage(format!("--service-account-jwks-uri: `{uri}` is no https URL"))
                    .hint("Whoever verifies tokens has to trust where the keys come from."));
            }
            issuer = issuer.with_jwks_uri(uri);
        }
        let longest = self.service_account_max_token_expiration;
        if !longest.is_zero() {
            issuer = issuer
                .with_max_expiration_seconds(i64::try_from(longest.as_secs()).unwrap_or(i64::MAX))
                .map_err(|error| {
                    Failure::usage(format!("--service-account-max-token-expiration: {error}"))
                })?;
        }
        Ok(ServerConfig {
            storage: self.storage.resolve(),
            external_hostname: self.external_hostname,
            serving,
            client_ca_file: self.client_ca_file,
            token_auth_file: self.token_auth_file,
            anonymous: self.anonymous_auth,
            request_limits: RequestLimits {
                reading: self.max_requests_inflight,
                changing: self.max_mutating_requests_inflight,
            },
            node_authority_file: self.kubelet_certificate_authority,
            node_client,
            issuer,
            signing_key_file: self.service_account_signing_key_file,
            key_files: self.service_account_key_file,
        })
    }
}

/// What Go's `strconv.ParseBool` takes.
fn parse_bool(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
        _ => Err(format!("`{text}` is no bool; write true or false")),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::terminal::Style;

    #[derive(Debug, Parser)]
    struct Typed {
        #[command(flatten)]
        server: ServerArgs,
    }

    fn resolve(arguments: &[&str]) -> Result<ServerConfig, Failure> {
        Typed::try_parse_from(["t"].iter().chain(arguments)).unwrap().server.resolve()
    }

    #[test]
    fn nothing_typed_is_a_server_that_makes_everything_itself() {
        let config = resolve(&[]).unwrap();
        assert_eq!(config.serving, None);
        assert_eq!(config.issuer, IssuerConfig::new([DEFAULT_ISSUER]).unwrap());
        assert!(config.key_files.is_empty());
        assert!(config.anonymous && config.issuer.looks_up());
        assert_eq!(config.request_limits, RequestLimits { reading: 400, changing: 200 });
        let limited = resolve(&["--max-requests-inflight=7", "--max-mutating-requests-inflight=0"]).unwrap();
        assert_eq!(limited.request_limits, RequestLimits { reading: 7, changing: 0 });
    }

    #[test]
    fn the_issuer_is_what_the_flags_say() {
        let config = resolve(&[
            "--service-account-issuer=https://new.example",
            "--service-account-issuer=https://old.example",
            "--service-account-jwks-uri=https://keys.example/jwks",
            "--api-audiences=api,kube",
            "--api-audiences=third",
            "--service-account-max-token-expiration=24h",
            "--service-account-extend-token-expiration=false",
            "--service-account-key-file=a.pub",
            "--service-account-key-file=b.pub",
            "--service-account-lookup=false",
            "--anonymous-auth=false",
        ])
        .unwrap();
        assert_eq!(config.issuer.issuer(), "https://new.example");
        assert_eq!(config.issuer.issuers().len(), 2);
        assert_eq!(config.issuer.jwks_uri(), Some("https://keys.example/jwks"));
        assert_eq!(config.issuer.api_audiences(), ["api", "kube", "third"]);
        assert_eq!(config.issuer.max_expiration_seconds(), Some(86_400));
        assert!(!config.issuer.extends_expiration() && !config.issuer.looks_up() && !config.anonymous);
        assert_eq!(config.key_files, [PathBuf::from("a.pub"), PathBuf::from("b.pub")]);
        let bare = resolve(&["--service-account-extend-token-expiration", "--api-audiences=api"]).unwrap();
        assert!(bare.issuer.extends_expiration());
    }

    #[test]
    fn what_cannot_be_meant_is_a_usage_error() {
        for (arguments, expected) in [
            (vec!["--tls-cert-file=a"], "--tls-cert-file is of no use without --tls-private-key-file"),
            (vec!["--tls-private-key-file=a"], "--tls-private-key-file is of no use without --tls-cert-file"),
            (vec!["--kubelet-client-key=a"], "--kubelet-client-certificate and --kubelet-client-key"),
            (vec!["--service-account-issuer="], "--service-account-issuer: an issuer must not be empty"),
            (
                vec!["--service-account-issuer=a", "--service-account-issuer=a"],
                "--service-account-issuer: issuer \"a\" is given twice",
            ),
            (vec!["--service-account-jwks-uri=http://keys"], "`http://keys` is no https URL"),
            (
                vec!["--service-account-max-token-expiration=59m"],
                "wanted a maximum token expiration between 3600 and 4294967296 seconds, found 3540",
            ),
            (vec!["--external-hostname=https://api.example"], "--external-hostname wants a host"),
        ] {
            let failure = resolve(&arguments).unwrap_err();
            let text = failure.render(Style::plain());
            assert!(text.contains(expected), "{text}");
            assert_eq!(failure.exit_code(), std::process::ExitCode::from(2));
        }
    }
}
