//! `Debug` for every message and oneof: its wire bytes, shown by the sanitizer. A derived one would print both maps.

use std::fmt;

use prost::Message as _;
use tokenward_sanitize::{MessageId, to_json};

use crate::table::TABLE;
use crate::v1::*;

fn show(f: &mut fmt::Formatter<'_>, type_name: &str, id: u16, wire: &[u8]) -> fmt::Result {
    f.write_str(type_name)?;
    f.write_str(" ")?;
    f.write_str(&to_json(&TABLE, MessageId(id), wire))
}

macro_rules! last_part {
    ($last:ident) => { stringify!($last) };
    ($first:ident :: $($rest:ident)::+) => { last_part!($($rest)::+) };
}
macro_rules! message_debug {
    ($($($part:ident)::+ = $id:literal;)+) => {$(
        impl fmt::Debug for $($part)::+ {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                show(f, last_part!($($part)::+), $id, &self.encode_to_vec())
            }
        }
    )+};
}

/// A oneof is shown as the message that holds it and nothing else.
macro_rules! oneof_debug {
    ($($($part:ident)::+ = $id:literal;)+) => {$(
        impl fmt::Debug for $($part)::+ {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut wire = Vec::with_capacity(self.encoded_len());
                self.encode(&mut wire);
                show(f, last_part!($($part)::+), $id, &wire)
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
