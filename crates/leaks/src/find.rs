//! The search: from candidate to candidate, each looked at once.

use std::ops::Range;

use crate::base64_text;
use crate::candidates::{self, Candidate};
use crate::jws::{self, Read};

#[cfg(test)]
mod tests;

/// How a token was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Spelling {
    /// As it is, perhaps with some characters escaped.
    Plain,
    /// Inside base64.
    Base64,
}

/// Where a token is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The bytes that it takes; in base64, whole letters.
    pub range: Range<usize>,
    /// How it is written.
    pub spelling: Spelling,
    /// Whether its claims are those of a Kubernetes service account.
    pub is_service_account: bool,
}

/// The tokens in some bytes, in order, not overlapping.
#[derive(Clone, Debug)]
pub struct Finds<'a> {
    bytes: &'a [u8],
    /// From where on to look.
    at: usize,
    /// Nothing before this is given out again.
    taken: usize,
    /// No token begins in base64 before this.
    no_base64_before: usize,
}

/// The tokens in some bytes.
#[must_use]
pub fn find(bytes: &[u8]) -> Finds<'_> {
    Finds { bytes, at: 0, taken: 0, no_base64_before: 0 }
}

impl Iterator for Finds<'_> {
    type Item = Found;

    fn next(&mut self) -> Option<Found> {
        loop {
            let (candidate, matched) = candidates::next(self.bytes, self.at)?;
            self.at = matched + 1;
            if candidate.start() < self.taken {
                continue;
            }
            let found = match candidate {
                Candidate::Plain { start } => self.plain(start),
                Candidate::Base64 { group, skip } if matched >= self.no_base64_before => {
                    self.base64(group, skip)
                }
                Candidate::Base64 { .. } => None,
            };
            if let Some(found) = found {
                self.at = found.range.end;
                self.taken = found.range.end;
                return Some(found);
            }
        }
    }
}

impl Finds<'_> {
    fn plain(&mut self, start: usize) -> Option<Found> {
        match jws::read(self.bytes, start) {
            Read::Token { end, is_service_account } => {
                Some(Found { range: start..end, spelling: Spelling::Plain, is_service_account })
            }
            Read::No { next } => {
                // Base64 within this part holds no plain token, but may hold one inside.
                self.skip_plain(start, next);
                None
            }
        }
    }

    /// Goes on at `next`, or at the first candidate in base64 before it.
    fn skip_plain(&mut self, start: usize, next: usize) {
        let mut at = start + 1;
        while let Some((candidate, matched)) = candidates::next(self.bytes, at).filter(|(_, at)| *at < next) {
            if matches!(candidate, Candidate::Base64 { .. }) && matched >= self.no_base64_before {
                self.at = matched;
                return;
            }
            at = matched + 1;
        }
        self.at = self.at.max(next);
    }

    fn base64(&mut self, group: usize, skip: usize) -> Option<Found> {
        let decoded = base64_text::decode(self.bytes, group, skip);
        match jws::read(&decoded.text, skip.min(decoded.text.len())) {
            Read::Token { end, is_service_account } => {
                // The first letter that holds nothing but the token's bits may be the one after the group's begin.
                let letters = (end * 4).div_ceil(3);
                let end = (group + letters).min(decoded.end);
                let padding = self.bytes[end..].iter().take(2).take_while(|byte| **byte == b'=').count();
                let range = group + (skip * 4) / 3..end + padding;
                Some(Found { range, spelling: Spelling::Base64, is_service_account })
            }
            Read::No { next } => {
                // What begins within the same part, at the same offset, ends with it too; at others it is no token either.
                if next > skip + 1 {
                    self.no_base64_before = group + next / 3 * 4;
                }
                None
            }
        }
    }
}
