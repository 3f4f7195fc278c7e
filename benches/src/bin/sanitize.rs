//! One NodePublishVolume request made fit for a log: ours and Go's protosanitizer, in turn in one run.
#![expect(clippy::print_stdout, reason = "the result goes to standard output")]

use std::hint::black_box;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use clap::Parser;
use prost::Message as _;
use tokenward_benches::statistics::Spread;
use tokenward_benches::{Failure, machine, publish};
use tokenward_csi::TABLE;
use tokenward_sanitize::Sanitizer;
use tokenward_tokens::Placement;

const MESSAGE: &str = "csi.v1.NodePublishVolumeRequest";

/// What it costs to sanitize a request with three audiences.
#[derive(Debug, Parser)]
struct Arguments {
    /// The program that `tests/peers/setup` builds of `tests/peers/protosanitizer`.
    #[arg(long, value_name = "PROGRAM")]
    go: PathBuf,
    /// Rounds that count, after one that does not.
    #[arg(long, default_value_t = 31)]
    rounds: usize,
    /// How long a turn of each subject takes, about, in milliseconds.
    #[arg(long, default_value_t = 20)]
    turn: u64,
}

/// Somebody who does a thing so many times, and says how long it took and how much was written for each.
struct Subject {
    name: String,
    work: Box<dyn FnMut(u64) -> Result<Turn, Failure>>,
    times: u64,
    nanoseconds: Vec<f64>,
    last: Turn,
}

#[derive(Clone, Copy, Default)]
struct Turn {
    elapsed: Duration,
    bytes_each: u64,
    allocations_each: Option<f64>,
}

fn main() -> Result<(), Failure> {
    let arguments = Arguments::parse();
    println!("{}", machine::heading("sanitize"));
    let tokens = publish::tokens(&["vault", "sts.example", "https://kubernetes.default.svc"]);
    let mut subjects = Vec::new();
    for placement in [Placement::Secrets, Placement::VolumeContext] {
        let request = publish::request(&tokens, placement);
        let wire = request.encode_to_vec();
        let message = TABLE.find(MESSAGE).ok_or("CSI without NodePublishVolume")?;
        let clean = Sanitizer::new().json(&TABLE, message, &wire).to_owned();
        let mut go = Go::start(&arguments.go, &wire)?;
        subjects.push(Subject::of(format!("Go, tokens in {placement}"), move |times| go.turn(times)));
        let mut sanitizer = Sanitizer::new();
        let name = format!("ours, tokens in {placement}: {} bytes on the wire", wire.len());
        subjects.push(Subject::here(name, move || sanitizer.json(&TABLE, message, black_box(&wire)).len()));
        let mut sanitizer = Sanitizer::new();
        let name = format!("ours, tokens in {placement}: from the type, which is encoded first");
        subjects.push(Subject::here(name, move || sanitizer.message_json(black_box(&request)).len()));
        let mut text = String::new();
        subjects.push(Subject::here("floor: writing as many bytes".to_owned(), move || {
            text.clear();
            text.push_str(black_box(&clean));
            black_box(&text).len()
        }));
    }
    let turn = Duration::from_millis(arguments.turn);
    for subject in &mut subjects {
        subject.fit(turn)?;
    }
    for round in 0..=arguments.rounds.max(1) {
        for subject in &mut subjects {
            subject.take_turn(round > 0)?;
        }
    }
    let header = ["work", "ns, median (least - most)", "bytes written", "allocations"];
    println!("{}", machine::table(header, subjects.iter().map(Subject::row)));
    Ok(())
}

impl Subject {
    fn of(name: String, work: impl FnMut(u64) -> Result<Turn, Failure> + 'static) -> Self {
        Self { name, work: Box::new(work), times: 1, nanoseconds: Vec::new(), last: Turn::default() }
    }

    fn here(name: String, mut work: impl FnMut() -> usize + 'static) -> Self {
        Self::of(name, move |times| {
            let started = Instant::now();
            let mut bytes = 0;
            for _ in 0..times {
                bytes += work() as u64;
            }
            Ok(Turn { elapsed: started.elapsed(), bytes_each: bytes / times, allocations_each: None })
        })
    }

    /// Finds how often the work fits into a turn.
    fn fit(&mut self, turn: Duration) -> Result<(), Failure> {
        while (self.work)(self.times)?.elapsed * 2 < turn {
            self.times *= 2;
        }
        Ok(())
    }

    fn take_turn(&mut self, counts: bool) -> Result<(), Failure> {
        self.last = (self.work)(self.times)?;
        if counts {
            self.nanoseconds.push(self.last.elapsed.as_secs_f64() * 1e9 / self.times as f64);
        }
        Ok(())
    }

    fn row(&self) -> [String; 4] {
        let spread = Spread::over(&self.nanoseconds, |nanoseconds| *nanoseconds);
        let allocations = self
            .last
            .allocations_each
            .map_or_else(|| "0: crates/csi/tests/allocations.rs".to_owned(), |each| format!("{each:.0}"));
        [self.name.clone(), format!("{spread:.0}"), self.last.bytes_each.to_string(), allocations]
    }
}

/// The Go program, which sanitizes one message as often as it is told to.
struct Go {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Go {
    fn start(program: &Path, wire: &[u8]) -> Result<Self, Failure> {
        let mut child =
            Command::new(program).arg("measure").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (Some(mut input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("the Go program has no pipes".into());
        };
        for frame in [MESSAGE.as_bytes(), wire] {
            input.write_all(&u32::try_from(frame.len())?.to_be_bytes())?;
            input.write_all(frame)?;
        }
        Ok(Self { child, input, output: BufReader::new(output) })
    }

    fn turn(&mut self, times: u64) -> Result<Turn, Failure> {
        writeln!(self.input, "{times}")?;
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        let numbers: Vec<u64> = line.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
        let [nanoseconds, bytes, allocations] = numbers[..] else {
            return Err("the Go program answers something else; build it anew with tests/peers/setup".into());
        };
        Ok(Turn {
            elapsed: Duration::from_nanos(nanoseconds),
            bytes_each: bytes / times,
            allocations_each: Some(allocations as f64 / times as f64),
        })
    }
}

impl Drop for Go {
    fn drop(&mut self) {
        // It may have ended by itself; nobody is to be told.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
