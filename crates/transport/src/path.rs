//! Where a Unix socket is: an absolute path that fits into the kernel's socket address.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The longest path that a socket address holds: `sun_path` has 108 bytes, the last of them a zero.
pub const MAX_PATH_BYTES: usize = 107;

/// An absolute path that a Unix socket can be bound at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SocketPath(PathBuf);

/// Why a text is no [`SocketPath`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SocketPathError {
    /// Nothing was given.
    #[error("a socket path is wanted, such as `unix:///run/driver/csi.sock`; found nothing")]
    Empty,
    /// A zero byte would cut the path short.
    #[error("the socket path {0:?} contains a zero byte; remove it")]
    Nul(String),
    /// Not absolute, or not a path of this machine.
    #[error("an absolute socket path is wanted, such as `unix:///run/driver/csi.sock`; found {0:?}")]
    NotAbsolute(String),
    /// Longer than the kernel can hold.
    #[error(
        "the socket path `{}` has {length} bytes; the kernel allows {MAX_PATH_BYTES}: use a shorter directory",
        path.display()
    )]
    TooLong {
        /// The path as given.
        path: PathBuf,
        /// Its length in bytes.
        length: usize,
    },
}

impl SocketPath {
    /// Reads `unix:///path`, `unix:/path` or `/path`.
    ///
    /// # Errors
    /// When the path is empty, not absolute, or too long for a socket address.
    pub fn parse(text: &str) -> Result<Self, SocketPathError> {
        let path = text.strip_prefix("unix:").unwrap_or(text);
        // An empty host, as in `unix:///path`.
        let path = path.strip_prefix("//").filter(|rest| rest.starts_with('/')).unwrap_or(path);
        if path.is_empty() || path == "//" {
            return Err(SocketPathError::Empty);
        }
        if text.starts_with("unix://") && path.starts_with("//") {
            return Err(SocketPathError::NotAbsolute(text.to_owned()));
        }
        Self::new(path)
    }

    /// Takes a path, of a registry directory's entry for instance.
    ///
    /// # Errors
    /// As [`SocketPath::parse`].
    pub fn new(path: impl Into<PathBuf>) -> Result<Self, SocketPathError> {
        let path = path.into();
        let bytes = path.as_os_str().as_encoded_bytes();
        if bytes.is_empty() {
            return Err(SocketPathError::Empty);
        }
        if bytes.contains(&0) {
            return Err(SocketPathError::Nul(path.to_string_lossy().into_owned()));
        }
        if !path.is_absolute() {
            return Err(SocketPathError::NotAbsolute(path.to_string_lossy().into_owned()));
        }
        if bytes.len() > MAX_PATH_BYTES {
            let length = bytes.len();
            return Err(SocketPathError::TooLong { path, length });
        }
        Ok(Self(path))
    }

    /// The path, without a scheme.
    #[must_use]
    pub fn as_path(&self) -> &Path {
        &self.0
    }
}

impl AsRef<Path> for SocketPath {
    fn as_ref(&self) -> &Path {
        &self.0
    }
}

/// The path, without a scheme.
impl fmt::Display for SocketPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.display().fmt(f)
    }
}

impl FromStr for SocketPath {
    type Err = SocketPathError;

    fn from_str(text: &str) -> Result<Self, SocketPathError> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_spellings_name_one_path() {
        for text in ["unix:///run/csi.sock", "unix:/run/csi.sock", "/run/csi.sock"] {
            let path = SocketPath::parse(text).unwrap();
            assert_eq!(path.as_path(), Path::new("/run/csi.sock"), "{text}");
            assert_eq!(path.to_string(), "/run/csi.sock");
        }
    }

    #[test]
    fn what_is_no_path_of_this_machine_is_refused() {
        for text in ["", "unix:", "unix://"] {
            assert_eq!(SocketPath::parse(text), Err(SocketPathError::Empty), "{text}");
        }
        for text in ["csi.sock", "unix:csi.sock", "unix://run/csi.sock", "tcp://127.0.0.1:80", "./csi.sock"] {
            assert_eq!(SocketPath::parse(text), Err(SocketPathError::NotAbsolute(path_of(text))), "{text}");
        }
        assert_eq!(SocketPath::parse("/a\0b"), Err(SocketPathError::Nul("/a\0b".into())));

        fn path_of(text: &str) -> String {
            if text.starts_with("unix://") { text } else { text.trim_start_matches("unix:") }.to_owned()
        }
    }

    #[test]
    fn the_longest_path_fits_and_one_more_byte_does_not() {
        let longest = format!("/{}", "a".repeat(MAX_PATH_BYTES - 1));
        assert!(SocketPath::parse(&longest).is_ok());
        let error = SocketPath::parse(&format!("unix://{longest}a")).unwrap_err();
        assert!(matches!(&error, SocketPathError::TooLong { length: 108, .. }), "{error}");
        assert!(error.to_string().contains("has 108 bytes; the kernel allows 107"), "{error}");
    }
}
