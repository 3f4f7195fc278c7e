//! Get and list.

use std::num::NonZeroUsize;
use std::sync::Arc;

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::{Deserialize, Serialize};
use tokenward_kube_schema::{self as schema, Kind, Verb, kinds};
use tokenward_store::{Entry, Key, Listing, Page, ReadError, Revision, Scope};

use super::{Registry, Target, Written, collection};
use crate::content::List;
use crate::encodings::Extent;
use crate::index::{Index, selectable_fields};
use crate::query::{ListAt, ListOptions, Selection};
use crate::status::ApiError;

/// The objects of a kind, in one namespace or in all.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Collection<'a> {
    pub(crate) kind: &'static Kind,
    pub(crate) namespace: Option<&'a str>,
}

/// What a list shows.
pub(super) struct Chosen {
    pub(super) entries: Vec<Arc<Entry<Index>>>,
    extent: Extent,
    revision: Revision,
    /// The last entry of a limited list that goes on behind it.
    next: Option<Key>,
    remaining: Option<usize>,
}

/// Where a limited list goes on. Opaque to clients; the form is upstream's.
#[derive(Serialize, Deserialize)]
struct ContinueToken {
    #[serde(default)]
    v: String,
    /// [`ANY_REVISION`] goes on with whatever there is.
    #[serde(default)]
    rv: i64,
    #[serde(default)]
    start: String,
}

/// In a continue token: the list has become too old, and goes on at the newest state.
const ANY_REVISION: i64 = -1;

const CONTINUE_VERSION: &str = "meta.k8s.io/v1";

/// As Go reads it: whatever the bits say that belong to no byte.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::RequireNone)
        .with_decode_allow_trailing_bits(true),
);

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
    pub(crate) fn read(&self, target: Target<'_>, not_older_than: Revision) -> Result<Written, ApiError> {
        let current = self.store.current_revision();
        if not_older_than > current {
            return Err(ApiError::too_large_resource_version(not_older_than.get(), current.get()));
        }
        let entry = self.get(target)?;
        Ok(Written::ok(self.show(target.kind, entry)))
    }

    /// Reads a collection, or a part of it.
    pub(crate) fn list(&self, of: Collection<'_>, options: &ListOptions) -> Result<List, ApiError> {
        Ok(self.show_chosen(of, self.choose(of, options)?))
    }

    /// The entries that a list shows.
    pub(super) fn choose(&self, of: Collection<'_>, options: &ListOptions) -> Result<Chosen, ApiError> {
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
            if options.has_version {
                let text = "specifying resource version is not allowed when using continue";
                return Err(ApiError::bad_request(text));
            }
            page.at = at;
            page.after = Some(after);
        }
        let selects_all =
            options.selection.labels.is_everything() && options.selection.fields.is_everything();
        if selects_all {
            page.limit = NonZeroUsize::new(options.limit);
        }
        let listing = self.store.list(&scope, &page).map_err(|error| match (error, &page.after) {
            (ReadError::Compacted(_), Some(after)) => {
                let token = ContinueToken::new(of, ANY_REVISION, after);
                ApiError::expired(INCONSISTENT).to_be_continued(token.encode())
            }
            (ReadError::Compacted(compacted), None) => too_old(compacted.wanted, compacted.oldest),
            (ReadError::Future { wanted, current }, _) => {
                ApiError::too_large_resource_version(wanted.get(), current.get())
            }
        })?;

        let Listing { mut entries, mut next, revision, remaining } = listing;
        if !selects_all {
            entries.retain(|entry| selects(&options.selection, &entry.key, &entry.index));
            if options.limit > 0 && entries.len() > options.limit {
                entries.truncate(options.limit);
                next = entries.last().map(|entry| entry.key.clone());
            }
        }
        // Nobody has counted with a selector.
        let remaining = (selects_all && next.is_some()).then_some(remaining);
        let extent = match &page {
            _ if !selects_all => Extent::Selection,
            Page { at: None, after: None, .. } if next.is_none() => Extent::Whole,
            _ => Extent::Page,
        };
        Ok(Chosen { entries, extent, revision, next, remaining })
    }

    /// How many objects of each kind there are.
    pub(crate) fn object_counts(&self) -> impl Iterator<Item = (String, usize)> + '_ {
        let stored = kinds().iter().filter(|kind| kind.allows(Verb::List));
        stored.filter_map(|kind| {
            let page = Page { limit: NonZeroUsize::new(1), ..Page::default() };
            let listing = self.store.list(&Scope::collection(collection(kind)), &page).ok()?;
            Some((kind.qualified_resource(), listing.entries.len() + listing.remaining))
        })
    }

    pub(super) fn show_chosen(&self, of: Collection<'_>, chosen: Chosen) -> List {
        let Chosen { entries, extent, revision, next, remaining } = chosen;
        List {
            kind: of.kind,
            items: entries.into_iter().map(|entry| self.show(of.kind, entry)).collect(),
            extent,
            revision,
            continue_token: next.map(|key| write_continue(of, revision, &key)),
            remaining,
        }
    }
}

pub(super) fn too_old(wanted: Revision, oldest: Revision) -> ApiError {
    ApiError::expired(format!("too old resource version: {wanted} ({oldest})"))
}

/// What a client is told that took too long over a list.
const INCONSISTENT: &str = "The provided continue parameter is too old to display a consistent list result. You can \
    start a new list without the continue parameter, or use the continue token in this response to retrieve the \
    remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were \
    created, modified, or deleted between the time the first chunk was returned and now may show up in the list.";

impl ContinueToken {
    fn new(of: Collection<'_>, rv: i64, last: &Key) -> Self {
        let start = match (of.namespace, last.namespace()) {
            (None, Some(namespace)) => format!("{namespace}/{}\u{0}", last.name()),
            _ => format!("{}\u{0}", last.name()),
        };
        Self { v: CONTINUE_VERSION.to_owned(), rv, start }
    }

    fn encode(&self) -> String {
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).expect("texts and a number"))
    }
}

fn write_continue(of: Collection<'_>, revision: Revision, last: &Key) -> String {
    ContinueToken::new(of, i64::try_from(revision.get()).unwrap_or(i64::MAX), last).encode()
}

/// The revision that the list goes on at, none being the newest, and the last key that was seen.
fn parse_continue(of: Collection<'_>, text: &str) -> Result<(Option<Revision>, Key), ApiError> {
    let refuse = |why: &str| {
        ApiError::bad_request(format!("invalid continue token: continue key is not valid: {why}"))
    };
    let bytes = LENIENT.decode(text).map_err(|_| {
        refuse(&format!("illegal base64 data at input byte {}", schema::Base64::Url.fault(text)))
    })?;
    let token: ContinueToken = serde_json::from_slice(&bytes).map_err(|_| refuse(&not_json(&bytes)))?;
    if token.v != CONTINUE_VERSION {
        return Err(refuse(&format!("server does not recognize this encoded version {}", token.v)));
    }
    let at = match token.rv {
        ANY_REVISION => None,
        0 => return Err(refuse("incorrect encoded start resourceVersion (version meta.k8s.io/v1)")),
        rv => Some(Revision::new(u64::try_from(rv).unwrap_or(u64::MAX))),
    };
    if token.start.is_empty() {
        return Err(refuse("encoded start key empty (version meta.k8s.io/v1)"));
    }
    let start = token.start.trim_end_matches('\u{0}');
    let (namespace, name) = match (of.namespace, of.kind.namespaced) {
        (None, true) => {
            let (namespace, name) = start.split_once('/').unwrap_or(("", start));
            (Some(namespace), name)
        }
        (namespace, _) => (namespace, start),
    };
    let is_path = name.split('/').count() > 1 || matches!(name, "." | "..");
    let key = Key::new(collection(of.kind), namespace, name).map_err(|_| refuse(&token.start))?;
    if is_path { Err(refuse(&token.start)) } else { Ok((at, key)) }
}

/// Go's words for bytes that are no JSON.
fn not_json(bytes: &[u8]) -> String {
    match bytes.first() {
        None => "unexpected end of JSON input".to_owned(),
        Some(b'{') => "malformed JSON".to_owned(),
        Some(byte) => {
            let character = match byte {
                0x20..=0x7e => format!("'{}'", char::from(*byte)),
                other => format!("'\\x{other:02x}'"),
            };
            format!("invalid character {character} looking for beginning of value")
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
            assert_eq!(parse_continue(of, &token).unwrap(), (Some(Revision::new(7)), key));
        }
    }

    #[test]
    fn nonsense_is_refused_in_upstream_s_words() {
        let pods = Collection { kind: find_resource("", "v1", "pods").unwrap(), namespace: None };
        assert_eq!(
            parse_continue(pods, "nonsense").unwrap_err().to_string(),
            "invalid continue token: continue key is not valid: invalid character '\\x9e' looking for beginning of value"
        );
        for (text, why) in [
            ("", "unexpected end of JSON input"),
            ("!", "illegal base64 data at input byte 0"),
            ("x", "illegal base64 data at input byte 0"),
            ("e30", "server does not recognize this encoded version "),
            ("eyJ2IjoieCJ9", "server does not recognize this encoded version x"),
        ] {
            let error = parse_continue(pods, text).unwrap_err().to_string();
            assert_eq!(error, format!("invalid continue token: continue key is not valid: {why}"), "{text}");
        }
    }
}
