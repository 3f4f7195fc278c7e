//! A Unix socket that hears of nothing it does not wait for.
//!
//! tokio asks the kernel for both directions of a socket, always; and of a Unix socket the kernel says that it may be written to
//! whenever the other side has read. So each message wakes whoever has sent it, for nothing, at the cost of whoever reads it: half of
//! all wake-ups between two processes that call each other. Here the kernel is asked for room only while there is none.

use std::io::{self, IoSlice, Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tonic::transport::server::Connected;

/// A connected socket.
#[derive(Debug)]
pub(crate) struct QuietStream {
    socket: AsyncFd<UnixStream>,
    /// The same socket by another descriptor, while the other side has to read before more can be written.
    room: Option<AsyncFd<UnixStream>>,
}

impl QuietStream {
    /// Takes over a connection.
    ///
    /// # Errors
    /// As the kernel's, when it cannot watch one socket more.
    pub(crate) fn new(stream: tokio::net::UnixStream) -> io::Result<Self> {
        Ok(Self { socket: watched(stream.into_std()?, Interest::READABLE)?, room: None })
    }

    fn poll_send(
        &mut self,
        context: &mut Context<'_>,
        mut send: impl FnMut(&UnixStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            let Some(room) = &self.room else {
                match send(self.socket.get_ref()) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        let again = self.socket.get_ref().try_clone()?;
                        self.room = Some(watched(again, Interest::WRITABLE)?);
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    sent => return Poll::Ready(sent),
                }
                continue;
            };
            let mut ready = ready!(room.poll_write_ready(context))?;
            match send(room.get_ref()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready.clear_ready(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                sent => {
                    drop(ready);
                    self.room = None;
                    return Poll::Ready(sent);
                }
            }
        }
    }
}

#[expect(
    deprecated,
    reason = "what replaces it is unsafe, since a type may give out another descriptor than its own; the standard library's socket does not"
)]
fn watched(socket: UnixStream, interest: Interest) -> io::Result<AsyncFd<UnixStream>> {
    AsyncFd::with_interest(socket, interest)
}

impl AsyncRead for QuietStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let mut ready = ready!(self.socket.poll_read_ready(context))?;
            let unfilled = buffer.initialize_unfilled();
            let wanted = unfilled.len();
            match self.socket.get_ref().read(unfilled) {
                Ok(found) => {
                    // Less than could have been had: there is no more, and the kernel says when there is.
                    if 0 < found && found < wanted {
                        ready.clear_ready();
                    }
                    buffer.advance(found);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready.clear_ready(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for QuietStream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().poll_send(context, |mut socket| socket.write(bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().poll_send(context, |mut socket| socket.write_vectored(pieces))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.socket.get_ref().shutdown(Shutdown::Write))
    }
}

impl Connected for QuietStream {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// Longer than any of this takes; only a failure waits for it.
    const LIMIT: Duration = Duration::from_secs(20);

    fn pair() -> (QuietStream, QuietStream) {
        let (one, other) = tokio::net::UnixStream::pair().unwrap();
        (QuietStream::new(one).unwrap(), QuietStream::new(other).unwrap())
    }

    /// Much more than fits into a socket: whoever writes waits for room, again and again, and is told of it.
    #[tokio::test]
    async fn all_of_it_arrives_in_order_both_ways_at_once() {
        let (one, other) = pair();
        let sent: Vec<u8> = (0..8_000_000_u32).map(|number| (number / 7) as u8).collect();
        let both = async |stream: QuietStream| {
            let (mut reads, mut writes) = tokio::io::split(stream);
            let write = async {
                writes.write_all(&sent).await.unwrap();
                writes.shutdown().await.unwrap();
            };
            let read = async {
                let mut found = Vec::new();
                reads.read_to_end(&mut found).await.unwrap();
                found
            };
            tokio::join!(write, read).1
        };
        let (first, second) =
            tokio::time::timeout(LIMIT, async { tokio::join!(both(one), both(other)) }).await.unwrap();
        assert!(first == sent && second == sent);
    }

    #[tokio::test]
    async fn who_has_gone_is_noticed() {
        let (mut one, other) = pair();
        drop(other);
        let mut buffer = [0; 8];
        let read = tokio::time::timeout(LIMIT, one.read(&mut buffer)).await.unwrap();
        assert_eq!(read.unwrap(), 0);
        assert!(one.write_all(b"x").await.is_err());
        // In the middle of a write that waits for room, too.
        let (mut one, other) = pair();
        let writes = tokio::spawn(async move { one.write_all(&vec![0; 8_000_000]).await });
        tokio::task::yield_now().await;
        drop(other);
        assert!(tokio::time::timeout(LIMIT, writes).await.unwrap().unwrap().is_err());
    }

    /// What this is for: that the other side has read is no news.
    #[tokio::test]
    async fn that_a_message_was_read_wakes_nobody() {
        let (mut one, mut other) = pair();
        let mut buffer = [0; 8];
        for _ in 0..3 {
            one.write_all(b"message").await.unwrap();
            assert_eq!(other.read(&mut buffer).await.unwrap(), 7);
            assert!(one.room.is_none() && other.room.is_none());
        }
        let waits = one.read(&mut buffer);
        tokio::pin!(waits);
        assert!(futures_util::poll!(waits.as_mut()).is_pending());
        other.write_all(b"answer").await.unwrap();
        assert_eq!(tokio::time::timeout(LIMIT, waits).await.unwrap().unwrap(), 6);
    }
}
