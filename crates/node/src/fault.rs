//! Points at which a test can kill this process, as a power cut or an operator would: between any two things that outlive
//! it. Outside of tests they are nothing.

/// Does nothing.
#[cfg(not(test))]
#[inline(always)]
pub(crate) fn point(_what: &'static str) {}

#[cfg(test)]
pub(crate) use self::armed::point;

#[cfg(test)]
pub(crate) mod armed {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// `NUMBER FILE POINT`: die when this point is passed for this time, the first being 1, and make the file.
    pub(crate) const DIE_AT: &str = "TOKENWARD_TEST_DIE_AT";

    struct Chosen {
        number: u64,
        file: String,
        point: String,
    }

    /// Dies at the point that was chosen.
    pub(crate) fn point(what: &'static str) {
        static CHOSEN: OnceLock<Option<Chosen>> = OnceLock::new();
        static PASSED: AtomicU64 = AtomicU64::new(0);
        let chosen = CHOSEN.get_or_init(|| {
            let chosen = std::env::var(DIE_AT).ok()?;
            let mut words = chosen.splitn(3, ' ');
            Some(Chosen {
                number: words.next()?.parse().ok()?,
                file: words.next()?.to_owned(),
                point: words.next()?.to_owned(),
            })
        });
        let Some(chosen) = chosen.as_ref().filter(|chosen| chosen.point == what) else { return };
        if PASSED.fetch_add(1, Ordering::SeqCst) + 1 == chosen.number {
            // Should it not be written, the test says so.
            let _ = std::fs::write(&chosen.file, "");
            let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
            // Nothing of this process goes on.
            loop {
                std::thread::park();
            }
        }
    }
}
