//! Times as Go's `metav1.Time` and `metav1.MicroTime` read and print them.

use jiff::{Timestamp, fmt::strtime, tz::TimeZone};

/// What a refused time should have been.
pub(crate) const WANTED: &str = "parsing time: the value is not RFC 3339 (2006-01-02T15:04:05Z07:00)";

/// Whole seconds, UTC, `Z`. The outer `None` is a text that is no time, the inner one Go's zero time, which prints as null.
pub(crate) fn seconds(text: &str) -> Option<Option<String>> {
    print(text, "%Y-%m-%dT%H:%M:%SZ")
}

/// Six digits of a second, UTC, `Z`. Go reads nothing with more or less of them.
pub(crate) fn micros(text: &str) -> Option<Option<String>> {
    let fraction = text.split_once('.').map_or("", |(_, fraction)| fraction);
    if fraction.bytes().take_while(u8::is_ascii_digit).count() != 6 {
        return None;
    }
    print(text, "%Y-%m-%dT%H:%M:%S.%6fZ")
}

/// As [`seconds`], of Unix time. The outer `None` is a time that Go does not print.
pub(crate) fn seconds_of_unix(seconds: i64) -> Option<Option<String>> {
    print_printable(Timestamp::from_second(seconds).ok()?, "%Y-%m-%dT%H:%M:%SZ")
}

/// As [`micros`], of Unix time.
pub(crate) fn micros_of_unix(seconds: i64, nanoseconds: i32) -> Option<Option<String>> {
    let nanoseconds = i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds);
    print_printable(Timestamp::from_nanosecond(nanoseconds).ok()?, "%Y-%m-%dT%H:%M:%S.%6fZ")
}

fn print(text: &str, format: &str) -> Option<Option<String>> {
    if !is_rfc3339(text) {
        return None;
    }
    print_time(text.parse().ok()?, format)
}

/// Go prints only years of four digits.
fn print_printable(time: Timestamp, format: &str) -> Option<Option<String>> {
    if time.as_second() < FIRST_SECONDS { None } else { print_time(time, format) }
}

fn print_time(time: Timestamp, format: &str) -> Option<Option<String>> {
    if time.as_second() == ZERO_SECONDS {
        return Some(None);
    }
    strtime::format(format, &time.to_zoned(TimeZone::UTC)).ok().map(Some)
}

/// 0000-01-01T00:00:00Z. The last time that jiff has is also the last that Go prints.
const FIRST_SECONDS: i64 = -62_167_219_200;

/// 0001-01-01T00:00:00Z, Go's zero time.
const ZERO_SECONDS: i64 = -62_135_596_800;

/// `YYYY-MM-DDTHH:MM:SS(.digits)(Z|+HH:MM)` and nothing else: jiff alone takes more than Go does.
fn is_rfc3339(text: &str) -> bool {
    let bytes = text.as_bytes();
    let shape = |bytes: &[u8], shape: &[u8]| {
        bytes.len() == shape.len()
            && bytes.iter().zip(shape).all(|(byte, wanted)| match wanted {
                b'0' => byte.is_ascii_digit(),
                wanted => byte == wanted,
            })
    };
    let Some((head, tail)) = bytes.split_at_checked(19) else { return false };
    // Go knows no leap second; jiff would take it for the second before.
    if !shape(head, b"0000-00-00T00:00:00") || &head[17..] == b"60" {
        return false;
    }
    let zone = match tail.strip_prefix(b".") {
        None => tail,
        Some(fraction) => {
            let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
            if digits == 0 || digits > 9 {
                return false;
            }
            &fraction[digits..]
        }
    };
    zone == b"Z" || shape(zone, b"+00:00") || shape(zone, b"-00:00")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_printed_in_utc() {
        let rows = [
            ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z", None),
            ("2026-01-02T03:04:05.999999999Z", "2026-01-02T03:04:05Z", None),
            ("2026-01-02T03:04:05.5+02:00", "2026-01-02T01:04:05Z", None),
            ("2026-01-02T03:04:05.500000+02:00", "2026-01-02T01:04:05Z", Some("2026-01-02T01:04:05.500000Z")),
            ("0004-01-02T03:04:05.000000-00:30", "0004-01-02T03:34:05Z", Some("0004-01-02T03:34:05.000000Z")),
        ];
        for (text, whole, fine) in rows {
            assert_eq!(seconds(text), Some(Some(whole.to_owned())));
            assert_eq!(micros(text), fine.map(|fine| Some(fine.to_owned())));
        }
        assert_eq!(seconds("0001-01-01T00:00:00Z"), Some(None));
    }

    #[test]
    fn what_go_does_not_take_is_refused() {
        for text in [
            "",
            "now",
            "2026-01-02",
            "2026-01-02 03:04:05Z",
            "2026-01-02t03:04:05z",
            "2026-01-02T03:04:05",
            "2026-01-02T03:04:05.Z",
            "2026-01-02T03:04:60Z",
            "2026-02-30T03:04:05Z",
            "2026-01-02T24:04:05Z",
            "2026-01-02T03:04:05+0200",
            "2026-01-02T03:04:05Z[UTC]",
            "2026-01-02T03:04:0é",
        ] {
            assert_eq!(seconds(text), None, "{text:?}");
        }
    }
}
