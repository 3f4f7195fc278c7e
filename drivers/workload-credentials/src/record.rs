//! What the driver knows of a volume's credentials beside the file itself: from when to when they are good, and which bytes they are.
//! Nothing in it is secret. It lies in a directory of the driver's own and outlives it; the file lies in the volume, and goes with it.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokenward_driver::{TargetPath, VolumePath};
use zeroize::Zeroizing;

use crate::renewal::Lifetime;

/// No file that the driver writes is longer, and a longer one is not read.
const LONGEST: u64 = 1 << 20;
const SUFFIX: &str = ".json";

/// SHA-256 of all that decides which credentials a volume has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Fingerprint(String);

/// The fingerprint of these parts in this order.
pub(crate) fn fingerprint(parts: &[&str]) -> Fingerprint {
    let mut digest = Sha256::new();
    for part in parts {
        // With their lengths, so that no part can pose as the end of another.
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    Fingerprint(hex(&digest.finalize()))
}

impl Fingerprint {
    /// A number of 0 to 9 that is this volume's own: volumes that were mounted together are not renewed together.
    pub(crate) fn jitter_seconds(&self) -> u64 {
        self.0.bytes().map(u64::from).sum::<u64>() % 10
    }
}

/// What is known of the credentials of one volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    target: PathBuf,
    fingerprint: Fingerprint,
    issued: Timestamp,
    expires: Option<Timestamp>,
    /// SHA-256 of the file.
    digest: String,
}

impl Record {
    pub(crate) fn new(
        target: &TargetPath,
        fingerprint: Fingerprint,
        lifetime: Lifetime,
        contents: &[u8],
    ) -> Self {
        Self {
            target: target.as_path().to_owned(),
            fingerprint,
            issued: lifetime.issued,
            expires: lifetime.expires,
            digest: hex(&Sha256::digest(contents)),
        }
    }
}

/// The credentials that a volume holds.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) lifetime: Lifetime,
    pub(crate) contents: Zeroizing<Vec<u8>>,
}

/// The records of all volumes of this node.
#[derive(Clone, Debug)]
pub(crate) struct Records {
    directory: PathBuf,
}

impl Records {
    pub(crate) fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// The credentials that the volume at `target` holds in its file `path`, if they are those that are recorded, for the same fingerprint.
    pub(crate) fn held(
        &self,
        target: &TargetPath,
        path: &VolumePath,
        fingerprint: &Fingerprint,
    ) -> Option<Held> {
        let record: Record = serde_json::from_slice(&fs::read(self.path(target)).ok()?).ok()?;
        if record.target != target.as_path() || record.fingerprint != *fingerprint {
            return None;
        }
        let contents = read(&target.as_path().join("..data").join(path.as_str())).ok()?;
        let is_recorded = hex(&Sha256::digest(&contents[..])) == record.digest;
        let lifetime = Lifetime { issued: record.issued, expires: record.expires };
        is_recorded.then_some(Held { lifetime, contents })
    }

    /// Writes a record, whole or not at all.
    pub(crate) fn write(&self, target: &TargetPath, record: &Record) -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.directory)?;
        let path = self.path(target);
        let next = path.with_extension("next");
        let mut file =
            fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&next)?;
        file.write_all(&serde_json::to_vec(record)?)?;
        fs::rename(&next, &path)
    }

    /// Removes a record; good when there is none.
    pub(crate) fn remove(&self, target: &TargetPath) -> io::Result<()> {
        match fs::remove_file(self.path(target)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Removes the records of volumes that are not there any more (the machine was started anew), and what a torn write has left.
    pub(crate) fn forget_volumes_that_are_gone(&self) -> io::Result<usize> {
        let mut forgotten = 0;
        let entries = match fs::read_dir(&self.directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            entries => entries?,
        };
        for entry in entries {
            let path = entry?.path();
            let record = fs::read(&path).ok().and_then(|text| serde_json::from_slice::<Record>(&text).ok());
            let is_whole = path.to_str().is_some_and(|path| path.ends_with(SUFFIX));
            if !is_whole || !record.is_some_and(|record| record.target.is_dir()) {
                fs::remove_file(&path)?;
                forgotten += 1;
            }
        }
        Ok(forgotten)
    }

    /// A target's path can be too long for a name, so the name is its digest.
    fn path(&self, target: &TargetPath) -> PathBuf {
        let digest = Sha256::digest(target.as_path().as_os_str().as_bytes());
        self.directory.join(hex(&digest) + SUFFIX)
    }
}

/// Reads a file of a volume: a regular one and no link, and without waiting for whoever might be at its other end.
fn read(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = fs::File::from(rustix::fs::open(path, flags, Mode::empty())?);
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.len() > LONGEST {
        return Err(io::ErrorKind::InvalidData.into());
    }
    // Sized at once: a buffer that grows leaves copies behind.
    let length = usize::try_from(metadata.len()).map_err(|_| io::ErrorKind::InvalidData)?;
    let mut contents = Zeroizing::new(vec![0; length]);
    (&file).read_exact(&mut contents)?;
    Ok(contents)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    struct World {
        directory: TempDir,
        records: Records,
        target: TargetPath,
    }

    const LIFETIME: Lifetime = Lifetime { issued: Timestamp::UNIX_EPOCH, expires: None };

    impl World {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let target = directory.path().join("target");
            fs::create_dir_all(target.join("..data")).unwrap();
            fs::write(target.join("..data/c"), "credentials").unwrap();
            let records = Records::new(directory.path().join("records"));
            let target = TargetPath::parse(target.to_str().unwrap()).unwrap();
            Self { directory, records, target }
        }

        fn record(&self, contents: &str) {
            let record = Record::new(&self.target, fingerprint(&["a"]), LIFETIME, contents.as_bytes());
            self.records.write(&self.target, &record).unwrap();
        }

        fn held(&self, part: &str) -> Option<Vec<u8>> {
            let path = VolumePath::parse("c").unwrap();
            let held = self.records.held(&self.target, &path, &fingerprint(&[part]))?;
            assert_eq!(held.lifetime, LIFETIME);
            Some(held.contents.to_vec())
        }
    }

    #[test]
    fn what_is_recorded_and_there_is_held() {
        let world = World::new();
        assert_eq!(world.held("a"), None);
        world.record("other");
        assert_eq!(world.held("a"), None, "the file is not the one that was recorded");
        world.record("credentials");
        assert_eq!(world.held("a").as_deref(), Some(&b"credentials"[..]));
        assert_eq!(world.held("b"), None, "for somebody else");
        world.records.remove(&world.target).unwrap();
        world.records.remove(&world.target).unwrap();
        assert_eq!(world.held("a"), None);
    }

    #[test]
    fn a_link_or_a_pipe_in_the_place_of_the_file_is_not_read() {
        let world = World::new();
        world.record("credentials");
        let file = world.target.as_path().join("..data/c");
        let elsewhere = world.directory.path().join("elsewhere");
        fs::rename(&file, &elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &file).unwrap();
        assert_eq!(world.held("a"), None);
        fs::remove_file(&file).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, &file, rustix::fs::FileType::Fifo, Mode::RUSR, 0).unwrap();
        assert_eq!(world.held("a"), None);
    }

    #[test]
    fn records_hold_nothing_of_the_credentials_and_go_with_their_volumes() {
        let world = World::new();
        world.record("credentials");
        let directory = world.directory.path().join("records");
        let name = fs::read_dir(&directory).unwrap().next().unwrap().unwrap().path();
        assert!(!fs::read_to_string(&name).unwrap().contains("credentials"));
        fs::write(directory.join("torn.next"), "{").unwrap();
        fs::write(directory.join("torn.json"), "{").unwrap();
        assert_eq!(world.records.forget_volumes_that_are_gone().unwrap(), 2);
        assert!(world.held("a").is_some());
        fs::remove_dir_all(world.target.as_path()).unwrap();
        assert_eq!(world.records.forget_volumes_that_are_gone().unwrap(), 1);
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 0);
    }

    #[test]
    fn parts_do_not_run_into_each_other() {
        assert_ne!(fingerprint(&["a", "b"]), fingerprint(&["ab", ""]));
        assert_ne!(fingerprint(&["a"]), fingerprint(&["a", ""]));
        assert!((0..100).all(|number| fingerprint(&[&number.to_string()]).jitter_seconds() < 10));
    }
}
