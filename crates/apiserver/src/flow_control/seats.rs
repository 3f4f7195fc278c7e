//! Seats shared fairly among flows: who gets in, who waits, and who is next. Nothing here waits or knows the time.
//!
//! A flow is one user's requests. Whoever finds a free seat takes it, up to the most that one flow may hold: so a flow
//! alone cannot fill all seats, and another always finds some. A seat that is given back goes to the flow that holds
//! the fewest, and among those to the one that has waited longest.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// How many of what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Of all flows together.
    pub(super) seats: usize,
    /// Of one flow, fewer than of all.
    pub(super) seats_of_flow: usize,
    /// Of all flows together.
    pub(super) waiting: usize,
    /// Of one flow.
    pub(super) waiting_of_flow: usize,
}

/// A place in the queue. Earlier ones are smaller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Ticket(u64);

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// It has a seat.
    Seated,
    /// It waits, and will be called by this ticket.
    Waiting(Ticket),
    /// Too many wait already.
    Full,
}

/// The seats, and the queue before them.
#[derive(Debug)]
pub(super) struct Seats {
    limits: Limits,
    taken: usize,
    waiting: usize,
    next_ticket: u64,
    /// Those that hold a seat or wait for one.
    flows: HashMap<Arc<str>, Flow>,
}

#[derive(Debug, Default)]
struct Flow {
    taken: usize,
    waiting: VecDeque<Ticket>,
}

impl Seats {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, taken: 0, waiting: 0, next_ticket: 0, flows: HashMap::new() }
    }

    /// A request comes.
    pub(super) fn arrive(&mut self, flow: &str) -> Arrival {
        let limits = self.limits;
        let (taken, waiting) = self.flows.get(flow).map_or((0, 0), |flow| (flow.taken, flow.waiting.len()));
        // One that waits in front of it, or could have the seat as well, is called whenever a seat is given back: as
        // long as there is a free one, nobody waits who may take it.
        let is_free = self.taken < limits.seats && taken < limits.seats_of_flow;
        if !is_free && (waiting >= limits.waiting_of_flow || self.waiting >= limits.waiting) {
            return Arrival::Full;
        }
        if !self.flows.contains_key(flow) {
            self.flows.insert(flow.into(), Flow::default());
        }
        let flow = self.flows.get_mut(flow).expect("just made sure of it");
        if is_free {
            flow.taken += 1;
            self.taken += 1;
            return Arrival::Seated;
        }
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        flow.waiting.push_back(ticket);
        self.waiting += 1;
        Arrival::Waiting(ticket)
    }

    /// A seat is given back. Those who are called have one now.
    pub(super) fn leave(&mut self, flow: &str) -> Vec<Ticket> {
        if let Some(own) = self.flows.get_mut(flow) {
            own.taken = own.taken.saturating_sub(1);
            self.taken = self.taken.saturating_sub(1);
        }
        self.forget_if_idle(flow);
        self.call_next()
    }

    /// One that waited does so no more. It may have been called in the same moment: then it leaves its seat.
    pub(super) fn abandon(&mut self, flow: &str, ticket: Ticket) -> Vec<Ticket> {
        let Some(own) = self.flows.get_mut(flow) else { return Vec::new() };
        let before = own.waiting.len();
        own.waiting.retain(|waiting| *waiting != ticket);
        if own.waiting.len() == before {
            return self.leave(flow);
        }
        self.waiting -= 1;
        self.forget_if_idle(flow);
        Vec::new()
    }

    /// Fills the free seats with those who wait and may have one.
    fn call_next(&mut self) -> Vec<Ticket> {
        let mut called = Vec::new();
        while self.waiting > 0 && self.taken < self.limits.seats {
            let most = self.limits.seats_of_flow;
            let next = self
                .flows
                .values_mut()
                .filter(|flow| flow.taken < most)
                .filter_map(|flow| Some((flow.taken, *flow.waiting.front()?, flow)))
                .min_by_key(|(taken, ticket, _)| (*taken, *ticket));
            let Some((_, ticket, flow)) = next else { break };
            flow.waiting.pop_front();
            flow.taken += 1;
            self.taken += 1;
            self.waiting -= 1;
            called.push(ticket);
        }
        called
    }

    fn forget_if_idle(&mut self, flow: &str) {
        if self.flows.get(flow).is_some_and(|flow| flow.taken == 0 && flow.waiting.is_empty()) {
            self.flows.remove(flow);
        }
    }
}

#[cfg(test)]
impl Seats {
    pub(super) fn taken(&self) -> usize {
        self.taken
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: Limits = Limits { seats: 4, seats_of_flow: 2, waiting: 6, waiting_of_flow: 3 };

    fn waiting(arrival: Arrival) -> Ticket {
        match arrival {
            Arrival::Waiting(ticket) => ticket,
            other => panic!("wanted to wait, found {other:?}"),
        }
    }

    #[test]
    fn a_seat_goes_to_the_flow_that_holds_the_fewest() {
        let mut seats = Seats::new(LIMITS);
        for flow in ["a", "a", "b", "b"] {
            assert_eq!(seats.arrive(flow), Arrival::Seated);
        }
        let first = waiting(seats.arrive("a"));
        let second = waiting(seats.arrive("c"));
        let third = waiting(seats.arrive("b"));
        // `a` has waited longest, and holds one now; `c` holds none.
        assert_eq!(seats.leave("a"), [second]);
        assert_eq!(seats.leave("b"), [first]);
        assert_eq!(seats.leave("c"), [third]);
        assert_eq!((seats.taken(), seats.waiting()), (4, 0));
    }

    #[test]
    fn queues_are_bounded() {
        let mut seats = Seats::new(LIMITS);
        for _ in 0..2 {
            assert_eq!(seats.arrive("a"), Arrival::Seated);
        }
        for _ in 0..3 {
            waiting(seats.arrive("a"));
        }
        assert_eq!(seats.arrive("a"), Arrival::Full);
        for flow in ["b", "b"] {
            assert_eq!(seats.arrive(flow), Arrival::Seated, "there are free seats, though not for a");
        }
        for _ in 0..3 {
            waiting(seats.arrive("b"));
        }
        assert_eq!(seats.arrive("c"), Arrival::Full);
    }

    #[test]
    fn one_that_is_called_while_it_gives_up_passes_the_seat_on() {
        let mut seats = Seats::new(LIMITS);
        for flow in ["a", "a"] {
            seats.arrive(flow);
        }
        let (first, second) = (waiting(seats.arrive("a")), waiting(seats.arrive("a")));
        assert_eq!(seats.leave("a"), [first]);
        assert_eq!(seats.abandon("a", first), [second]);
        assert_eq!(seats.abandon("a", second), []);
        assert_eq!(seats.leave("a"), []);
        assert!(seats.flows.is_empty());
    }

    #[derive(Clone, Debug)]
    enum Step {
        Arrive(usize),
        /// Which of those seated leaves.
        Leave(usize),
        /// Which of those waiting gives up.
        Abandon(usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => (0..5_usize).prop_map(Step::Arrive),
            3 => any::<usize>().prop_map(Step::Leave),
            1 => any::<usize>().prop_map(Step::Abandon),
        ];
        proptest::collection::vec(step, 0..200)
    }

    proptest! {
        #[test]
        fn no_seat_is_lost_none_is_left_free_and_nobody_has_too_many(steps in steps()) {
            let mut seats = Seats::new(LIMITS);
            let mut seated: Vec<usize> = Vec::new();
            let mut queue: Vec<(Ticket, usize)> = Vec::new();
            let name = |flow: usize| ["a", "b", "c", "d", "e"][flow];
            for step in steps {
                let called = match step {
                    Step::Arrive(flow) => {
                        match seats.arrive(name(flow)) {
                            Arrival::Seated => seated.push(flow),
                            Arrival::Waiting(ticket) => queue.push((ticket, flow)),
                            Arrival::Full => {
                                let own = queue.iter().filter(|(_, other)| *other == flow).count();
                                prop_assert!(queue.len() == LIMITS.waiting || own == LIMITS.waiting_of_flow);
                            }
                        }
                        Vec::new()
                    }
                    Step::Leave(which) if !seated.is_empty() => {
                        let flow = seated.swap_remove(which % seated.len());
                        seats.leave(name(flow))
                    }
                    Step::Abandon(which) if !queue.is_empty() => {
                        let (ticket, flow) = queue.remove(which % queue.len());
                        seats.abandon(name(flow), ticket)
                    }
                    _ => Vec::new(),
                };
                for ticket in called {
                    let place = queue.iter().position(|(waiting, _)| *waiting == ticket);
                    seated.push(queue.remove(place.expect("only those who wait are called")).1);
                }
                prop_assert_eq!((seats.taken(), seats.waiting()), (seated.len(), queue.len()));
                prop_assert!(seated.len() <= LIMITS.seats);
                for flow in 0..5 {
                    let held = seated.iter().filter(|other| **other == flow).count();
                    prop_assert!(held <= LIMITS.seats_of_flow);
                    let waits = queue.iter().any(|(_, other)| *other == flow);
                    // Nobody waits for a seat that is free.
                    prop_assert!(!waits || held == LIMITS.seats_of_flow || seated.len() == LIMITS.seats);
                }
            }
        }
    }
}
