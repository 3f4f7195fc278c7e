//! From exec to `/readyz` of `tokenward up` without pods, and its anonymous memory some seconds later.
#![expect(clippy::print_stdout, reason = "the result goes to standard output")]

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use clap::Parser;
use tokenward_benches::statistics::{Spread, milliseconds};
use tokenward_benches::up::Up;
use tokenward_benches::{Failure, client, machine, process};

/// Start of `tokenward up`: time to ready, memory.
#[derive(Debug, Parser)]
struct Arguments {
    /// The `tokenward` binary.
    binary: PathBuf,
    /// Runs that count, after one that does not.
    #[arg(long, default_value_t = 11)]
    runs: usize,
    /// Seconds from ready to the look at its memory.
    #[arg(long, default_value_t = 5)]
    settle: u64,
}

struct Run {
    ready: Duration,
    memory_kib: u64,
    processor_time: Duration,
    stop: Duration,
    floor: Duration,
}

fn main() -> Result<(), Failure> {
    let arguments = Arguments::parse();
    println!("{}", machine::heading("start"));
    let mut runs = Vec::new();
    for number in 0..=arguments.runs.max(1) {
        let run = run(&arguments)?;
        if number > 0 {
            runs.push(run);
        }
    }
    let settled = arguments.settle;
    let rows = [
        ("exec to /readyz, ms".to_owned(), Spread::over(&runs, |run| milliseconds(run.ready))),
        (
            format!("anonymous memory {settled} s later, MiB"),
            Spread::over(&runs, |run| f64::from(u32::try_from(run.memory_kib).unwrap_or(u32::MAX)) / 1024.0),
        ),
        (
            format!("CPU from exec to {settled} s later, ms"),
            Spread::over(&runs, |run| milliseconds(run.processor_time)),
        ),
        ("SIGTERM to exit, ms".to_owned(), Spread::over(&runs, |run| milliseconds(run.stop))),
        ("floor: exec to exit of `true`, ms".to_owned(), Spread::over(&runs, |run| milliseconds(run.floor))),
    ];
    println!("{} runs, median (least - most):", runs.len());
    let rows = rows.map(|(name, spread)| [name, format!("{spread:.2}")]);
    println!("{}", machine::table(["tokenward up without pods", "figure"], rows));
    Ok(())
}

fn run(arguments: &Arguments) -> Result<Run, Failure> {
    let started = Instant::now();
    Command::new("true").status()?;
    let floor = started.elapsed();

    let tls = client::believing_anyone()?;
    let mut up = Up::start(&arguments.binary, [""; 0])?;
    let ready = up.wait_until_ready(&tls, Duration::from_secs(60))?;
    process::pause(Duration::from_secs(arguments.settle));
    let memory_kib = process::anonymous_memory(up.id())?;
    let processor_time = process::processor_time(up.id())?;
    let (_, stop) = up.stop()?;
    Ok(Run { ready, memory_kib, processor_time, stop, floor })
}
