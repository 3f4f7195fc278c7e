//! How long ago something was, in few letters: `12s`, `5m30s`, `3h`, `2d4h`, `1y20d`.

use jiff::Timestamp;

/// The time since a moment. Clocks may differ by a second; what is further in the future is `<invalid>`.
pub(super) fn since(moment: Timestamp, now: Timestamp) -> String {
    // Cut to whole seconds towards zero, as Go cuts.
    print(now.as_duration().saturating_sub(moment.as_duration()).as_secs())
}

fn print(seconds: i64) -> String {
    const MINUTE: i64 = 60;
    const HOUR: i64 = 60 * MINUTE;
    const DAY: i64 = 24 * HOUR;
    const YEAR: i64 = 365 * DAY;
    let (of, below) = match seconds {
        ..=-2 => return "<invalid>".to_owned(),
        -1 => return "0s".to_owned(),
        0..120 => ((1, "s"), None),
        120..600 => ((MINUTE, "m"), Some((1, "s"))),
        600..10_800 => ((MINUTE, "m"), None),
        10_800..28_800 => ((HOUR, "h"), Some((MINUTE, "m"))),
        28_800..172_800 => ((HOUR, "h"), None),
        172_800..691_200 => ((DAY, "d"), Some((HOUR, "h"))),
        691_200..63_072_000 => ((DAY, "d"), None),
        63_072_000..252_288_000 => ((YEAR, "y"), Some((DAY, "d"))),
        _ => ((YEAR, "y"), None),
    };
    let (unit, letter) = of;
    let whole = format!("{}{letter}", seconds / unit);
    match below {
        Some((smaller, letter)) if seconds % unit / smaller > 0 => {
            format!("{whole}{}{letter}", seconds % unit / smaller)
        }
        _ => whole,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_printed_as_kubectl_prints_them() {
        let table = [
            (-2, "<invalid>"),
            (-1, "0s"),
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (125, "2m5s"),
            (599, "9m59s"),
            (600, "10m"),
            (659, "10m"),
            (10_799, "179m"),
            (10_800, "3h"),
            (3 * 3600 + 600, "3h10m"),
            (8 * 3600 - 1, "7h59m"),
            (8 * 3600, "8h"),
            (47 * 3600 + 3599, "47h"),
            (48 * 3600, "2d"),
            (50 * 3600, "2d2h"),
            (8 * 86_400 - 1, "7d23h"),
            (8 * 86_400, "8d"),
            (729 * 86_400, "729d"),
            (730 * 86_400, "2y"),
            (731 * 86_400, "2y1d"),
            (8 * 365 * 86_400, "8y"),
            (9 * 365 * 86_400 + 86_400, "9y"),
        ];
        for (seconds, wanted) in table {
            assert_eq!(print(seconds), wanted, "{seconds}");
        }
    }

    #[test]
    fn parts_of_a_second_do_not_count() {
        let moment: Timestamp = "2026-03-01T12:00:00.9Z".parse().expect("a time");
        for (now, wanted) in [
            ("2026-03-01T12:00:01Z", "0s"),
            ("2026-03-01T12:00:03.8Z", "2s"),
            ("2026-03-01T12:00:00Z", "0s"),
            ("2026-03-01T11:59:59.5Z", "0s"),
            ("2026-03-01T11:59:58.5Z", "<invalid>"),
        ] {
            assert_eq!(since(moment, now.parse().expect("a time")), wanted, "{now}");
        }
    }
}
