//! The frames of HTTP/2 (RFC 9113) that a client needs which does nothing but watch. Pure: no sockets here.

/// What a client begins with.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The length of a frame's head.
const HEAD: usize = 9;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;

const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;

/// The setting that says how much a peer may send on a stream unasked.
const INITIAL_WINDOW_SIZE: u16 = 4;
/// The setting that forbids the peer to push.
const ENABLE_PUSH: u16 = 2;
/// The window that a connection begins with.
const FIRST_WINDOW: u32 = 65_535;

/// A frame from the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Frame<'f> {
    /// A part of an answer; of its whole length the window is told.
    Data { stream: u32, bytes: &'f [u8] },
    /// An answer begins, well or not.
    Answer { stream: u32, is_ok: bool },
    /// A ping, to be sent back.
    Ping([u8; 8]),
    /// Settings, to be acknowledged.
    Settings,
    /// An answer ended, a stream was reset, the connection is closed, or a frame that nobody expects.
    End(&'static str),
    /// Nothing that matters.
    Other,
}

impl<'f> Frame<'f> {
    /// The frame that `bytes` begin with, and its length; `None` until it is whole.
    pub(super) fn read(bytes: &'f [u8]) -> Option<(Self, usize)> {
        let (head, rest) = bytes.split_first_chunk::<HEAD>()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let payload = rest.get(..length)?;
        let (kind, flags) = (head[3], head[4]);
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]) & 0x7fff_ffff;
        Some((Self::of(kind, flags, stream, payload), HEAD + length))
    }

    fn of(kind: u8, flags: u8, stream: u32, payload: &'f [u8]) -> Self {
        match kind {
            DATA | HEADERS if flags & END_STREAM != 0 => Self::End("a watch ended"),
            DATA | HEADERS if flags & PADDED != 0 => {
                Self::End("wanted frames without padding, found one with it")
            }
            DATA => Self::Data { stream, bytes: payload },
            HEADERS if flags & END_HEADERS == 0 => Self::End("wanted headers in one frame, found more"),
            // The first field is the status, and 200 is an entry of HPACK's own table: all that has to be known of it.
            HEADERS => Self::Answer { stream, is_ok: payload.first() == Some(&0x88) },
            RST_STREAM => Self::End("a watch was reset"),
            GOAWAY => Self::End("the server closed the connection"),
            PING if flags & ACK == 0 => {
                payload.try_into().map_or(Self::End("wanted eight bytes in a ping, found others"), Self::Ping)
            }
            SETTINGS if flags & ACK == 0 => Self::Settings,
            _ => Self::Other,
        }
    }
}

/// What a connection begins with: so much may come on a stream, and so much on all of them, before the server is told
/// that there is room again.
pub(super) fn opening(stream_window: u32, window: u32) -> Vec<u8> {
    let mut bytes = PREFACE.to_vec();
    let mut settings = Vec::new();
    for (setting, value) in [(ENABLE_PUSH, 0), (INITIAL_WINDOW_SIZE, stream_window)] {
        settings.extend(setting.to_be_bytes());
        settings.extend(value.to_be_bytes());
    }
    write(&mut bytes, SETTINGS, 0, 0, &settings);
    write_window_update(&mut bytes, 0, window - FIRST_WINDOW);
    bytes
}

/// A GET.
pub(super) fn write_get(bytes: &mut Vec<u8>, stream: u32, authority: &str, path: &str) {
    // Entries 2 and 7 of HPACK's own table are `:method: GET` and `:scheme: https`; 4 and 1 are the names `:path` and
    // `:authority`, whose values follow.
    let mut fields = vec![0x82, 0x87];
    for (name, value) in [(4, path), (1, authority)] {
        fields.push(name);
        write_text(&mut fields, value);
    }
    write(bytes, HEADERS, END_STREAM | END_HEADERS, stream, &fields);
}

/// There is room for so much more on a stream, or on the connection, which is stream 0.
pub(super) fn write_window_update(bytes: &mut Vec<u8>, stream: u32, more: u32) {
    write(bytes, WINDOW_UPDATE, 0, stream, &more.to_be_bytes());
}

pub(super) fn write_settings_ack(bytes: &mut Vec<u8>) {
    write(bytes, SETTINGS, ACK, 0, &[]);
}

pub(super) fn write_pong(bytes: &mut Vec<u8>, payload: [u8; 8]) {
    write(bytes, PING, ACK, 0, &payload);
}

fn write(bytes: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let length = u32::try_from(payload.len()).expect("a frame of less than 4 GiB").to_be_bytes();
    bytes.extend([length[1], length[2], length[3], kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
}

/// A text without Huffman's code.
fn write_text(fields: &mut Vec<u8>, text: &str) {
    match text.len() {
        short @ 0..0x7f => fields.push(short as u8),
        long => {
            fields.push(0x7f);
            let mut more = long - 0x7f;
            while more >= 0x80 {
                fields.push(more as u8 | 0x80);
                more >>= 7;
            }
            fields.push(more as u8);
        }
    }
    fields.extend(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_read_once_they_are_whole() {
        let mut bytes = Vec::new();
        write(&mut bytes, DATA, 0, 5, b"hello");
        let length = bytes.len();
        bytes.extend(b"more");
        assert_eq!(Frame::read(&bytes), Some((Frame::Data { stream: 5, bytes: b"hello" }, length)));
        for end in 0..length {
            assert_eq!(Frame::read(&bytes[..end]), None);
        }
    }

    #[test]
    fn whatever_is_no_watch_ends_it() {
        for (kind, flags, payload) in [
            (DATA, END_STREAM, &b""[..]),
            (DATA, PADDED, b"\0"),
            (HEADERS, END_STREAM | END_HEADERS, b"\x88"),
            (HEADERS, 0, b"\x88"),
            (RST_STREAM, 0, b"\0\0\0\x08"),
            (GOAWAY, 0, b"\0\0\0\0\0\0\0\0"),
            (PING, 0, b"short"),
        ] {
            assert!(matches!(Frame::of(kind, flags, 1, payload), Frame::End(_)), "{kind} {flags}");
        }
        assert_eq!(Frame::of(HEADERS, END_HEADERS, 3, b"\x88"), Frame::Answer { stream: 3, is_ok: true });
        assert_eq!(Frame::of(HEADERS, END_HEADERS, 3, b"\x8d"), Frame::Answer { stream: 3, is_ok: false });
        assert_eq!(Frame::of(PING, 0, 0, b"12345678"), Frame::Ping(*b"12345678"));
        assert_eq!(Frame::of(PING, ACK, 0, b"12345678"), Frame::Other);
        assert_eq!(Frame::of(SETTINGS, 0, 0, b""), Frame::Settings);
        assert_eq!(Frame::of(WINDOW_UPDATE, 0, 0, b"\0\0\0\x01"), Frame::Other);
    }

    #[test]
    fn texts_have_lengths_of_any_size() {
        for (length, head) in [(0, &[0][..]), (126, &[126]), (127, &[127, 0]), (300, &[127, 0xad, 1])] {
            let mut fields = Vec::new();
            write_text(&mut fields, &"x".repeat(length));
            assert_eq!(&fields[..head.len()], head, "{length}");
            assert_eq!(fields.len(), head.len() + length);
        }
    }
}
