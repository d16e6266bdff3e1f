//! Digits of a text into exact decimals, and back. The only place where numbers are read.

use rust_decimal::{Decimal, RoundingStrategy};

/// Why a text is not an exact decimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDecimal {
    /// Something other than sign, digits, point and exponent.
    #[error("not a number")]
    Syntax,
    /// More than 28 significant digits or decimal places: it could only be kept by rounding.
    #[error("more digits than can be kept exactly (28)")]
    TooManyDigits,
}

/// Most significant digits, and most decimal places, that are kept.
const DIGITS_MAX: u32 = 28;

/// Reads `-12.50`, `1e3`, `4.5E-1`: what JSON calls a number, alone or inside a string. Surrounding white space is
/// tolerated, leading `+`, grouping and words are not. Trailing zeros after the point do not count as digits.
///
/// # Errors
/// [`InvalidDecimal`]; the value is never rounded to fit.
pub fn parse(text: &str) -> Result<Decimal, InvalidDecimal> {
    let text = text.trim_ascii();
    if let Some(value) = short(text) {
        return Ok(value);
    }
    let (negative, rest) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (digits, exponent) = match rest.find(['e', 'E']) {
        Some(at) => (&rest[..at], exponent(&rest[at + 1..])?),
        None => (rest, 0),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() || (digits.len() > whole.len() && fraction.is_empty()) {
        return Err(InvalidDecimal::Syntax);
    }
    if !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit()) {
        return Err(InvalidDecimal::Syntax);
    }
    let fraction = fraction.trim_end_matches('0');
    let mut mantissa = 0_i128;
    for byte in whole.bytes().chain(fraction.bytes()) {
        mantissa = mantissa * 10 + i128::from(byte - b'0');
        if mantissa >= 10_i128.pow(DIGITS_MAX) {
            return Err(InvalidDecimal::TooManyDigits);
        }
    }
    let places = i32::try_from(fraction.len()).map_err(|_| InvalidDecimal::TooManyDigits)?;
    shifted(if negative { -mantissa } else { mantissa }, places.saturating_sub(exponent))
}

/// `text` if it is at most 18 digits with a sign and a point, as amounts and quantities nearly always are.
fn short(text: &str) -> Option<Decimal> {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |digits| (true, digits));
    if digits.is_empty() || digits.len() > 18 {
        return None;
    }
    let (mut mantissa, mut point, mut scale) = (0_i64, None, 0);
    for (place, byte) in digits.bytes().enumerate() {
        match byte {
            b'0'..=b'9' => {
                mantissa = mantissa * 10 + i64::from(byte - b'0');
                scale += u32::from(point.is_some());
            }
            b'.' if point.is_none() && place > 0 => point = Some(place),
            _ => return None,
        }
    }
    if point.is_some() && scale == 0 {
        return None;
    }
    if mantissa == 0 {
        return Some(Decimal::ZERO);
    }
    while scale > 0 && mantissa % 10 == 0 {
        mantissa /= 10;
        scale -= 1;
    }
    Some(Decimal::new(if negative { -mantissa } else { mantissa }, scale))
}

fn exponent(text: &str) -> Result<i32, InvalidDecimal> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(InvalidDecimal::Syntax);
    }
    // Longer exponents are beyond 28 digits whatever they say, unless the number is zero.
    Ok(text.parse::<i32>().unwrap_or(if text.starts_with('-') { -99_999 } else { 99_999 }))
}

/// `mantissa × 10^-places`.
fn shifted(mut mantissa: i128, mut places: i32) -> Result<Decimal, InvalidDecimal> {
    if mantissa == 0 {
        return Ok(Decimal::ZERO);
    }
    while places > 0 && mantissa % 10 == 0 {
        mantissa /= 10;
        places -= 1;
    }
    while places < 0 {
        mantissa *= 10;
        places += 1;
        if mantissa.unsigned_abs() >= 10_u128.pow(DIGITS_MAX) {
            return Err(InvalidDecimal::TooManyDigits);
        }
    }
    let scale = u32::try_from(places).expect("not negative after the loop");
    if scale > DIGITS_MAX {
        return Err(InvalidDecimal::TooManyDigits);
    }
    Decimal::try_from_i128_with_scale(mantissa, scale).map_err(|_| InvalidDecimal::TooManyDigits)
}

/// Rounds half away from zero, the way Commerce and tax offices do.
pub fn rounded(value: Decimal, places: u32) -> Decimal {
    value.round_dp_with_strategy(places, RoundingStrategy::MidpointAwayFromZero)
}

/// The shortest spelling: `2`, `1.5`, never `2.0` or an exponent.
pub fn plain(value: Decimal) -> String {
    value.normalize().to_string()
}

/// At least `places` digits after the point, more where the value has them: `14.0000`.
pub fn padded(value: Decimal, places: u32) -> String {
    let mut value = value.normalize();
    if value.scale() < places {
        value.rescale(places);
    }
    value.to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn short_numbers_are_what_long_ones_are(text in "-?[0-9]{0,12}([.][0-9]{0,8})?[.e0]?") {
            if let Some(value) = short(&text) {
                // An exponent of nothing takes the long way.
                let long = parse(&format!("{text}e0")).unwrap();
                prop_assert_eq!(value.serialize(), long.serialize(), "{}", text);
            }
        }

        #[test]
        fn what_has_few_digits_is_short(whole in "-?[0-9]{1,9}", fraction in "([.][0-9]{1,8})?") {
            let text = whole + &fraction;
            prop_assert!(short(&text).is_some(), "{}", text);
        }
    }

    #[test]
    fn digits_are_kept_and_exponents_resolved() {
        for (text, wanted) in [
            ("14", "14"),
            ("14.0000", "14"),
            ("-0.00", "0"),
            (" 2.50 ", "2.5"),
            ("1e3", "1000"),
            ("1.25E+2", "125"),
            ("4500e-3", "4.5"),
            ("19.99999999999999999999", "19.99999999999999999999"),
            ("0.0000000000000000000000000001", "0.0000000000000000000000000001"),
            ("1.00000000000000000000000000000000000000", "1"),
            ("0e99999999999", "0"),
        ] {
            assert_eq!(parse(text).map(plain), Ok(wanted.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_is_not_exactly_representable_is_refused_not_rounded() {
        for text in ["", "-", ".5", "5.", "+1", "1,5", "NaN", "0x10", "1e", "1e+", "--1", "1 2", "１"] {
            assert_eq!(parse(text), Err(InvalidDecimal::Syntax), "{text}");
        }
        for text in
            ["12345678901234567890123456789", "1e28", "1e-29", "1e999999999999", "0.12345678901234567890123456789"]
        {
            assert_eq!(parse(text), Err(InvalidDecimal::TooManyDigits), "{text}");
        }
    }

    #[test]
    fn padding_adds_zeros_and_never_cuts() {
        assert_eq!(padded(parse("14").unwrap(), 4), "14.0000");
        assert_eq!(padded(parse("8.25").unwrap(), 4), "8.2500");
        assert_eq!(padded(parse("0.12345").unwrap(), 4), "0.12345");
    }

    #[test]
    fn halves_are_rounded_away_from_zero() {
        assert_eq!(plain(rounded(parse("441.475").unwrap(), 2)), "441.48");
        assert_eq!(plain(rounded(parse("-0.005").unwrap(), 2)), "-0.01");
    }
}
