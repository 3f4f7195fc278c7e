//! How a connection stands: whoever has only ever been refused for who he is does not keep it for ever.

use std::sync::atomic::{AtomicU32, Ordering};

use http::StatusCode;

use crate::signal::{Given, Signal};

/// So many answers of 401, and none of another kind, are enough.
const MOST_REFUSED: u32 = 100;
/// Instead of a count: there was another answer.
const KNOWN: u32 = u32::MAX;

/// What one connection's requests have been answered so far.
pub(super) struct Standing {
    /// How often with 401, or [`KNOWN`].
    refused: AtomicU32,
    enough: Signal,
}

impl Standing {
    pub(super) fn new() -> Self {
        Self { refused: AtomicU32::new(0), enough: Signal::default() }
    }

    /// Notes an answer.
    pub(super) fn answered(&self, status: StatusCode) {
        let before = self.refused.load(Ordering::Relaxed);
        if before == KNOWN {
            return;
        }
        if status != StatusCode::UNAUTHORIZED {
            self.refused.store(KNOWN, Ordering::Relaxed);
            return;
        }
        // Nothing but a count of its own makes it known: it stops long before.
        let one_more = |count: u32| (count < MOST_REFUSED).then_some(count + 1);
        let counted = self.refused.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more);
        if counted == Ok(MOST_REFUSED - 1) {
            self.enough.give();
        }
    }

    /// Waits until it has been refused often enough.
    pub(super) fn is_lost(&self) -> Given {
        self.enough.given()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn a_connection_is_lost_that_was_only_refused() {
        let refused = |standing: &Standing, times: u32| {
            for _ in 0..times {
                standing.answered(StatusCode::UNAUTHORIZED);
            }
            standing.is_lost().now_or_never().is_some()
        };
        let stranger = Standing::new();
        assert!(!refused(&stranger, MOST_REFUSED - 1));
        assert!(refused(&stranger, 1));
        for other in [StatusCode::OK, StatusCode::FORBIDDEN, StatusCode::NOT_FOUND] {
            let known = Standing::new();
            known.answered(other);
            assert!(!refused(&known, 3 * MOST_REFUSED), "a known client whose token has expired: {other}");
        }
    }
}
