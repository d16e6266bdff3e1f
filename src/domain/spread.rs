//! Exact columns into minor units without drift.
//!
//! The header is rounded once, half away from zero. The rows are then fitted to the rounded header by largest remainder,
//! so that two halves of a cent never become two cents. What the rows leave open against their header is not spread: it
//! is returned, to be shown as a rounding.

use rust_decimal::Decimal;

use super::currency::Currency;
use super::money::{Money, floor_minor};

/// One column in minor units: `Σ parts + rounding` is the rounded header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// One part per row.
    pub parts: Vec<i64>,
    /// What Commerce left open between its rows and its header.
    pub rounding: i64,
}

/// Fits `values` to `header`; `None` when an amount is beyond 64-bit minor units.
pub fn column(values: impl Iterator<Item = Decimal>, header: Decimal, currency: Currency) -> Option<Column> {
    let target = Money::rounded(header, currency).ok()?.minor();
    let mut parts = Vec::with_capacity(values.size_hint().0);
    let mut rests: Vec<(usize, Decimal)> = Vec::new();
    let (mut sum, mut floors) = (Decimal::ZERO, 0_i64);
    for value in values {
        let (floor, rest) = floor_minor(value, currency)?;
        if !rest.is_zero() {
            rests.push((parts.len(), rest));
        }
        parts.push(floor);
        floors = floors.checked_add(floor)?;
        sum = sum.checked_add(value)?;
    }
    let spare = i64::try_from(rests.len()).ok()?;
    let gap = header.checked_sub(sum)?.abs();
    let fits = gap < Decimal::new(1, currency.digits()) && (0..=spare).contains(&target.checked_sub(floors)?);
    let rows_target = if fits { target } else { Money::rounded(sum, currency).ok()?.minor() };
    let missing = rows_target.checked_sub(floors)?;
    rests.sort_by_key(|(_, rest)| std::cmp::Reverse(*rest));
    for (index, _) in rests.iter().take(usize::try_from(missing).ok()?) {
        parts[*index] += 1;
    }
    Some(Column { parts, rounding: target.checked_sub(rows_target)? })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn spread(values: &[&str], header: &str, code: &str) -> (Vec<i64>, i64) {
        let decimal = |text: &&str| crate::domain::decimal::parse(text).unwrap();
        let column = column(values.iter().map(decimal), decimal(&header), code.parse().unwrap()).unwrap();
        (column.parts, column.rounding)
    }

    #[test]
    fn law_5_sub_cent_rows_are_fitted_to_the_rounded_header() {
        assert_eq!(spread(&["321.25", "14.985", "25"], "361.235", "USD"), (vec![32_125, 1_499, 2_500], 0));
        assert_eq!(spread(&["0.005", "0.005"], "0.01", "USD"), (vec![1, 0], 0));
        assert_eq!(spread(&["-0.005", "-0.005"], "-0.01", "USD"), (vec![0, -1], 0));
        assert_eq!(spread(&["33.3333", "33.3333", "33.3333"], "100", "USD"), (vec![3_334, 3_333, 3_333], 0));
    }

    #[test]
    fn law_5_amounts_of_a_currency_without_minor_units_lose_their_decimals() {
        assert_eq!(spread(&["1234.56", "65.44"], "1300", "JPY"), (vec![1_235, 65], 0));
        assert_eq!(spread(&["1.5"], "1.5", "JPY"), (vec![2], 0));
    }

    #[test]
    fn law_5_what_rows_leave_open_is_shown_and_never_spread_over_exact_rows() {
        assert_eq!(spread(&["10.00", "5.00"], "15.01", "EUR"), (vec![1_000, 500], 1));
        assert_eq!(spread(&["10.00"], "10.005", "EUR"), (vec![1_000], 1));
        assert_eq!(spread(&["10.004", "5.00"], "14.99", "EUR"), (vec![1_000, 500], -1));
        assert_eq!(spread(&[], "0.02", "EUR"), (vec![], 2));
    }

    proptest! {
        #[test]
        fn law_5_parts_and_rounding_always_sum_to_the_rounded_header(
            values in proptest::collection::vec(-10_000_000_i64..10_000_000, 0..10),
            noise in -200_i64..200,
        ) {
            let currency: Currency = "EUR".parse().unwrap();
            let values: Vec<Decimal> = values.into_iter().map(|minor| Decimal::new(minor, 4)).collect();
            let header = values.iter().sum::<Decimal>() + Decimal::new(noise, 4);
            let column = column(values.iter().copied(), header, currency).unwrap();
            prop_assert_eq!(
                column.parts.iter().sum::<i64>() + column.rounding,
                Money::rounded(header, currency).unwrap().minor()
            );
            for (part, value) in column.parts.iter().zip(&values) {
                prop_assert!((Decimal::new(*part, 2) - value).abs() < Decimal::new(1, 2));
            }
            if noise == 0 {
                prop_assert_eq!(column.rounding, 0);
            }
        }
    }
}
