//! A signal that is given once, and listened for by many who are busy with something else.
//!
//! Whoever waits for several things at once looks at each of them whenever one of them wakes it. To look at a cancellation
//! token costs a lock that all listeners share; for a connection that is woken for every event that is much. So a listener
//! enters itself once for its task, and from then on reads a flag.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use tokio::task::unconstrained;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// The giver's end. Clones are the same signal.
#[derive(Clone, Default)]
pub(crate) struct Signal(Arc<State>);

#[derive(Default)]
struct State {
    /// Set before anybody is woken.
    is_given: AtomicBool,
    listeners: CancellationToken,
}

/// Waits for a signal.
pub(crate) struct Given {
    state: Arc<State>,
    /// Made when it is first waited for.
    entered: Option<(Pin<Box<WaitForCancellationFutureOwned>>, Waker)>,
}

impl Signal {
    /// Gives it. Once is as good as often.
    pub(crate) fn give(&self) {
        self.0.is_given.store(true, Ordering::SeqCst);
        self.0.listeners.cancel();
    }

    /// Waits until it is given; ready at once if it has been.
    pub(crate) fn given(&self) -> Given {
        Given { state: self.0.clone(), entered: None }
    }
}

impl Future for Given {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Self { state, entered } = &mut *self;
        if state.is_given.load(Ordering::SeqCst) {
            return Poll::Ready(());
        }
        match entered {
            // Whoever gives the signal from here on finds this task entered, and wakes it.
            Some((_, waker)) if waker.will_wake(context.waker()) => Poll::Pending,
            Some((waiting, waker)) => {
                // It is entered for the task that waits now, and for no other.
                if entered_by(waiting.as_mut(), context).is_ready() {
                    return Poll::Ready(());
                }
                waker.clone_from(context.waker());
                Poll::Pending
            }
            None => {
                let mut waiting = Box::pin(state.listeners.clone().cancelled_owned());
                if entered_by(waiting.as_mut(), context).is_ready() {
                    return Poll::Ready(());
                }
                *entered = Some((waiting, context.waker().clone()));
                Poll::Pending
            }
        }
    }
}

/// Enters the task with what it waits for. Not as one among others that take turns: one that has to wait for its turn
/// would not be entered.
fn entered_by(waiting: Pin<&mut WaitForCancellationFutureOwned>, context: &mut Context<'_>) -> Poll<()> {
    pin!(unconstrained(waiting)).poll(context)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    use futures_util::FutureExt as _;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn the_task_that_waited_last_is_woken_and_finds_it_given() {
        let signal = Signal::default();
        let mut given = signal.given();
        let tasks = [Arc::new(Count::default()), Arc::new(Count::default())];
        for task in [&tasks[0], &tasks[0], &tasks[1], &tasks[1]] {
            let waker = Waker::from(task.clone());
            assert!(given.poll_unpin(&mut Context::from_waker(&waker)).is_pending());
        }
        signal.give();
        assert_eq!(tasks.map(|task| task.0.load(Ordering::SeqCst)), [0, 1]);
        assert!(given.now_or_never().is_some());
        assert!(signal.given().now_or_never().is_some(), "it stays given");
    }

    #[tokio::test]
    async fn everybody_hears_it_wherever_they_are() {
        let signal = Signal::default();
        let listeners: Vec<_> = (0..100).map(|_| tokio::spawn(signal.given())).collect();
        tokio::task::yield_now().await;
        let giver = signal.clone();
        tokio::task::spawn_blocking(move || giver.give()).await.expect("it does not panic");
        for listener in listeners {
            listener.await.expect("it does not panic");
        }
    }
}
