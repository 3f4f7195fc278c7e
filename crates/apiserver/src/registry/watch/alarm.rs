//! The alarm of a watch: looked at with every event, and rung once in a minute at most.
//!
//! Whoever waits for it is entered with the clock once, and from then on reads whether it has rung. To ask the clock with
//! every event would cost more than the event.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use tokio::task::unconstrained;
use tokio::time::{Instant, Sleep, sleep_until};

/// An alarm that rings once.
pub(super) struct Alarm {
    sleep: Pin<Box<Sleep>>,
    /// The task that the clock wakes.
    entered: Option<Waker>,
}

impl Alarm {
    /// Rings at this time.
    pub(super) fn set_to(time: Instant) -> Self {
        Self { sleep: Box::pin(sleep_until(time)), entered: None }
    }

    /// Waits until it rings; the time that it was set to.
    pub(super) fn poll_rung(&mut self, context: &mut Context<'_>) -> Poll<Instant> {
        let is_entered = self.entered.as_ref().is_some_and(|waker| waker.will_wake(context.waker()));
        if is_entered && !self.sleep.is_elapsed() {
            return Poll::Pending;
        }
        // Without a turn of its own among others: one that has to wait for its turn is not entered.
        let rung = pin!(unconstrained(self.sleep.as_mut())).poll(context).map(|()| self.sleep.deadline());
        if rung.is_pending() && !is_entered {
            self.entered = Some(context.waker().clone());
        }
        rung
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use futures_util::task::noop_waker;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_task_that_waited_last_is_woken_at_the_time() {
        let time = Instant::now() + Duration::from_secs(60);
        let mut alarm = Alarm::set_to(time);
        // Another task has waited before, and will not be woken for this one.
        for _ in 0..2 {
            assert!(alarm.poll_rung(&mut Context::from_waker(&noop_waker())).is_pending());
        }
        assert_eq!(poll_fn(|context| alarm.poll_rung(context)).await, time);
        assert_eq!(Instant::now(), time);
        assert!(alarm.poll_rung(&mut Context::from_waker(&noop_waker())).is_ready(), "it stays rung");
    }
}
