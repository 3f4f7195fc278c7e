use super::*;

const SIZE: u64 = 1 << 20;

fn target(directory: &tempfile::TempDir) -> TargetPath {
    TargetPath::parse(directory.path().join("mount").to_str().unwrap()).unwrap()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

/// Takes a mount away also when its test fails.
pub(crate) struct UnmountOnDrop<'a>(pub(crate) &'a Path);

impl Drop for UnmountOnDrop<'_> {
    fn drop(&mut self) {
        // After a test that went well there is nothing.
        while rustix::mount::unmount(self.0, UnmountFlags::DETACH).is_ok() {}
    }
}

/// Whether this process may mount; says so when it may not.
fn may_mount() -> bool {
    let directory = tempfile::tempdir().unwrap();
    match mount_tmpfs(directory.path(), SIZE) {
        Ok(()) => {
            unmount(directory.path()).unwrap();
            true
        }
        Err(error) => {
            println!("left out: this process may not mount ({error})");
            false
        }
    }
}

#[test]
fn target_paths() {
    assert_eq!(TargetPath::parse(""), Err(TargetPathError::Empty));
    for path in ["a", "./a", "/", "/a/../b", "/a/..", "/a\0b"] {
        assert_eq!(TargetPath::parse(path), Err(TargetPathError::Unusable), "{path:?}");
    }
    for path in ["/a/b", "/a/b/", "/a//b", "/a/./b"] {
        assert_eq!(TargetPath::parse(path).unwrap().as_path().as_os_str(), "/a/b");
    }
}

#[test]
fn a_tmpfs_is_mounted_once_and_taken_away() {
    if !may_mount() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let target = target(&directory);
    let _unmount = UnmountOnDrop(target.as_path());
    let mounter = Mounter::new(SIZE, MountPolicy::WherePermitted);
    assert_eq!(mounter.prepare(&target).unwrap(), Prepared { backing: Backing::Tmpfs, fresh: true });
    assert!(is_mount_point(target.as_path()).unwrap() && is_tmpfs(target.as_path()));
    assert_eq!(mode(target.as_path()), 0o700);
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let line = mounts.lines().find(|line| line.contains(target.as_path().to_str().unwrap())).unwrap();
    assert!(["nosuid", "nodev", "noexec", "size=1024k"].iter().all(|option| line.contains(option)), "{line}");

    // A driver that was started again finds what another mounted, whatever its own policy.
    fs::write(target.as_path().join("file"), "kept").unwrap();
    let restarted = Mounter::new(SIZE, MountPolicy::Never);
    assert_eq!(restarted.prepare(&target).unwrap(), Prepared { backing: Backing::Tmpfs, fresh: false });
    assert_eq!(fs::read_to_string(target.as_path().join("file")).unwrap(), "kept");

    restarted.remove(&target).unwrap();
    assert!(!target.as_path().exists());
    restarted.remove(&target).unwrap();
}

#[test]
fn mounts_that_lie_on_each_other_and_are_in_use_are_taken_away() {
    if !may_mount() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let target = target(&directory);
    let _unmount = UnmountOnDrop(target.as_path());
    fs::create_dir(target.as_path()).unwrap();
    mount_tmpfs(target.as_path(), SIZE).unwrap();
    mount_tmpfs(target.as_path(), SIZE).unwrap();
    fs::create_dir(target.as_path().join("in")).unwrap();
    fs::write(target.as_path().join("in/file"), "token").unwrap();
    let held = fs::File::open(target.as_path().join("in")).unwrap();

    Mounter::new(SIZE, MountPolicy::WherePermitted).remove(&target).unwrap();
    assert!(!target.as_path().exists());
    // Who still has the old directory open finds nothing in it.
    assert!(
        rustix::fs::openat(&held, "file", rustix::fs::OFlags::RDONLY, rustix::fs::Mode::empty()).is_err()
    );
}

#[test]
fn a_private_directory_serves_where_nothing_is_mounted() {
    let directory = tempfile::tempdir().unwrap();
    let target = target(&directory);
    let mounter = Mounter::new(SIZE, MountPolicy::Never);
    // The target may be there already: older kubelets make it.
    fs::create_dir(target.as_path()).unwrap();
    assert_eq!(mounter.prepare(&target).unwrap(), Prepared { backing: Backing::Directory, fresh: true });
    assert_eq!(mode(target.as_path()), 0o700);
    assert!(!is_mount_point(target.as_path()).unwrap());

    AtomicWriter::new(target.as_path()).write(&crate::FileSet::new(), jiff::Timestamp::UNIX_EPOCH).unwrap();
    let permitted = Mounter::new(SIZE, MountPolicy::WherePermitted);
    let again = permitted.prepare(&target).unwrap();
    assert_eq!(
        again,
        Prepared { backing: Backing::Directory, fresh: false },
        "a volume in use is not mounted over"
    );

    permitted.remove(&target).unwrap();
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}

/// A target path by mistake must not cost anybody his files.
#[test]
fn files_and_mounts_of_others_are_neither_hidden_nor_removed() {
    let directory = tempfile::tempdir().unwrap();
    let target = target(&directory);
    fs::create_dir(target.as_path()).unwrap();
    fs::write(target.as_path().join("theirs"), "kept").unwrap();
    for policy in [MountPolicy::WherePermitted, MountPolicy::Never] {
        let mounter = Mounter::new(SIZE, policy);
        assert!(matches!(mounter.prepare(&target), Err(MountError::ForeignFiles { .. })));
        assert!(matches!(mounter.remove(&target), Err(MountError::ForeignFiles { .. })));
        let proc = TargetPath::parse("/proc").unwrap();
        assert!(matches!(mounter.prepare(&proc), Err(MountError::ForeignMount { .. })));
        assert!(matches!(mounter.remove(&proc), Err(MountError::ForeignMount { .. })));
    }
    assert_eq!(fs::read_to_string(target.as_path().join("theirs")).unwrap(), "kept");

    // What a torn first write left is ours.
    fs::remove_file(target.as_path().join("theirs")).unwrap();
    fs::create_dir(target.as_path().join("..1800000000.000000")).unwrap();
    Mounter::new(SIZE, MountPolicy::Never).remove(&target).unwrap();
    assert!(!target.as_path().exists());
}

#[test]
fn what_is_in_the_way_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let mounter = Mounter::new(SIZE, MountPolicy::Never);
    let missing = TargetPath::parse(directory.path().join("no/mount").to_str().unwrap()).unwrap();
    assert!(matches!(mounter.prepare(&missing), Err(MountError::NoParent { .. })));
    mounter.remove(&missing).unwrap();

    let target = target(&directory);
    let elsewhere = directory.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    fs::write(elsewhere.join("file"), "theirs").unwrap();
    std::os::unix::fs::symlink(&elsewhere, target.as_path()).unwrap();
    assert!(matches!(mounter.prepare(&target), Err(MountError::NotADirectory { .. })));
    // The link goes, and what it points to stays.
    mounter.remove(&target).unwrap();
    assert!(!target.as_path().exists() && elsewhere.join("file").exists());
}

/// Runs as root and as anybody: root runs it again as a user that may not mount.
#[test]
fn a_process_that_may_not_mount_is_told_once_and_goes_on() {
    use std::os::unix::process::CommandExt;

    if !may_mount() {
        refused_mounts();
        return;
    }
    let ran = std::process::Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "mount::tests::a_process_that_may_not_mount_is_told_once_and_goes_on",
            "--nocapture",
        ])
        .uid(65534)
        .gid(65534)
        .output();
    match ran {
        Ok(ran) => assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr)),
        Err(error) => println!("left out: cannot run as another user ({error})"),
    }
}

fn refused_mounts() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_writer(log.clone()).finish();
    let directory = tempfile::tempdir().unwrap();
    tracing::subscriber::with_default(subscriber, || {
        let mounter = Mounter::new(SIZE, MountPolicy::WherePermitted);
        for name in ["a", "b"] {
            let target = TargetPath::parse(directory.path().join(name).to_str().unwrap()).unwrap();
            assert_eq!(
                mounter.prepare(&target).unwrap(),
                Prepared { backing: Backing::Directory, fresh: true }
            );
            assert_eq!(mode(target.as_path()), 0o700);
            mounter.remove(&target).unwrap();
        }
    });
    let log = String::from_utf8(log.0.lock().clone()).unwrap();
    assert_eq!(log.matches("may not mount").count(), 1, "{log}");
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[derive(Clone, Default)]
struct Log(std::sync::Arc<parking_lot::Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl tracing_subscriber::fmt::MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}
