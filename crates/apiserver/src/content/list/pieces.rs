//! The pieces of a list on its way out, whatever its encoding.

use std::vec;

use bytes::Bytes;

use crate::body::Body;

/// About how much is put together at once; only an item that is larger makes a larger piece. It stays in the processor's
/// cache until it is encrypted.
pub(super) const PIECE: usize = 64 * 1024;

/// What stands in a list for one object, or for several that follow each other.
pub(in crate::content) trait Part: Send + 'static {
    /// How many bytes it takes in the list.
    fn width(&self) -> usize;

    /// Writes them.
    fn write(&self, list: &mut Vec<u8>);

    /// The same bytes as a piece of their own, if they need not be copied for that.
    fn as_piece(&self) -> Option<Bytes> {
        None
    }
}

/// A list on its way out.
pub(in crate::content) struct ListPieces<P> {
    /// What the next piece begins with.
    piece: Vec<u8>,
    parts: vec::IntoIter<P>,
    /// What follows the last of them.
    after: Vec<u8>,
    /// How many bytes have not been given yet.
    pub(super) rest: usize,
}

impl<P: Part> ListPieces<P> {
    /// The parts, whose width together is `width`, between a frame's beginning and its end.
    pub(super) fn new(before: Vec<u8>, parts: Vec<P>, width: usize, after: Vec<u8>) -> Self {
        let rest = before.len() + width + after.len();
        Self { piece: before, parts: parts.into_iter(), after, rest }
    }

    /// All of it in one place.
    pub(in crate::content) fn whole(mut self) -> Bytes {
        let mut whole = self.piece;
        whole.reserve_exact(self.rest.saturating_sub(whole.len()));
        self.parts.for_each(|part| part.write(&mut whole));
        whole.append(&mut self.after);
        whole.into()
    }

    fn next_piece(&mut self) -> Bytes {
        let mut piece = std::mem::take(&mut self.piece);
        while let Some(part) = self.parts.as_slice().first() {
            if let Some(alone) = part.as_piece() {
                if !piece.is_empty() {
                    break;
                }
                self.parts.next();
                return alone;
            }
            let width = part.width();
            // A piece that an item would make too large waits for no other, unless it is empty.
            if piece.len() + width > PIECE && !piece.is_empty() {
                break;
            }
            if piece.capacity() - piece.len() < width {
                piece.reserve_exact(self.rest.min(PIECE.max(piece.len() + width)) - piece.len());
            }
            part.write(&mut piece);
            self.parts.next();
        }
        let is_last = self.parts.as_slice().is_empty();
        if is_last && (piece.is_empty() || piece.len() + self.after.len() <= PIECE) {
            piece.append(&mut self.after);
        }
        piece.into()
    }
}

impl<P: Part> Iterator for ListPieces<P> {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        if self.rest == 0 {
            return None;
        }
        let piece = self.next_piece();
        self.rest = self.rest.saturating_sub(piece.len());
        Some(piece)
    }
}

impl<P: Part> From<ListPieces<P>> for Body {
    fn from(list: ListPieces<P>) -> Self {
        Self::pieces(list.rest, list)
    }
}
