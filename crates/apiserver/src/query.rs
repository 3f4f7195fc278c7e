//! Query parameters, read once into what they mean.
//!
//! The rules and texts of list, watch and write options follow upstream's validation of `ListOptions`,
//! `CreateOptions`, `UpdateOptions`, `PatchOptions` and `DeleteOptions`.

use http::{HeaderMap, header};
use serde_json::{Value, json};
use tokenward_kube_rules::FieldError;
use tokenward_store::Revision;

use crate::selector::{FieldSelector, LabelSelector};
use crate::status::{ApiError, go_quote};

/// The parameters as they were sent, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query {
    pairs: Vec<(String, String)>,
}

/// What to do about fields that a kind does not have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum FieldValidation {
    /// Say nothing.
    Ignore,
    /// Refuse the request.
    Strict,
    /// Answer with a warning for each; the server's default.
    #[default]
    Warn,
}

/// The parameters of a write.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct WriteOptions {
    /// Who owns what is written: `fieldManager`, or else what the client calls itself.
    pub(crate) manager: String,
    /// Do everything but store.
    pub(crate) dry_run: bool,
    /// What to do about unknown and duplicate fields.
    pub(crate) field_validation: FieldValidation,
}

impl WriteOptions {
    /// Of what the server writes for itself.
    pub(crate) fn of_the_server() -> Self {
        Self { manager: "kube-apiserver".to_owned(), ..Self::default() }
    }

    /// The options as an object, as a webhook reads them.
    pub(crate) fn to_object(&self, kind: &str) -> Value {
        let mut options = json!({"kind": kind, "apiVersion": "meta.k8s.io/v1"});
        if self.dry_run {
            options["dryRun"] = json!(["All"]);
        }
        if self.field_validation != FieldValidation::Warn {
            options["fieldValidation"] = format!("{:?}", self.field_validation).into();
        }
        options
    }
}

/// Which state of a collection a list may answer with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ListAt {
    /// The newest state, or anything newer than what was asked for (which is the same for a store without lag).
    Newest {
        /// The server must have seen this revision.
        not_older_than: Revision,
    },
    /// Exactly this revision.
    Exact(Revision),
}

/// The parameters of a list.
#[derive(Clone, Debug)]
pub(crate) struct ListOptions {
    /// Which objects.
    pub(crate) selection: Selection,
    /// Which state.
    pub(crate) at: ListAt,
    /// At most this many objects; 0 is no limit.
    pub(crate) limit: usize,
    /// Where an earlier, limited list ended.
    pub(crate) continue_from: Option<String>,
    /// Whether a version is named, which what continues must not: it has one.
    pub(crate) has_version: bool,
}

/// Where a watch begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WatchFrom {
    /// With what exists, as synthetic `ADDED` events, at this revision or later.
    Existing(Revision),
    /// After this revision.
    After(Revision),
    /// With whatever comes next.
    Now,
}

/// The parameters of a watch.
#[derive(Clone, Debug)]
pub(crate) struct WatchOptions {
    /// Which objects.
    pub(crate) selection: Selection,
    /// Where it begins.
    pub(crate) from: WatchFrom,
    /// Whether the client asked for the bookmark that ends the initial events.
    pub(crate) initial_events_end: bool,
    /// Whether the client wants bookmarks.
    pub(crate) bookmarks: bool,
    /// Seconds after which the server ends the stream; at once when that is past.
    pub(crate) timeout_seconds: Option<i64>,
}

/// Which objects of a collection are meant.
#[derive(Clone, Debug, Default)]
pub(crate) struct Selection {
    /// By labels.
    pub(crate) labels: LabelSelector,
    /// By fields.
    pub(crate) fields: FieldSelector,
}

/// The longest name of a manager, in bytes.
const LONGEST_MANAGER: usize = 128;

fn validate_manager(manager: &str) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if manager.len() > LONGEST_MANAGER {
        errors.push(FieldError::too_long("fieldManager", LONGEST_MANAGER));
    }
    for (position, character) in manager.char_indices().filter(|(_, character)| !is_printable(*character)) {
        let detail = format!("invalid character U+{:04X} (at position {position})", u32::from(character));
        errors.push(FieldError::invalid("fieldManager", manager, &detail));
    }
    errors
}

/// Who writes when no manager is named: the client's name in its User-Agent, up to the first slash.
fn manager_of_agent(headers: &HeaderMap) -> String {
    let agent = headers.get(header::USER_AGENT).map(|agent| String::from_utf8_lossy(agent.as_bytes()));
    let mut manager = String::new();
    let name = agent.as_deref().and_then(|agent| agent.split('/').next()).unwrap_or("");
    for character in name.chars().filter(|character| is_printable(*character)) {
        if manager.len() + character.len_utf8() > LONGEST_MANAGER {
            break;
        }
        manager.push(character);
    }
    manager
}

/// As Go has it: what can be seen, and the plain space.
fn is_printable(character: char) -> bool {
    character == ' ' || !(character.is_control() || character.is_whitespace())
}

impl Query {
    /// Splits and decodes a query string.
    pub(crate) fn parse(query: &str) -> Self {
        let pairs = form_urlencoded::parse(query.as_bytes())
            .map(|(key, value)| (key.into_owned(), value.into_owned()))
            .collect();
        Self { pairs }
    }

    fn first(&self, name: &str) -> &str {
        self.pairs.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    /// Whether a parameter is there at all, with a value or without.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.pairs.iter().any(|(key, _)| key == name)
    }

    /// Every value of a parameter.
    pub(crate) fn all_of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.pairs.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Go reads a boolean parameter as true when it is there and not `false` or `0`.
    pub(crate) fn flag(&self, name: &str) -> Option<bool> {
        let value = self.pairs.iter().find(|(key, _)| key == name)?;
        Some(!matches!(value.1.to_ascii_lowercase().as_str(), "false" | "0"))
    }

    /// Whether the query asks for a watch.
    pub(crate) fn watch(&self) -> bool {
        self.flag("watch").unwrap_or(false)
    }

    /// `force`, which only server-side apply may carry.
    pub(crate) fn force(&self) -> Option<bool> {
        self.flag("force")
    }

    /// A whole number parameter, none when absent. The error is Go's.
    pub(crate) fn number(&self, name: &str) -> Result<Option<i64>, ApiError> {
        let Some((_, text)) = self.pairs.iter().find(|(key, _)| key == name) else { return Ok(None) };
        let why = |kind: &std::num::IntErrorKind| match kind {
            std::num::IntErrorKind::PosOverflow | std::num::IntErrorKind::NegOverflow => "value out of range",
            _ => "invalid syntax",
        };
        text.parse().map(Some).map_err(|error: std::num::ParseIntError| {
            let why = why(error.kind());
            ApiError::bad_request(format!("strconv.ParseInt: parsing {}: {why}", go_quote(text)))
        })
    }

    /// A text parameter, none when absent or empty.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        Some(self.first(name)).filter(|text| !text.is_empty())
    }

    /// The parameters of a write; `kind` names the options in errors, such as `CreateOptions`.
    pub(crate) fn write_options(&self, kind: &str, headers: &HeaderMap) -> Result<WriteOptions, ApiError> {
        self.options(kind, headers, Vec::new())
    }

    /// The parameters of a patch. An apply must name its manager, and only an apply may force.
    pub(crate) fn patch_options(
        &self,
        headers: &HeaderMap,
        is_apply: bool,
    ) -> Result<WriteOptions, ApiError> {
        let mut errors = Vec::new();
        if is_apply && self.first("fieldManager").is_empty() {
            errors.push(FieldError::required("fieldManager", "is required for apply patch"));
        }
        if !is_apply && self.force().is_some() {
            errors.push(FieldError::forbidden("force", "may not be specified for non-apply patch"));
        }
        self.options("PatchOptions", headers, errors)
    }

    fn options(
        &self,
        kind: &str,
        headers: &HeaderMap,
        mut errors: Vec<FieldError>,
    ) -> Result<WriteOptions, ApiError> {
        let manager = self.first("fieldManager");
        errors.extend(validate_manager(manager));
        let dry_run: Vec<&str> = self.all_of("dryRun").collect();
        if dry_run.iter().any(|value| *value != "All") {
            errors.push(FieldError::not_supported("dryRun", Value::from(dry_run.clone()), &["All"]));
        }
        let field_validation = match self.first("fieldValidation") {
            "" | "Warn" => FieldValidation::Warn,
            "Ignore" => FieldValidation::Ignore,
            "Strict" => FieldValidation::Strict,
            other => {
                let supported = ["", "Ignore", "Strict", "Warn"];
                errors.push(FieldError::not_supported("fieldValidation", Value::from(other), &supported));
                FieldValidation::Warn
            }
        };
        if errors.is_empty() {
            let manager = if manager.is_empty() { manager_of_agent(headers) } else { manager.to_owned() };
            Ok(WriteOptions { manager, dry_run: !dry_run.is_empty(), field_validation })
        } else {
            Err(ApiError::invalid_options(kind, &errors))
        }
    }

    /// The selectors alone, as a deletion of a collection has them.
    pub(crate) fn selection(&self) -> Result<Selection, ApiError> {
        Ok(Selection {
            labels: LabelSelector::parse(self.first("labelSelector")).map_err(ApiError::bad_request)?,
            fields: FieldSelector::parse(self.first("fieldSelector")).map_err(ApiError::bad_request)?,
        })
    }

    /// The resource version that a read of one object must not be older than.
    pub(crate) fn not_older_than(&self) -> Result<Revision, ApiError> {
        parse_revision(self.first("resourceVersion")).map_err(ApiError::unclassified)
    }

    /// The parameters of a list.
    pub(crate) fn list_options(&self) -> Result<ListOptions, ApiError> {
        let selection = self.selection()?;
        let version = self.first("resourceVersion");
        let matching = self.first("resourceVersionMatch");
        let continue_from = self.text("continue").map(str::to_owned);
        let limit = usize::try_from(self.number("limit")?.unwrap_or(0).max(0)).unwrap_or(usize::MAX);
        self.number("timeoutSeconds")?;

        let mut errors = Vec::new();
        if !matching.is_empty() {
            if version.is_empty() {
                let why = "resourceVersionMatch is forbidden unless resourceVersion is provided";
                errors.push(FieldError::forbidden("resourceVersionMatch", why));
            }
            if continue_from.is_some() {
                let why = "resourceVersionMatch is forbidden when continue is provided";
                errors.push(FieldError::forbidden("resourceVersionMatch", why));
            }
            match matching {
                "NotOlderThan" => {}
                "Exact" if version != "0" => {}
                "Exact" => errors.push(FieldError::forbidden(
                    "resourceVersionMatch",
                    "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"",
                )),
                other => errors.push(unknown_match(other)),
            }
        }
        if self.flag("sendInitialEvents").is_some() {
            errors
                .push(FieldError::forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"));
        }
        if !errors.is_empty() {
            return Err(ApiError::invalid_options("ListOptions", &errors));
        }
        let has_version = !version.is_empty() && version != "0";
        let revision = parse_revision(version)
            .map_err(|text| ApiError::bad_request(format!("invalid resource version: {text}")))?;
        // What is as old as it likes comes whole: upstream's cache does not cut it into pages.
        let limit = if version == "0" && continue_from.is_none() { 0 } else { limit };
        let at = match matching {
            "Exact" => ListAt::Exact(revision),
            // From before there were match rules: the pages of a list are of that very version.
            "" if limit > 0 && revision.get() > 0 => ListAt::Exact(revision),
            _ => ListAt::Newest { not_older_than: revision },
        };
        Ok(ListOptions { selection, at, limit, continue_from, has_version })
    }

    /// The parameters of a watch. An object's name in the path is a field selector.
    pub(crate) fn watch_options(&self) -> Result<WatchOptions, ApiError> {
        let selection = self.selection()?;
        let version = self.first("resourceVersion");
        let matching = self.first("resourceVersionMatch");
        let initial_events = self.flag("sendInitialEvents");
        let timeout_seconds = self.number("timeoutSeconds")?;
        self.number("limit")?;
        let mut errors = Vec::new();
        match initial_events {
            None if !matching.is_empty() => errors.push(FieldError::forbidden(
                "resourceVersionMatch",
                "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
            )),
            Some(_) if matching != "NotOlderThan" => errors.push(FieldError::forbidden(
                "resourceVersionMatch",
                "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
            )),
            _ => {}
        }
        if !matches!(matching, "" | "NotOlderThan") {
            errors.push(FieldError::not_supported("resourceVersionMatch", matching, &["NotOlderThan"]));
        }
        // A watch that begins with what there is counts as one that names a match.
        let begins_with_all = initial_events.is_none() && matches!(version, "" | "0");
        if (!matching.is_empty() || begins_with_all) && self.text("continue").is_some() {
            let why = "resourceVersionMatch is forbidden when continue is provided";
            errors.push(FieldError::forbidden("resourceVersionMatch", why));
        }
        if !errors.is_empty() {
            return Err(ApiError::invalid_options("ListOptions", &errors));
        }
        let revision = parse_revision(version).map_err(ApiError::unclassified)?;
        let from = match initial_events {
            Some(true) => WatchFrom::Existing(revision),
            None if revision.get() == 0 => WatchFrom::Existing(revision),
            Some(false) if revision.get() == 0 => WatchFrom::Now,
            _ => WatchFrom::After(revision),
        };
        let bookmarks = self.flag("allowWatchBookmarks").unwrap_or(false);
        Ok(WatchOptions {
            selection,
            from,
            initial_events_end: initial_events == Some(true) && bookmarks,
            bookmarks,
            timeout_seconds: timeout_seconds.filter(|seconds| *seconds != 0),
        })
    }
}

fn unknown_match(value: &str) -> FieldError {
    FieldError::not_supported("resourceVersionMatch", Value::from(value), &["Exact", "NotOlderThan", ""])
}

/// An opaque string to clients, one counter of the store to us. Empty and `0` are both "any".
fn parse_revision(text: &str) -> Result<Revision, String> {
    if text.is_empty() {
        return Ok(Revision::new(0));
    }
    let invalid = |why| format!("resourceVersion: Invalid value: {}: {why}", go_quote(text));
    parse_number(text).map(Revision::new).map_err(invalid)
}

/// A number as Go's `strconv.ParseUint` reads it, and says why it does not.
pub(crate) fn parse_number(text: &str) -> Result<u64, String> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(number) if is_number => Ok(number),
        _ => {
            let why = if is_number { "value out of range" } else { "invalid syntax" };
            Err(format!("strconv.ParseUint: parsing {}: {why}", go_quote(text)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(query: &str) -> Result<ListOptions, String> {
        Query::parse(query).list_options().map_err(|error| error.to_string())
    }

    fn watch(query: &str) -> Result<WatchOptions, String> {
        Query::parse(query).watch_options().map_err(|error| error.to_string())
    }

    #[test]
    fn lists() {
        assert_eq!(list("").unwrap().at, ListAt::Newest { not_older_than: Revision::new(0) });
        assert_eq!(
            list("resourceVersion=7").unwrap().at,
            ListAt::Newest { not_older_than: Revision::new(7) }
        );
        let exact = list("resourceVersion=7&resourceVersionMatch=Exact&limit=3").unwrap();
        assert_eq!((exact.at, exact.limit), (ListAt::Exact(Revision::new(7)), 3));
        let limit = |query: &str| list(query).unwrap().limit;
        assert_eq!([limit("limit=2"), limit("limit=-2")], [2, 0]);
        assert_eq!(limit("limit=2&resourceVersion=0"), 0, "what is as old as it likes comes whole");
        assert_eq!(
            [limit("limit=2&resourceVersion=7"), limit("limit=2&resourceVersion=0&continue=x")],
            [2, 2]
        );
        let refused = [
            (
                "resourceVersion=0&resourceVersionMatch=Exact",
                "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"",
            ),
            (
                "resourceVersion=99999999999999999999999",
                "invalid resource version: resourceVersion: Invalid value: \"99999999999999999999999\": strconv.ParseUint: parsing \"99999999999999999999999\": value out of range",
            ),
            (
                "resourceVersion=%2B1",
                "invalid resource version: resourceVersion: Invalid value: \"+1\": strconv.ParseUint: parsing \"+1\": invalid syntax",
            ),
            (
                "resourceVersion=abc",
                "invalid resource version: resourceVersion: Invalid value: \"abc\": strconv.ParseUint: parsing \"abc\": invalid syntax",
            ),
        ];
        for (query, text) in refused {
            assert_eq!(list(query).unwrap_err(), text, "{query}");
        }
    }

    #[test]
    fn watches() {
        let zero = Revision::new(0);
        assert_eq!(watch("watch=1").unwrap().from, WatchFrom::Existing(zero));
        assert_eq!(watch("watch=1&resourceVersion=0").unwrap().from, WatchFrom::Existing(zero));
        assert_eq!(watch("watch=1&resourceVersion=9").unwrap().from, WatchFrom::After(Revision::new(9)));
        let listing = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan";
        let options = watch(&format!("{listing}&allowWatchBookmarks=true")).unwrap();
        assert!(options.initial_events_end && options.bookmarks);
        let options = watch(listing).unwrap();
        assert!(!options.initial_events_end, "the bookmark is sent only when bookmarks were asked for");
        let options = watch("sendInitialEvents=false&resourceVersionMatch=NotOlderThan&resourceVersion=4");
        assert_eq!(options.unwrap().from, WatchFrom::After(Revision::new(4)));
        for version in ["", "&resourceVersion=0"] {
            let options =
                watch(&format!("sendInitialEvents=false&resourceVersionMatch=NotOlderThan{version}"));
            assert_eq!(options.unwrap().from, WatchFrom::Now, "{version}");
        }
        assert!(watch("sendInitialEvents=true").is_err());
        assert!(watch("resourceVersionMatch=NotOlderThan").is_err());
        assert_eq!(watch("timeoutSeconds=5").unwrap().timeout_seconds, Some(5));
    }

    #[test]
    fn writes() {
        let options = |query: &str| Query::parse(query).write_options("CreateOptions", &HeaderMap::new());
        assert_eq!(options("").unwrap(), WriteOptions::default());
        assert!(options("dryRun=All").unwrap().dry_run);
        assert_eq!(
            options("dryRun=").unwrap_err().to_string(),
            "CreateOptions.meta.k8s.io \"\" is invalid: dryRun: Unsupported value: [\"\"]: supported values: \"All\""
        );
        assert_eq!(options("fieldValidation=Strict").unwrap().field_validation, FieldValidation::Strict);
        assert_eq!(
            options("dryRun=Some").unwrap_err().to_string(),
            "CreateOptions.meta.k8s.io \"\" is invalid: dryRun: Unsupported value: [\"Some\"]: supported values: \"All\""
        );
        assert_eq!(
            options("fieldValidation=Maybe").unwrap_err().to_string(),
            "CreateOptions.meta.k8s.io \"\" is invalid: fieldValidation: Unsupported value: \"Maybe\": supported values: \"\", \"Ignore\", \"Strict\", \"Warn\""
        );
    }

    #[test]
    fn flags_are_read_as_go_reads_them() {
        for (query, expected) in [("watch=1", true), ("watch=true", true), ("watch=0", false), ("", false)] {
            assert_eq!(Query::parse(query).watch(), expected, "{query}");
        }
    }
}
