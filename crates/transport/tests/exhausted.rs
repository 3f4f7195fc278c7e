//! A process without a file descriptor left cannot accept. It must not spin until it has one, nor stop accepting. Alone in
//! its process, as the limit is everybody's.

use std::future::poll_fn;
use std::os::fd::AsRawFd as _;
use std::task::Poll;
use std::time::Duration;

use futures_util::StreamExt as _;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketType};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokenward_transport::{SocketPath, bind};

/// Longer than any of this takes; only a failure waits for it.
const LIMIT: Duration = Duration::from_secs(20);

#[tokio::test]
async fn accepting_goes_on_once_there_is_a_descriptor_again() {
    let root = tempfile::TempDir::new().unwrap();
    let path = SocketPath::new(root.path().join("csi.sock")).unwrap();
    let address = SocketAddrUnix::new(path.as_path()).unwrap();
    let mut incoming = bind(&path).await.unwrap().incoming();
    let first = rustix::net::socket(AddressFamily::UNIX, SocketType::STREAM, None).unwrap();
    let second = rustix::net::socket(AddressFamily::UNIX, SocketType::STREAM, None).unwrap();
    // From its first connection on, the runtime takes the listener for ready, and the next poll asks the kernel at once.
    rustix::net::connect(&first, &address).unwrap();
    let _accepted = tokio::time::timeout(LIMIT, incoming.next()).await.unwrap().unwrap().unwrap();

    let first_free = rustix::io::dup(&second).unwrap().as_raw_fd();
    let before = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: u64::try_from(first_free).ok(), ..before }).unwrap();
    rustix::net::connect(&second, &address).unwrap();
    let polled = poll_fn(|context| Poll::Ready(incoming.poll_next_unpin(context))).await;
    assert!(polled.is_pending(), "an error would make tonic ask again without end: {polled:?}");

    setrlimit(Resource::Nofile, before).unwrap();
    tokio::time::timeout(LIMIT, incoming.next()).await.unwrap().unwrap().unwrap();
}
