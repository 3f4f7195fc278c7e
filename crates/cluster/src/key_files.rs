//! The keys of service account tokens as files, followed while the server runs: whoever replaces the signing key, or
//! adds a key to be verified with, need not restart it. When the files cannot be used the keys before them stay.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokenward_apiserver::ApiServer;
use tokenward_issuer::{KeyError, KeySet, SigningKey, VerifyingKey};
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use crate::followed_files::{self, Files};

/// Where the keys are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyFiles {
    /// The private key that signs.
    pub signing: Option<PathBuf>,
    /// Keys whose tokens are good too.
    pub verifying: Vec<PathBuf>,
}

/// What the files hold.
#[derive(Debug)]
pub struct Keys {
    /// The key that signs, if there is a file for it.
    pub signing: Option<SigningKey>,
    /// Every key of every other file.
    pub verifying: Vec<VerifyingKey>,
}

/// Why a file cannot be used. Nothing of it is shown.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The file cannot be read.
    #[error("cannot read the key file `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file has no key that can be used.
    #[error("cannot use the key file `{}`", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: KeyError,
    },
}

impl KeyFiles {
    /// Whether there is no file to follow.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.signing.is_none() && self.verifying.is_empty()
    }
}

impl Files for KeyFiles {
    type Content = Keys;
    type Error = KeyFileError;

    fn paths(&self) -> impl Iterator<Item = &Path> {
        self.signing.iter().chain(&self.verifying).map(PathBuf::as_path)
    }

    fn read(&self) -> Result<Keys, KeyFileError> {
        let unusable = |path: &Path, source| KeyFileError::Key { path: path.to_owned(), source };
        let signing = self
            .signing
            .as_deref()
            .map(|path| SigningKey::from_pem(&read(path)?).map_err(|source| unusable(path, source)));
        let mut verifying = Vec::new();
        for path in &self.verifying {
            let keys = VerifyingKey::all_from_pem(&read(path)?).map_err(|source| unusable(path, source))?;
            verifying.extend(keys);
        }
        Ok(Keys { signing: signing.transpose()?, verifying })
    }
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, KeyFileError> {
    fs::read(path).map(Zeroizing::new).map_err(|source| KeyFileError::Read { path: path.to_owned(), source })
}

/// Follows the files until `stop`, and gives the server every change.
pub(crate) async fn follow(files: KeyFiles, server: ApiServer, stop: CancellationToken) {
    let take = move |read: Result<Keys, KeyFileError>| match read {
        Ok(keys) => apply(keys, &server),
        Err(error) => {
            tracing::error!(error = %chain(&error), "keys of service account tokens are kept as they were");
        }
    };
    followed_files::follow(files, take, stop).await;
}

fn apply(keys: Keys, server: &ApiServer) {
    let before = server.keys();
    // A key that was made for the run signs on.
    let signing = keys.signing.map(Arc::new).or_else(|| before.signing_key().cloned());
    let after = KeySet::of(signing, keys.verifying.into_iter().map(Arc::new));
    if after.is_same_as(&before) {
        return;
    }
    let signs = after.signing_key().map(|key| key.verifying_key().public_key().id().as_str().to_owned());
    let verify = after.verifying_keys().len();
    server.replace_keys(after);
    tracing::info!(signs, verify, "keys of service account tokens have been replaced");
}

/// An error with what caused it.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use tokenward_issuer::Algorithm;

    use super::*;
    use crate::followed_files::Follower;

    fn write(path: &Path, text: &[u8]) {
        // In another file first, as everybody does who replaces one that is in use.
        let beside = path.with_extension("new");
        fs::write(&beside, text).unwrap();
        fs::rename(&beside, path).unwrap();
    }

    fn key() -> (SigningKey, Zeroizing<String>) {
        let key = SigningKey::generate(Algorithm::Es256).unwrap();
        let pem = key.to_pem().unwrap();
        (key, pem)
    }

    fn id(key: &SigningKey) -> String {
        key.verifying_key().public_key().id().as_str().to_owned()
    }

    #[test]
    fn files_are_read_once_they_lie_still_and_again_when_they_change() {
        let directory = tempfile::tempdir().unwrap();
        let (signing, verifying) = (directory.path().join("sa.key"), directory.path().join("sa.pub"));
        let ((first, first_pem), (second, second_pem)) = (key(), key());
        write(&signing, first_pem.as_bytes());
        write(&verifying, first_pem.as_bytes());
        let files = KeyFiles { signing: Some(signing.clone()), verifying: vec![verifying.clone()] };
        let mut follower = Follower::new(files);
        assert!(follower.look().is_none(), "they may just be written");
        let keys = follower.look().unwrap().unwrap();
        assert_eq!(id(keys.signing.as_ref().unwrap()), id(&first));
        assert!(follower.look().is_none() && follower.look().is_none());

        write(&signing, second_pem.as_bytes());
        assert!(follower.look().is_none());
        // And the other one in between: nothing is read until both lie still.
        write(&verifying, format!("{}{}", first_pem.as_str(), second_pem.as_str()).as_bytes());
        assert!(follower.look().is_none());
        let keys = follower.look().unwrap().unwrap();
        assert_eq!(id(keys.signing.as_ref().unwrap()), id(&second));
        assert_eq!(keys.verifying.len(), 2);
    }

    #[test]
    fn a_broken_or_missing_file_is_told_once_and_without_its_content() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sa.key");
        let (_, pem) = key();
        write(&path, pem.as_bytes());
        let mut follower = Follower::new(KeyFiles { signing: Some(path.clone()), verifying: Vec::new() });
        follower.look();
        follower.look().unwrap().unwrap();
        write(&path, &pem.as_bytes()[..pem.len() / 2]);
        follower.look();
        let told = chain(&follower.look().unwrap().unwrap_err());
        assert!(told.starts_with("cannot use the key file `") && told.contains("sa.key"), "{told}");
        assert!(!told.contains(&pem[40..60]), "{told}");
        assert!(follower.look().is_none());
        fs::remove_file(&path).unwrap();
        follower.look();
        assert!(matches!(follower.look(), Some(Err(KeyFileError::Read { .. }))));
        write(&path, pem.as_bytes());
        follower.look();
        assert!(matches!(follower.look(), Some(Ok(_))));
    }
}
