//! Takes tokens and secrets out of a status: the kubelet puts its message into an Event, which many may read.

use std::collections::BTreeMap;

use tokenward_sanitize::KnownSecrets;
use tokenward_tokens::{Placement, TOKENS_KEY, TokenMap, find_in};
use tonic::Status;

mod details;

/// The secrets of one request, which no answer to it may repeat.
#[derive(Default)]
pub(crate) struct Scrubber(KnownSecrets);

impl Scrubber {
    /// Collects every token and every secret of a request.
    pub(crate) fn of(secrets: &BTreeMap<String, String>, volume_context: &BTreeMap<String, String>) -> Self {
        let mut known = KnownSecrets::new();
        for (_, secret) in secrets.iter().filter(|(key, _)| *key != TOKENS_KEY) {
            known.insert(secret);
        }
        for placement in [Placement::Secrets, Placement::VolumeContext] {
            let Some(found) = find_in(placement, secrets, volume_context) else { continue };
            match TokenMap::parse(found.value) {
                // Not the whole value: a message may well name its audiences and times.
                Ok(tokens) => tokens.iter().for_each(|(_, entry)| known.insert(entry.token.expose_token())),
                Err(_) => known.insert_unreadable(found.value),
            }
        }
        Self(known)
    }

    /// The status with its code, a clean message, and those [`details`] that can be read. Metadata goes: nobody can vouch for its bytes.
    pub(crate) fn clean(&self, status: &Status) -> Status {
        let (code, message) = (status.code(), self.clean_text(status.message()));
        let details = details::clean(status.details(), code, &message, |text| self.clean_text(text));
        Status::with_details(code, message, details)
    }

    fn clean_text(&self, text: &str) -> String {
        let found = tokenward_leaks::find(text.as_bytes()).map(|found| found.range);
        self.0.blank_with(text, found).into_owned()
    }
}

#[cfg(test)]
mod tests;
