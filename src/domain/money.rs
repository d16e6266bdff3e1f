//! Exact amounts in the minor unit of a currency.

use std::fmt;

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use serde::{Serialize, Serializer};

use super::currency::Currency;
use super::decimal;

/// An exact amount in the minor unit of its currency. There is no division: use [`Money::allocate`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Money {
    minor: i64,
    currency: Currency,
}

/// Why an operation on money has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// Amounts of two currencies do not add up.
    #[error("{0} and {1} cannot be added")]
    Mixed(Currency, Currency),
    /// Beyond the range of 64-bit minor units.
    #[error("the amount is too large")]
    Overflow,
}

impl Money {
    /// Nothing.
    pub fn zero(currency: Currency) -> Self {
        Money { minor: 0, currency }
    }

    /// So many minor units.
    pub fn from_minor(minor: i64, currency: Currency) -> Self {
        Money { minor, currency }
    }

    /// The nearest amount in minor units, halves away from zero.
    pub fn rounded(value: Decimal, currency: Currency) -> Result<Self, MoneyError> {
        let places = currency.digits();
        let mut value = decimal::rounded(value, places);
        value.rescale(places);
        if value.scale() != places {
            return Err(MoneyError::Overflow);
        }
        let minor = i64::try_from(value.mantissa()).map_err(|_| MoneyError::Overflow)?;
        Ok(Money { minor, currency })
    }

    /// Minor units.
    pub fn minor(self) -> i64 {
        self.minor
    }

    /// The currency.
    pub fn currency(self) -> Currency {
        self.currency
    }

    /// Whether it is nothing.
    pub fn is_zero(self) -> bool {
        self.minor == 0
    }

    /// The value as an exact decimal with the currency's minor digits.
    pub fn to_decimal(self) -> Decimal {
        Decimal::new(self.minor, self.currency.digits())
    }

    /// The sum; a mismatch of currencies and overflow are answers.
    pub fn checked_add(self, other: Money) -> Result<Money, MoneyError> {
        if self.currency != other.currency {
            return Err(MoneyError::Mixed(self.currency, other.currency));
        }
        let minor = self.minor.checked_add(other.minor).ok_or(MoneyError::Overflow)?;
        Ok(Money { minor, ..self })
    }

    /// The difference; see [`Money::checked_add`].
    pub fn checked_sub(self, other: Money) -> Result<Money, MoneyError> {
        if self.currency != other.currency {
            return Err(MoneyError::Mixed(self.currency, other.currency));
        }
        let minor = self.minor.checked_sub(other.minor).ok_or(MoneyError::Overflow)?;
        Ok(Money { minor, ..self })
    }

    /// Parts in proportion to `weights`. The parts always sum to `self`; largest remainders go first, the earlier part
    /// first among equals.
    pub fn allocate(self, weights: &Weights) -> Vec<Money> {
        let whole = self.minor.unsigned_abs();
        let mut left = whole;
        let mut parts: Vec<(u64, u128)> = Vec::with_capacity(weights.parts.len());
        for weight in &weights.parts {
            let (share, remainder) = multiply_divide(whole, *weight, weights.sum);
            left -= share;
            parts.push((share, remainder));
        }
        let mut order: Vec<usize> = (0..parts.len()).collect();
        order.sort_by_key(|index| std::cmp::Reverse(parts[*index].1));
        for index in order.into_iter().take(usize::try_from(left).expect("fewer units are left than there are parts")) {
            parts[index].0 += 1;
        }
        let signed = |share: u64| if self.minor < 0 { 0_i64.wrapping_sub_unsigned(share) } else { share.cast_signed() };
        parts.into_iter().map(|(share, _)| Money { minor: signed(share), ..self }).collect()
    }
}

/// `amount × weight ÷ sum` as quotient and remainder, exact for any weight up to `sum`.
fn multiply_divide(amount: u64, weight: u128, sum: u128) -> (u64, u128) {
    if let Some(product) = u128::from(amount).checked_mul(weight) {
        let share = u64::try_from(product / sum).expect("a weight is at most the sum");
        return (share, product % sum);
    }
    // Rare: list prices with many digits. Long multiplication bit by bit; the remainder stays below `sum` < 2^127.
    let (mut quotient, mut remainder) = (0_u64, 0_u128);
    for bit in (0..64).rev() {
        quotient <<= 1;
        remainder <<= 1;
        if amount >> bit & 1 == 1 {
            remainder += weight;
        }
        while remainder >= sum {
            remainder -= sum;
            quotient += 1;
        }
    }
    (quotient, remainder)
}

/// Shares for [`Money::allocate`].
///
/// Invariant: at least one, none negative, their sum above zero and below 2^125.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Weights {
    parts: Vec<u128>,
    sum: u128,
}

impl Weights {
    /// Exact weights from decimals; `None` when there is none, one is negative, or all are zero.
    pub fn new(values: &[Decimal]) -> Option<Self> {
        let scale = values.iter().map(|value| value.normalize().scale()).max()?;
        let mut parts = Vec::with_capacity(values.len());
        for value in values {
            let value = value.normalize();
            let mantissa = u128::try_from(value.mantissa()).ok()?;
            parts.push(mantissa.checked_mul(10_u128.pow(scale - value.scale()))?);
        }
        let sum = parts.iter().try_fold(0_u128, |sum, part| sum.checked_add(*part))?;
        (sum > 0 && sum < 1 << 125).then_some(Weights { parts, sum })
    }

    /// The same share for each of `count` parts; `None` for no part.
    pub fn equal(count: usize) -> Option<Self> {
        (count > 0).then(|| Weights { parts: vec![1; count], sum: count as u128 })
    }

    /// How many parts.
    pub fn count(&self) -> usize {
        self.parts.len()
    }
}

/// Room for the longest amount: a sign, 19 digits and a point.
const SPELLED_MAX: usize = 24;

impl Money {
    /// Spelled with the currency's minor digits: `-12.30`. A document has dozens, so no general machinery formats them.
    fn spell<'b>(&self, room: &'b mut [u8; SPELLED_MAX]) -> &'b str {
        let digits = self.currency.digits();
        let (mut rest, mut written, mut start) = (self.minor.unsigned_abs(), 0, SPELLED_MAX);
        let mut put = |byte: u8| {
            start -= 1;
            room[start] = byte;
        };
        while rest > 0 || written <= digits {
            if written == digits && digits > 0 {
                put(b'.');
            }
            put(b"0123456789"[usize::try_from(rest % 10).expect("one digit")]);
            rest /= 10;
            written += 1;
        }
        if self.minor < 0 {
            put(b'-');
        }
        std::str::from_utf8(&room[start..]).expect("digits, a point and a sign")
    }
}

/// The amount with the currency's minor digits, without its code: `-12.30`.
impl fmt::Display for Money {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.spell(&mut [0; SPELLED_MAX]))
    }
}

impl Serialize for Money {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.spell(&mut [0; SPELLED_MAX]))
    }
}

/// Whole minor units below or at `value`, and what is left over (0 ≤ rest < 1); `None` beyond 64 bits.
pub(super) fn floor_minor(value: Decimal, currency: Currency) -> Option<(i64, Decimal)> {
    let places = currency.digits();
    if value.scale() <= places {
        let minor = value.mantissa().checked_mul(10_i128.pow(places - value.scale()))?;
        return Some((i64::try_from(minor).ok()?, Decimal::ZERO));
    }
    let scaled = value.checked_mul(Decimal::from(10_u32.pow(places)))?;
    let floor = scaled.floor();
    Some((floor.to_i64()?, scaled - floor))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn euro() -> Currency {
        "EUR".parse().unwrap()
    }

    fn minors(parts: &[Money]) -> Vec<i64> {
        parts.iter().map(|part| part.minor()).collect()
    }

    #[test]
    fn largest_remainders_go_first_and_the_earlier_part_wins_a_tie() {
        let thirds = Weights::new(&[Decimal::ONE, Decimal::ONE, Decimal::ONE]).unwrap();
        assert_eq!(minors(&Money::from_minor(100, euro()).allocate(&thirds)), [34, 33, 33]);
        assert_eq!(minors(&Money::from_minor(-101, euro()).allocate(&thirds)), [-34, -34, -33]);
        let uneven = Weights::new(&[Decimal::new(15, 1), Decimal::ZERO, Decimal::new(2, 0)]).unwrap();
        assert_eq!(minors(&Money::from_minor(10, euro()).allocate(&uneven)), [4, 0, 6]);
    }

    #[test]
    fn weights_without_anything_to_weigh_are_refused() {
        assert_eq!(Weights::new(&[]), None);
        assert_eq!(Weights::new(&[Decimal::ZERO]), None);
        assert_eq!(Weights::new(&[Decimal::NEGATIVE_ONE, Decimal::TEN]), None);
        assert_eq!(Weights::equal(0), None);
    }

    #[test]
    fn law_5_amounts_show_the_minor_digits_of_their_currency() {
        for (minor, code, wanted) in [
            (1230, "EUR", "12.30"),
            (-5, "EUR", "-0.05"),
            (1230, "JPY", "1230"),
            (5, "KWD", "0.005"),
            (0, "EUR", "0.00"),
            (i64::MIN, "EUR", "-92233720368547758.08"),
        ] {
            assert_eq!(Money::from_minor(minor, code.parse().unwrap()).to_string(), wanted);
        }
    }

    #[test]
    fn currencies_do_not_mix_and_overflow_is_an_answer() {
        let (one, other) = (Money::from_minor(1, euro()), Money::from_minor(1, "USD".parse().unwrap()));
        assert!(matches!(one.checked_add(other), Err(MoneyError::Mixed(..))));
        assert_eq!(Money::from_minor(i64::MAX, euro()).checked_add(one), Err(MoneyError::Overflow));
        assert_eq!(Money::rounded(Decimal::MAX, euro()), Err(MoneyError::Overflow));
    }

    proptest! {
        #[test]
        fn allocated_parts_sum_to_the_whole(
            minor in any::<i64>().prop_map(|minor| minor.max(-i64::MAX)),
            weights in proptest::collection::vec((0_i64..=i64::MAX, 0_u32..12), 1..12),
        ) {
            let weights: Vec<Decimal> = weights.into_iter().map(|(mantissa, scale)| Decimal::new(mantissa, scale)).collect();
            prop_assume!(weights.iter().any(|weight| !weight.is_zero()));
            let weights = Weights::new(&weights).unwrap();
            let parts = Money::from_minor(minor, euro()).allocate(&weights);
            prop_assert_eq!(parts.len(), weights.count());
            prop_assert_eq!(parts.iter().map(|part| i128::from(part.minor())).sum::<i128>(), i128::from(minor));
        }

        #[test]
        fn the_slow_and_the_fast_division_agree(amount in any::<u64>(), weight in 0_u128..1 << 60, more in 1_u128..1 << 60) {
            let sum = weight + more;
            let product = u128::from(amount) * weight;
            let slow = multiply_divide(amount, weight << 64, sum << 64);
            prop_assert_eq!((slow.0, slow.1 >> 64), (u64::try_from(product / sum).unwrap(), product % sum));
        }
    }
}
