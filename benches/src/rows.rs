//! Loops around one call each, measured round by round: a row of a table for each.

use std::hint::black_box;
use std::time::Duration;

use crate::statistics::Spread;
use crate::{machine, process};

/// A row: what is done, and how long a number of times takes.
pub struct Row {
    name: String,
    /// Of how many units one time consists.
    units: usize,
    run: Box<dyn FnMut(usize) -> Duration>,
}

impl Row {
    /// What `work`, which stays on this thread, takes of the processor: what else the machine does is not counted.
    pub fn new<T>(name: impl Into<String>, mut work: impl FnMut() -> T + 'static) -> Self {
        let run = move |times| {
            let before = process::own_time();
            for _ in 0..times {
                black_box(work());
            }
            process::own_time().saturating_sub(before)
        };
        Self::timed(name, 1, run)
    }

    /// What `run` says that a number of times took; each time consists of that many units.
    pub fn timed(
        name: impl Into<String>,
        units: usize,
        run: impl FnMut(usize) -> Duration + 'static,
    ) -> Self {
        Self { name: name.into(), units: units.max(1), run: Box::new(run) }
    }
}

/// Measures all rows, each in rounds of about that length, and gives the table of microseconds per unit.
#[must_use]
pub fn measured(mut rows: Vec<Row>, rounds: usize, round: Duration) -> String {
    let times: Vec<usize> = rows.iter_mut().map(|row| times_in(round, row)).collect();
    // Round by round, so that a change of the machine's speed meets all rows.
    let mut figures = vec![Vec::new(); rows.len()];
    for number in 0..=rounds.max(1) {
        for ((row, times), figures) in rows.iter_mut().zip(&times).zip(&mut figures) {
            let elapsed = (row.run)(*times);
            if number > 0 {
                figures.push(elapsed.as_secs_f64() * 1e6 / (*times * row.units) as f64);
            }
        }
    }
    let lines = rows.iter().zip(&figures).map(|(row, figures)| {
        let spread = Spread::over(figures, |figure| *figure);
        [row.name.clone(), format!("{spread:.3}")]
    });
    machine::table(["work", "us, median (least - most)"], lines).to_string()
}

/// How often a row's work fits into a round.
fn times_in(round: Duration, row: &mut Row) -> usize {
    let mut times = 1;
    loop {
        let elapsed = (row.run)(times);
        if elapsed * 2 >= round {
            return times;
        }
        times *= 2;
    }
}
