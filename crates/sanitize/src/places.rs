//! Parts of a text that must not be shown. All of them are looked for in the text as it came, and taken out at once: with a piece
//! taken out, what is left of a token no longer looks like one, and what is left of a secret is no longer known.

use std::borrow::Cow;
use std::ops::Range;

use crate::STRIPPED;

/// Places in one text, in any order; they may overlap.
#[derive(Default)]
pub(crate) struct Places(Vec<Range<usize>>);

impl Extend<Range<usize>> for Places {
    fn extend<T: IntoIterator<Item = Range<usize>>>(&mut self, places: T) {
        self.0.extend(places.into_iter().filter(|place| !place.is_empty()));
    }
}

impl Places {
    /// The text without them. Those that overlap or touch are one.
    pub(crate) fn blank(mut self, text: &str) -> Cow<'_, str> {
        if self.0.is_empty() {
            return Cow::Borrowed(text);
        }
        self.0.sort_unstable_by_key(|place| place.start);
        let mut clean = String::with_capacity(text.len());
        let mut rest = 0;
        let mut places = self.0.into_iter().peekable();
        while let Some(Range { start, mut end }) = places.next() {
            while let Some(next) = places.next_if(|next| next.start <= end) {
                end = end.max(next.end);
            }
            // A place may begin or end inside a character; the character goes with it.
            let (start, end) = (text.floor_char_boundary(start), text.ceil_char_boundary(end));
            clean.push_str(text.get(rest..start).unwrap_or_default());
            clean.push_str(STRIPPED);
            rest = end;
        }
        clean.push_str(text.get(rest..).unwrap_or_default());
        Cow::Owned(clean)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_taken_out_whatever_their_order() {
        let table: [(&[(usize, usize)], &str); 9] = [
            (&[], "0123é789"),
            (&[(3, 3)], "0123é789"),
            (&[(0, 2)], "***stripped***23é789"),
            (&[(7, 8), (1, 2)], "0***stripped***23é7***stripped***9"),
            (&[(2, 4), (1, 3)], "0***stripped***é789"),
            (&[(1, 4), (2, 3)], "0***stripped***é789"),
            (&[(2, 3), (1, 2)], "0***stripped***3é789"),
            (&[(5, 7)], "0123***stripped***89"),
            (&[(8, 99), (200, 300)], "0123é78***stripped******stripped***"),
        ];
        for (found, wanted) in table {
            let mut places = Places::default();
            places.extend(found.iter().map(|&(start, end)| start..end));
            assert_eq!(places.blank("0123é789"), wanted, "{found:?}");
        }
    }
}
