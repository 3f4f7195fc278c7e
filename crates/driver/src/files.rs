//! What a driver wants to see in a volume: paths that cannot leave it, and contents that no log can show.

use std::collections::BTreeMap;
use std::collections::btree_map;
use std::fmt;
use std::sync::Arc;

use tokenward_tokens::Token;
use zeroize::Zeroizing;

/// Longest file name that Linux file systems take, in bytes.
const NAME_MAX: usize = 255;
/// Longest path that Linux takes, in bytes.
const PATH_MAX: usize = 4096;

/// A path of a file inside a volume, proved harmless when it was made.
///
/// Non-empty, relative, equal to its cleaned form (no `.`, no `//`, no trailing slash), no element `..`, the first element
/// does not begin with `..` (those names belong to the [`AtomicWriter`](crate::AtomicWriter)), elements of at most 255 bytes and
/// 4096 bytes in all, no NUL. The rules are those that CVE-2020-8567 and CVE-2020-8568 taught.
///
/// ```
/// use tokenward_driver::VolumePath;
///
/// assert_eq!(VolumePath::parse("db/password")?.top(), "db");
/// assert!(VolumePath::parse("../etc/passwd").is_err());
/// # Ok::<(), tokenward_driver::VolumePathError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VolumePath(String);

/// Why a text is not a [`VolumePath`].
///
/// ```
/// use tokenward_driver::{VolumePath, VolumePathError};
///
/// assert_eq!(VolumePath::parse("a/../b"), Err(VolumePathError::Parent));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VolumePathError {
    /// Begins with `/`.
    #[error("the path of a file in a volume must be relative, and this one is absolute")]
    Absolute,
    /// Nothing at all.
    #[error("the path of a file in a volume is empty")]
    Empty,
    /// An element longer than 255 bytes.
    #[error("an element of the path has more than {NAME_MAX} bytes")]
    NameTooLong,
    /// A NUL byte.
    #[error("the path holds a NUL byte")]
    Nul,
    /// An element `..`.
    #[error("the path leads out of the volume: it has an element `..`")]
    Parent,
    /// The first element begins with `..`.
    #[error("names that begin with `..` are kept for the versions of the volume")]
    Reserved,
    /// More than 4096 bytes.
    #[error("the path has more than {PATH_MAX} bytes")]
    TooLong,
    /// Something that cleaning would change.
    #[error("the path is not in its clean form: it has an empty element or an element `.`")]
    Unclean,
}

impl VolumePath {
    /// Checks `path` against the rules above.
    ///
    /// Shown at [`VolumePath`].
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn parse(path: impl Into<String>) -> Result<Self, VolumePathError> {
        let path = path.into();
        if path.is_empty() {
            return Err(VolumePathError::Empty);
        }
        if path.len() > PATH_MAX {
            return Err(VolumePathError::TooLong);
        }
        if path.contains('\0') {
            return Err(VolumePathError::Nul);
        }
        if path.starts_with('/') {
            return Err(VolumePathError::Absolute);
        }
        for element in path.split('/') {
            match element {
                "" | "." => return Err(VolumePathError::Unclean),
                ".." => return Err(VolumePathError::Parent),
                _ if element.len() > NAME_MAX => return Err(VolumePathError::NameTooLong),
                _ => {}
            }
        }
        if path.starts_with("..") {
            return Err(VolumePathError::Reserved);
        }
        Ok(Self(path))
    }

    /// The path as text.
    ///
    /// Shown at [`FileSet`].
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first element: the name that the reader sees at the top of the volume.
    ///
    /// Shown at [`VolumePath`].
    #[must_use]
    pub fn top(&self) -> &str {
        self.0.split('/').next().unwrap_or_default()
    }

    fn is_under(&self, directory: &Self) -> bool {
        self.0.strip_prefix(directory.as_str()).is_some_and(|rest| rest.starts_with('/'))
    }
}

impl fmt::Display for VolumePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The bytes of a file: zeroized when dropped, and never shown.
///
/// ```
/// use tokenward_driver::Contents;
///
/// assert_eq!(format!("{:?}", Contents::new(b"secret".to_vec())), "Contents(6 bytes)");
/// ```
#[derive(Clone)]
pub struct Contents(Source);

#[derive(Clone)]
enum Source {
    Bytes(Arc<Zeroizing<Vec<u8>>>),
    Token(Token),
}

impl Contents {
    /// Any bytes.
    ///
    /// Shown at [`Contents`].
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Source::Bytes(Arc::new(Zeroizing::new(bytes))))
    }

    /// The bare token, with nothing before or after it. The token is exposed only when it is written.
    ///
    /// ```
    /// use tokenward_driver::tokens::Token;
    /// use tokenward_driver::{Contents, File, FileSet, VolumePath};
    ///
    /// let mut files = FileSet::new();
    /// let token = Token::new("a.b.c".to_owned());
    /// files.insert(VolumePath::parse("vault/token")?, File::private(Contents::token(&token)))?;
    /// assert!(!format!("{files:?}").contains("a.b.c"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn token(token: &Token) -> Self {
        Self(Source::Token(token.clone()))
    }

    pub(crate) fn expose_bytes(&self) -> &[u8] {
        match &self.0 {
            Source::Bytes(bytes) => bytes,
            Source::Token(token) => token.expose_token().as_bytes(),
        }
    }
}

impl fmt::Debug for Contents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Contents({} bytes)", self.expose_bytes().len())
    }
}

/// A file that a driver delivers.
///
/// ```
/// use tokenward_driver::{Contents, File};
///
/// let file = File::private(Contents::new(b"ca certificate".to_vec())).with_mode(0o444);
/// assert_eq!(file.mode, 0o444);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct File {
    /// The bytes.
    pub contents: Contents,
    /// Permission bits, set whatever the umask says.
    pub mode: u32,
}

impl File {
    /// A file that only its owner reads: mode 0600.
    ///
    /// Shown at [`File`].
    #[must_use]
    pub fn private(contents: Contents) -> Self {
        Self { contents, mode: 0o600 }
    }

    /// The same file with these permission bits (the lowest nine count).
    ///
    /// Shown at [`File`].
    #[must_use]
    pub fn with_mode(mut self, mode: u32) -> Self {
        self.mode = mode & 0o777;
        self
    }
}

/// All files that a volume is to hold; no path is both a file and a directory.
///
/// ```
/// use tokenward_driver::{Contents, File, FileSet, VolumePath};
///
/// let mut files = FileSet::new();
/// files.insert(VolumePath::parse("user")?, File::private(Contents::new(b"app".to_vec())))?;
/// assert!(files.len() == 1 && !files.is_empty());
/// let paths: Vec<&str> = files.iter().map(|(path, _)| path.as_str()).collect();
/// assert_eq!(paths, ["user"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct FileSet(BTreeMap<VolumePath, File>);

/// A path that does not fit to one that the set has.
///
/// ```
/// use tokenward_driver::{Contents, File, FileSet, VolumePath};
///
/// let file = || File::private(Contents::new(Vec::new()));
/// let mut files = FileSet::new();
/// files.insert(VolumePath::parse("db")?, file())?;
/// let conflict = files.insert(VolumePath::parse("db/password")?, file()).unwrap_err();
/// assert_eq!(conflict.other.as_str(), "db");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{path}` cannot stand beside `{other}`: one path would be two things")]
pub struct PathConflict {
    /// The path that was to be added.
    pub path: VolumePath,
    /// The path that is there.
    pub other: VolumePath,
}

impl FileSet {
    /// An empty set.
    ///
    /// Shown at [`FileSet`].
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a file.
    ///
    /// Shown at [`FileSet`].
    ///
    /// # Errors
    /// When the set has the path, or one of the two would have to be a directory and a file.
    pub fn insert(&mut self, path: VolumePath, file: File) -> Result<(), PathConflict> {
        let conflict =
            self.0.keys().find(|other| **other == path || other.is_under(&path) || path.is_under(other));
        if let Some(other) = conflict {
            return Err(PathConflict { other: other.clone(), path });
        }
        self.0.insert(path, file);
        Ok(())
    }

    /// The files by path.
    ///
    /// Shown at [`FileSet`].
    pub fn iter(&self) -> btree_map::Iter<'_, VolumePath, File> {
        self.0.iter()
    }

    /// How many files.
    ///
    /// Shown at [`FileSet`].
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no file.
    ///
    /// Shown at [`FileSet`].
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'a> IntoIterator for &'a FileSet {
    type Item = (&'a VolumePath, &'a File);
    type IntoIter = btree_map::Iter<'a, VolumePath, File>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_could_do_harm_are_refused() {
        let long_name = "n".repeat(NAME_MAX + 1);
        let long_path = "n/".repeat(PATH_MAX / 2) + "n";
        let table = [
            ("", VolumePathError::Empty),
            ("/etc/passwd", VolumePathError::Absolute),
            ("..", VolumePathError::Parent),
            ("a/../../b", VolumePathError::Parent),
            ("a/..", VolumePathError::Parent),
            ("..data", VolumePathError::Reserved),
            ("..data/a", VolumePathError::Reserved),
            ("./a", VolumePathError::Unclean),
            ("a//b", VolumePathError::Unclean),
            ("a/", VolumePathError::Unclean),
            ("a\0b", VolumePathError::Nul),
            (&long_name, VolumePathError::NameTooLong),
            (&long_path, VolumePathError::TooLong),
        ];
        for (path, error) in table {
            assert_eq!(VolumePath::parse(path), Err(error), "{path:?}");
        }
        for path in ["a", "a/b", ".hidden", "a/..b", "...", "n n", "%2F"] {
            let expected = if path == "..." { Err(VolumePathError::Reserved) } else { Ok(path) };
            assert_eq!(
                VolumePath::parse(path).as_ref().map(VolumePath::as_str),
                expected.as_ref().copied(),
                "{path:?}"
            );
        }
    }

    #[test]
    fn one_path_is_one_thing() {
        let file = || File::private(Contents::new(Vec::new()));
        let path = |text: &str| VolumePath::parse(text).unwrap();
        let mut files = FileSet::new();
        files.insert(path("a/b"), file()).unwrap();
        files.insert(path("ab"), file()).unwrap();
        for taken in ["a", "a/b", "a/b/c"] {
            assert_eq!(files.insert(path(taken), file()).unwrap_err().other, path("a/b"));
        }
        assert_eq!(files.len(), 2);
    }

    #[test]
    fn contents_are_not_shown() {
        let file = File::private(Contents::new(b"canary".to_vec())).with_mode(0o4644);
        assert_eq!(format!("{file:?}"), "File { contents: Contents(6 bytes), mode: 420 }");
    }
}
