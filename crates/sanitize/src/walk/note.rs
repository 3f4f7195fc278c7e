//! The first half of the walk through a message: where on the wire the values of its fields are.

use crate::field::{Care, Kind};
use crate::notes::{Holding, Room, Span, Values, add};
use crate::number::packed_element;
use crate::table::Layout;
use crate::wire::{Extent, LENGTH_PREFIXED, Malformed, Occurrence, Reader};

/// Notes every known field in `parts`, those of the first field at `first`. A value of another wire type than the field's is
/// an unknown field.
#[inline(never)]
pub(super) fn note(
    bytes: &[u8],
    message: Layout<'_>,
    mut parts: Values,
    room: &mut Room,
    first: usize,
) -> Result<(), Malformed> {
    room.oneofs.clear();
    while let Some(part) = room.next(&mut parts) {
        let mut reader = Reader::within(bytes, room.spans[part].extent());
        let Room { spans, fields, oneofs, .. } = &mut *room;
        let fields = fields.get_mut(first..).unwrap_or_default();
        while let Some(Occurrence { number, wire_type, value }) = reader.next_occurrence()? {
            let Some((position, field)) = message.find(number) else { continue };
            if !field.accepts(wire_type) {
                continue;
            }
            match field.care() {
                Care::None => {}
                Care::Oneof(oneof) => switch(oneofs, Holding { oneof, member: position }, fields),
                Care::Packed if wire_type != LENGTH_PREFIXED => {}
                Care::Packed if is_packed_list(bytes, field.kind(), value)? => {}
                Care::Packed => continue,
            }
            if let Some(values) = fields.get_mut(usize::from(position)) {
                add(spans, values, Span::of(wire_type, value));
            }
        }
    }
    Ok(())
}

/// A oneof has one member, the last on the wire; it takes the place of another one with all that this held.
fn switch(oneofs: &mut Vec<Holding>, now: Holding, fields: &mut [Values]) {
    match oneofs.iter_mut().find(|before| before.oneof == now.oneof) {
        None => oneofs.push(now),
        Some(before) => {
            if before.member != now.member
                && let Some(values) = fields.get_mut(usize::from(before.member))
            {
                *values = Values::NONE;
            }
            *before = now;
        }
    }
}

/// Whether a packed list has elements; one that cannot be read spoils its message.
fn is_packed_list(bytes: &[u8], kind: Kind, list: Extent) -> Result<bool, Malformed> {
    let mut elements = Reader::within(bytes, list);
    while !elements.is_empty() {
        packed_element(kind, &mut elements)?;
    }
    Ok(list.0 < list.1)
}
