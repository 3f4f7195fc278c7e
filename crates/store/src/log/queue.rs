//! What waits for the thread that writes, and when that thread is woken.
//!
//! To wake the thread and to sync cost the processor as much for one write as for a hundred. So whoever puts the first write
//! into an empty queue has a task wait until the runtime's other tasks have had their turn, and wakes the thread when
//! no more writes come of it: at once on an idle server, whereas on a busy one the requests that are under way share a sync.
//! What comes while the thread is at work waits for it in any case.

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use tokio::runtime::Handle;

use super::writer::Message;

/// A runtime's turn lets connections be read, the next one what was read be carried out.
const QUIET_TURNS: usize = 2;
/// As many writes do not wait for more.
const ENOUGH: usize = 256;
/// No write waits longer for others.
const LONGEST: Duration = Duration::from_millis(2);

/// The thread does not write any more.
pub(super) struct Closed;

/// Messages to the thread that writes, in order.
pub(super) struct Queue<I> {
    state: Mutex<State<I>>,
    bell: Condvar,
}

struct State<I> {
    messages: VecDeque<Message<I>>,
    /// Whether the thread shall take what waits.
    is_rung: bool,
    /// Nobody will write any more.
    is_abandoned: bool,
    /// The thread is gone.
    is_closed: bool,
}

impl<I> Queue<I> {
    pub(super) fn new() -> Self {
        let state =
            State { messages: VecDeque::new(), is_rung: false, is_abandoned: false, is_closed: false };
        Self { state: Mutex::new(state), bell: Condvar::new() }
    }

    /// Adds a message, and gives how many wait now. Somebody has to ring after the first.
    fn add(&self, message: Message<I>) -> Result<usize, Closed> {
        let mut state = self.state.lock();
        if state.is_closed {
            return Err(Closed);
        }
        state.messages.push_back(message);
        Ok(state.messages.len())
    }

    /// How many messages wait.
    fn len(&self) -> usize {
        self.state.lock().messages.len()
    }

    /// Wakes the thread for what waits.
    fn ring(&self) {
        let mut state = self.state.lock();
        if !state.messages.is_empty() {
            state.is_rung = true;
            self.bell.notify_one();
        }
    }

    /// Adds a message for which the thread is woken now.
    pub(super) fn send(&self, message: Message<I>) -> Result<(), Closed> {
        self.add(message)?;
        self.ring();
        Ok(())
    }

    /// Says that nobody will add anything.
    pub(super) fn abandon(&self) {
        self.state.lock().is_abandoned = true;
        self.bell.notify_one();
    }
}

impl<I: Send + Sync + 'static> Queue<I> {
    /// Adds a message for which the thread is woken soon, together with others.
    pub(super) fn send_with_others(self: &Arc<Self>, message: Message<I>) -> Result<(), Closed> {
        if self.add(message)? > 1 {
            // Whoever came first sees to it.
            return Ok(());
        }
        let ringer = Ringer(self.clone());
        match Handle::try_current() {
            Ok(runtime) => {
                runtime.spawn(gather(ringer));
            }
            // Nobody takes turns: dropping it rings.
            Err(_) => drop(ringer),
        }
        Ok(())
    }
}

/// Rings when it is dropped, so that nothing keeps waiting whatever becomes of its task.
struct Ringer<I>(Arc<Queue<I>>);

impl<I> Drop for Ringer<I> {
    fn drop(&mut self) {
        self.0.ring();
    }
}

/// Waits while other tasks add to the queue.
async fn gather<I>(ringer: Ringer<I>) {
    let started = Instant::now();
    let mut most = 1;
    let mut quiet_turns = 0;
    while quiet_turns < QUIET_TURNS && most < ENOUGH && started.elapsed() < LONGEST {
        tokio::task::yield_now().await;
        let waiting = ringer.0.len();
        if waiting == 0 {
            // The thread has come by.
            return;
        }
        quiet_turns = if waiting > most { 0 } else { quiet_turns + 1 };
        most = most.max(waiting);
    }
}

/// The thread's end of the queue; dropping it refuses what waits and what comes.
pub(super) struct Receiver<I>(Arc<Queue<I>>);

impl<I> Receiver<I> {
    pub(super) fn new(queue: Arc<Queue<I>>) -> Self {
        Self(queue)
    }

    /// Waits until the bell is rung, and takes all that waits then; `None` when nobody will add anything.
    pub(super) fn receive(&self) -> Option<VecDeque<Message<I>>> {
        let mut state = self.0.state.lock();
        loop {
            if !state.messages.is_empty() && (state.is_rung || state.is_abandoned) {
                state.is_rung = false;
                return Some(mem::take(&mut state.messages));
            }
            if state.is_abandoned {
                return None;
            }
            self.0.bell.wait(&mut state);
        }
    }
}

impl<I> Drop for Receiver<I> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.is_closed = true;
        let refused = mem::take(&mut state.messages);
        drop(state);
        // Their senders are dropped with them, which tells who waits.
        drop(refused);
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;
    use crate::change::Change;
    use crate::{Key, Unstamped};

    fn message(name: &str) -> Message<()> {
        let key = Key::new("pods", None, name).expect("a good name");
        let change = Change::Create { key, value: Unstamped::new(Vec::new(), 0), index: () };
        Message::Write(change, oneshot::channel().0)
    }

    fn names(messages: &VecDeque<Message<()>>) -> Vec<&str> {
        let names = messages.iter().map(|message| match message {
            Message::Write(change, _) => change.key().name(),
            Message::Close(_) => "close",
        });
        names.collect()
    }

    #[tokio::test]
    async fn tasks_that_write_at_the_same_time_share_a_sync() {
        let queue = Arc::new(Queue::new());
        let receiver = Receiver::new(queue.clone());
        let thread = std::thread::spawn(move || receiver.receive());
        for (name, turns) in [("a", 0), ("b", 0), ("c", 2)] {
            let queue = queue.clone();
            tokio::spawn(async move {
                for _ in 0..turns {
                    tokio::task::yield_now().await;
                }
                queue.send_with_others(message(name)).unwrap_or_else(|Closed| panic!("it is open"));
            });
        }
        let taken = tokio::task::spawn_blocking(|| thread.join()).await;
        let taken = taken.expect("it ends").expect("it does not panic").expect("three messages");
        assert_eq!(names(&taken), ["a", "b", "c"]);
    }

    #[test]
    fn without_a_runtime_nobody_waits_for_others() {
        let queue = Arc::new(Queue::new());
        let receiver = Receiver::new(queue.clone());
        assert!(queue.send_with_others(message("a")).is_ok());
        assert_eq!(receiver.receive().as_ref().map(names), Some(vec!["a"]));
        assert!(queue.send(message("b")).is_ok());
        queue.abandon();
        assert_eq!(receiver.receive().as_ref().map(names), Some(vec!["b"]));
        assert!(receiver.receive().is_none());
        drop(receiver);
        assert!(queue.send(message("c")).is_err() && queue.send_with_others(message("d")).is_err());
    }

    #[test]
    fn a_runtime_that_ends_leaves_nothing_waiting() {
        let queue = Arc::new(Queue::new());
        let receiver = Receiver::new(queue.clone());
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async { queue.send_with_others(message("a")).is_ok() });
        drop(runtime);
        assert_eq!(receiver.receive().as_ref().map(names), Some(vec!["a"]));
    }
}
