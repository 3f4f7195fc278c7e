//! What a connection has to send is gathered while it is driven, and leaves in one piece.
//!
//! HTTP/2 hands over each frame by itself. As TLS records and system calls of their own, frames cost more than most
//! answers do; and when a change goes to hundreds of watches on one connection, each is one. So frames go into a buffer
//! ([`Gathering`]), which is sent when the connection has nothing more to say for the moment ([`Driven`]). A connection
//! that is woken by one of its streams first lets the others speak that are about to, as long as that pays off ([`Turn`]).
//!
//! The buffer belongs to the thread and is lent to whichever connection is driven: an idle connection has none.

mod turn;

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use self::turn::Turn;

/// With so much in the buffer, the peer has to take some before more is written.
const FULL: usize = 64 * 1024;

thread_local! {
    /// The thread's buffer, while nobody has it.
    static SPARE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A stream that is written to through a buffer, which [`Driven`] empties.
pub(super) struct Gathering<S>(Arc<Mutex<Channel<S>>>);

/// A connection over a [`Gathering`] stream, with the sending that it leaves undone.
pub(super) struct Driven<C, S> {
    connection: C,
    channel: Arc<Mutex<Channel<S>>>,
    turn: Turn,
}

/// The stream, and what waits to be sent on it. Only the connection's own task comes here, so nobody ever waits for the
/// lock.
struct Channel<S> {
    stream: S,
    buffer: Vec<u8>,
    /// How much of the buffer has been sent.
    sent: usize,
    /// How often something was written since the connection was last driven.
    writes: usize,
}

impl<S> Gathering<S> {
    pub(super) fn new(stream: S) -> Self {
        Self(Arc::new(Mutex::new(Channel { stream, buffer: Vec::new(), sent: 0, writes: 0 })))
    }

    /// Drives what `serve` makes of the stream. Nothing is sent otherwise.
    pub(super) fn drive<C>(self, serve: impl FnOnce(Self) -> C) -> Driven<C, S> {
        let channel = self.0.clone();
        Driven { connection: serve(self), channel, turn: Turn::default() }
    }
}

impl<S: AsyncWrite + Unpin> Channel<S> {
    fn gather<'b>(&mut self, slices: impl Iterator<Item = &'b [u8]>) -> usize {
        if self.buffer.capacity() == 0 {
            self.buffer = SPARE.take();
        }
        let before = self.buffer.len();
        slices.for_each(|slice| self.buffer.extend_from_slice(slice));
        self.writes += 1;
        self.buffer.len() - before
    }

    /// Waits for room in the buffer.
    fn poll_room(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.buffer.len() < FULL { Poll::Ready(Ok(())) } else { self.poll_send(context) }
    }

    /// Sends all that is in the buffer.
    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.sent < self.buffer.len() {
            let sent = ready!(Pin::new(&mut self.stream).poll_write(context, &self.buffer[self.sent..]))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent += sent;
        }
        self.sent = 0;
        let mut buffer = std::mem::take(&mut self.buffer);
        // There were tokens in it: the next one to have it finds none.
        buffer.fill(0);
        buffer.clear();
        if buffer.capacity() > 0 {
            SPARE.set(buffer);
        }
        Pin::new(&mut self.stream).poll_flush(context)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Gathering<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        room: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0.lock().stream).poll_read(context, room)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Gathering<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[io::IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut channel = self.0.lock();
        ready!(channel.poll_room(context))?;
        Poll::Ready(Ok(channel.gather(slices.iter().map(|slice| &**slice))))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Left to the one who drives the connection, once for all that is written meanwhile.
    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut channel = self.0.lock();
        ready!(channel.poll_send(context))?;
        Pin::new(&mut channel.stream).poll_shutdown(context)
    }
}

impl<C, S, E> Future for Driven<C, S>
where
    C: Future<Output = Result<(), E>> + Unpin,
    S: AsyncWrite + Unpin,
    E: From<io::Error>,
{
    type Output = Result<(), E>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.turn.is_left_to_others() {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let outcome = Pin::new(&mut self.connection).poll(context);
        let mut channel = self.channel.lock();
        let writes = std::mem::take(&mut channel.writes);
        let sending = channel.poll_send(context);
        drop(channel);
        self.turn.has_come(writes);
        match (outcome, sending) {
            // It has shut its stream down, if it came to that.
            (Poll::Ready(outcome), _) => Poll::Ready(outcome),
            (Poll::Pending, Poll::Ready(Err(error))) => Poll::Ready(Err(error.into())),
            // Whichever of them waits for the peer is woken by it.
            (Poll::Pending, Poll::Ready(Ok(())) | Poll::Pending) => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests;
