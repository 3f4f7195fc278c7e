//! Processes under measurement: where they run, what they use, how they end.

use std::io;
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{CpuSet, sched_setaffinity};

use crate::Failure;

/// Lets this thread, and those it starts from now on, run on one processor only.
///
/// # Errors
/// When there is no such processor, or this process may not use it.
pub fn pin(cpu: usize) -> io::Result<()> {
    if cpu >= CpuSet::MAX_CPU {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut set = CpuSet::new();
    set.set(cpu);
    Ok(sched_setaffinity(None, &set)?)
}

/// What all threads of a process have run so far, from the scheduler's own count in nanoseconds. Threads that have ended
/// are not in it: the processes measured here keep theirs.
///
/// # Errors
/// When there is no such process.
pub fn processor_time(id: u32) -> io::Result<Duration> {
    let mut total = 0;
    for thread in std::fs::read_dir(format!("/proc/{id}/task"))? {
        let text = match std::fs::read_to_string(thread?.path().join("schedstat")) {
            Ok(text) => text,
            // It has ended between being listed and being asked.
            Err(error) if ended(&error) => continue,
            Err(error) => return Err(error),
        };
        let first = text.split_whitespace().next().and_then(|nanoseconds| nanoseconds.parse::<u64>().ok());
        total += first.ok_or(io::ErrorKind::InvalidData)?;
    }
    Ok(Duration::from_nanos(total))
}

/// What a process has run so far, threads that have ended included, in steps of 10 ms: for processes whose threads come and
/// go, over times that are long beside a step.
///
/// # Errors
/// When there is no such process.
pub fn processor_time_with_ended_threads(id: u32) -> io::Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat"))?;
    ticks(&stat)
        .map(|ticks| Duration::from_millis(ticks * 1000 / rustix::param::clock_ticks_per_second()))
        .ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// User and system time, behind the program's name, which may hold anything.
fn ticks(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

/// How long this thread has run so far.
#[must_use]
pub fn own_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

fn ended(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
        || error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error())
}

/// The memory of a process that no file backs, in KiB: `RssAnon`.
///
/// # Errors
/// When there is no such process.
pub fn anonymous_memory(id: u32) -> io::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
    field(&status, "RssAnon").ok_or_else(|| io::ErrorKind::InvalidData.into())
}

fn field(status: &str, name: &str) -> Option<u64> {
    status.lines().find_map(|line| {
        let value = line.strip_prefix(name)?.strip_prefix(':')?;
        value.split_whitespace().next()?.parse().ok()
    })
}

/// Lets `duration` pass between two looks at something.
pub fn pause(duration: Duration) {
    let until = Instant::now() + duration;
    loop {
        let rest = until.saturating_duration_since(Instant::now());
        if rest.is_zero() {
            return;
        }
        // May return early, hence the loop.
        std::thread::park_timeout(rest);
    }
}

/// A child that does not outlive the benchmark.
#[derive(Debug)]
pub struct Running(Child);

impl Running {
    /// Takes charge of a started child.
    pub fn new(child: Child) -> Self {
        Self(child)
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// When the system cannot say.
    pub fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.0.try_wait()
    }

    /// Asks the child to end (SIGTERM) and waits until it has, which takes the time that is returned.
    ///
    /// # Errors
    /// When it has not ended within `limit`; it is then killed.
    pub fn terminate(mut self, limit: Duration) -> Result<(ExitStatus, Duration), Failure> {
        let asked = Instant::now();
        let id = i32::try_from(self.id()).ok().and_then(Pid::from_raw).ok_or("a process without an id")?;
        kill_process(id, Signal::TERM)?;
        while asked.elapsed() < limit {
            if let Some(status) = self.0.try_wait()? {
                return Ok((status, asked.elapsed()));
            }
            pause(Duration::from_micros(200));
        }
        Err(format!("the process did not end within {limit:?} of SIGTERM").into())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to kill.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_field_of_status_is_found_by_its_whole_name() {
        let status = "VmRSS:\t  900 kB\nRssAnon:\t     512 kB\nRssFile:\t 388 kB\n";
        assert_eq!(field(status, "RssAnon"), Some(512));
        assert_eq!(field(status, "Rss"), None);
    }

    #[test]
    fn this_process_has_memory_and_has_run() {
        let id = std::process::id();
        assert!(anonymous_memory(id).unwrap() > 0);
        let before = processor_time(id).unwrap();
        // The scheduler counts now and then: run until it has, with a limit.
        let limit = Instant::now() + Duration::from_secs(20);
        while processor_time(id).unwrap() == before {
            assert!(Instant::now() < limit, "20 s of work are not counted");
        }
    }

    #[test]
    fn a_child_ends_when_asked_and_when_dropped() {
        let start = || Running::new(Command::new("cat").stdin(Stdio::piped()).spawn().unwrap());
        let (status, _) = start().terminate(Duration::from_secs(20)).unwrap();
        assert!(!status.success());
        let child = start();
        let id = child.id();
        drop(child);
        assert!(anonymous_memory(id).is_err());
    }

    #[test]
    fn a_processor_that_is_not_there_is_refused() {
        assert!(pin(CpuSet::MAX_CPU).is_err());
    }
}
