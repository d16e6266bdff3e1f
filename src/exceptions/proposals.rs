//! What a missing row of a mapping table may have to say: values that look likely, the likeliest first. Pure; nothing here is
//! ever applied by itself.

use std::collections::{BTreeMap, HashSet};

use serde::Serialize;

use crate::domain::defect::{Defect, ExceptionCode};
use crate::domain::mapping::Table;
use crate::store::view::{ExceptionRow, MappingRecord};

/// Most values proposed.
const PROPOSED_MAX: usize = 10;
/// Below this likeness, in percent, a value is noise.
const SCORE_MIN: u8 = 45;

/// A row that is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// Of which table.
    pub table: Table,
    /// What Commerce says.
    pub key: String,
}

/// The row whose want made this exception; `None` where no row would help.
pub fn missing(exception: &ExceptionRow) -> Option<Missing> {
    let code: ExceptionCode = exception.code.parse().ok()?;
    let table = match code {
        ExceptionCode::UnmappedSku => Table::Skus,
        ExceptionCode::UnmappedTaxCode => Table::TaxCodes,
        ExceptionCode::UnmappedOption => Table::Options,
        ExceptionCode::UnmappedPaymentMethod => Table::PaymentMethods,
        ExceptionCode::UnmappedShippingMethod => Table::ShippingMethods,
        _ => return None,
    };
    let key = exception.value.clone()?;
    // A value that is not the cause (the catalogue did not answer in time, or it is cut) is no key of a table.
    let cause = Defect::new(code, "", "").with_cause(&key).fingerprint();
    (cause == exception.fingerprint).then_some(Missing { table, key })
}

/// What a row says already where it says something else: a colleague may have added it meanwhile, and theirs stands until
/// somebody edits the table.
pub fn claimed<'r>(rows: &'r [MappingRecord], row: &MappingRecord) -> Option<&'r str> {
    let known = rows.iter().find(|known| known.key == row.key && known.destination == row.destination)?;
    (known.value != row.value).then_some(known.value.as_str())
}

/// A value that looks likely.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Proposal {
    /// What the destination would be told.
    pub value: String,
    /// How alike, from 1 to 100.
    pub score: u8,
    /// What it was found by: `key` (of the same table), `value` (of the same table), `catalogue`, `custom` (the table's own).
    pub source: &'static str,
    /// In a sentence.
    pub why: String,
}

/// Values for a missing row, from the table and from what is known of the shop's SKUs; the likeliest first.
pub fn proposals(missing: &Missing, rows: &[MappingRecord], skus: &[String]) -> Vec<Proposal> {
    let wanted = Word::new(&missing.key);
    let mut best: BTreeMap<String, Proposal> = BTreeMap::new();
    let mut propose = |value: &str, score: u8, source: &'static str, why: String| {
        let better = best.get(value).is_none_or(|known| known.score < score);
        if score >= SCORE_MIN && better && !value.is_empty() {
            best.insert(value.to_owned(), Proposal { value: value.to_owned(), score, source, why });
        }
    };
    let table = missing.table;
    for row in rows {
        let by_key = if row.key == missing.key { 100 } else { wanted.likeness(&Word::new(&row.key)).min(99) };
        let whose = if row.destination.is_empty() { String::new() } else { format!(" for {}", row.destination) };
        let why = format!("table {table} says so of \"{}\"{whose}", row.key);
        propose(&row.value, by_key, "key", why);
        let by_value = less(wanted.likeness(&Word::new(&row.value)), 5);
        propose(&row.value, by_value, "value", format!("table {table} uses it, and it looks like \"{}\"", missing.key));
    }
    let same = rows.iter().filter(|row| row.key == row.value).count();
    if same > 0 && same * 2 >= rows.len() {
        let why = format!("{same} of {} rows of table {table} say what Commerce says", rows.len());
        propose(&missing.key, 90, "custom", why);
    }
    if table == Table::Skus {
        let mapped: HashSet<&str> = rows.iter().map(|row| row.key.as_str()).collect();
        for sku in skus.iter().filter(|sku| **sku != missing.key && !mapped.contains(sku.as_str())) {
            let score = less(wanted.likeness(&Word::new(sku)), 10);
            propose(sku, score, "catalogue", format!("Commerce's catalogue has \"{sku}\", which looks like it"));
        }
    }
    let mut proposed: Vec<Proposal> = best.into_values().collect();
    proposed.sort_by(|one, other| other.score.cmp(&one.score).then_with(|| one.value.cmp(&other.value)));
    proposed.truncate(PROPOSED_MAX);
    proposed
}

fn less(score: u8, percent: u8) -> u8 {
    let score = u16::from(score) * u16::from(100 - percent) / 100;
    u8::try_from(score).unwrap_or(100)
}

/// A word as it is compared: its letters and digits in lower case, and the threes of letters in it.
struct Word {
    plain: String,
    threes: Vec<[char; 3]>,
}

impl Word {
    fn new(text: &str) -> Self {
        let plain: String =
            text.chars().flat_map(char::to_lowercase).filter(|letter| letter.is_alphanumeric()).collect();
        let padded: Vec<char> = [' ', ' '].into_iter().chain(plain.chars()).chain([' ']).collect();
        let mut threes: Vec<[char; 3]> = padded.windows(3).map(|three| [three[0], three[1], three[2]]).collect();
        threes.sort_unstable();
        threes.dedup();
        Word { plain, threes }
    }

    /// From 0 to 100: half by shared threes, which finds what was put together otherwise; half by Jaro and Winkler, which
    /// finds typing errors and trusts beginnings.
    fn likeness(&self, other: &Word) -> u8 {
        if self.plain.is_empty() || other.plain.is_empty() {
            return 0;
        }
        if self.plain == other.plain {
            return 100;
        }
        let shared = self.threes.iter().filter(|three| other.threes.binary_search(three).is_ok()).count();
        let dice = 2.0 * ratio(shared) / ratio(self.threes.len() + other.threes.len());
        let jaro = strsim::jaro_winkler(&self.plain, &other.plain);
        percent(f64::midpoint(dice, jaro)).min(99)
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of letters")]
fn ratio(count: usize) -> f64 {
    count as f64
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 100")]
fn percent(part: f64) -> u8 {
    (part.clamp(0.0, 1.0) * 100.0).round() as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(key: &str, value: &str) -> MappingRecord {
        MappingRecord { key: key.into(), value: value.into(), destination: String::new() }
    }

    fn of(table: Table, key: &str, rows: &[MappingRecord], skus: &[&str]) -> Vec<Proposal> {
        let skus: Vec<String> = skus.iter().map(|sku| (*sku).to_owned()).collect();
        proposals(&Missing { table, key: key.into() }, rows, &skus)
    }

    #[test]
    fn the_likeliest_stands_first_with_its_reason() {
        let rows = [row("MUG-GREEN", "10042"), row("MUG-RED", "10043"), row("BIKE", "77")];
        let found = of(Table::Skus, "MUG-GREEN-XL", &rows, &["MUG-GREEN-XXL", "BIKE"]);
        assert_eq!(found[0].value, "10042", "{found:?}");
        assert!(found[0].why.contains("MUG-GREEN") && found[0].score > 80, "{found:?}");
        assert!(found.iter().any(|one| one.value == "MUG-GREEN-XXL" && one.source == "catalogue"), "{found:?}");
        assert!(!found.iter().any(|one| one.value == "77"), "{found:?}");
        assert!(found.windows(2).all(|pair| pair[0].score >= pair[1].score));
    }

    #[test]
    fn another_spelling_is_the_same_and_a_row_for_another_destination_is_best() {
        let rows = [row("Flat Rate", "DHL"), row("tablerate_bestway", "UPS")];
        let found = of(Table::ShippingMethods, "flatrate", &rows, &[]);
        assert_eq!((found[0].value.as_str(), found[0].score), ("DHL", 99));
        let elsewhere = MappingRecord { destination: "wms".into(), ..row("checkmo", "CHK") };
        assert_eq!(of(Table::PaymentMethods, "checkmo", &[elsewhere], &[])[0].score, 100);
    }

    #[test]
    fn a_table_that_keeps_the_shops_words_proposes_the_word_itself() {
        let rows = [row("A-1", "A-1"), row("B-2", "B-2"), row("C-3", "X")];
        let found = of(Table::Skus, "Q-77", &rows, &[]);
        assert_eq!((found[0].value.as_str(), found[0].source), ("Q-77", "custom"));
        assert!(of(Table::Skus, "Q-77", &[], &["zzz"]).is_empty(), "nothing alike, nothing proposed");
    }

    #[test]
    fn odd_words_and_large_tables_do_no_harm() {
        for odd in ["", "---", "😀", "\u{0}", &"x".repeat(5_000)] {
            let _ = of(Table::Skus, odd, &[row(odd, odd), row("", "")], &[odd]);
        }
        let rows: Vec<_> = (0..5_000).map(|n| row(&format!("SKU-{n:05}"), &n.to_string())).collect();
        assert_eq!(of(Table::Skus, "SKU-00042-X", &rows, &[]).len(), PROPOSED_MAX);
    }
}
