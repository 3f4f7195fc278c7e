//! `Debug` for every message and oneof: its wire bytes, shown by the sanitizer. A derived one would print both maps.

use std::fmt;

use prost::Message as _;
use tokenward_sanitize::{MessageId, Sanitized, Table, WireMessage};

use crate::table::TABLE;
use crate::v1::*;

macro_rules! last_part {
    ($last:ident) => { stringify!($last) };
    ($first:ident :: $($rest:ident)::+) => { last_part!($($rest)::+) };
}
macro_rules! message_debug {
    ($($($part:ident)::+ = $id:literal;)+) => {$(
        impl WireMessage for $($part)::+ {
            fn table(&self) -> &Table {
                &TABLE
            }

            fn message_id(&self) -> MessageId {
                MessageId($id)
            }

            fn append_wire(&self, wire: &mut Vec<u8>) {
                wire.reserve(self.encoded_len());
                self.encode_raw(wire);
            }
        }

        impl fmt::Debug for $($part)::+ {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{} {}", last_part!($($part)::+), Sanitized::message(self))
            }
        }
    )+};
}

/// A oneof is shown as the message that holds it and nothing else.
macro_rules! oneof_debug {
    ($($($part:ident)::+ = $id:literal;)+) => {$(
        impl WireMessage for $($part)::+ {
            fn table(&self) -> &Table {
                &TABLE
            }

            fn message_id(&self) -> MessageId {
                MessageId($id)
            }

            fn append_wire(&self, wire: &mut Vec<u8>) {
                wire.reserve(self.encoded_len());
                self.encode(wire);
            }
        }

        impl fmt::Debug for $($part)::+ {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{} {}", last_part!($($part)::+), Sanitized::message(self))
            }
        }
    )+};
}

macro_rules! enum_debug {
    ($($path:path;)+) => {$(
        impl fmt::Debug for $path {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str_name())
            }
        }
    )+};
}

include!("generated/debug.rs");
