//! The files that a configuration is read from, and whether they have changed since.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::ConfigurationError;

/// Longest file that is read, in bytes: a bundle of all public authorities has a quarter of it.
const LONGEST: u64 = 1 << 20;

/// Reads files, and remembers what was in them by a digest. Contents may be secret, and none are kept.
#[derive(Debug)]
pub(crate) struct Sources {
    directory: PathBuf,
    /// None of a file that could not be read.
    seen: BTreeMap<PathBuf, Option<[u8; 32]>>,
}

impl Sources {
    /// Relative paths are below this directory.
    pub(crate) fn below(directory: &Path) -> Self {
        Self { directory: directory.to_owned(), seen: BTreeMap::new() }
    }

    /// Relative paths are beside this file; the file's own is below the working directory.
    pub(crate) fn beside(path: &Path) -> Self {
        Self::below(path.parent().unwrap_or(Path::new(".")))
    }

    pub(crate) fn bytes(&mut self, path: &Path) -> Result<Zeroizing<Vec<u8>>, ConfigurationError> {
        let path = self.directory.join(path);
        let read = read(&path);
        // Of a file that is read twice the first counts: a change between the two is one.
        self.seen.entry(path.clone()).or_insert_with(|| read.as_ref().ok().map(|bytes| digest(bytes)));
        let bytes = read.map_err(|source| ConfigurationError::Read { path: path.clone(), source })?;
        if bytes.len() as u64 > LONGEST {
            return Err(ConfigurationError::TooLong { path, most: LONGEST });
        }
        Ok(bytes)
    }

    pub(crate) fn text(&mut self, path: &Path) -> Result<Zeroizing<String>, ConfigurationError> {
        let bytes = self.bytes(path)?;
        let text = std::str::from_utf8(&bytes)
            .map_err(|_| ConfigurationError::NotText { path: self.directory.join(path) })?;
        Ok(Zeroizing::new(text.to_owned()))
    }

    /// Whether a file that was read, or could not be, is another now. What is in it counts: ConfigMaps are replaced by a link, and a
    /// time stamp can stay as it was.
    pub(crate) fn have_changed(&self) -> bool {
        self.seen.iter().any(|(path, seen)| *seen != read(path).ok().map(|bytes| digest(&bytes)))
    }
}

fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// At most one byte more than there may be.
fn read(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    // Without waiting for whoever writes to a FIFO.
    let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = File::options().read(true).custom_flags(flags).open(path)?;
    let metadata = file.metadata()?;
    // `/dev/null` is a usual way to say "nothing".
    if !(metadata.is_file() || metadata.file_type().is_char_device()) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
    }
    // Room at once: a buffer that grows leaves copies of a secret behind.
    let room = usize::try_from(metadata.len().min(LONGEST) + 1).map_err(|_| io::ErrorKind::InvalidData)?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    file.take(LONGEST + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_another_when_its_contents_are() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        std::fs::write(path("a"), "one").unwrap();
        let mut sources = Sources::below(directory.path());
        assert_eq!(*sources.text(Path::new("a")).unwrap(), "one");
        assert!(sources.text(Path::new("b")).is_err());
        assert!(!sources.have_changed());

        std::fs::write(path("a"), "one").unwrap();
        assert!(!sources.have_changed(), "written anew, and the same");
        std::fs::write(path("b"), "").unwrap();
        assert!(sources.have_changed(), "what was missing is there");
        std::fs::remove_file(path("b")).unwrap();
        assert!(!sources.have_changed());
        std::fs::write(path("a"), "two").unwrap();
        assert!(sources.have_changed());
        std::fs::remove_file(path("a")).unwrap();
        assert!(sources.have_changed());
    }

    #[test]
    fn a_change_between_two_looks_at_a_file_is_one() {
        let directory = tempfile::tempdir().unwrap();
        let mut sources = Sources::below(directory.path());
        std::fs::write(directory.path().join("a"), "one").unwrap();
        sources.text(Path::new("a")).unwrap();
        std::fs::write(directory.path().join("a"), "two").unwrap();
        sources.text(Path::new("a")).unwrap();
        assert!(sources.have_changed());
    }

    #[test]
    fn what_is_no_text_or_no_file_is_said() {
        let directory = tempfile::tempdir().unwrap();
        let mut sources = Sources::below(directory.path());
        std::fs::write(directory.path().join("binary"), b"\xff").unwrap();
        std::fs::write(directory.path().join("long"), vec![b'a'; 1 << 21]).unwrap();
        assert_eq!(*sources.text(Path::new("/dev/null")).unwrap(), "");
        assert!(sources.text(Path::new("/dev/zero")).unwrap_err().to_string().contains("has more than"));
        let (here, mode) = (rustix::fs::CWD, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR);
        rustix::fs::mknodat(here, directory.path().join("fifo"), rustix::fs::FileType::Fifo, mode, 0)
            .unwrap();
        for (name, expected) in [
            ("binary", "is not text"),
            ("long", "has more than"),
            (".", "cannot read"),
            // Nobody writes to it.
            ("fifo", "cannot read"),
        ] {
            let error = sources.text(Path::new(name)).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
