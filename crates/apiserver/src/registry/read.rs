//! Get and list.

use std::num::NonZeroUsize;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use tokenward_kube_schema::Kind;
use tokenward_store::{Entry, Key, Page, ReadError, Revision, Scope};

use super::{Registry, Target, Written, collection};
use crate::content::List;
use crate::index::{Index, selectable_fields};
use crate::query::{ListAt, ListOptions, Selection};
use crate::status::{ApiError, go_quote};

/// The objects of a kind, in one namespace or in all.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Collection<'a> {
    pub(crate) kind: &'static Kind,
    pub(crate) namespace: Option<&'a str>,
}

/// Where a limited list goes on. Opaque to clients; the form is upstream's.
#[derive(Serialize, Deserialize)]
struct ContinueToken {
    v: String,
    rv: u64,
    start: String,
}

const CONTINUE_VERSION: &str = "meta.k8s.io/v1";

impl Collection<'_> {
    pub(super) fn scope(&self, selection: &Selection) -> Scope {
        // One name is one key: nobody else's objects have to be looked at.
        let name = selection.fields.exact("metadata.name");
        let namespace = self.namespace.or_else(|| selection.fields.exact("metadata.namespace"));
        let collection = collection(self.kind);
        let key = name.filter(|_| namespace.is_some() || !self.kind.namespaced).and_then(|name| {
            Key::new(collection.clone(), namespace.filter(|_| self.kind.namespaced), name).ok()
        });
        match (key, namespace) {
            (Some(key), _) => Scope::Key(key),
            (None, Some(namespace)) if self.kind.namespaced => Scope::namespace(collection, namespace),
            (None, _) => Scope::collection(collection),
        }
    }
}

/// Whether an object is selected.
pub(super) fn selects(selection: &Selection, key: &Key, index: &Index) -> bool {
    selection.labels.matches(&index.labels)
        && selection.fields.matches(|field| match field {
            "metadata.name" => Some(key.name().to_owned()),
            "metadata.namespace" => Some(key.namespace().unwrap_or("").to_owned()),
            other => index.field(other),
        })
}

pub(super) fn check_selection(kind: &Kind, selection: &Selection) -> Result<(), ApiError> {
    selection.fields.check(selectable_fields(&collection(kind))).map_err(ApiError::bad_request)
}

impl Registry {
    /// Reads one object.
    pub(crate) fn read(&self, target: Target<'_>) -> Result<Written, ApiError> {
        let entry = self.get(target)?;
        Ok(Written::ok(self.show(target.kind, &entry)))
    }

    /// Reads a collection, or a part of it.
    pub(crate) fn list(&self, of: Collection<'_>, options: &ListOptions) -> Result<List, ApiError> {
        check_selection(of.kind, &options.selection)?;
        let scope = of.scope(&options.selection);
        let mut page = Page::default();
        match options.at {
            ListAt::Exact(revision) => page.at = Some(revision),
            ListAt::Newest { not_older_than } => {
                let current = self.store.current_revision();
                if not_older_than > current {
                    return Err(ApiError::too_large_resource_version(not_older_than.get(), current.get()));
                }
            }
        }
        if let Some(text) = &options.continue_from {
            let (at, after) = parse_continue(of, text)?;
            page.at = Some(at);
            page.after = Some(after);
        }
        let selects_all =
            options.selection.labels.is_everything() && options.selection.fields.is_everything();
        if selects_all {
            page.limit = NonZeroUsize::new(options.limit);
        }
        let listing = self.store.list(&scope, &page).map_err(|error| match error {
            ReadError::Compacted(compacted) if options.continue_from.is_some() => ApiError::expired(format!(
                "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter. ({compacted})"
            )),
            ReadError::Compacted(compacted) => too_old(compacted.wanted, compacted.oldest),
            ReadError::Future { wanted, current } => {
                ApiError::too_large_resource_version(wanted.get(), current.get())
            }
        })?;

        let mut selected: Vec<&Arc<Entry<Index>>> = Vec::with_capacity(listing.entries.len());
        let mut next = listing.next.clone();
        for entry in &listing.entries {
            if !selects(&options.selection, &entry.key, &entry.index) {
                continue;
            }
            if !selects_all && options.limit > 0 && selected.len() == options.limit {
                next = selected.last().map(|entry| entry.key.clone());
                break;
            }
            selected.push(entry);
        }
        let continue_token = next.map(|key| write_continue(of, listing.revision, &key));
        let remaining = (selects_all && continue_token.is_some()).then_some(listing.remaining);
        Ok(List { continue_token, remaining, ..self.list_of(of.kind, &selected, listing.revision) })
    }

    /// A whole list of what was selected.
    pub(super) fn list_of(
        &self,
        kind: &'static Kind,
        entries: &[&Arc<Entry<Index>>],
        revision: Revision,
    ) -> List {
        let items = entries.iter().map(|entry| self.show(kind, entry)).collect();
        List { kind, items, revision, continue_token: None, remaining: None }
    }
}

pub(super) fn too_old(wanted: Revision, oldest: Revision) -> ApiError {
    ApiError::expired(format!("too old resource version: {wanted} ({oldest})"))
}

fn write_continue(of: Collection<'_>, revision: Revision, last: &Key) -> String {
    let start = match (of.namespace, last.namespace()) {
        (None, Some(namespace)) => format!("{namespace}/{}\u{0}", last.name()),
        _ => format!("{}\u{0}", last.name()),
    };
    let token = ContinueToken { v: CONTINUE_VERSION.to_owned(), rv: revision.get(), start };
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(&token).expect("texts and a number"))
}

fn parse_continue(of: Collection<'_>, text: &str) -> Result<(Revision, Key), ApiError> {
    let refuse = |why: String| ApiError::bad_request(format!("invalid continue token: {why}"));
    let bytes = URL_SAFE_NO_PAD
        .decode(text)
        .map_err(|_| refuse("continue key is not valid: illegal base64 data".to_owned()))?;
    let token: ContinueToken = serde_json::from_slice(&bytes).map_err(|_| refuse(not_json(&bytes)))?;
    if token.v != CONTINUE_VERSION {
        return Err(refuse(format!(
            "continue key is not valid: server does not recognize this encoded version {}",
            go_quote(&token.v)
        )));
    }
    let start = token.start.trim_end_matches('\u{0}');
    let (namespace, name) = match (of.namespace, of.kind.namespaced) {
        (None, true) => {
            let (namespace, name) = start.split_once('/').unwrap_or(("", start));
            (Some(namespace), name)
        }
        (namespace, _) => (namespace, start),
    };
    let key = Key::new(collection(of.kind), namespace, name)
        .map_err(|_| refuse("continue key is not valid: no start".to_owned()))?;
    Ok((Revision::new(token.rv), key))
}

/// Go's words for bytes that are no JSON.
fn not_json(bytes: &[u8]) -> String {
    match bytes.first() {
        None => "continue key is not valid: unexpected end of JSON input".to_owned(),
        Some(b'{') => "continue key is not valid: malformed JSON".to_owned(),
        Some(byte) => {
            let character = match byte {
                0x20..=0x7e => format!("'{}'", char::from(*byte)),
                other => format!("'\\x{other:02x}'"),
            };
            format!("continue key is not valid: invalid character {character} looking for beginning of value")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokenward_kube_schema::find_resource;

    #[test]
    fn continue_tokens_come_back() {
        let pods = find_resource("", "v1", "pods").unwrap();
        let drivers = find_resource("storage.k8s.io", "v1", "csidrivers").unwrap();
        let rows = [
            (Collection { kind: pods, namespace: None }, Key::new("pods", Some("ns"), "p").unwrap()),
            (Collection { kind: pods, namespace: Some("ns") }, Key::new("pods", Some("ns"), "p").unwrap()),
            (
                Collection { kind: drivers, namespace: None },
                Key::new("storage.k8s.io/csidrivers", None, "d").unwrap(),
            ),
        ];
        for (of, key) in rows {
            let token = write_continue(of, Revision::new(7), &key);
            assert_eq!(parse_continue(of, &token).unwrap(), (Revision::new(7), key));
        }
    }

    #[test]
    fn nonsense_is_refused_in_upstream_s_words() {
        let pods = Collection { kind: find_resource("", "v1", "pods").unwrap(), namespace: None };
        assert_eq!(
            parse_continue(pods, "nonsense").unwrap_err().to_string(),
            "invalid continue token: continue key is not valid: invalid character '\\x9e' looking for beginning of value"
        );
        for text in ["", "!", "e30", "eyJ2IjoieCJ9"] {
            assert!(parse_continue(pods, text).is_err(), "{text}");
        }
    }
}
