//! One HTTP/2 connection with nothing but watches on it.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::frames::{self, Frame};
use super::lines::Lines;
use crate::Failure;

/// What may come on a stream before the server is told that there is room again: as Go's client has it.
const STREAM_WINDOW: u32 = 4 << 20;
/// And on all of them.
const WINDOW: u32 = 1 << 30;
/// How much is read from the socket at once on a connection with many streams, and with few.
const READ: [usize; 2] = [256 * 1024, 16 * 1024];
/// Fewer streams are few.
const MANY: usize = 8;
/// What is decrypted at once at most, and the part of a frame that came before it.
const ROOM: usize = 2 * (16 * 1024 + 9);

/// A connection and its watches.
pub(super) struct WatchConnection {
    stream: TlsStream<BufReader<TcpStream>>,
    buffer: Vec<u8>,
    /// How much of the buffer has come and not been looked at: the beginning of a frame.
    filled: usize,
    watches: Vec<Watch>,
    answered: usize,
    /// How much has come since the server was told that there is room.
    taken: u32,
    /// What is to be sent.
    replies: Vec<u8>,
}

#[derive(Default)]
struct Watch {
    lines: Lines,
    taken: u32,
}

/// Streams that a client opens have odd numbers, from 1 on.
fn stream_of(watch: usize) -> Result<u32, Failure> {
    Ok(u32::try_from(watch)? * 2 + 1)
}

impl WatchConnection {
    /// Connects, and asks for as many watches of `path`.
    pub(super) async fn open(
        address: SocketAddr,
        tls: Arc<ClientConfig>,
        path: &str,
        watches: usize,
    ) -> Result<Self, Failure> {
        let socket = TcpStream::connect(address).await?;
        socket.set_nodelay(true)?;
        // rustls asks for little at a time.
        let socket = BufReader::with_capacity(READ[usize::from(watches < MANY)], socket);
        let mut stream = TlsConnector::from(tls).connect(ServerName::from(address.ip()), socket).await?;
        let mut opening = frames::opening(STREAM_WINDOW, WINDOW);
        for watch in 0..watches {
            frames::write_get(&mut opening, stream_of(watch)?, &address.to_string(), path);
        }
        stream.write_all(&opening).await?;
        stream.flush().await?;
        let watches = std::iter::repeat_with(Watch::default).take(watches).collect();
        let (buffer, replies) = (vec![0; ROOM], Vec::new());
        Ok(Self { stream, buffer, filled: 0, watches, answered: 0, taken: 0, replies })
    }

    /// Waits until the server has answered each.
    ///
    /// # Errors
    /// When it refuses one, or one gets an event, which nobody has waited for.
    pub(super) async fn until_answered(&mut self) -> Result<(), Failure> {
        while self.answered < self.watches.len() {
            if self.read().await? > 0 {
                return Err("wanted no event before the first change, found one".into());
            }
        }
        Ok(())
    }

    /// Reads what has come, and gives how many events were in it.
    ///
    /// # Errors
    /// When the connection or a watch ends, or an event is not what it should be.
    pub(super) async fn read(&mut self) -> Result<u64, Failure> {
        let read = self.stream.read(&mut self.buffer[self.filled..]).await?;
        if read == 0 {
            return Err("the server closed the connection".into());
        }
        self.filled += read;
        let buffer = std::mem::take(&mut self.buffer);
        let outcome = self.look_at(&buffer[..self.filled]);
        self.buffer = buffer;
        let (looked_at, events) = outcome?;
        self.buffer.copy_within(looked_at..self.filled, 0);
        self.filled -= looked_at;
        if !self.replies.is_empty() {
            self.stream.write_all(&self.replies).await?;
            self.stream.flush().await?;
            self.replies.clear();
        }
        Ok(events)
    }

    /// Looks at all whole frames: gives their length, and how many events were in them.
    fn look_at(&mut self, bytes: &[u8]) -> Result<(usize, u64), Failure> {
        let (mut looked_at, mut events) = (0, 0);
        while let Some((frame, length)) = Frame::read(&bytes[looked_at..]) {
            looked_at += length;
            match frame {
                Frame::Data { stream, bytes } => events += self.data(stream, bytes)?,
                Frame::Answer { stream, is_ok: true } => {
                    self.watch(stream)?;
                    self.answered += 1;
                }
                Frame::Answer { is_ok: false, .. } => {
                    return Err("wanted a watch, found another answer".into());
                }
                Frame::Ping(payload) => frames::write_pong(&mut self.replies, payload),
                Frame::Settings => frames::write_settings_ack(&mut self.replies),
                Frame::End(why) => return Err(why.into()),
                Frame::Other => {}
            }
        }
        Ok((looked_at, events))
    }

    fn data(&mut self, stream: u32, bytes: &[u8]) -> Result<u64, Failure> {
        let length = u32::try_from(bytes.len())?;
        let watch = self.watch(stream)?;
        let events = watch.lines.take(bytes)?;
        watch.taken += length;
        if watch.taken >= STREAM_WINDOW / 2 {
            let taken = std::mem::take(&mut watch.taken);
            frames::write_window_update(&mut self.replies, stream, taken);
        }
        self.taken += length;
        if self.taken >= WINDOW / 2 {
            frames::write_window_update(&mut self.replies, 0, std::mem::take(&mut self.taken));
        }
        Ok(events)
    }

    fn watch(&mut self, stream: u32) -> Result<&mut Watch, Failure> {
        let place = stream.checked_sub(1).map(|place| place as usize / 2);
        let watch = place.and_then(|place| self.watches.get_mut(place));
        watch.ok_or_else(|| format!("an answer on stream {stream}, on which nothing was asked").into())
    }
}
