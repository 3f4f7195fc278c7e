//! A list as it goes out: a frame, and in it the items, out of what is encoded already.
//!
//! It is put together piece by piece while it is sent. So a list takes no more memory than one piece beside the objects,
//! which it shares with everybody who reads them: a client that reads slowly, or not at all, holds no copy of them. What
//! it shows is the state that was listed, whatever is written meanwhile, since an entry never changes.

mod json;
mod pieces;
mod protobuf;

use tokenward_kube_schema::Kind;
use tokenward_store::Revision;

use super::{Shown, Source};
use crate::encodings::Extent;

/// A list of objects.
pub(crate) struct List {
    /// The kind of the items.
    pub(crate) kind: &'static Kind,
    pub(crate) items: Vec<Shown>,
    /// Whether they are all that there is between the ends of the list.
    pub(crate) extent: Extent,
    pub(crate) revision: Revision,
    /// Where the next part of a limited list begins.
    pub(crate) continue_token: Option<String>,
    /// How many follow, where that is known.
    pub(crate) remaining: Option<usize>,
}

impl List {
    /// The members of the list's own metadata, as JSON.
    pub(crate) fn metadata(&self) -> String {
        let mut members = format!("\"resourceVersion\":\"{}\"", self.revision);
        if let Some(token) = &self.continue_token {
            members.push_str(&format!(",\"continue\":\"{token}\""));
        }
        if let Some(remaining) = self.remaining {
            members.push_str(&format!(",\"remainingItemCount\":{remaining}"));
        }
        members
    }
}

#[cfg(test)]
mod tests;
