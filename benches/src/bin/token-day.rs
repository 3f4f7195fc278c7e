//! A day of a fleet in virtual time: the TokenRequests of our nodes beside those of upstream's rule, and what comes after
//! all nodes restart at once.
#![expect(clippy::print_stdout, reason = "the result goes to standard output")]

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Parser;
use tokenward_benches::plot::{Line, Panel, svg};
use tokenward_benches::token_day::{Day, Fleet, Rule, day};
use tokenward_benches::{Failure, machine};
use tokenward_node::Republish;

/// A day of a fleet in virtual time: TokenRequests, ours beside upstream's rule.
#[derive(Debug, Parser)]
struct Arguments {
    /// Nodes.
    #[arg(long, default_value_t = 5_000)]
    nodes: usize,
    /// Pods, on the nodes in equal parts.
    #[arg(long, default_value_t = 150_000)]
    pods: usize,
    /// Audiences of each pod's tokens.
    #[arg(long, default_value_t = 3)]
    audiences: usize,
    /// Life of a token, in seconds.
    #[arg(long, default_value_t = 600)]
    life: i64,
    /// Hours; the nodes restart in the middle.
    #[arg(long, default_value_t = 24)]
    hours: u32,
    /// Tokens that the API server grants in a second when all nodes come at once.
    #[arg(long, default_value_t = 5_500.0)]
    capacity: f64,
    /// Our nodes publish each 60 to 90 s, as upstream, instead of with each new token.
    #[arg(long)]
    pod_sync: bool,
    /// Which of all such days.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Write the picture to this file.
    #[arg(long)]
    svg: Option<PathBuf>,
    /// Write the rate of each minute to this file.
    #[arg(long)]
    csv: Option<PathBuf>,
}

const HOUR: Duration = Duration::from_secs(3600);

fn main() -> Result<(), Failure> {
    let arguments = Arguments::parse();
    if arguments.nodes == 0
        || arguments.pods < arguments.nodes
        || arguments.hours < 4
        || arguments.audiences == 0
    {
        return Err("wanted one node, one pod on each, one audience and four hours at least".into());
    }
    let length = HOUR * arguments.hours;
    let fleet = Fleet {
        nodes: arguments.nodes,
        pods_per_node: arguments.pods / arguments.nodes,
        audiences: arguments.audiences,
        life: arguments.life,
        length,
        growth: HOUR,
        restart: length / 2,
        capacity: arguments.capacity,
        republish: if arguments.pod_sync { Republish::PodSync } else { Republish::OnChange },
        seed: arguments.seed,
    };
    println!("{}", machine::heading("token-day"));
    let began = Instant::now();
    let (ours, upstream) = (day(&fleet, Rule::Ours), day(&fleet, Rule::Upstream));
    println!(
        "{} nodes, {} pods, {} audiences at {} s, {} hours in {:.0} s:",
        fleet.nodes,
        fleet.nodes * fleet.pods_per_node,
        fleet.audiences,
        fleet.life,
        arguments.hours,
        began.elapsed().as_secs_f64()
    );
    let header = [
        "TokenRequests/s",
        "mean",
        "most",
        "most after the restart's crowd",
        "calm again after",
        "deliveries",
        "stale",
        "least left",
    ];
    println!(
        "{}",
        machine::table(header, [row("ours", &fleet, &ours), row("upstream's rule", &fleet, &upstream)])
    );
    println!(
        "mean and most (of any 10 s) before the restart; the crowd: {} tokens at {} a second take {:.0} s, for both.",
        fleet.tokens(),
        fleet.capacity,
        fleet.crowd().as_secs_f64()
    );
    if let Some(path) = &arguments.csv {
        std::fs::write(path, csv(&fleet, &ours, &upstream))?;
    }
    if let Some(path) = &arguments.svg {
        std::fs::write(path, picture(&fleet, &ours, &upstream))?;
    }
    if ours.stale > 0 {
        return Err(format!("{} deliveries of ours were stale", ours.stale).into());
    }
    Ok(())
}

fn most(rates: &[f64]) -> f64 {
    rates.iter().copied().fold(0.0, f64::max)
}

fn row(name: &str, fleet: &Fleet, day: &Day) -> [String; 8] {
    let steady = day.rates(fleet.growth, fleet.restart, 10);
    let mean = steady.iter().sum::<f64>() / steady.len() as f64;
    let served = fleet.restart + fleet.crowd() + Duration::from_secs(30);
    let wave = most(&day.rates(served, fleet.length, 10));
    // Calm: no minute is a quarter above the mean from then on.
    let after = day.rates(served, fleet.length, 60);
    let calm = after.iter().rposition(|rate| *rate > 1.25 * mean).map_or(0, |minute| minute + 1);
    let calm = if calm == after.len() { "never".to_owned() } else { format!("{calm} min") };
    [
        name.to_owned(),
        format!("{mean:.0}"),
        format!("{:.0}", most(&steady)),
        format!("{wave:.0}"),
        calm,
        day.deliveries.to_string(),
        day.stale.to_string(),
        format!("{} s", day.least_left.as_secs()),
    ]
}

fn csv(fleet: &Fleet, ours: &Day, upstream: &Day) -> String {
    let rates = |day: &Day| day.rates(Duration::ZERO, fleet.length, 60);
    let mut text = "minute,ours,upstream\n".to_owned();
    for (minute, (ours, upstream)) in rates(ours).iter().zip(rates(upstream)).enumerate() {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{minute},{ours:.0},{upstream:.0}");
    }
    text
}

fn picture(fleet: &Fleet, ours: &Day, upstream: &Day) -> String {
    let (before, behind) = (Duration::from_secs(600), HOUR * 3 / 2);
    let near = (fleet.restart.saturating_sub(before), fleet.restart + behind);
    let rates = |from, until, width| [upstream, ours].map(|day| day.rates(from, until, width));
    let whole = rates(Duration::ZERO, fleet.length, 60);
    let close = rates(near.0, near.1, 10);
    let names = [("upstream's rule", "#d62728"), ("tokenward", "#1f77b4")];
    let highest = whole.iter().chain(&close).map(|values| most(values)).fold(1.0, f64::max);
    // Marks at a round number: about six of them.
    let power = 10_f64.powf((highest / 6.0).log10().floor());
    let mark =
        [1.0, 2.0, 5.0, 10.0].map(|digit| digit * power).into_iter().find(|mark| highest / mark <= 6.0);
    let mark = mark.unwrap_or(highest);
    let [whole, close] = [&whole, &close].map(|[upstream, ours]| {
        [upstream, ours]
            .into_iter()
            .zip(names)
            .map(|(values, (name, colour))| Line { name, colour, values })
            .collect::<Vec<_>>()
    });
    let hours = |duration: Duration| duration.as_secs_f64() / 3600.0;
    let title = format!("{} nodes, {} pods: TokenRequests", fleet.nodes, fleet.nodes * fleet.pods_per_node);
    let panels = [
        Panel { title: &title, from: 0.0, step: 1.0 / 60.0, mark: 2.0, lines: &whole },
        Panel {
            title: "All nodes restart at once",
            from: hours(near.0),
            step: 1.0 / 360.0,
            mark: 0.25,
            lines: &close,
        },
    ];
    svg(&panels, "per s", (highest / mark).ceil() * mark, mark)
}
