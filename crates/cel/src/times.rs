//! Moments and spans of time: reading them, writing them, reckoning with them.
//!
//! As in cel-go, moments are of the years 1 to 9999, and a span is a whole number of nanoseconds. A zone is an offset, or UTC:
//! names of zones would need a database that changes.

use jiff::SignedDuration;
use jiff::civil::{Date, DateTime, Time, date};

use crate::error::EvaluationError;

const RANGE: EvaluationError = EvaluationError::Argument("timestamp overflow");
const SPAN_RANGE: EvaluationError = EvaluationError::Argument("duration overflow");
const UNKNOWN_ZONE: EvaluationError = EvaluationError::Argument("unknown time zone");

/// The seconds of the years 1 to 9999.
const SECONDS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;
const NANOS: i128 = 1_000_000_000;
const EPOCH: DateTime = date(1970, 1, 1).at(0, 0, 0, 0);

/// A moment, of the years that there are. (jiff's own ends some hours before the year 9999 does.)
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment {
    /// Since 1970 began in UTC.
    second: i64,
    nano: i32,
}

impl Moment {
    fn of_nanos(nanos: i128) -> Result<Self, EvaluationError> {
        let second = i64::try_from(nanos.div_euclid(NANOS)).map_err(|_| RANGE)?;
        let nano = i32::try_from(nanos.rem_euclid(NANOS)).map_err(|_| RANGE)?;
        if SECONDS.contains(&second) { Ok(Self { second, nano }) } else { Err(RANGE) }
    }

    fn nanos(self) -> i128 {
        i128::from(self.second) * NANOS + i128::from(self.nano)
    }

    /// What a calendar and a clock so many seconds east of Greenwich show.
    fn shown(self, east: i64) -> Option<DateTime> {
        EPOCH.checked_add(SignedDuration::new(self.second.checked_add(east)?, self.nano)).ok()
    }
}

/// The whole seconds since 1970 began.
pub(crate) fn seconds(moment: Moment) -> i64 {
    moment.second
}

/// So many seconds after 1970 began.
pub(crate) fn of_seconds(seconds: i64) -> Result<Moment, EvaluationError> {
    Moment::of_nanos(i128::from(seconds) * NANOS)
}

/// Reads RFC 3339, as strictly as Go does: capital letters, two digits everywhere, any number of them behind the point.
pub(crate) fn read(text: &str) -> Option<Moment> {
    let bytes = text.as_bytes();
    let number = |range: std::ops::Range<usize>| -> Option<i16> {
        let digits = bytes.get(range)?;
        digits
            .iter()
            .all(u8::is_ascii_digit)
            .then(|| digits.iter().fold(0, |number, digit| number * 10 + i16::from(digit - b'0')))
    };
    let small = |at: usize| number(at..at + 2).and_then(|number| i8::try_from(number).ok());
    let marks = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if marks.iter().any(|&(at, mark)| bytes.get(at) != Some(&mark)) {
        return None;
    }
    let date = Date::new(number(0..4)?, small(5)?, small(8)?).ok()?;
    let (hour, minute, second) = (small(11)?, small(14)?, small(17)?);
    let mut rest = &bytes[19..];
    let mut nanos = 0_i32;
    if let [b'.' | b',', fraction @ ..] = rest {
        let length = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if length == 0 {
            return None;
        }
        let digits = fraction[..length].iter().chain(std::iter::repeat(&b'0')).take(9);
        nanos = digits.fold(0, |nanos, digit| nanos * 10 + i32::from(digit - b'0'));
        rest = &fraction[length..];
    }
    let east = match rest {
        [b'Z'] => 0,
        [sign @ (b'+' | b'-'), offset @ ..] if offset.len() == 5 && offset[2] == b':' => {
            let at = bytes.len() - 5;
            let (hours, minutes) = (i64::from(small(at)?), i64::from(small(at + 3)?));
            if hours > 24 || minutes > 60 {
                return None;
            }
            let seconds = (hours * 60 + minutes) * 60;
            if *sign == b'-' { -seconds } else { seconds }
        }
        _ => return None,
    };
    let civil = DateTime::from_parts(date, Time::new(hour, minute, second, nanos).ok()?);
    let nanos = civil.duration_since(EPOCH).as_nanos() - i128::from(east) * NANOS;
    Moment::of_nanos(nanos).ok()
}

/// RFC 3339 in UTC, with as many digits behind the point as there must be.
pub(crate) fn write(moment: Moment) -> String {
    let civil = moment.shown(0).unwrap_or(EPOCH);
    let (date, time) = (civil.date(), civil.time());
    let fraction = match time.subsec_nanosecond() {
        0 => String::new(),
        nanos => format!(".{nanos:09}").trim_end_matches('0').to_owned(),
    };
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}{fraction}Z",
        date.year(),
        date.month(),
        date.day(),
        time.hour(),
        time.minute(),
        time.second()
    )
}

/// Reads a span as Go writes it: `1h30m`, `-1.5s`, `100ms`.
pub(crate) fn read_span(text: &str) -> Option<i64> {
    let (is_negative, mut rest) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let most = i128::from(i64::MAX) + i128::from(is_negative);
    let mut total = 0_i128;
    while !rest.is_empty() {
        let (whole, behind) = digits(rest);
        let (fraction, behind) = behind.strip_prefix('.').map_or(("", behind), digits);
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let length = behind.find(|next: char| next == '.' || next.is_ascii_digit()).unwrap_or(behind.len());
        let unit = nanos_of(&behind[..length])?;
        let whole = if whole.is_empty() { 0 } else { whole.parse::<u64>().ok()? };
        // Finer than a nanosecond nothing counts.
        let fraction = &fraction[..fraction.len().min(15)];
        let scale = 10_i128.pow(u32::try_from(fraction.len()).ok()?);
        let part = if fraction.is_empty() { 0 } else { fraction.parse::<i128>().ok()? * unit / scale };
        total = total + i128::from(whole) * unit + part;
        if total > most {
            return None;
        }
        rest = &behind[length..];
    }
    i64::try_from(if is_negative { -total } else { total }).ok()
}

fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|next: char| !next.is_ascii_digit()).unwrap_or(text.len()))
}

fn nanos_of(unit: &str) -> Option<i128> {
    Some(match unit {
        "ns" => 1,
        // The sign of micro, and the letter mu.
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    })
}

/// Seconds, with a fraction if there must be one.
pub(crate) fn write_span(nanos: i64) -> String {
    let (seconds, rest) = (nanos.unsigned_abs() / 1_000_000_000, nanos.unsigned_abs() % 1_000_000_000);
    let sign = if nanos < 0 { "-" } else { "" };
    let fraction = match rest {
        0 => String::new(),
        rest => format!(".{rest:09}").trim_end_matches('0').to_owned(),
    };
    format!("{sign}{seconds}{fraction}s")
}

/// A moment so much later, or earlier if it is less than nothing.
pub(crate) fn later(moment: Moment, nanos: i64) -> Result<Moment, EvaluationError> {
    Moment::of_nanos(moment.nanos() + i128::from(nanos))
}

/// A moment so much earlier, or later.
pub(crate) fn earlier(moment: Moment, nanos: i64) -> Result<Moment, EvaluationError> {
    Moment::of_nanos(moment.nanos() - i128::from(nanos))
}

/// How long one moment is after another.
pub(crate) fn between(later: Moment, earlier: Moment) -> Result<i64, EvaluationError> {
    i64::try_from(later.nanos() - earlier.nanos()).map_err(|_| SPAN_RANGE)
}

/// The sum of two spans.
pub(crate) fn sum(one: i64, other: i64) -> Result<i64, EvaluationError> {
    one.checked_add(other).ok_or(SPAN_RANGE)
}

/// The difference of two spans.
pub(crate) fn difference(one: i64, other: i64) -> Result<i64, EvaluationError> {
    one.checked_sub(other).ok_or(SPAN_RANGE)
}

/// A part of a moment, as a calendar and a clock of a zone show it. None is asked for that there is not.
pub(crate) fn part(moment: Moment, name: &str, zone: Option<&str>) -> Option<Result<i64, EvaluationError>> {
    let shown = match zone.map_or(Ok(0), offset) {
        Ok(east) => moment.shown(east),
        Err(error) => return Some(Err(error)),
    };
    let Some(shown) = shown else { return Some(Err(RANGE)) };
    Some(Ok(match name {
        "getFullYear" => shown.year().into(),
        "getMonth" => i64::from(shown.month()) - 1,
        "getDayOfYear" => i64::from(shown.day_of_year()) - 1,
        "getDayOfMonth" => i64::from(shown.day()) - 1,
        "getDate" => shown.day().into(),
        "getDayOfWeek" => shown.weekday().to_sunday_zero_offset().into(),
        "getHours" => shown.hour().into(),
        "getMinutes" => shown.minute().into(),
        "getSeconds" => shown.second().into(),
        "getMilliseconds" => i64::from(shown.subsec_nanosecond()) / 1_000_000,
        _ => return None,
    }))
}

/// A whole span in one unit, rounded towards nothing.
pub(crate) fn span_in(nanos: i64, name: &str) -> Option<i64> {
    Some(match name {
        "getHours" => nanos / 3_600_000_000_000,
        "getMinutes" => nanos / 60_000_000_000,
        "getSeconds" => nanos / 1_000_000_000,
        "getMilliseconds" => nanos / 1_000_000,
        _ => return None,
    })
}

/// The seconds east of Greenwich: of `UTC`, `+02:00`, `-3:30`. A day at most.
fn offset(zone: &str) -> Result<i64, EvaluationError> {
    if matches!(zone, "" | "UTC") {
        return Ok(0);
    }
    let (hours, minutes) = zone.split_once(':').ok_or(UNKNOWN_ZONE)?;
    let hours: i64 = hours.parse().map_err(|_| UNKNOWN_ZONE)?;
    let minutes: i64 = minutes.parse().map_err(|_| UNKNOWN_ZONE)?;
    if !(-24..=24).contains(&hours) || !(-60..=60).contains(&minutes) {
        return Err(UNKNOWN_ZONE);
    }
    let minutes = if zone.starts_with('-') { -minutes } else { minutes };
    Ok((hours * 60 + minutes) * 60)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn moments_are_read_as_go_reads_them() {
        for (text, wanted) in [
            ("2026-01-02T03:04:05Z", Some("2026-01-02T03:04:05Z")),
            ("2026-01-02T03:04:05.120Z", Some("2026-01-02T03:04:05.12Z")),
            ("2026-01-02T03:04:05,5Z", Some("2026-01-02T03:04:05.5Z")),
            ("2026-01-02T03:04:05.1234567891Z", Some("2026-01-02T03:04:05.123456789Z")),
            ("2026-01-02T03:04:05+01:30", Some("2026-01-02T01:34:05Z")),
            ("2026-01-02T03:04:05-01:30", Some("2026-01-02T04:34:05Z")),
            ("2024-02-29T00:00:00Z", Some("2024-02-29T00:00:00Z")),
            ("0001-01-01T00:00:00Z", Some("0001-01-01T00:00:00Z")),
            ("9999-12-31T23:59:59.999999999Z", Some("9999-12-31T23:59:59.999999999Z")),
            ("0001-01-01T00:00:00+01:00", None),
            ("9999-12-31T23:59:59-01:00", None),
            ("2026-02-29T00:00:00Z", None),
            ("2026-01-02t03:04:05Z", None),
            ("2026-01-02T03:04:05z", None),
            ("2026-01-02 03:04:05Z", None),
            ("2026-01-02T03:04:05", None),
            ("2026-01-02T03:04:05.Z", None),
            ("2026-01-02T03:04:60Z", None),
            ("2026-01-02T24:00:00Z", None),
            ("2026-01-02T3:04:05Z", None),
            ("2026-1-02T03:04:05Z", None),
            ("2026-01-02T03:04:05+0130", None),
            ("2026-01-02T03:04:05+25:00", None),
            ("2026-01-02", None),
            ("", None),
            ("é026-01-02T03:04:05Z", None),
        ] {
            assert_eq!(read(text).map(write).as_deref(), wanted, "{text}");
        }
    }

    #[test]
    fn spans_are_read_as_go_reads_them() {
        for (text, wanted) in [
            ("0", Some("0s")),
            ("1s", Some("1s")),
            ("-1.5s", Some("-1.5s")),
            ("+1h30m", Some("5400s")),
            ("1h1m1s1ms1us1ns", Some("3661.001001001s")),
            ("1µs", Some("0.000001s")),
            (".5s", Some("0.5s")),
            ("1.s", Some("1s")),
            ("1.0000000000000000001s", Some("1s")),
            ("9223372036854775807ns", Some("9223372036.854775807s")),
            ("-9223372036854775808ns", Some("-9223372036.854775808s")),
            ("2562047h47m16.854775807s", Some("9223372036.854775807s")),
            ("9223372036854775808ns", None),
            ("9223372036854775807h", None),
            ("1", None),
            ("1d", None),
            ("s", None),
            (".s", None),
            ("-", None),
            ("", None),
            ("1s ", None),
            ("1 s", None),
            ("é", None),
        ] {
            assert_eq!(read_span(text).map(write_span).as_deref(), wanted, "{text}");
        }
    }

    #[test]
    fn parts_of_moments_and_spans() {
        let moment = read("2026-03-01T23:04:05.678Z").expect("a moment");
        for (name, zone, wanted) in [
            ("getFullYear", None, 2026),
            ("getMonth", None, 2),
            ("getDayOfYear", None, 59),
            ("getDayOfMonth", None, 0),
            ("getDate", None, 1),
            ("getDayOfWeek", None, 0),
            ("getHours", None, 23),
            ("getMinutes", None, 4),
            ("getSeconds", None, 5),
            ("getMilliseconds", None, 678),
            ("getHours", Some("+02:00"), 1),
            ("getDate", Some("+02:00"), 2),
            ("getDayOfWeek", Some("02:00"), 1),
            ("getMinutes", Some("-00:30"), 34),
            ("getHours", Some("UTC"), 23),
        ] {
            assert_eq!(part(moment, name, zone), Some(Ok(wanted)), "{name} {zone:?}");
        }
        for zone in ["Europe/Berlin", "x:y", "99:00", "+1", "9999999999:00", "-00:-2147483648"] {
            assert_eq!(part(moment, "getHours", Some(zone)), Some(Err(UNKNOWN_ZONE)), "{zone}");
        }
        assert_eq!(part(moment, "getNothing", None), None);
        let span = read_span("1h1m1.5s").expect("a span");
        let parts =
            ["getHours", "getMinutes", "getSeconds", "getMilliseconds"].map(|name| span_in(span, name));
        assert_eq!(parts, [Some(1), Some(61), Some(3661), Some(3_661_500)]);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(second in SECONDS, nanos in 0..1_000_000_000_i64, span in any::<i64>()) {
            let moment = later(of_seconds(second).unwrap(), nanos).unwrap();
            prop_assert_eq!(read(&write(moment)), Some(moment));
            prop_assert_eq!(read_span(&write_span(span)), Some(span));
        }

        #[test]
        fn reckoning_goes_back(second in SECONDS, span in any::<i64>()) {
            let moment = of_seconds(second).unwrap();
            if let Ok(other) = later(moment, span) {
                prop_assert_eq!(between(other, moment), Ok(span));
            }
        }

        #[test]
        fn nothing_panics(text in "[-+.,:TZhmsnuµ0-9a-z]{0,40}", any_text in any::<String>()) {
            for text in [text, any_text] {
                let _ = (read(&text), read_span(&text), offset(&text));
            }
        }
    }
}
