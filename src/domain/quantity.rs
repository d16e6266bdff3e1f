//! How many: an exact decimal that is never negative.

use std::fmt;

use rust_decimal::Decimal;
use serde::{Serialize, Serializer};

use super::decimal;

/// An exact quantity.
///
/// Invariant: not negative and below a thousand million, so that a price times a quantity cannot overflow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Quantity(Decimal);

/// Why a number is no quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidQuantity {
    /// Below zero.
    #[error("a quantity cannot be negative")]
    Negative,
    /// A thousand million or more.
    #[error("the quantity is too large")]
    TooLarge,
}

impl Quantity {
    /// None.
    pub const ZERO: Quantity = Quantity(Decimal::ZERO);
    /// One.
    pub const ONE: Quantity = Quantity(Decimal::ONE);

    /// A checked quantity.
    pub fn new(value: Decimal) -> Result<Self, InvalidQuantity> {
        if value < Decimal::ZERO {
            return Err(InvalidQuantity::Negative);
        }
        if value >= Decimal::from(1_000_000_000_u32) {
            return Err(InvalidQuantity::TooLarge);
        }
        Ok(Quantity(value.normalize()))
    }

    /// The exact value.
    pub fn value(self) -> Decimal {
        self.0
    }

    /// Whether there is none.
    pub fn is_zero(self) -> bool {
        self.0.is_zero()
    }

    /// `self ÷ whole` where the division comes out even; components per bundle do.
    pub fn per(self, whole: Quantity) -> Option<Quantity> {
        let quotient = self.0.checked_div(whole.0)?.normalize();
        (quotient.checked_mul(whole.0)? == self.0).then(|| Quantity::new(quotient).ok()).flatten()
    }
}

/// The shortest spelling: `2`, `1.5`.
impl fmt::Display for Quantity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&decimal::plain(self.0))
    }
}

impl Serialize for Quantity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quantity(text: &str) -> Quantity {
        Quantity::new(decimal::parse(text).unwrap()).unwrap()
    }

    #[test]
    fn quantities_are_exact_and_never_negative() {
        assert_eq!(quantity("2.0000").to_string(), "2");
        assert_eq!(Quantity::new(Decimal::NEGATIVE_ONE), Err(InvalidQuantity::Negative));
        assert_eq!(Quantity::new(Decimal::from(1_000_000_000_u64)), Err(InvalidQuantity::TooLarge));
    }

    #[test]
    fn a_share_is_given_only_where_it_comes_out_even() {
        assert_eq!(quantity("6").per(quantity("2")), Some(quantity("3")));
        assert_eq!(quantity("4.5").per(quantity("3")), Some(quantity("1.5")));
        assert_eq!(quantity("1").per(quantity("3")), None);
        assert_eq!(quantity("1").per(Quantity::ZERO), None);
    }
}
