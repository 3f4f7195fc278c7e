//! What is written, and what is kept of it.

use std::fmt;
use std::io::Write;
use std::ops::Range;

use bytes::Bytes;

use crate::{Key, Revision};

/// An encoded object with the place where the store is to put the revision of the write.
pub struct Unstamped {
    bytes: Vec<u8>,
    stamp_at: usize,
}

impl Unstamped {
    /// `bytes`, into which the decimal digits of the revision go before the byte at `stamp_at`.
    ///
    /// # Panics
    /// When `stamp_at` is beyond the end of `bytes`: the encoder is wrong.
    pub fn new(bytes: Vec<u8>, stamp_at: usize) -> Self {
        assert!(stamp_at <= bytes.len(), "stamp at byte {stamp_at} of {} encoded bytes", bytes.len());
        Self { bytes, stamp_at }
    }

    /// The bytes without any revision.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Where in them the revision goes.
    pub fn stamp_at(&self) -> usize {
        self.stamp_at
    }

    fn stamp(self, revision: Revision) -> Stamped {
        splice(&self.bytes, self.stamp_at..self.stamp_at, revision)
    }
}

/// The length only: an object may be a Secret.
impl fmt::Debug for Unstamped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unstamped")
            .field("bytes", &self.bytes.len())
            .field("stamp_at", &self.stamp_at)
            .finish()
    }
}

struct Stamped {
    value: Bytes,
    stamp: Range<usize>,
}

/// `bytes` with the digits of `revision` in place of what is at `place`.
fn splice(bytes: &[u8], place: Range<usize>, revision: Revision) -> Stamped {
    // 20 digits hold any revision.
    let mut value = Vec::with_capacity(bytes.len() + 20);
    value.extend_from_slice(&bytes[..place.start]);
    write!(value, "{revision}").expect("writing to a Vec does not fail");
    let stamp = place.start..value.len();
    value.extend_from_slice(&bytes[place.end..]);
    Stamped { value: value.into(), stamp }
}

/// An object as it is after a write. Never changes: the next write makes another.
pub struct Entry<I> {
    /// Where it lives.
    pub key: Key,
    /// The encoded object with its revision in it: the same bytes for all readers and watchers.
    pub value: Bytes,
    /// The revision of the write that made this entry; in a deletion's event, that of the deletion.
    pub revision: Revision,
    /// The revision at which the object was created.
    pub created: Revision,
    /// What the store's indexer made of the value.
    pub index: I,
    /// Where in the value the digits of the revision are.
    stamp: Range<usize>,
}

impl<I> Entry<I> {
    pub(crate) fn new(
        key: Key,
        value: Unstamped,
        index: I,
        revision: Revision,
        created: Option<Revision>,
    ) -> Self {
        let Stamped { value, stamp } = value.stamp(revision);
        Self { key, value, revision, created: created.unwrap_or(revision), index, stamp }
    }

    /// Whether `value` differs from this entry in nothing but the revision.
    pub fn same_content(&self, value: &Unstamped) -> bool {
        self.around_stamp() == value.bytes.split_at(value.stamp_at)
    }

    /// The value without its revision: what stands before it and what after.
    pub(crate) fn around_stamp(&self) -> (&[u8], &[u8]) {
        (&self.value[..self.stamp.start], &self.value[self.stamp.end..])
    }

    /// What the entry takes in memory, roughly, in bytes.
    pub(crate) fn cost(&self) -> usize {
        size_of::<Self>() + self.key.path().len() + self.value.len()
    }
}

impl<I: Clone> Entry<I> {
    /// The last state of an object that the write at `revision` deletes.
    pub(crate) fn deleted(&self, revision: Revision) -> Self {
        let Stamped { value, stamp } = splice(&self.value, self.stamp.clone(), revision);
        Self {
            key: self.key.clone(),
            value,
            revision,
            created: self.created,
            index: self.index.clone(),
            stamp,
        }
    }
}

/// Without the value: an object may be a Secret.
impl<I> fmt::Debug for Entry<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("key", &self.key)
            .field("value_bytes", &self.value.len())
            .field("revision", &self.revision.get())
            .field("created", &self.created.get())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stamp_goes_where_it_was_asked_and_is_replaced_by_a_deletion() {
        let key = Key::new("pods", None, "a").unwrap();
        for (bytes, at, stamped, deleted) in [
            ("{}", 1, "{99}", "{100}"),
            ("", 0, "99", "100"),
            ("ab", 2, "ab99", "ab100"),
            ("99", 1, "9999", "91009"),
        ] {
            let value = || Unstamped::new(bytes.as_bytes().to_vec(), at);
            let entry = Entry::new(key.clone(), value(), (), Revision::new(99), None);
            assert_eq!(entry.value, stamped);
            assert!(entry.same_content(&value()));
            assert!(!entry.same_content(&Unstamped::new(b"other".to_vec(), 0)));
            let gone = entry.deleted(Revision::new(100));
            assert_eq!(gone.value, deleted);
            assert_eq!((gone.revision.get(), gone.created.get()), (100, 99));
            assert!(gone.same_content(&value()));
        }
    }

    #[test]
    fn debug_shows_no_content() {
        let key = Key::new("secrets", Some("ns"), "a").unwrap();
        let value = Unstamped::new(b"canary".to_vec(), 0);
        assert!(!format!("{value:?}").contains("canary"));
        let entry = Entry::new(key, value, "canary", Revision::new(7), None);
        assert!(!format!("{entry:?}").contains("canary"));
        assert!(format!("{entry:?}").contains("secrets/ns/a"));
    }
}
