//! The bell of a collection, which wakes the watchers that wait for its writes.
//!
//! A write wakes everybody, most of whom wait again a moment later, from the same task as before. So each listener has a
//! place of its own for as long as it lives, where its waker stays: to wait again is to say so.

use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

/// So many are woken before others get at the places.
const AT_ONCE: usize = 32;

/// Rung by writers. Clones are the same bell.
#[derive(Clone, Default)]
pub(crate) struct Bell(Arc<State>);

#[derive(Default)]
struct State {
    /// How often it has been rung. Raised before the places are looked at, so that whoever takes a place after the look
    /// has seen that it was.
    rung: AtomicU64,
    places: Mutex<Places>,
}

#[derive(Default)]
struct Places {
    all: Vec<Place>,
    free: Vec<usize>,
}

#[derive(Default)]
struct Place {
    waker: Option<Waker>,
    is_waiting: bool,
}

/// Hears the bell.
pub(crate) struct Listener {
    bell: Bell,
    /// How often the bell had been rung when that was last heard.
    heard: u64,
    /// Taken when it first waits.
    place: Option<usize>,
}

impl Bell {
    /// Wakes all who wait.
    pub(crate) fn ring(&self) {
        self.0.rung.fetch_add(1, Ordering::SeqCst);
        let mut next = 0;
        loop {
            let mut places = self.0.places.lock();
            let Some(some) = places.all.get_mut(next..).filter(|rest| !rest.is_empty()) else { return };
            for place in some.iter_mut().take(AT_ONCE) {
                if mem::take(&mut place.is_waiting)
                    && let Some(waker) = &place.waker
                {
                    waker.wake_by_ref();
                }
            }
            next += AT_ONCE;
        }
    }

    /// A listener that has heard all that was rung so far.
    pub(crate) fn listen(&self) -> Listener {
        Listener { bell: self.clone(), heard: self.0.rung.load(Ordering::SeqCst), place: None }
    }
}

impl Listener {
    /// Takes all that was rung so far for heard.
    pub(crate) fn mark_heard(&mut self) {
        self.heard = self.bell.0.rung.load(Ordering::SeqCst);
    }

    /// Waits until the bell has been rung since it was last heard.
    pub(crate) fn poll_rung(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.has_rung() {
            return Poll::Ready(());
        }
        let mut places = self.bell.0.places.lock();
        // Whoever rings from here on finds this listener waiting.
        if self.has_rung() {
            return Poll::Ready(());
        }
        let place = *self.place.get_or_insert_with(|| places.take());
        let place = &mut places.all[place];
        place.is_waiting = true;
        let known = place.waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker()));
        let former = if known { None } else { place.waker.replace(context.waker().clone()) };
        drop(places);
        // Not before: with it may go a task, and with the task other listeners.
        drop(former);
        Poll::Pending
    }

    fn has_rung(&self) -> bool {
        self.bell.0.rung.load(Ordering::SeqCst) != self.heard
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let Some(place) = self.place else { return };
        let mut places = self.bell.0.places.lock();
        let left = mem::take(&mut places.all[place]);
        places.free.push(place);
        drop(places);
        drop(left);
    }
}

impl Places {
    fn take(&mut self) -> usize {
        self.free.pop().unwrap_or_else(|| {
            self.all.push(Place::default());
            self.all.len() - 1
        })
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    impl Count {
        fn get(&self) -> usize {
            self.0.load(Ordering::SeqCst)
        }
    }

    fn task() -> (Arc<Count>, Waker) {
        let count = Arc::new(Count::default());
        (count.clone(), Waker::from(count))
    }

    #[test]
    fn all_who_wait_are_woken_once() {
        let bell = Bell::default();
        let mut listeners: Vec<_> = (0..3 * AT_ONCE + 1).map(|_| (bell.listen(), task())).collect();
        for (listener, (_, waker)) in &mut listeners {
            assert!(listener.poll_rung(&mut Context::from_waker(waker)).is_pending());
        }
        bell.ring();
        bell.ring();
        for (listener, (count, waker)) in &mut listeners {
            assert_eq!(count.get(), 1, "nobody waits between the two");
            assert!(listener.poll_rung(&mut Context::from_waker(waker)).is_ready(), "until it is marked");
            listener.mark_heard();
            assert!(listener.poll_rung(&mut Context::from_waker(waker)).is_pending());
        }
        bell.ring();
        assert!(listeners.iter().all(|(_, (count, _))| count.get() == 2));
    }

    #[test]
    fn the_task_that_waited_last_is_woken() {
        let bell = Bell::default();
        let mut listener = bell.listen();
        let tasks = [task(), task()];
        for (_, waker) in &tasks {
            assert!(listener.poll_rung(&mut Context::from_waker(waker)).is_pending());
        }
        bell.ring();
        assert_eq!(tasks.map(|(count, _)| count.get()), [0, 1]);
    }

    #[test]
    fn a_place_goes_back_with_its_waker() {
        let bell = Bell::default();
        for _ in 0..3 {
            let (count, waker) = task();
            let mut listeners = [bell.listen(), bell.listen()];
            for listener in &mut listeners {
                assert!(listener.poll_rung(&mut Context::from_waker(&waker)).is_pending());
            }
            drop((listeners, waker));
            bell.ring();
            assert_eq!((count.get(), Arc::strong_count(&count)), (0, 1), "nobody is there any more");
            assert_eq!(bell.0.places.lock().all.len(), 2);
        }
    }

    /// The last waker of a task takes with it what the task held.
    #[test]
    fn a_waker_that_goes_may_take_other_listeners_with_it() {
        struct Holder(#[expect(dead_code, reason = "it is dropped")] Option<Mutex<Listener>>);
        impl Wake for Holder {
            fn wake(self: Arc<Self>) {}
        }
        let bell = Bell::default();
        let mut held = bell.listen();
        assert!(held.poll_rung(&mut Context::from_waker(Waker::noop())).is_pending());
        let mut listener = bell.listen();
        let waker = Waker::from(Arc::new(Holder(Some(Mutex::new(held)))));
        assert!(listener.poll_rung(&mut Context::from_waker(&waker)).is_pending());
        drop(waker);
        assert!(listener.poll_rung(&mut Context::from_waker(Waker::noop())).is_pending());
        assert_eq!(bell.0.places.lock().free.len(), 1);
        let waker = Waker::from(Arc::new(Holder(Some(Mutex::new(bell.listen())))));
        assert!(listener.poll_rung(&mut Context::from_waker(&waker)).is_pending());
        drop((waker, listener));
        assert_eq!(bell.0.places.lock().free.len(), 2);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn no_ring_is_missed_by_whoever_waits_meanwhile() {
        const RINGS: u64 = 10_000;
        let bell = Bell::default();
        let listeners: Vec<_> = (0..100)
            .map(|_| {
                let mut listener = bell.listen();
                tokio::spawn(async move {
                    while listener.heard < RINGS {
                        poll_fn(|context| listener.poll_rung(context)).await;
                        listener.mark_heard();
                    }
                })
            })
            .collect();
        let ringer = std::thread::spawn(move || (0..RINGS).for_each(|_| bell.ring()));
        for listener in listeners {
            listener.await.expect("it does not panic");
        }
        ringer.join().expect("it does not panic");
    }
}
