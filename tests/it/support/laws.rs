//! The conservation laws, written down a second time: from the document's own text, in exact decimals, without a line
//! of the product's code. What Commerce sent is consulted for totals and leaf quantities alone.

use std::collections::BTreeMap;
use std::str::FromStr as _;

use rust_decimal::Decimal;
use serde_json::Value;
use serde_json::value::RawValue;

const COLUMNS: [&str; 4] = ["net", "discount", "tax", "total"];
/// Currencies without a minor unit that the samples use.
const WHOLE: [&str; 4] = ["JPY", "KRW", "UGX", "VND"];

/// Every law that does not hold, in words.
pub fn broken(document: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let lines: Vec<&Value> = document["lines"].as_array().map(|lines| lines.iter().collect()).unwrap_or_default();
    let currency = document["order"]["currency"].as_str().unwrap_or_default();
    side(&lines, &document["totals"], &settled(document, "amount"), currency, &mut found, |line| line);
    if !document["totals"]["base"].is_null() {
        let base = document["order"]["base_currency"].as_str().unwrap_or_default();
        let settlements = settled(document, "base_amount");
        side(&lines, &document["totals"]["base"], &settlements, base, &mut found, |line| &line["base"]);
    }
    for (index, line) in lines.iter().enumerate() {
        if line["number"].as_u64() != Some(index as u64 + 1) {
            found.push(format!("line {index} has number {}", line["number"]));
        }
    }
    if lines.iter().filter(|line| line["kind"] == "rounding").count() > 1 {
        found.push("law 5: more than one rounding line".to_owned());
    }
    found
}

fn settled(document: &Value, member: &str) -> Vec<Decimal> {
    let all = document["settlements"].as_array().cloned().unwrap_or_default();
    all.iter().filter_map(|settlement| decimal(&settlement[member])).collect()
}

fn side<'d>(
    lines: &[&'d Value],
    totals: &Value,
    settled: &[Decimal],
    currency: &str,
    found: &mut Vec<String>,
    of: impl Fn(&'d Value) -> &'d Value,
) {
    let scale = if WHOLE.contains(&currency) { 0 } else { 2 };
    let mut sums = [Decimal::ZERO; 4];
    for line in lines {
        let mut parts = [Decimal::ZERO; 4];
        for (part, column) in parts.iter_mut().zip(COLUMNS) {
            match decimal(&of(line)[column]) {
                Some(value) => {
                    *part = value;
                    if value.scale() != scale {
                        found.push(format!("law 5: {column} of line {} is {value} {currency}", line["number"]));
                    }
                }
                None => found.push(format!("line {} has no {column}", line["number"])),
            }
        }
        if parts[3] != parts[0] - parts[1] + parts[2] {
            found.push(format!("law 1: line {}: {parts:?}", line["number"]));
        }
        for (sum, part) in sums.iter_mut().zip(parts) {
            *sum += part;
        }
    }
    for (sum, column) in sums.iter().zip(COLUMNS) {
        if decimal(&totals[column]) != Some(*sum) {
            found.push(format!("law 2: {column} of the lines is {sum}, of the totals {}", totals[column]));
        }
    }
    let due = decimal(&totals["grand_total"]).map(|grand| grand + settled.iter().sum::<Decimal>());
    if due != Some(sums[3]) {
        found.push(format!("law 2: lines are {}, due is {due:?}", sums[3]));
    }
}

/// What does not agree with the order as Commerce sent it: its grand total, and the quantity of every leaf.
pub fn differs(order: &str, document: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let sent = Sent::read(order);
    let grand = decimal(&document["totals"]["grand_total"]);
    let scale = grand.map_or(2, |grand| grand.scale());
    let rounded = sent
        .grand_total
        .map(|total| total.round_dp_with_strategy(scale, rust_decimal::RoundingStrategy::MidpointAwayFromZero));
    if grand != rounded {
        found.push(format!("grand total {grand:?} of {:?}", sent.grand_total));
    }
    let mut lines: BTreeMap<String, Decimal> = BTreeMap::new();
    for line in document["lines"].as_array().into_iter().flatten() {
        if matches!(line["kind"].as_str(), Some("item" | "component")) {
            let id = if line["child_order_item_id"].is_null() {
                &line["order_item_id"]
            } else {
                &line["child_order_item_id"]
            };
            *lines.entry(id.to_string()).or_default() += decimal(&line["quantity"]).unwrap_or_default();
        }
    }
    let quantities = |all: &BTreeMap<String, Decimal>| {
        let mut all: Vec<Decimal> = all.values().map(Decimal::normalize).collect();
        all.sort();
        all
    };
    // Before the order is saved items have no ids of the database, so only the quantities themselves are compared.
    if quantities(&sent.leaves) != quantities(&lines) {
        found.push(format!("law 3: leaves {:?}, lines {lines:?}", sent.leaves));
    }
    found
}

/// What an order says of itself, read with its digits.
struct Sent {
    grand_total: Option<Decimal>,
    leaves: BTreeMap<String, Decimal>,
}

impl Sent {
    fn read(order: &str) -> Sent {
        let members: BTreeMap<String, &RawValue> = serde_json::from_str(order).expect("an order object");
        let grand_total = members.get("grand_total").and_then(|raw| exact(raw.get()));
        let items = members.get("items").map_or_else(Vec::new, |raw| elements(raw.get()));
        let text = |item: &BTreeMap<String, &RawValue>, name: &str| {
            let raw = item.get(name).map_or("null", |raw| raw.get());
            Some(raw.trim_matches('"').to_owned()).filter(|text| text != "null" && !text.is_empty())
        };
        // Ids of the order and of the quote it came from may be equal by chance: one kind or the other, never both.
        let saved = items.iter().any(|item| text(item, "parent_item_id").is_some());
        let (own, above) =
            if saved { ("item_id", "parent_item_id") } else { ("quote_item_id", "quote_parent_item_id") };
        let parents: Vec<String> = items.iter().filter_map(|item| text(item, above)).collect();
        let mut leaves = BTreeMap::new();
        for (index, item) in items.iter().enumerate() {
            if text(item, own).is_some_and(|id| parents.contains(&id)) {
                continue;
            }
            let quantity = item.get("qty_ordered").and_then(|raw| exact(raw.get())).unwrap_or_default();
            leaves.insert(text(item, "item_id").unwrap_or_else(|| format!("#{index}")), quantity);
        }
        Sent { grand_total, leaves }
    }
}

fn elements(raw: &str) -> Vec<BTreeMap<String, &RawValue>> {
    let all: Vec<&RawValue> = match serde_json::from_str::<Vec<&RawValue>>(raw) {
        Ok(list) => list,
        Err(_) => serde_json::from_str::<BTreeMap<String, &RawValue>>(raw)
            .map(|map| map.into_values().collect())
            .unwrap_or_default(),
    };
    all.into_iter().filter_map(|item| serde_json::from_str(item.get()).ok()).collect()
}

fn exact(raw: &str) -> Option<Decimal> {
    let digits = raw.trim_matches('"');
    Decimal::from_str(digits).or_else(|_| Decimal::from_scientific(digits)).ok()
}

fn decimal(value: &Value) -> Option<Decimal> {
    Decimal::from_str(value.as_str()?).ok()
}
