//! What a listing is asked for and what it gives.

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;

use crate::{Entry, Key, Revision};

/// Which part of a scope to list, and at which revision. The default is everything, newest.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// List the state at exactly this revision; `None` for the newest.
    pub at: Option<Revision>,
    /// Only keys after this one: [`Listing::next`] of the page before.
    pub after: Option<Key>,
    /// At most this many entries.
    pub limit: Option<NonZeroUsize>,
}

/// A consistent snapshot of a scope, or one page of it, in the order of the keys.
pub struct Listing<I> {
    /// The objects.
    pub entries: Vec<Arc<Entry<I>>>,
    /// The revision at which all of this was so, whatever else the store has written up to it.
    pub revision: Revision,
    /// How many more entries follow.
    pub remaining: usize,
    /// When more entries follow: what to give as [`Page::after`], with [`Page::at`] this listing's revision.
    pub next: Option<Key>,
}

impl<I> fmt::Debug for Listing<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listing")
            .field("entries", &self.entries)
            .field("revision", &self.revision.get())
            .field("remaining", &self.remaining)
            .field("next", &self.next)
            .finish()
    }
}
