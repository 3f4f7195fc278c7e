//! Which sockets are in the registry directory, and which of them are other ones than before.

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use tracing::warn;

use super::rules::{Generation, is_watched_name};
use crate::socket_identity::SocketIdentity;

/// Directories deeper than this are not looked into.
const DEEPEST: usize = 8;

/// Most sockets that are looked at; a registry has one per driver.
const MOST_SOCKETS: usize = 1024;

/// The sockets that are there now.
#[derive(Debug, Default)]
pub(super) struct Sockets {
    known: BTreeMap<PathBuf, (SocketIdentity, Generation)>,
    recreated: HashSet<PathBuf>,
    last: u64,
}

impl Sockets {
    /// The sockets as of the last scan.
    pub(super) fn current(&self) -> BTreeMap<PathBuf, Generation> {
        self.known.iter().map(|(path, (_, generation))| (path.clone(), *generation)).collect()
    }

    /// Where they are.
    pub(super) fn paths(&self) -> impl Iterator<Item = &PathBuf> {
        self.known.keys()
    }

    /// Something was created at this path since the last scan.
    pub(super) fn recreated(&mut self, path: PathBuf) {
        self.recreated.insert(path);
    }

    /// Looks again; returns all directories found.
    pub(super) fn scan(&mut self, root: &Path) -> Vec<PathBuf> {
        let mut found = Found::default();
        found.walk(root, 0);
        let mut known = BTreeMap::new();
        for (path, identity) in found.sockets {
            let unchanged = self.known.get(&path).filter(|(old, _)| {
                // Without a time of birth only the event tells a new socket from the old one.
                *old == identity && (identity.born.is_some() || !self.recreated.contains(&path))
            });
            let generation = unchanged.map_or_else(
                || {
                    self.last += 1;
                    Generation(self.last)
                },
                |(_, generation)| *generation,
            );
            known.insert(path, (identity, generation));
        }
        self.known = known;
        self.recreated.clear();
        found.directories
    }
}

#[derive(Default)]
struct Found {
    directories: Vec<PathBuf>,
    sockets: Vec<(PathBuf, SocketIdentity)>,
}

impl Found {
    fn walk(&mut self, directory: &Path, depth: usize) {
        let entries = match std::fs::read_dir(directory) {
            Ok(entries) => entries,
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound || depth == 0 {
                    warn!(path = %directory.display(), %error, "cannot read the plugin registry");
                }
                return;
            }
        };
        self.directories.push(directory.to_owned());
        for path in entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| is_watched_name(path))
        {
            // Not followed: a link to a socket elsewhere is no socket here.
            let Ok(metadata) = path.symlink_metadata() else { continue };
            let kind = metadata.file_type();
            if kind.is_dir() && depth < DEEPEST {
                self.walk(&path, depth + 1);
            } else if kind.is_socket() && self.sockets.len() < MOST_SOCKETS {
                self.sockets.push((path, SocketIdentity::from(&metadata)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokenward_transport::{SocketPath, bind};

    #[tokio::test]
    async fn sockets_are_found_at_any_depth_and_told_apart_when_made_anew() {
        let root = tempfile::tempdir().unwrap();
        let registry = root.path().join("reg");
        std::fs::create_dir_all(registry.join("vendor")).unwrap();
        std::fs::write(registry.join("file-reg.sock"), "").unwrap();
        let path = registry.join("vendor/d-reg.sock");
        let hidden = bind(&SocketPath::new(registry.join(".h-reg.sock")).unwrap()).await.unwrap();
        let socket = bind(&SocketPath::new(&path).unwrap()).await.unwrap();

        let mut sockets = Sockets::default();
        let directories = sockets.scan(&registry);
        assert_eq!(directories, [registry.clone(), registry.join("vendor")]);
        let first = sockets.current();
        assert_eq!(first.keys().collect::<Vec<_>>(), [&path]);
        sockets.scan(&registry);
        assert_eq!(sockets.current(), first);

        drop(socket);
        let socket = bind(&SocketPath::new(&path).unwrap()).await.unwrap();
        sockets.recreated(path.clone());
        sockets.scan(&registry);
        assert_ne!(sockets.current()[&path], first[&path]);
        drop((socket, hidden));
        sockets.scan(&registry);
        assert!(sockets.current().is_empty());
    }
}
