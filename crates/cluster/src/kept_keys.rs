//! The keys and certificates of a cluster that outlives its runs, beside its data: under kubeadm's names, for their owner alone.
//!
//! What is there is used, what is missing is made. So tokens and kubeconfigs stay good over a restart.

use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use tokenward_issuer::{KeyError, SigningKey};
use zeroize::Zeroizing;

use crate::pki::{Authority, Identity, PkiError};

const AUTHORITY: &str = "ca";
const SERVER: &str = "apiserver";
const SIGNING_KEY: &str = "sa.key";

/// A directory with keys.
#[derive(Clone, Debug)]
pub struct KeptKeys {
    path: PathBuf,
}

/// Why keys cannot be kept or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeptKeysError {
    /// The file system refuses.
    #[error("cannot keep keys in `{}`", .path.display())]
    File {
        /// The file or directory.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// A certificate or its key cannot be read, or they do not belong together.
    #[error("`{}` and the key beside it are no pair that can be used; put them back as they were, or remove both for a new pair that nobody trusts yet", .path.display())]
    Pair {
        /// The certificate.
        path: PathBuf,
        /// Why.
        #[source]
        source: PkiError,
    },
    /// The key that signs tokens cannot be read.
    #[error("`{}` cannot be used; put it back as it was, or remove it: tokens that it has signed are worth nothing then", .path.display())]
    SigningKey {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: KeyError,
    },
    /// A new one could not be made.
    #[error(transparent)]
    Made(#[from] PkiError),
}

/// A certificate and its key, as their files hold them.
type Pair = (Zeroizing<Vec<u8>>, Zeroizing<Vec<u8>>);

impl KeptKeys {
    /// The keys in `pki` below a data directory, which this process has for itself.
    ///
    /// # Errors
    /// When the directory is not there and cannot be made.
    pub fn in_data_directory(data: &Path) -> Result<Self, KeptKeysError> {
        let path = data.join("pki");
        match DirBuilder::new().mode(0o700).create(&path) {
            Err(source) if source.kind() != ErrorKind::AlreadyExists => {
                Err(KeptKeysError::File { path, source })
            }
            _ => Ok(Self { path }),
        }
    }

    /// The cluster's authority.
    ///
    /// # Errors
    /// When what is there cannot be used, or a new one not be made and kept.
    pub fn authority(&self, now: Timestamp) -> Result<Authority, KeptKeysError> {
        if let Some((certificate, key)) = self.pair(AUTHORITY)? {
            let pair = Authority::from_pem(&certificate, &key);
            return pair.map_err(|source| KeptKeysError::Pair { path: self.certificate(AUTHORITY), source });
        }
        let authority = Authority::generate(now)?;
        self.keep_pair(AUTHORITY, &authority.certificate_pem(), &authority.expose_key_pem())?;
        Ok(authority)
    }

    /// A serving certificate for these names: the one that is there while it has them and is good for a while, else another.
    ///
    /// # Errors
    /// As [`KeptKeys::authority`].
    pub fn server(
        &self,
        authority: &Authority,
        names: &[String],
        now: Timestamp,
    ) -> Result<Identity, KeptKeysError> {
        if let Some((certificate, key)) = self.pair(SERVER)?
            && let Ok(identity) = Identity::from_pem(&certificate, &key)
            && authority.would_sign_again(&identity, names, now)
        {
            return Ok(identity);
        }
        let identity = authority.server(names, now)?;
        self.keep_pair(SERVER, &identity.certificate_pem(), &identity.expose_key_pem())?;
        Ok(identity)
    }

    /// The key that signs tokens, if there is one.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn signing_key(&self) -> Result<Option<SigningKey>, KeptKeysError> {
        let path = self.path.join(SIGNING_KEY);
        let Some(text) = read(&path)? else { return Ok(None) };
        SigningKey::from_pem(&text).map(Some).map_err(|source| KeptKeysError::SigningKey { path, source })
    }

    /// Keeps the key that signs tokens. To be done before it signs any.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn keep_signing_key(&self, key: &SigningKey) -> Result<(), KeptKeysError> {
        let path = self.path.join(SIGNING_KEY);
        let text = key.to_pem().map_err(|source| KeptKeysError::SigningKey { path: path.clone(), source })?;
        self.write(&path, text.as_bytes())
    }

    fn certificate(&self, name: &str) -> PathBuf {
        self.path.join(format!("{name}.crt"))
    }

    fn key(&self, name: &str) -> PathBuf {
        self.path.join(format!("{name}.key"))
    }

    fn pair(&self, name: &str) -> Result<Option<Pair>, KeptKeysError> {
        // The certificate is written last: without it nobody has seen the key.
        match read(&self.certificate(name))? {
            Some(certificate) => Ok(Some((certificate, read(&self.key(name))?.unwrap_or_default()))),
            None => Ok(None),
        }
    }

    fn keep_pair(&self, name: &str, certificate: &str, key: &str) -> Result<(), KeptKeysError> {
        // Never the new key beside the old certificate.
        match fs::remove_file(self.certificate(name)) {
            Err(source) if source.kind() != ErrorKind::NotFound => {
                return Err(KeptKeysError::File { path: self.certificate(name), source });
            }
            _ => {}
        }
        self.write(&self.key(name), key.as_bytes())?;
        self.write(&self.certificate(name), certificate.as_bytes())
    }

    /// Writes a file (0600) at once or not at all, and for good.
    fn write(&self, path: &Path, content: &[u8]) -> Result<(), KeptKeysError> {
        let written = (|| {
            let mut file = tempfile::Builder::new().prefix(".unfinished-").tempfile_in(&self.path)?;
            file.write_all(content)?;
            file.as_file().sync_all()?;
            file.persist(path).map_err(|error| error.error)?;
            File::open(&self.path)?.sync_all()
        })();
        written.map_err(|source| KeptKeysError::File { path: path.to_owned(), source })
    }
}

fn read(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, KeptKeysError> {
    match fs::read(path) {
        Ok(content) => Ok(Some(Zeroizing::new(content))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(KeptKeysError::File { path: path.to_owned(), source }),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use tokenward_jose::Algorithm;

    use super::*;

    fn now() -> Timestamp {
        "2026-03-01T12:00:00Z".parse().unwrap()
    }

    fn later(days: i64) -> Timestamp {
        now() + jiff::SignedDuration::from_hours(24 * days)
    }

    fn keys() -> (tempfile::TempDir, KeptKeys) {
        let data = tempfile::tempdir().unwrap();
        let keys = KeptKeys::in_data_directory(data.path()).unwrap();
        (data, keys)
    }

    #[test]
    fn what_was_made_is_found_again_and_only_its_owner_reads_it() {
        let (data, keys) = keys();
        let authority = keys.authority(now()).unwrap();
        let names = ["192.0.2.7".to_owned(), "api.example".to_owned()];
        let server = keys.server(&authority, &names, now()).unwrap();
        assert!(keys.signing_key().unwrap().is_none());
        let signing = SigningKey::generate(Algorithm::Es256).unwrap();
        keys.keep_signing_key(&signing).unwrap();

        let again = KeptKeys::in_data_directory(data.path()).unwrap();
        let same = again.authority(later(30)).unwrap();
        assert_eq!(same.certificate_der(), authority.certificate_der());
        let same_server = again.server(&same, &names[..1], later(30)).unwrap();
        assert_eq!(same_server.certificate_der(), server.certificate_der());
        assert_eq!(same_server.expose_key_der(), server.expose_key_der());
        let found = again.signing_key().unwrap().unwrap();
        assert_eq!(found.verifying_key().public_key().id(), signing.verifying_key().public_key().id());
        // What the authority signs now, the old certificate verifies: the issuer has the same name and key.
        let client = same.admin(later(30)).unwrap();
        let old = authority.admin(now()).unwrap();
        let (client, old) = (client.certificate_pem(), old.certificate_pem());
        assert_ne!(client, old);

        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&data.path().join("pki")), 0o700);
        let mut names: Vec<_> =
            fs::read_dir(data.path().join("pki")).unwrap().map(|entry| entry.unwrap().path()).collect();
        names.sort();
        for path in &names {
            assert_eq!(mode(path), 0o600, "{}", path.display());
        }
        let names: Vec<_> = names.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["apiserver.crt", "apiserver.key", "ca.crt", "ca.key", "sa.key"]);
    }

    #[test]
    fn a_serving_certificate_that_will_not_do_is_replaced() {
        let (_data, keys) = keys();
        let authority = keys.authority(now()).unwrap();
        let first = keys.server(&authority, &[], now()).unwrap();
        for (names, when) in [(vec!["192.0.2.7".to_owned()], now()), (vec![], later(360))] {
            let other = keys.server(&authority, &names, when).unwrap();
            assert_ne!(other.certificate_der(), first.certificate_der());
            let kept = keys.server(&authority, &names, when).unwrap();
            assert_eq!(kept.certificate_der(), other.certificate_der());
        }
    }

    #[test]
    fn half_a_pair_is_made_anew_and_a_bad_one_is_an_error_without_its_content() {
        let (data, keys) = keys();
        let pki = data.path().join("pki");
        fs::write(pki.join("ca.key"), "canary").unwrap();
        let authority = keys.authority(now()).unwrap();
        for (name, content) in [
            ("ca.key", "canary".to_owned()),
            ("ca.key", Authority::generate(now()).unwrap().expose_key_pem().to_string()),
            ("ca.crt", "canary".to_owned()),
        ] {
            let before = fs::read(pki.join(name)).unwrap();
            fs::write(pki.join(name), &content).unwrap();
            let error = keys.authority(now()).unwrap_err();
            assert!(error.to_string().contains("ca.crt` and the key beside it are no pair"), "{error}");
            assert!(!format!("{error:?}").contains("canary"));
            fs::write(pki.join(name), before).unwrap();
        }
        assert_eq!(keys.authority(now()).unwrap().certificate_der(), authority.certificate_der());
        fs::write(pki.join("sa.key"), "canary").unwrap();
        let error = keys.signing_key().unwrap_err();
        assert!(error.to_string().contains("sa.key` cannot be used"), "{error}");
    }
}
