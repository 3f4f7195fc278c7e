//! What a writer wants and what it comes to: the rules that hold wherever the objects are kept.

use std::sync::Arc;

use crate::{Entry, Key, Revision, Unstamped, WriteError};

/// What a writer wants.
pub(crate) enum Change<I> {
    Create { key: Key, value: Unstamped, index: I },
    Update { key: Key, expected: Revision, value: Unstamped, index: I },
    Delete { key: Key, expected: Option<Revision> },
}

/// What a change comes to, once the state is known.
pub(crate) enum Decision<I> {
    /// Nothing changes: the entry as it is.
    Keep(Arc<Entry<I>>),
    /// Something is written.
    Write(Write<I>),
}

/// A write that has its revision.
pub(crate) enum Write<I> {
    /// This entry is the newest state of its key.
    Put(Arc<Entry<I>>),
    /// This was the last state of its key, with the revision of the deletion.
    Delete(Arc<Entry<I>>),
}

impl<I> Change<I> {
    pub(crate) fn key(&self) -> &Key {
        match self {
            Self::Create { key, .. } | Self::Update { key, .. } | Self::Delete { key, .. } => key,
        }
    }
}

impl<I: Clone> Change<I> {
    /// Decides, given the newest entry at the key. Takes a revision from `next` exactly when something is written.
    pub(crate) fn decide(
        self,
        current: Option<&Arc<Entry<I>>>,
        next: impl FnOnce() -> Revision,
    ) -> Result<Decision<I>, WriteError<I>> {
        let write = match self {
            Self::Create { key, value, index } => {
                if let Some(taken) = current {
                    return Err(WriteError::Exists(taken.clone()));
                }
                Write::Put(Arc::new(Entry::new(key, value, index, next(), None)))
            }
            Self::Update { key, expected, value, index } => {
                let current = expect(current, key, Some(expected))?;
                if current.same_content(&value) {
                    return Ok(Decision::Keep(current.clone()));
                }
                let (key, created) = (current.key.clone(), Some(current.created));
                Write::Put(Arc::new(Entry::new(key, value, index, next(), created)))
            }
            Self::Delete { key, expected } => {
                Write::Delete(Arc::new(expect(current, key, expected)?.deleted(next())))
            }
        };
        Ok(Decision::Write(write))
    }
}

impl<I> Write<I> {
    pub(crate) fn entry(&self) -> &Arc<Entry<I>> {
        match self {
            Self::Put(entry) | Self::Delete(entry) => entry,
        }
    }
}

/// The entry, if it is there and at revision `expected`.
fn expect<I>(
    current: Option<&Arc<Entry<I>>>,
    key: Key,
    expected: Option<Revision>,
) -> Result<&Arc<Entry<I>>, WriteError<I>> {
    let Some(current) = current else { return Err(WriteError::Missing { key }) };
    match expected {
        Some(expected) if expected != current.revision => {
            Err(WriteError::Conflict { expected, current: current.clone() })
        }
        _ => Ok(current),
    }
}
