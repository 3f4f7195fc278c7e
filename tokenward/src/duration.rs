//! Durations as Go's tools take them: `60s`, `5m`, `1h30m`, `250ms`.

use std::time::Duration;

/// Parses one or more numbers with a unit each (`ms`, `s`, `m`, `h`); a fraction is allowed, a bare number is not.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let explain =
        || format!("`{text}` is not a duration; write a number and its unit, such as 60s, 5m or 1h30m");
    let mut total = Duration::ZERO;
    let mut rest = text;
    if rest.is_empty() {
        return Err(explain());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(explain)?;
        let (number, tail) = rest.split_at(digits);
        let unit_end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        let seconds = match unit {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return Err(explain()),
        };
        let number: f64 = number.parse().map_err(|_| explain())?;
        let part = Duration::try_from_secs_f64(number * seconds).map_err(|_| explain())?;
        total = total.checked_add(part).ok_or_else(explain)?;
        rest = tail;
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_as_go_writes_them() {
        for (text, milliseconds) in [
            ("60s", 60_000),
            ("5m", 300_000),
            ("1h30m", 5_400_000),
            ("250ms", 250),
            ("1.5s", 1_500),
            ("0s", 0),
            ("1m1s1ms", 61_001),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_explained() {
        for text in ["", "60", "s", "1d", "-5s", "1.2.3s", "5 s", "99999999999999999999h", "1e5s"] {
            let error = parse(text).unwrap_err();
            assert!(error.starts_with(&format!("`{text}` is not a duration; ")), "{error}");
        }
    }
}
