//! The root directory of `tokenward node`: one node owns it, and never beside a kubelet.
//!
//! Two that serve one plugin registry would each register every driver, and unmount what the other has mounted.

use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;

use crate::failure::Failure;

/// What a kubelet keeps in its root directory and this node never makes.
const TRACES: [&str; 9] = [
    "config.yaml",
    "kubeadm-flags.env",
    "pki",
    "cpu_manager_state",
    "memory_manager_state",
    "dra_manager_state",
    "device-plugins",
    "pod-resources",
    "checkpoints",
];

/// A root directory that is this process's alone, for as long as this lives.
#[derive(Debug)]
pub(crate) struct NodeRoot {
    path: PathBuf,
    /// Locked.
    _directory: File,
}

impl NodeRoot {
    /// The directory, absolute and free of links.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// Takes a directory, made if its parent is there.
pub(crate) fn claim(path: &Path) -> Result<NodeRoot, Failure> {
    let failed = |error: io::Error| {
        let failure = Failure::could_not_run(format!("--root-dir: cannot use `{}`: {error}", path.display()));
        match error.kind() {
            ErrorKind::NotFound => failure.hint("Its parent directory must exist."),
            ErrorKind::PermissionDenied => {
                failure.hint("Name a directory that this user may write to, such as --root-dir /tmp/node.")
            }
            _ => failure,
        }
    };
    match DirBuilder::new().mode(0o755).create(path) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(failed(error)),
    }
    let path = path.canonicalize().map_err(failed)?;
    if let Some(trace) = trace_of_kubelet(&path) {
        return Err(Failure::could_not_run(format!(
            "--root-dir: a kubelet seems to own `{}`: it holds `{trace}`",
            path.display()
        ))
        .hint("Two nodes in one directory would unmount each other's volumes; name another, such as --root-dir /var/lib/tokenward, and register drivers there."));
    }
    // The directory itself is locked, so that no file is left behind.
    let directory = File::open(&path).map_err(failed)?;
    match rustix::fs::flock(&directory, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => {
            return Err(Failure::could_not_run(format!(
                "--root-dir: another `tokenward node` uses `{}`",
                path.display()
            ))
            .hint("Stop that one, or name another directory."));
        }
        Err(error) => return Err(failed(error.into())),
    }
    // Drivers make their own directories in it, as beside a kubelet, and may do so before the first of them registers.
    match DirBuilder::new().mode(0o750).create(path.join("plugins")) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(failed(error)),
        _ => {}
    }
    Ok(NodeRoot { path, _directory: directory })
}

/// The first thing in the directory that only a kubelet makes.
fn trace_of_kubelet(root: &Path) -> Option<&'static str> {
    TRACES.into_iter().find(|name| fs::symlink_metadata(root.join(name)).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terminal::Style;

    #[test]
    fn a_directory_is_made_and_belongs_to_one_node() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("node");
        let root = claim(&path).unwrap();
        assert!(root.path().join("plugins").is_dir());
        let text = claim(&path).unwrap_err().render(Style::plain());
        assert!(text.contains("another `tokenward node` uses"), "{text}");
        drop(root);
        claim(&path).unwrap();
    }

    #[test]
    fn a_kubelets_directory_is_left_alone() {
        for trace in TRACES {
            let root = tempfile::tempdir().unwrap();
            fs::create_dir(root.path().join(trace)).unwrap();
            let text = claim(root.path()).unwrap_err().render(Style::plain());
            assert!(text.contains(&format!("it holds `{trace}`")), "{text}");
            assert!(!root.path().join("plugins").exists());
        }
    }

    #[test]
    fn what_drivers_leave_is_no_trace_of_a_kubelet() {
        let root = tempfile::tempdir().unwrap();
        for name in ["plugins", "plugins_registry", "pods"] {
            fs::create_dir(root.path().join(name)).unwrap();
        }
        claim(root.path()).unwrap();
    }

    #[test]
    fn a_directory_that_cannot_be_used_is_named() {
        let parent = tempfile::tempdir().unwrap();
        let text = claim(&parent.path().join("no/such")).unwrap_err().render(Style::plain());
        assert!(text.contains("Hint: Its parent directory must exist."), "{text}");
        let file = parent.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(claim(&file).is_err());
    }
}
