//! Takes tokens and secrets out of a status: the kubelet puts its message into an Event, which many may read.

use std::borrow::Cow;
use std::collections::BTreeMap;

use tokenward_sanitize::{blank_secret, blank_tokens};
use tokenward_tokens::{Placement, TOKENS_KEY, TokenMap, find_in};
use tonic::Status;
use zeroize::Zeroizing;

/// A shorter value of `secrets` is a word like `on`, and blanking it would only garble messages.
const SHORTEST_SECRET: usize = 6;
/// A shorter run of letters in an unreadable token value is no token.
const SHORTEST_RUN: usize = 16;

/// The secrets of one request, which no answer to it may repeat.
#[derive(Default)]
pub(crate) struct Scrubber {
    /// Longest first: one secret can be a part of another.
    secrets: Vec<Zeroizing<String>>,
}

impl Scrubber {
    /// Collects every token and every secret of a request.
    pub(crate) fn of(secrets: &BTreeMap<String, String>, volume_context: &BTreeMap<String, String>) -> Self {
        let mut found = Vec::new();
        for (key, value) in secrets {
            if key != TOKENS_KEY && value.len() >= SHORTEST_SECRET {
                found.push(Zeroizing::new(value.clone()));
            }
        }
        for placement in [Placement::Secrets, Placement::VolumeContext] {
            if let Some(value) = find_in(placement, secrets, volume_context) {
                collect(value.value, &mut found);
            }
        }
        found.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        Self { secrets: found }
    }

    /// The status with its code, a clean message, and nothing else: details and metadata are bytes that nobody can vouch for.
    pub(crate) fn clean(&self, status: &Status) -> Status {
        Status::new(status.code(), self.clean_text(status.message()))
    }

    fn clean_text(&self, text: &str) -> String {
        let mut clean = text.to_owned();
        for secret in &self.secrets {
            if let Cow::Owned(blanked) = blank_secret(&clean, secret) {
                clean = blanked;
            }
        }
        blank_tokens(&tokenward_leaks::blank(&clean)).into_owned()
    }
}

/// The tokens of a value; of one that is no token map, each run of characters that could be one.
fn collect(value: &str, found: &mut Vec<Zeroizing<String>>) {
    if !value.is_empty() {
        found.push(Zeroizing::new(value.to_owned()));
    }
    if let Ok(tokens) = TokenMap::parse(value) {
        let tokens =
            tokens.iter().map(|(_, entry)| entry.token.expose_token()).filter(|token| !token.is_empty());
        found.extend(tokens.map(|token| Zeroizing::new(token.to_owned())));
        return;
    }
    let runs = value.split(|c: char| !(c.is_ascii_alphanumeric() || "-_.=+".contains(c)));
    found.extend(runs.filter(|run| run.len() >= SHORTEST_RUN).map(|run| Zeroizing::new(run.to_owned())));
}

#[cfg(test)]
mod tests;
