//! What types and fields mean, in our own words: the rows of `descriptions.tsv`.

use std::collections::HashMap;
use std::sync::LazyLock;

const ROWS: &str = include_str!("../../descriptions.tsv");

/// By message and field; of the type itself the field is empty, and `*` stands for every message.
static TEXTS: LazyLock<HashMap<(&str, &str), &str>> = LazyLock::new(|| rows().collect());

/// The rows as they stand: message, field, text.
pub(super) fn rows() -> impl Iterator<Item = ((&'static str, &'static str), &'static str)> {
    ROWS.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
        let mut columns = line.splitn(3, '\t');
        Some(((columns.next()?, columns.next()?), columns.next()?))
    })
}

/// What a type is for.
pub(super) fn of_type(message: &str) -> Option<&'static str> {
    TEXTS.get(&(message, "")).copied()
}

/// What a field is for.
pub(super) fn of_field(message: &str, field: &str) -> Option<&'static str> {
    TEXTS.get(&(message, field)).or_else(|| TEXTS.get(&("*", field))).copied()
}
