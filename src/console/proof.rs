//! The money proof of a document, for a person's eyes: both sides of every sum, from the document's own digits.

use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::Value;

/// One sum that must come out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Sum {
    /// What it is, in words.
    pub what: String,
    /// Reckoned from the lines.
    pub ours: String,
    /// What it must be.
    pub theirs: String,
    /// Whether they agree.
    pub agrees: bool,
}

/// Every sum of a document with lines and totals; empty for one that has none.
pub fn sums(document: &Value) -> Vec<Sum> {
    let (Some(lines), totals) = (document["lines"].as_array(), &document["totals"]) else { return Vec::new() };
    if !totals.is_object() {
        return Vec::new();
    }
    let column = |name: &str| lines.iter().filter_map(|line| number(&line[name])).sum::<Decimal>();
    let mut sums = Vec::new();
    for (name, what) in [("net", "net"), ("discount", "discount"), ("tax", "tax"), ("total", "total")] {
        if let Some(said) = number(&totals[name]) {
            sums.push(sum(&format!("lines, {what}"), column(name), said));
        }
    }
    if let (Some(total), Some(charged)) = (number(&totals["total"]), number(&totals["grand_total"])) {
        let settled: Decimal =
            document["settlements"].as_array().into_iter().flatten().filter_map(|one| number(&one["amount"])).sum();
        let what = if settled.is_zero() { "total and grand total" } else { "total and grand total with settlements" };
        sums.push(sum(what, total, charged + settled));
    }
    if let (Some(charged), Some(sent)) = (number(&totals["grand_total"]), number(&totals["as_sent"]["grand_total"])) {
        sums.push(sum("grand total and what Commerce sent", charged, sent.round_dp(charged.scale())));
    }
    sums
}

fn sum(what: &str, ours: Decimal, theirs: Decimal) -> Sum {
    Sum { what: what.to_owned(), ours: ours.to_string(), theirs: theirs.to_string(), agrees: ours == theirs }
}

fn number(value: &Value) -> Option<Decimal> {
    match value {
        Value::String(text) => text.parse().ok(),
        Value::Number(number) => number.to_string().parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_sum_is_shown_with_both_sides() {
        let document = json!({
            "lines": [{ "net": "10.00", "discount": "1.00", "tax": "1.80", "total": "10.80" },
                      { "net": "5.00", "discount": "0.00", "tax": "0.00", "total": "5.00" }],
            "totals": { "net": "15.00", "discount": "1.00", "tax": "1.80", "total": "15.80", "grand_total": "5.80",
                        "as_sent": { "grand_total": "5.8" } },
            "settlements": [{ "kind": "gift_card", "amount": "10.00" }]
        });
        let shown = sums(&document);
        assert_eq!(shown.len(), 6);
        assert!(shown.iter().all(|sum| sum.agrees), "{shown:?}");
        let mut wrong = document;
        wrong["lines"][1]["tax"] = "0.01".into();
        let differs: Vec<_> = sums(&wrong).into_iter().filter(|sum| !sum.agrees).collect();
        assert_eq!(differs.len(), 1);
        assert_eq!((differs[0].ours.as_str(), differs[0].theirs.as_str()), ("1.81", "1.80"));
        assert!(sums(&json!({})).is_empty() && sums(&json!({ "lines": [] })).is_empty());
    }
}
