//! From what is typed to a control plane that can start: the files of `apiserver` and `up` are read here.

use std::fs;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::Path;

use rustls_pki_types::CertificateDer;
use tokenward_apiserver::StaticTokens;
use tokenward_cluster::control_plane::{ControlPlaneConfig, ControlPlaneError};
use tokenward_cluster::key_files::KeyFiles;
use tokenward_cluster::serving::{
    PemError, ServingCertificate, ServingCertificateError, certificates_from_pem, no_private_key,
    private_key_from_pem,
};
use tokenward_issuer::{KeyError, SigningKey, VerifyingKey};
use tokenward_kube_rules::FeatureGates;
use zeroize::Zeroizing;

use crate::args::server::{ServerConfig, ServingFiles};
use crate::failure::Failure;

const NEW_KEY: &str = "A new one: openssl ecparam -name prime256v1 -genkey -noout -out sa.key (or: openssl genrsa -out sa.key 2048).";

/// Reads the files and puts everything together.
pub(crate) fn control_plane(
    gates: &FeatureGates,
    listen: SocketAddr,
    config: ServerConfig,
) -> Result<ControlPlaneConfig, Failure> {
    let mut control_plane = ControlPlaneConfig::new(gates.clone()).map_err(Failure::because)?;
    control_plane.listen = listen;
    control_plane.external_hostname = config.external_hostname;
    control_plane.issuer = config.issuer;
    control_plane.anonymous = config.anonymous;
    control_plane.request_limits = config.request_limits;
    control_plane.key_files =
        KeyFiles { signing: config.signing_key_file.clone(), verifying: config.key_files.clone() };
    control_plane.serving = config
        .serving
        .as_ref()
        .map(|files| identity(files, ["--tls-cert-file", "--tls-private-key-file"]))
        .transpose()?;
    if let Some(path) = &config.client_ca_file {
        control_plane.client_authorities = authorities("--client-ca-file", path)?;
    }
    if let Some(path) = &config.node_authority_file {
        control_plane.node_authorities = authorities("--kubelet-certificate-authority", path)?;
    }
    let flags = ["--kubelet-client-certificate", "--kubelet-client-key"];
    control_plane.node_client =
        config.node_client.as_ref().map(|files| identity(files, flags)).transpose()?;
    if let Some(path) = &config.token_auth_file {
        control_plane.static_tokens = static_tokens(path)?;
    }
    if let Some(path) = &config.signing_key_file {
        let flag = "--service-account-signing-key-file";
        let text = read(flag, path)?;
        let key = SigningKey::from_pem(&text).map_err(|error| match error {
            KeyError::None(_) => in_file(flag, path, no_private_key(&text)),
            other => key_in_file(flag, path, other),
        })?;
        control_plane.signing_key = Some(key);
    }
    for path in &config.key_files {
        let flag = "--service-account-key-file";
        let text = read(flag, path)?;
        let keys = VerifyingKey::all_from_pem(&text).map_err(|error| key_in_file(flag, path, error))?;
        control_plane.verifying_keys.extend(keys);
    }
    Ok(control_plane)
}

/// The certificates of a file that was named by this flag.
pub(crate) fn authorities(flag: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let text = read(flag, path)?;
    certificates_from_pem(&text).map_err(|error| in_file(flag, path, error))
}

/// A certificate and its key, which were named by these flags.
pub(crate) fn identity(
    files: &ServingFiles,
    [certificate_flag, key_flag]: [&str; 2],
) -> Result<ServingCertificate, Failure> {
    let certificates = read(certificate_flag, &files.certificates)?;
    let key = read(key_flag, &files.key)?;
    let chain = certificates_from_pem(&certificates)
        .map_err(|error| in_file(certificate_flag, &files.certificates, error))?;
    let key = private_key_from_pem(&key).map_err(|error| in_file(key_flag, &files.key, error))?;
    ServingCertificate::new(chain, key).map_err(|error| match error {
        ServingCertificateError::Mismatch => Failure::could_not_run(format!(
            "the key in `{}` is not that of the first certificate in `{}`",
            files.key.display(),
            files.certificates.display()
        ))
        .hint("The certificate of the key comes first in its file, those that signed it after it."),
        other => Failure::because(other),
    })
}

/// The hints for a server that does not start.
pub(crate) fn cannot_start(error: ControlPlaneError) -> Failure {
    let hint = match &error {
        ControlPlaneError::Listen { address, source } => match source.kind() {
            ErrorKind::AddrInUse => {
                Some(format!("Another program listens on {address}; name another port, or 0 for a free one."))
            }
            ErrorKind::PermissionDenied => {
                Some("Ports below 1024 need privileges; name a higher one.".to_owned())
            }
            _ => Some("Name an address of this machine, such as 127.0.0.1:0.".to_owned()),
        },
        _ => None,
    };
    let failure = Failure::because(error);
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

/// A file's text, which may be a key: it is wiped once it is read.
fn read(flag: &str, path: &Path) -> Result<Zeroizing<Vec<u8>>, Failure> {
    fs::read(path)
        .map(Zeroizing::new)
        .map_err(|error| Failure::could_not_run(format!("{flag}: cannot read `{}`: {error}", path.display())))
}

fn in_file(flag: &str, path: &Path, error: PemError) -> Failure {
    let failure = Failure::could_not_run(format!("{flag}: `{}`: {error}", path.display()));
    match error {
        PemError::EncryptedKey => failure.hint("Decrypt it first: openssl pkey -in FILE -out NEW-FILE."),
        _ => failure,
    }
}

fn key_in_file(flag: &str, path: &Path, error: KeyError) -> Failure {
    let failure = Failure::could_not_run(format!("{flag}: `{}`: {error}", path.display()));
    match error {
        KeyError::Private | KeyError::RsaSize(_) => failure.hint(NEW_KEY),
        _ => failure,
    }
}

fn static_tokens(path: &Path) -> Result<StaticTokens, Failure> {
    let text = read("--token-auth-file", path)?;
    let refused =
        |error: String| Failure::could_not_run(format!("--token-auth-file: `{}`: {error}", path.display()));
    let text = std::str::from_utf8(&text).map_err(|_| refused("it is not UTF-8".to_owned()))?;
    StaticTokens::parse(text).map_err(|error| refused(error.to_string()))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use tokenward_apiserver::RequestLimits;

    use tokenward_cluster::pki::{Authority, Identity};
    use tokenward_issuer::IssuerConfig;
    use tokenward_kube_rules::Release;

    use super::*;
    use crate::args::storage::Storage;
    use crate::terminal::Style;

    struct Files(tempfile::TempDir);

    impl Files {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn write(&self, name: &str, text: &str) -> PathBuf {
            let path = self.0.path().join(name);
            fs::write(&path, text).unwrap();
            path
        }
    }

    fn nothing() -> ServerConfig {
        ServerConfig {
            storage: Storage::Memory,
            external_hostname: None,
            serving: None,
            client_ca_file: None,
            anonymous: true,
            request_limits: RequestLimits::default(),
            token_auth_file: None,
            node_authority_file: None,
            node_client: None,
            issuer: IssuerConfig::new(["https://issuer.example"]).unwrap(),
            signing_key_file: None,
            key_files: Vec::new(),
        }
    }

    fn load(config: ServerConfig) -> Result<ControlPlaneConfig, String> {
        let gates = FeatureGates::for_release(Release::V1_35);
        control_plane(&gates, SocketAddr::from(([127, 0, 0, 1], 0)), config)
            .map_err(|failure| failure.render(Style::plain()))
    }

    fn authority() -> Authority {
        Authority::generate("2026-03-01T12:00:00Z".parse().unwrap()).unwrap()
    }

    fn identity(authority: &Authority) -> Identity {
        authority.server(&[], "2026-03-01T12:00:00Z".parse().unwrap()).unwrap()
    }

    /// Every key of the tests is in the text that must not be shown.
    fn assert_silent(text: &str, key: &str) {
        for line in key.lines().filter(|line| !line.starts_with("---")) {
            assert!(!text.contains(line), "{text}");
        }
    }

    #[test]
    fn every_file_reaches_the_control_plane() {
        let files = Files::new();
        let authority = authority();
        let (first, second) = (identity(&authority), identity(&authority));
        let key = first.expose_key_pem();
        let both = authority.certificate_pem() + &second.expose_key_pem();
        let config = load(ServerConfig {
            serving: Some(ServingFiles {
                certificates: files.write("tls.crt", &first.certificate_pem()),
                key: files.write("tls.key", &key),
            }),
            client_ca_file: Some(files.write("ca.crt", &authority.certificate_pem())),
            token_auth_file: Some(files.write("tokens.csv", "t,admin,1,system:masters\n")),
            signing_key_file: Some(files.write("sa.key", &key)),
            key_files: vec![files.write("more.pem", &both), files.write("sa.pub", &key)],
            ..nothing()
        })
        .unwrap();
        assert!(config.serving.is_some());
        assert_eq!(config.client_authorities, [authority.certificate_der().clone()]);
        assert_eq!(config.static_tokens.user("t").unwrap().username, "admin");
        assert_eq!(config.verifying_keys.len(), 3);
        let signing = config.signing_key.unwrap();
        assert_eq!(
            signing.verifying_key().public_key().id(),
            config.verifying_keys[2].public_key().id(),
            "the keys keep the order of the files"
        );
    }

    #[test]
    fn a_bad_file_is_named_with_its_flag_and_never_shown() {
        let files = Files::new();
        let authority = authority();
        let (own, other) = (identity(&authority), identity(&authority));
        let own_key = own.expose_key_pem();
        let certificate = files.write("a.crt", &own.certificate_pem());
        let key = files.write("a.key", &own_key);
        let other_key = files.write("b.key", &other.expose_key_pem());
        let broken = own_key.replace("-----END", "*canary*\n-----END");
        let broken = files.write("broken.key", &broken);
        let missing = files.0.path().join("missing");
        let serving = |certificates: &PathBuf, key: &PathBuf| {
            Some(ServingFiles { certificates: certificates.clone(), key: key.clone() })
        };
        let cases = [
            (
                ServerConfig { serving: serving(&certificate, &missing), ..nothing() },
                "--tls-private-key-file: cannot read `",
            ),
            (
                ServerConfig { serving: serving(&key, &key), ..nothing() },
                "a.key`: wanted certificates in PEM, found a private key",
            ),
            (
                ServerConfig { serving: serving(&certificate, &certificate), ..nothing() },
                "--tls-private-key-file: `",
            ),
            (
                ServerConfig { serving: serving(&certificate, &broken), ..nothing() },
                "broken.key`: the file is not well-formed PEM",
            ),
            (
                ServerConfig { serving: serving(&certificate, &other_key), ..nothing() },
                "b.key` is not that of the first certificate in `",
            ),
            (ServerConfig { client_ca_file: Some(key.clone()), ..nothing() }, "--client-ca-file: `"),
            (
                ServerConfig { signing_key_file: Some(certificate.clone()), ..nothing() },
                "a.crt`: wanted a private key in PEM, found certificates",
            ),
            (ServerConfig { key_files: vec![broken.clone()], ..nothing() }, "--service-account-key-file: `"),
            (
                ServerConfig { token_auth_file: Some(key.clone()), ..nothing() },
                "a.key`: line 1 of the token file: wanted `token,user,uid",
            ),
        ];
        for (config, expected) in cases {
            let text = load(config).unwrap_err();
            assert!(text.contains(expected), "{text}");
            assert!(!text.contains("canary"), "{text}");
            assert_silent(&text, &own_key);
        }
    }
}
