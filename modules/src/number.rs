//! Numbers of JSON as what they say: decimal numbers, not the nearest ones that a processor has.

use std::cmp::Ordering;
use std::fmt;

use serde_json::{Number, Value};

/// Numbers beyond this many places before or after the point are not calculated with.
const MOST_PLACES: i32 = 60;

/// An exact decimal number of at most 38 digits: `digits` × 10^`exponent`.
#[derive(Clone, Copy, Debug)]
pub struct Decimal {
    digits: i128,
    exponent: i32,
}

impl Decimal {
    /// Nothing.
    pub const ZERO: Self = Self { digits: 0, exponent: 0 };

    /// Reads a number as JSON writes it; none when it has more digits than can be kept.
    pub fn parse(number: &str) -> Option<Self> {
        let (mantissa, exponent) = match number.split_once(|c| c == 'e' || c == 'E') {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
            None => (number, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let fraction = fraction.trim_end_matches('0');
        let digits = if fraction.is_empty() {
            whole.parse::<i128>().ok()?
        } else {
            format!("{}{}", whole, fraction).parse::<i128>().ok()?
        };
        if digits == 0 {
            return Some(Self::ZERO);
        }
        let exponent = exponent.checked_sub(i32::try_from(fraction.len()).ok()?)?;
        if exponent.abs() > MOST_PLACES {
            None
        } else {
            Some(Self { digits, exponent }.shortest())
        }
    }

    /// The sum; none when it has more digits than can be kept.
    pub fn plus(self, other: Self) -> Option<Self> {
        if self.exponent == other.exponent {
            let digits = self.digits.checked_add(other.digits)?;
            return Some(Self { digits, ..self }.shortest());
        }
        let exponent = self.exponent.min(other.exponent);
        let digits = self.at(exponent)?.checked_add(other.at(exponent)?)?;
        Some(Self { digits, exponent }.shortest())
    }

    /// The digits when the exponent is this one, which is not above its own.
    fn at(self, exponent: i32) -> Option<i128> {
        let places = u32::try_from(self.exponent - exponent).ok()?;
        if self.digits == 0 {
            Some(0)
        } else {
            self.digits.checked_mul(10_i128.checked_pow(places)?)
        }
    }

    fn shortest(mut self) -> Self {
        while self.digits != 0 && self.digits % 10 == 0 {
            self.digits /= 10;
            self.exponent += 1;
        }
        if self.digits == 0 {
            Self::ZERO
        } else {
            self
        }
    }
}

impl fmt::Display for Decimal {
    /// As JSON: without an exponent.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.digits < 0 { "-" } else { "" };
        let digits = self.digits.unsigned_abs().to_string();
        match usize::try_from(self.exponent) {
            Ok(zeros) => write!(f, "{}{}{}", sign, digits, "0".repeat(zeros)),
            Err(_negative) => {
                let places = self.exponent.unsigned_abs() as usize;
                let digits = format!("{:0>width$}", digits, width = places + 1);
                let (whole, fraction) = digits.split_at(digits.len() - places);
                write!(f, "{}{}.{}", sign, whole, fraction)
            }
        }
    }
}

/// How two numbers or two texts stand to each other; none for anything else. Texts are compared by their code points.
pub fn compare(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => compare_numbers(left, right),
        (Value::String(left), Value::String(right)) => Some(left.cmp(right)),
        _others => None,
    }
}

/// Whether two values are the same, with 1 the same as 1.0.
pub fn equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => compare_numbers(left, right) == Some(Ordering::Equal),
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| equal(left, right))
        }
        (Value::Object(left), Value::Object(right)) => {
            let same =
                |(name, left): (&String, &Value)| right.get(name).map_or(false, |right| equal(left, right));
            left.len() == right.len() && left.iter().all(same)
        }
        (left, right) => left == right,
    }
}

/// Exactly where the digits can be kept, else as floating point numbers.
fn compare_numbers(left: &Number, right: &Number) -> Option<Ordering> {
    let exact = || {
        let (left, right) = (Decimal::parse(&left.to_string())?, Decimal::parse(&right.to_string())?);
        let exponent = left.exponent.min(right.exponent);
        Some(left.at(exponent)?.cmp(&right.at(exponent)?))
    };
    exact().or_else(|| left.as_f64()?.partial_cmp(&right.as_f64()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(numbers: &[&str]) -> Option<String> {
        let mut total = Decimal::ZERO;
        for number in numbers {
            total = total.plus(Decimal::parse(number)?)?;
        }
        Some(total.to_string())
    }

    #[test]
    fn sums_are_exact() {
        for (numbers, total) in [
            (&[][..], "0"),
            (&["1", "2", "3"], "6"),
            (&["0.1", "0.2"], "0.3"),
            (&["0.50", "0.50"], "1"),
            (&["-1.5", "0.25"], "-1.25"),
            (&["-0.05"], "-0.05"),
            (&["1e3", "2.5E-1"], "1000.25"),
            (&["9007199254740993", "1"], "9007199254740994"),
            (&["1e30", "0.0001"], "1000000000000000000000000000000.0001"),
            (&["-0", "0.0", "0e99999"], "0"),
        ] {
            assert_eq!(sum(numbers).as_deref(), Some(total), "{:?}", numbers);
        }
    }

    #[test]
    fn what_has_too_many_digits_is_no_sum() {
        let many = "9".repeat(39);
        for numbers in [&["1e40", "0.1"][..], &["1e99"], &["1e-99"], &["1e99999999999"], &[many.as_str()]] {
            assert_eq!(sum(numbers), None, "{:?}", numbers);
        }
    }

    #[test]
    fn numbers_are_compared_by_what_they_are() {
        let of = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        assert_eq!(compare(&of("9007199254740993"), &of("9007199254740992")), Some(Ordering::Greater));
        assert_eq!(compare(&of("1e300"), &of("1e299")), Some(Ordering::Greater));
        assert!(equal(&of("{\"a\":[1.0]}"), &of("{\"a\":[1]}")));
        assert!(!equal(&of("{\"a\":1}"), &of("{\"b\":1}")));
        assert_eq!(compare(&of("1"), &of("\"1\"")), None);
    }
}
