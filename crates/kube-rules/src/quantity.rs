//! Amounts as Kubernetes writes them (`5Gi`, `1500M`, `100m`, `1e3`), for comparing, and as Go prints them.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, Visitor};

/// An amount, exact down to a billionth; what is finer is rounded away from zero, as upstream does
/// (apimachinery `pkg/api/resource`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quantity {
    /// Billionths. The largest value stands for anything beyond it.
    nanos: i128,
}

/// A text that is no quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "wanted a quantity such as `5Gi`, `1500M`, `100m` or `1e3`, found {found_bytes} bytes that are not one"
)]
pub struct QuantityError {
    found_bytes: usize,
}

/// What follows the digits.
#[derive(Clone, Copy)]
enum Unit {
    /// Times two to this power.
    Binary(u32),
    /// Times ten to this power.
    Decimal(i32),
}

const NANO_DIGITS: i32 = 9;

impl Quantity {
    /// Nothing.
    pub const ZERO: Self = Self { nanos: 0 };

    /// Reads an amount as clients write it.
    ///
    /// # Errors
    /// When the text is none.
    pub fn parse(text: &str) -> Result<Self, QuantityError> {
        let error = QuantityError { found_bytes: text.len() };
        let (negative, unsigned) = match text.as_bytes().first() {
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            _ => (false, text),
        };
        let end = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
        let (number, suffix) = unsigned.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if fraction.contains('.') || (whole.is_empty() && fraction.is_empty()) {
            return Err(error);
        }
        let magnitude = match unit(suffix).ok_or(error)? {
            Unit::Decimal(exponent) => decimal(whole, fraction, exponent),
            Unit::Binary(exponent) => binary(whole, fraction, exponent),
        };
        Ok(Self { nanos: if negative { -magnitude } else { magnitude } })
    }

    /// Both together; what is beyond the largest amount is the largest.
    #[must_use]
    pub fn saturating_add(self, other: Self) -> Self {
        Self { nanos: self.nanos.saturating_add(other.nanos) }
    }

    /// What is left of this without the other; what is beyond the largest amount, above or below nothing, is the largest.
    #[must_use]
    pub fn saturating_sub(self, other: Self) -> Self {
        Self { nanos: self.nanos.saturating_sub(other.nanos) }
    }

    /// So many whole units.
    #[must_use]
    pub fn of_units(units: i64) -> Self {
        Self { nanos: i128::from(units) * 10_i128.pow(9) }
    }

    /// The units, as far as such a number can tell.
    #[must_use]
    pub fn approximate_units(self) -> f64 {
        self.nanos as f64 / 1e9
    }

    /// Whether there is nothing besides whole units.
    #[must_use]
    pub fn is_whole(self) -> bool {
        self.nanos % 10_i128.pow(9) == 0
    }

    /// The whole units, rounded down.
    #[must_use]
    pub fn units(self) -> i128 {
        self.nanos.div_euclid(10_i128.pow(9))
    }
}

/// An amount as Go prints it once it has read it: without a fraction, and with the largest suffix of the same family that
/// keeps it exact. `1.5Gi` is `1536Mi`, `0.5` is `500m`, `1000m` is `1`. What is no amount, or beyond what Go counts with, is
/// left as it is.
#[must_use]
pub fn canonical(text: &str) -> Cow<'_, str> {
    const NANO: i128 = 1_000_000_000;
    if is_plainly_canonical(text) {
        return text.into();
    }
    let Ok(Quantity { nanos }) = Quantity::parse(text) else { return text.into() };
    if nanos.unsigned_abs() > (1 << 63) * NANO.unsigned_abs() {
        return text.into();
    }
    let is_binary =
        text.ends_with('i') && nanos % NANO == 0 && nanos.unsigned_abs() >= 1024 * NANO.unsigned_abs();
    if is_binary {
        const SUFFIXES: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
        let (mut number, mut power) = (nanos / NANO, 0);
        while number % 1024 == 0 && power + 1 < SUFFIXES.len() {
            number /= 1024;
            power += 1;
        }
        return format!("{number}{}", SUFFIXES[power]).into();
    }
    if nanos == 0 {
        return "0".into();
    }
    let (mut number, mut exponent) = (nanos, -NANO_DIGITS);
    while number % 10 == 0 {
        number /= 10;
        exponent += 1;
    }
    while exponent % 3 != 0 || exponent > 18 {
        number *= 10;
        exponent -= 1;
    }
    let suffix = text.trim_start_matches(|c: char| c.is_ascii_digit() || matches!(c, '.' | '+' | '-'));
    let has_exponent = suffix.starts_with('e') || suffix.starts_with('E') && suffix.len() > 1;
    match exponent {
        0 => number.to_string(),
        _ if has_exponent => format!("{number}e{exponent}"),
        _ => {
            const SUFFIXES: [&str; 10] = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"];
            let at = usize::try_from((exponent + NANO_DIGITS) / 3).unwrap_or_default();
            format!("{number}{}", SUFFIXES.get(at).unwrap_or(&""))
        }
    }
    .into()
}

/// One to three digits and a suffix: what most amounts are. Nothing about them can be shortened.
fn is_plainly_canonical(text: &str) -> bool {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    (1..=3).contains(&digits)
        && !text.starts_with('0')
        && matches!(
            &text[digits..],
            "" | "n"
                | "u"
                | "m"
                | "k"
                | "M"
                | "G"
                | "T"
                | "P"
                | "E"
                | "Ki"
                | "Mi"
                | "Gi"
                | "Ti"
                | "Pi"
                | "Ei"
        )
}

fn unit(suffix: &str) -> Option<Unit> {
    Some(match suffix {
        "Ki" => Unit::Binary(10),
        "Mi" => Unit::Binary(20),
        "Gi" => Unit::Binary(30),
        "Ti" => Unit::Binary(40),
        "Pi" => Unit::Binary(50),
        "Ei" => Unit::Binary(60),
        "n" => Unit::Decimal(-9),
        "u" => Unit::Decimal(-6),
        "m" => Unit::Decimal(-3),
        "" => Unit::Decimal(0),
        "k" => Unit::Decimal(3),
        "M" => Unit::Decimal(6),
        "G" => Unit::Decimal(9),
        "T" => Unit::Decimal(12),
        "P" => Unit::Decimal(15),
        // `1E` is an exa, `1E3` a thousand.
        "E" => Unit::Decimal(18),
        _ => Unit::Decimal(suffix.strip_prefix(['e', 'E'])?.parse().ok()?),
    })
}

/// `whole.fraction` times ten to `exponent`, in billionths: a shift of the decimal point.
fn decimal(whole: &str, fraction: &str, exponent: i32) -> i128 {
    let digits = [whole, fraction].concat();
    let digits = digits.trim_start_matches('0');
    let shift = i64::from(exponent) + i64::from(NANO_DIGITS) - fraction.len() as i64;
    if digits.is_empty() {
        return 0;
    }
    match usize::try_from(-shift) {
        // Digits finer than a billionth: cut, and rounded up if any of them counts.
        Ok(cut) => {
            let kept = digits.len().saturating_sub(cut);
            let rounded_up = digits[kept..].bytes().any(|digit| digit != b'0');
            saturating(&digits[..kept]).saturating_add(i128::from(rounded_up))
        }
        Err(_) => {
            let factor = u32::try_from(shift).ok().and_then(|shift| 10_i128.checked_pow(shift));
            factor.map_or(i128::MAX, |factor| saturating(digits).saturating_mul(factor))
        }
    }
}

/// `whole.fraction` times two to `exponent`, in billionths. Beyond 18 digits the fraction is rounded up.
fn binary(whole: &str, fraction: &str, exponent: u32) -> i128 {
    const FRACTION_DIGITS: usize = 18;
    let unit = 1_i128 << exponent;
    let nano = 10_i128.pow(9);
    let (kept, rest) = fraction.split_at(fraction.len().min(FRACTION_DIGITS));
    let rounded_up = rest.bytes().any(|digit| digit != b'0');
    let kept_digits = u32::try_from(kept.len()).expect("at most 18");
    // Below 10^18 * 2^60, which an i128 holds with room for 10^2 only: so the nanos are divided in before they are
    // multiplied in.
    let numerator = (saturating(kept) + i128::from(rounded_up)) * unit;
    let fraction = match kept_digits.checked_sub(9) {
        Some(finer) => {
            let divisor = 10_i128.pow(finer);
            numerator / divisor + i128::from(numerator % divisor != 0)
        }
        None => numerator * 10_i128.pow(9 - kept_digits),
    };
    saturating(whole).saturating_mul(unit).saturating_mul(nano).saturating_add(fraction)
}

/// The number that the ASCII digits write, nothing being zero.
fn saturating(digits: &str) -> i128 {
    digits
        .bytes()
        .fold(0_i128, |value, digit| value.saturating_mul(10).saturating_add(i128::from(digit - b'0')))
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(QuantityVisitor)
    }
}

/// A quantity is a string, but upstream reads numbers too.
struct QuantityVisitor;

impl Visitor<'_> for QuantityVisitor {
    type Value = Quantity;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a quantity")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Quantity, E> {
        Quantity::parse(text).map_err(E::custom)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Quantity, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Quantity, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Quantity, E> {
        self.visit_str(&number.to_string())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn nanos(text: &str) -> i128 {
        Quantity::parse(text).unwrap_or_else(|error| panic!("{text}: {error}")).nanos
    }

    #[test]
    fn equal_amounts_are_equal_however_written() {
        for (one, other) in [
            ("0", "-0"),
            ("0", "0.000Gi"),
            ("1", "1000m"),
            ("+1", "1.0"),
            ("1k", "1000"),
            ("1k", "1e3"),
            ("1E3", "1000"),
            ("1E", "1000P"),
            ("1e-3", "1m"),
            (".5", "500m"),
            ("5.", "5"),
            ("1Ki", "1024"),
            ("1.5Gi", "1536Mi"),
            ("0.5Ki", "512"),
            ("1024Pi", "1Ei"),
            ("1Ei", "1152921504606846976"),
            ("0.000000000000000001Ei", "1152921505n"),
            ("1n", "0.1n"),
            ("1.1u", "1100n"),
            ("1.0000000001", "1.000000001"),
            ("1.00000000010", "1000000001n"),
            ("0.0009765625Ki", "1"),
        ] {
            assert_eq!(nanos(one), nanos(other), "{one} and {other}");
        }
        assert_eq!(Quantity::parse("2.9").map(Quantity::units), Ok(2));
        assert_eq!(Quantity::parse("-0.1").map(Quantity::units), Ok(-1));
    }

    #[test]
    fn amounts_are_ordered() {
        let ordered = [
            "-1Ki", "-1", "0", "1n", "1m", "1", "999", "1k", "1023", "1Ki", "1M", "1Mi", "1G", "1Gi", "1e28",
            "9e99",
        ];
        for pair in ordered.windows(2) {
            assert!(Quantity::parse(pair[0]).unwrap() < Quantity::parse(pair[1]).unwrap(), "{pair:?}");
        }
    }

    #[test]
    fn amounts_are_printed_as_go_prints_them() {
        for (text, printed) in [
            ("0", "0"),
            ("0Gi", "0"),
            ("-0", "0"),
            ("1", "1"),
            ("+5", "5"),
            ("007", "7"),
            ("1.0", "1"),
            ("0.5", "500m"),
            (".1", "100m"),
            ("1000m", "1"),
            ("1500m", "1500m"),
            ("2000", "2k"),
            ("1500", "1500"),
            ("1000000", "1M"),
            ("1.5G", "1500M"),
            ("1e3", "1e3"),
            ("1E3", "1e3"),
            ("1500e3", "1500e3"),
            ("10e2", "1e3"),
            ("1e-3", "1e-3"),
            ("1E", "1E"),
            ("1Gi", "1Gi"),
            ("1.5Gi", "1536Mi"),
            ("1024Mi", "1Gi"),
            ("1024", "1024"),
            ("1073741824", "1073741824"),
            ("0.5Ki", "512"),
            ("1.5Ki", "1536"),
            ("1023Ki", "1023Ki"),
            ("0.1Mi", "104857600m"),
            ("-1.5Gi", "-1536Mi"),
            ("-1", "-1"),
            ("1n", "1n"),
            ("0.1n", "1n"),
            ("x", "x"),
            ("9e99", "9e99"),
        ] {
            assert_eq!(canonical(text), printed, "{text}");
        }
    }

    #[test]
    fn beyond_the_largest_everything_is_the_largest() {
        for text in ["9e99", "1e999999999", "99999999999999999999999999999999999999999999Ei"] {
            assert_eq!(nanos(text), i128::MAX, "{text}");
        }
        assert_eq!(nanos("0e999999999"), 0);
        assert_eq!(nanos("1e-999999999"), 1);
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "", " ", "Gi", ".", "-", "1..2", "1.2.3", "1 Gi", "1gi", "1KiB", "1K", "0x1", "1e", "1e1.5",
            "--1", "1i", "e3", "１",
        ] {
            assert_eq!(Quantity::parse(text), Err(QuantityError { found_bytes: text.len() }), "{text}");
        }
    }

    #[test]
    fn json_strings_and_numbers_are_read() {
        let read = |json: &str| serde_json::from_str::<Quantity>(json).map(|quantity| quantity.nanos);
        assert_eq!(read("\"1Gi\"").unwrap(), nanos("1Gi"));
        assert_eq!(read("5").unwrap(), nanos("5"));
        assert_eq!(read("-5").unwrap(), nanos("-5"));
        assert_eq!(read("0.5").unwrap(), nanos("500m"));
        assert!(read("null").is_err());
        assert!(read("\"x\"").is_err());
    }

    proptest! {
        #[test]
        fn whole_binary_amounts_are_what_they_say(number in 0..1_i128 << 36, power in 1..=6_usize) {
            let suffix = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"][power];
            prop_assert_eq!(nanos(&format!("{number}{suffix}")), number * (1 << (10 * power)) * 1_000_000_000);
        }

        #[test]
        fn what_is_printed_is_the_same_amount_and_is_printed_like_this(
            text in "[-+]?[0-9]{1,12}([.][0-9]{0,9})?(n|u|m|k|M|G|T|Ki|Mi|Gi|Ti|e[0-6]|E-[0-6])?"
        ) {
            let printed = canonical(&text);
            prop_assert_eq!(nanos(&printed), nanos(&text));
            prop_assert_eq!(&*canonical(&printed), &*printed);
        }

        #[test]
        fn never_panics(text in "[-+.0-9a-zA-Z]{0,60}") {
            let _ = Quantity::parse(&text);
            let _ = canonical(&text);
        }
    }
}
