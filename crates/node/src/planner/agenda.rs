//! What the planner has to look at, and when: so that planning costs time for what has changed or is due, and none for
//! all the rest.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};

use jiff::Timestamp;

use super::Subject;

/// Subjects that are due, those that wait for a moment, and those that wait for a driver to have a place.
#[derive(Debug)]
pub(super) struct Agenda {
    due: BTreeSet<Subject>,
    /// May name a moment that no longer matters: then the subject is looked at once in vain.
    later: BTreeSet<(Timestamp, Subject)>,
    /// When it was last asked for what is due.
    now: Timestamp,
    drivers: BTreeMap<String, Places>,
    /// Drivers with subjects that wait and perhaps a place for one.
    freed: BTreeSet<String>,
    places_per_driver: usize,
}

/// The places of one driver.
#[derive(Debug, Default)]
struct Places {
    taken: usize,
    waiting: VecDeque<Subject>,
    /// What waits: nothing does so twice.
    waits: HashSet<Subject>,
}

impl Agenda {
    pub(super) fn new(places_per_driver: usize) -> Self {
        Self {
            due: BTreeSet::new(),
            later: BTreeSet::new(),
            now: Timestamp::MIN,
            drivers: BTreeMap::new(),
            freed: BTreeSet::new(),
            // None at all would be a node that does nothing.
            places_per_driver: places_per_driver.max(1),
        }
    }

    /// Something has changed about the subject.
    pub(super) fn add(&mut self, subject: Subject) {
        self.due.insert(subject);
    }

    /// The subject is to be looked at when this moment has come.
    pub(super) fn add_later(&mut self, at: Timestamp, subject: Subject) {
        self.later.insert((at, subject));
    }

    /// Time has come this far. Once it was set back, all moments are looked at anew.
    pub(super) fn advance(&mut self, now: Timestamp) {
        if now < self.now {
            let later = std::mem::take(&mut self.later);
            self.due.extend(later.into_iter().map(|(_, subject)| subject));
        }
        self.now = now;
        while let Some((at, _)) = self.later.first()
            && *at <= now
        {
            self.due.extend(self.later.pop_first().map(|(_, subject)| subject));
        }
    }

    /// The next subject to look at: who waits for a place comes before who has just become due.
    pub(super) fn next(&mut self) -> Option<Subject> {
        while let Some(driver) = self.freed.first() {
            let places = self.drivers.get_mut(driver);
            let waiting = places
                .filter(|places| places.taken < self.places_per_driver)
                .and_then(|places| Some((places.waiting.pop_front()?, places)));
            match waiting {
                Some((subject, places)) => {
                    places.waits.remove(&subject);
                    return Some(subject);
                }
                None => {
                    self.freed.pop_first();
                }
            }
        }
        self.due.pop_first()
    }

    /// The first moment that something waits for.
    pub(super) fn wake(&self) -> Option<Timestamp> {
        self.later.first().map(|(at, _)| *at)
    }

    /// Takes a place at a driver for an action on the subject. Without one, the subject comes up again when there is one.
    pub(super) fn take_place(&mut self, driver: &str, subject: &Subject) -> bool {
        let places = match self.drivers.get_mut(driver) {
            Some(places) => places,
            None => self.drivers.entry(driver.to_owned()).or_default(),
        };
        let free = places.taken < self.places_per_driver;
        if free {
            places.taken += 1;
        } else if places.waits.insert(subject.clone()) {
            places.waiting.push_back(subject.clone());
        }
        free
    }

    /// An action has ended.
    pub(super) fn free_place(&mut self, driver: &str) {
        let Some(places) = self.drivers.get_mut(driver) else { return };
        places.taken = places.taken.saturating_sub(1);
        if !places.waiting.is_empty() {
            self.freed.insert(driver.to_owned());
        } else if places.taken == 0 {
            self.drivers.remove(driver);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(number: u8) -> Subject {
        Subject::Pod(number.to_string())
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn drain(agenda: &mut Agenda) -> Vec<Subject> {
        std::iter::from_fn(|| agenda.next()).collect()
    }

    #[test]
    fn subjects_come_when_they_are_due_and_once() {
        let mut agenda = Agenda::new(1);
        agenda.add(pod(1));
        agenda.add(pod(1));
        agenda.add_later(at(10), pod(2));
        agenda.add_later(at(20), pod(3));
        agenda.advance(at(0));
        assert_eq!(drain(&mut agenda), [pod(1)]);
        assert_eq!(agenda.wake(), Some(at(10)));
        agenda.advance(at(10));
        assert_eq!(drain(&mut agenda), [pod(2)]);
        assert_eq!(agenda.wake(), Some(at(20)));
        // A clock that was set back: whether pod 3 still has to wait is for the planner to say.
        agenda.advance(at(5));
        assert_eq!(drain(&mut agenda), [pod(3)]);
        assert_eq!(agenda.wake(), None);
    }

    #[test]
    fn who_waits_for_a_place_gets_it_in_turn() {
        let mut agenda = Agenda::new(1);
        agenda.advance(at(0));
        assert!(agenda.take_place("d", &pod(1)));
        assert!(!agenda.take_place("d", &pod(3)));
        assert!(!agenda.take_place("d", &pod(2)));
        assert!(!agenda.take_place("d", &pod(3)));
        assert!(agenda.take_place("other", &pod(4)), "places are each driver's own");
        assert_eq!(drain(&mut agenda), []);
        agenda.free_place("d");
        agenda.add(pod(5));
        assert_eq!(agenda.next(), Some(pod(3)));
        assert!(agenda.take_place("d", &pod(3)));
        assert_eq!(drain(&mut agenda), [pod(5)]);
        agenda.free_place("d");
        // One that has lost interest in its place leaves it to the next.
        assert_eq!(drain(&mut agenda), [pod(2)]);
        agenda.free_place("other");
        agenda.free_place("unheard of");
    }
}
