//! Events last an hour: a cluster that is not asked forgets them (upstream's `--event-ttl`).
//!
//! An event's hour begins anew whenever it is written. When that was is told by its revision: every minute the newest one is
//! noted, and what is not newer than an hour-old note is over. So nothing has to be read in the events themselves.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokenward_store::Revision;
use tokenward_tokens::Clock;
use tokio_util::sync::CancellationToken;

use crate::server::ApiServer;

const LIFETIME: SignedDuration = SignedDuration::from_hours(1);
/// How often it is looked, and thus how exact the hour is.
const PERIOD: Duration = Duration::from_secs(60);

/// Which revision was the newest when.
#[derive(Debug, Default)]
struct Notes {
    notes: VecDeque<(Timestamp, Revision)>,
}

impl Notes {
    /// Notes the newest revision, and gives the one up to which everything has had its hour.
    fn note(&mut self, now: Timestamp, newest: Revision) -> Option<Revision> {
        self.notes.push_back((now, newest));
        let mut over = None;
        while let Some((noted, revision)) = self.notes.front() {
            if now.duration_since(*noted) < LIFETIME {
                break;
            }
            over = Some(*revision);
            self.notes.pop_front();
        }
        over
    }
}

/// Removes events whose hour is over, until it is told to stop.
pub async fn forget_old_events(server: ApiServer, clock: Clock, stop: CancellationToken) {
    let mut notes = Notes::default();
    loop {
        if let Some(over) = notes.note(clock.now(), server.registry().newest_revision()) {
            let forgotten = server.registry().forget_events(over).await;
            if forgotten > 0 {
                tracing::debug!(forgotten, "events have had their hour");
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(PERIOD) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_an_hour_ago_is_over() {
        let at = |minutes: i64| Timestamp::from_second(minutes * 60).unwrap();
        let mut notes = Notes::default();
        assert_eq!(notes.note(at(0), Revision::new(5)), None);
        assert_eq!(notes.note(at(1), Revision::new(6)), None);
        assert_eq!(notes.note(at(59), Revision::new(7)), None);
        assert_eq!(notes.note(at(60), Revision::new(8)), Some(Revision::new(5)));
        assert_eq!(notes.note(at(60), Revision::new(8)), None, "said once");
        // A machine that slept: the newest of all that is over.
        assert_eq!(notes.note(at(300), Revision::new(9)), Some(Revision::new(8)));
    }
}
