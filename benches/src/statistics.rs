//! What a set of measurements says.

use std::fmt;
use std::time::Duration;

/// The median of some rounds, and how far the others lie from it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The smallest.
    pub least: f64,
    /// The middle one; of an even number, the mean of the two in the middle.
    pub median: f64,
    /// The largest.
    pub most: f64,
}

impl Spread {
    /// None when there are no values.
    pub fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (least, most) = (*sorted.first()?, *sorted.last()?);
        let middle = sorted.len() / 2;
        let median = if sorted.len() % 2 == 1 {
            sorted[middle]
        } else {
            f64::midpoint(sorted[middle - 1], sorted[middle])
        };
        Some(Self { least, median, most })
    }

    /// The spread of one figure of each round.
    ///
    /// # Panics
    /// When there are no rounds: programs ask for one at least.
    pub fn over<T>(rounds: &[T], figure: impl Fn(&T) -> f64) -> Self {
        let values: Vec<f64> = rounds.iter().map(figure).collect();
        Self::of(&values).expect("there is a round")
    }
}

/// `median (least - most)`; the precision is that of each number.
impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(1);
        write!(f, "{:.digits$} ({:.digits$} - {:.digits$})", self.median, self.least, self.most)
    }
}

/// The least value that at least `percent` of the values do not exceed (nearest rank). None when there are no values.
///
/// ```
/// use std::time::Duration;
/// use tokenward_benches::statistics::percentile;
///
/// let mut latencies: Vec<_> = (1..=200).rev().map(Duration::from_millis).collect();
/// assert_eq!(percentile(&mut latencies, 50), Some(Duration::from_millis(100)));
/// assert_eq!(percentile(&mut latencies, 99), Some(Duration::from_millis(198)));
/// ```
pub fn percentile(values: &mut [Duration], percent: usize) -> Option<Duration> {
    let rank = (values.len() * percent).div_ceil(100).max(1);
    let index = rank.min(values.len()).checked_sub(1)?;
    Some(*values.select_nth_unstable(index).1)
}

/// Milliseconds, with what is below them.
pub fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// Microseconds, with what is below them.
pub fn microseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_whatever_the_order() {
        for (values, least, median, most) in [
            (&[5.0][..], 5.0, 5.0, 5.0),
            (&[3.0, 1.0, 2.0], 1.0, 2.0, 3.0),
            (&[4.0, 1.0, 3.0, 2.0], 1.0, 2.5, 4.0),
            (&[1.0, 1.0, 100.0], 1.0, 1.0, 100.0),
        ] {
            assert_eq!(Spread::of(values), Some(Spread { least, median, most }), "{values:?}");
        }
        assert_eq!(Spread::of(&[]), None);
    }

    #[test]
    fn a_spread_prints_its_median_first() {
        let spread = Spread::over(&[(1, 10.0), (2, 30.0), (3, 20.04)], |round| round.1);
        assert_eq!(spread.to_string(), "20.0 (10.0 - 30.0)");
        assert_eq!(format!("{spread:.2}"), "20.04 (10.00 - 30.00)");
    }

    #[test]
    fn percentiles_are_values_that_were_measured() {
        for (count, percent, expected) in [
            (1, 50, 1),
            (1, 99, 1),
            (2, 50, 1),
            (3, 50, 2),
            (100, 99, 99),
            (101, 99, 100),
            (10, 100, 10),
            (10, 0, 1),
        ] {
            let mut values: Vec<_> = (1..=count).rev().map(Duration::from_micros).collect();
            let found = percentile(&mut values, percent);
            assert_eq!(found, Some(Duration::from_micros(expected)), "{percent} % of {count}");
        }
        assert_eq!(percentile(&mut [], 50), None);
    }

    #[test]
    fn durations_keep_their_fractions() {
        assert!((milliseconds(Duration::from_micros(1500)) - 1.5).abs() < 1e-9);
        assert!((microseconds(Duration::from_nanos(1500)) - 1.5).abs() < 1e-9);
    }
}
