//! Ctrl-C and SIGTERM: the first asks to finish in order, the second to finish at once. And SIGHUP, which asks to read the configuration
//! anew.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// What signals have asked for. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stop {
    /// Stop taking work, finish what is begun, clean up.
    pub(crate) drain: CancellationToken,
    /// Stop waiting for what is begun; clean up all the same.
    pub(crate) immediate: CancellationToken,
}

impl Stop {
    /// Starts to listen. From here on neither signal kills the process.
    pub(crate) fn on_signals() -> io::Result<Self> {
        let interrupts = signal(SignalKind::interrupt())?;
        let terminations = signal(SignalKind::terminate())?;
        let stop = Self::default();
        tokio::spawn(listen(stop.clone(), interrupts, terminations));
        Ok(stop)
    }

    /// One more signal has come.
    fn asked(&self) {
        if self.drain.is_cancelled() {
            self.immediate.cancel();
        }
        self.drain.cancel();
    }
}

/// Starts to listen for SIGHUP; from here on it does not kill the process. Several that come while one is being followed are one.
pub(crate) fn hang_ups() -> io::Result<mpsc::Receiver<()>> {
    let mut signals = signal(SignalKind::hangup())?;
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        while signals.recv().await.is_some() && !sender.is_closed() {
            // A full channel has the wish already.
            let _ = sender.try_send(());
        }
    });
    Ok(receiver)
}

async fn listen(stop: Stop, mut interrupts: Signal, mut terminations: Signal) {
    while !stop.immediate.is_cancelled() {
        tokio::select! {
            _ = interrupts.recv() => stop.asked(),
            _ = terminations.recv() => stop.asked(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_signal_drains_and_the_second_ends() {
        let stop = Stop::default();
        stop.asked();
        assert!(stop.drain.is_cancelled() && !stop.immediate.is_cancelled());
        stop.asked();
        assert!(stop.immediate.is_cancelled());
    }
}
