//! Spellings of durations, sizes and rates.

use std::time::Duration;

use super::problem::Complaint;
use crate::clock::Rate;

/// `500ms`, `5s`, `10m`, `24h`, `7d`: a whole number and one unit.
pub(crate) fn duration(text: &str) -> Result<Duration, Complaint> {
    let wrong = || {
        Complaint::new(
            format!("\"{}\" is not a duration", shown(text)),
            "write a whole number and a unit: 500ms, 5s, 10m, 24h or 7d",
        )
    };
    let (number, unit) = number_and_unit(text).ok_or_else(wrong)?;
    let millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(wrong()),
    };
    number.checked_mul(millis).map(Duration::from_millis).ok_or_else(wrong)
}

/// `64KiB`, `1MiB`, `2GiB`, `512B`.
pub(super) fn bytes(text: &str) -> Result<u64, Complaint> {
    let wrong = || {
        Complaint::new(
            format!("\"{}\" is not a size", shown(text)),
            "write a whole number and a unit: 512B, 64KiB, 1MiB or 1GiB",
        )
    };
    let (number, unit) = number_and_unit(text).ok_or_else(wrong)?;
    let factor: u64 = match unit {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err(wrong()),
    };
    number.checked_mul(factor).ok_or_else(wrong)
}

/// `120/m`, `2/s`, `1000/h`, `20000/d`, and `6000/5m` for longer ones; `min` and `sec` are read too.
pub(super) fn rate(text: &str) -> Result<Rate, Complaint> {
    let wrong = || Complaint::new(format!("\"{}\" is not a rate", shown(text)), "write 120/m, 2/s, 6000/5m or 20000/d");
    let (count, per) = text.split_once('/').ok_or_else(wrong)?;
    let (times, unit) = number_and_unit(per.trim()).unwrap_or((1, per.trim()));
    let seconds = match unit {
        "s" | "sec" => 1,
        "m" | "min" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(wrong()),
    };
    let count: u32 = digits(count.trim()).and_then(|count| count.parse().ok()).ok_or_else(wrong)?;
    let seconds = times.checked_mul(seconds).filter(|seconds| (1..=86_400 * 31).contains(seconds)).ok_or_else(wrong)?;
    if count == 0 { Err(wrong()) } else { Ok(Rate { count, per: Duration::from_secs(seconds) }) }
}

/// How a duration is shown back in messages: the largest unit that divides it.
pub(super) fn show_duration(value: Duration) -> String {
    let millis = value.as_millis();
    [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")]
        .into_iter()
        .find(|(factor, _)| millis > 0 && millis.is_multiple_of(*factor))
        .map_or_else(|| format!("{millis}ms"), |(factor, unit)| format!("{}{unit}", millis / factor))
}

fn number_and_unit(text: &str) -> Option<(u64, &str)> {
    let split = text.find(|symbol: char| !symbol.is_ascii_digit())?;
    let number = digits(&text[..split])?.parse().ok()?;
    Some((number, text[split..].trim_start()))
}

fn digits(text: &str) -> Option<&str> {
    (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())).then_some(text)
}

/// Input as it may stand in a message: short and without control characters.
pub(super) fn shown(text: &str) -> String {
    text.chars().take(60).filter(|symbol| !symbol.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_sizes_and_rates_are_read_and_nonsense_is_refused() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("24h"), Ok(Duration::from_hours(24)));
        assert_eq!(show_duration(Duration::from_hours(24)), "1d");
        assert_eq!(show_duration(Duration::from_millis(1_500)), "1500ms");
        for wrong in ["", "5", "s", "-5s", "+5s", "5 y", "1.5s", "99999999999999999999s", "9999999999999999d", "５s"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
        assert_eq!(bytes("1MiB"), Ok(1 << 20));
        assert_eq!(bytes("10 KiB"), Ok(10_240));
        assert!(bytes("1MB").is_err() && bytes("99999999999GiB").is_err());
        assert_eq!(rate("120/min"), Ok(Rate { count: 120, per: Duration::from_mins(1) }));
        assert_eq!(rate("6000/5m"), Ok(Rate { count: 6_000, per: Duration::from_mins(5) }));
        assert_eq!(rate("20000/d"), Ok(Rate { count: 20_000, per: Duration::from_hours(24) }));
        for wrong in ["0/s", "2", "+2/s", "2/0s", "2/99999999999999999999d", "2/40d", "2/", "/s"] {
            assert!(rate(wrong).is_err(), "{wrong}");
        }
    }
}
