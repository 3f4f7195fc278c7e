//! Scalars: what a payload means under a kind, and how Go prints it.

use std::fmt::LowerExp;
use std::io::{self, Write as _};

use crate::field::Kind;
use crate::output::Output;
use crate::table::{EnumId, Table};
use crate::wire::{Malformed, Payload, Reader};

/// A value that is neither text, bytes nor message.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Scalar {
    Bool(bool),
    Double(f64),
    Enum(EnumId, i32),
    Float(f32),
    Signed(i64),
    Unsigned(u64),
}

impl Scalar {
    /// The value of `payload`, or `None` where the wire type is not the kind's: that is an unknown field.
    #[expect(clippy::cast_possible_truncation, reason = "protobuf says that the high bits are dropped")]
    #[inline]
    pub(crate) fn new(kind: Kind, payload: Payload<'_>) -> Option<Self> {
        Some(match (kind, payload) {
            (Kind::Bool, Payload::Varint(value)) => Self::Bool(value != 0),
            (Kind::Enum(id), Payload::Varint(value)) => Self::Enum(id, value as i32),
            (Kind::Int32, Payload::Varint(value)) => Self::Signed(i64::from(value as i32)),
            (Kind::Int64, Payload::Varint(value)) => Self::Signed(value.cast_signed()),
            (Kind::Uint32, Payload::Varint(value)) => Self::Unsigned(u64::from(value as u32)),
            (Kind::Uint64, Payload::Varint(value)) => Self::Unsigned(value),
            (Kind::Sint32, Payload::Varint(value)) => Self::Signed(zigzag(u64::from(value as u32))),
            (Kind::Sint64, Payload::Varint(value)) => Self::Signed(zigzag(value)),
            (Kind::Fixed32, Payload::Fixed32(value)) => Self::Unsigned(u64::from(value)),
            (Kind::Sfixed32, Payload::Fixed32(value)) => Self::Signed(i64::from(value.cast_signed())),
            (Kind::Float, Payload::Fixed32(value)) => Self::Float(f32::from_bits(value)),
            (Kind::Fixed64, Payload::Fixed64(value)) => Self::Unsigned(value),
            (Kind::Sfixed64, Payload::Fixed64(value)) => Self::Signed(value.cast_signed()),
            (Kind::Double, Payload::Fixed64(value)) => Self::Double(f64::from_bits(value)),
            _ => return None,
        })
    }

    /// What an absent value of this kind is; `None` for text, bytes and messages.
    pub(crate) fn default_of(kind: Kind) -> Option<Self> {
        [Payload::Varint(0), Payload::Fixed32(0), Payload::Fixed64(0)]
            .into_iter()
            .find_map(|zero| Self::new(kind, zero))
    }

    /// Whether proto3 leaves it out. A negative zero is written.
    pub(crate) fn is_zero(self) -> bool {
        match self {
            Self::Bool(value) => !value,
            Self::Double(value) => value.to_bits() == 0,
            Self::Enum(_, value) => value == 0,
            Self::Float(value) => value.to_bits() == 0,
            Self::Signed(value) => value == 0,
            Self::Unsigned(value) => value == 0,
        }
    }

    pub(crate) fn write(self, table: &Table, out: &mut Output) {
        let written = match self {
            Self::Bool(true) => return out.push_start(b"true", 4),
            Self::Bool(false) => return out.push_start(b"false", 5),
            Self::Enum(id, value) => {
                let Some(name) = table.enum_name(id, value) else {
                    return Self::Signed(value.into()).write(table, out);
                };
                out.push(b'"');
                out.push_bytes(name.as_bytes());
                return out.push(b'"');
            }
            Self::Signed(value) => write!(out, "{value}"),
            Self::Unsigned(value) => write!(out, "{value}"),
            Self::Double(value) if !value.is_finite() => write!(out, "\"{value}\""),
            Self::Float(value) if !value.is_finite() => write!(out, "\"{value}\""),
            Self::Double(value) if is_plain(value.abs(), 1e-6, 1e21) => write!(out, "{value}"),
            Self::Float(value) if is_plain(value.abs(), 1e-6, 1e21) => write!(out, "{value}"),
            Self::Double(value) => write_exponent(out, value),
            Self::Float(value) => write_exponent(out, value),
        };
        written.expect("an output takes everything");
    }
}

/// Whether Go's `encoding/json` prints a number of this size without an exponent.
fn is_plain<F: PartialOrd + Default + Copy>(size: F, least: F, limit: F) -> bool {
    size == F::default() || (least..limit).contains(&size)
}

/// Go writes `1e+21` where Rust writes `1e21`. Both ways, a number takes 25 bytes at most.
fn write_exponent(out: &mut Output, number: impl LowerExp) -> io::Result<()> {
    let mut room = [0; 32];
    let mut free = room.as_mut_slice();
    write!(free, "{number:e}")?;
    let free = free.len();
    let written = room.get(..room.len() - free).unwrap_or_default();
    let (digits, exponent) =
        written.split_at(written.iter().position(|&byte| byte == b'e').unwrap_or(written.len()));
    out.push_bytes(digits);
    match exponent {
        [e, size @ ..] if !size.starts_with(b"-") => {
            out.push_bytes(&[*e, b'+']);
            out.push_bytes(size);
        }
        _ => out.push_bytes(exponent),
    }
    Ok(())
}

fn zigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -((value & 1).cast_signed())
}

/// Reads the next element of a packed list.
pub(crate) fn packed_element<'a>(kind: Kind, reader: &mut Reader<'_>) -> Result<Payload<'a>, Malformed> {
    match kind {
        Kind::Fixed32 | Kind::Float | Kind::Sfixed32 => reader.fixed32().map(Payload::Fixed32),
        Kind::Double | Kind::Fixed64 | Kind::Sfixed64 => reader.fixed64().map(Payload::Fixed64),
        _ => reader.varint().map(Payload::Varint),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_go_writes_them() {
        static TABLE: Table = Table::new(&[], &[], &[]);
        let cases = [
            (Scalar::Double(0.0), "0"),
            (Scalar::Double(-0.0), "-0"),
            (Scalar::Double(1.5), "1.5"),
            (Scalar::Double(1e20), "100000000000000000000"),
            (Scalar::Double(1e21), "1e+21"),
            (Scalar::Double(-2.5e300), "-2.5e+300"),
            (Scalar::Double(0.000001), "0.000001"),
            (Scalar::Double(9.5e-7), "9.5e-7"),
            (Scalar::Float(0.1), "0.1"),
            (Scalar::Float(3.4e38), "3.4e+38"),
            (Scalar::Double(f64::NAN), "\"NaN\""),
            (Scalar::Float(f32::NEG_INFINITY), "\"-inf\""),
            (Scalar::Signed(i64::MIN), "-9223372036854775808"),
            (Scalar::Unsigned(u64::MAX), "18446744073709551615"),
            (Scalar::Bool(true), "true"),
        ];
        for (scalar, wanted) in cases {
            let mut out = Output::default();
            scalar.write(&TABLE, &mut out);
            assert_eq!(str::from_utf8(out.as_bytes()).unwrap(), wanted, "{scalar:?}");
        }
    }

    #[test]
    fn varints_are_cut_to_their_kind() {
        let cases = [
            (Kind::Int32, u64::MAX, Scalar::Signed(-1)),
            (Kind::Int32, 1 << 32, Scalar::Signed(0)),
            (Kind::Uint32, (1 << 32) + 7, Scalar::Unsigned(7)),
            (Kind::Bool, 1 << 40, Scalar::Bool(true)),
            (Kind::Sint32, 3, Scalar::Signed(-2)),
            (Kind::Sint64, u64::MAX, Scalar::Signed(i64::MIN)),
            (Kind::Sint64, u64::MAX - 1, Scalar::Signed(i64::MAX)),
        ];
        for (kind, value, wanted) in cases {
            assert_eq!(Scalar::new(kind, Payload::Varint(value)), Some(wanted), "{kind:?} {value}");
        }
        assert_eq!(Scalar::new(Kind::Int32, Payload::Fixed32(1)), None);
        assert_eq!(Scalar::new(Kind::String, Payload::Bytes(b"")), None);
    }
}
