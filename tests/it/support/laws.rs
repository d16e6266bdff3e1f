//! The conservation laws, written down a second time: from the document's own text, in exact decimals, without a line
//! of the product's code. What Commerce sent is consulted for totals and leaf quantities alone.

use std::collections::BTreeMap;
use std::str::FromStr as _;

use rust_decimal::Decimal;
use serde_json::Value;
use serde_json::value::RawValue;

const COLUMNS: [&str; 4] = ["net", "discount", "tax", "total"];

/// Digits of the minor unit (ISO 4217) where there are not two.
fn digits(currency: &str) -> u32 {
    match currency {
        "JPY" | "KRW" | "UGX" | "VND" => 0,
        "BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => 3,
        _ => 2,
    }
}

/// Every law that does not hold, in words.
pub fn broken(document: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let numbered: Vec<&Value> = document["lines"].as_array().map(|lines| lines.iter().collect()).unwrap_or_default();
    // Shipping may stand beside the lines, where its destination wants it there.
    let beside = document["shipping"].is_object().then(|| &document["shipping"]);
    let lines: Vec<&Value> = numbered.iter().copied().chain(beside).collect();
    let currency = document["order"]["currency"].as_str().unwrap_or_default();
    side(&lines, &document["totals"], &settled(document, "amount"), currency, &mut found, |line| line);
    if !document["totals"]["base"].is_null() {
        let base = document["order"]["base_currency"].as_str().unwrap_or_default();
        let settlements = settled(document, "base_amount");
        side(&lines, &document["totals"]["base"], &settlements, base, &mut found, |line| &line["base"]);
    }
    for (index, line) in numbered.iter().enumerate() {
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
    let scale = digits(currency);
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
    let worth = sums[3] + decimal(&totals["tax_left_out"]).unwrap_or_default();
    if due != Some(worth) {
        found.push(format!("law 2: lines are {worth}, due is {due:?}"));
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
    let goods = |line: &&Value| matches!(line["kind"].as_str(), Some("item" | "component"));
    let lines = document["lines"].as_array().into_iter().flatten().filter(goods);
    let mut lines: Vec<Decimal> =
        lines.map(|line| decimal(&line["quantity"]).unwrap_or_default().normalize()).collect();
    lines.sort();
    // Before the order is saved items have no ids of the database, so the quantities themselves are compared: one line
    // for each leaf, no more and no fewer.
    if sent.leaves != lines {
        found.push(format!("law 3: leaves {:?}, lines {lines:?}", sent.leaves));
    }
    found
}

/// What an order says of itself, read with its digits.
struct Sent {
    grand_total: Option<Decimal>,
    /// `qty_ordered` of every item that is nobody's parent, smallest first.
    leaves: Vec<Decimal>,
}

type Members<'a> = BTreeMap<String, &'a RawValue>;

/// Ids of the order and of the quote it came from may be equal by chance, so each is kept with its kind.
type Id = (&'static str, String);

impl Sent {
    fn read(order: &str) -> Sent {
        let members: Members<'_> = serde_json::from_str(order).expect("an order object");
        let grand_total = members.get("grand_total").and_then(|raw| exact(raw.get()));
        let items = members.get("items").map_or_else(Vec::new, |raw| elements(raw.get()));
        let parents: Vec<Id> = items.iter().filter_map(above).collect();
        let leaf = |item: &&Members<'_>| {
            let own = [("item_id", "item_id"), ("quote_item_id", "quote_item_id")];
            !own.iter().any(|(name, kind)| id(item, name, kind).is_some_and(|id| parents.contains(&id)))
        };
        let quantity =
            |item: &Members<'_>| item.get("qty_ordered").and_then(|raw| exact(raw.get())).unwrap_or_default();
        let mut leaves: Vec<Decimal> = items.iter().filter(leaf).map(|item| quantity(item).normalize()).collect();
        leaves.sort();
        Sent { grand_total, leaves }
    }
}

/// The parent an item names: by its id, or by a nested copy of it; the order's ids come first.
fn above(item: &Members<'_>) -> Option<Id> {
    let nested = item.get("parent_item").and_then(|raw| serde_json::from_str::<Members<'_>>(raw.get()).ok());
    let nested = |name, kind| nested.as_ref().and_then(|parent| id(parent, name, kind));
    id(item, "parent_item_id", "item_id")
        .or_else(|| nested("item_id", "item_id"))
        .or_else(|| id(item, "quote_parent_item_id", "quote_item_id"))
        .or_else(|| nested("quote_item_id", "quote_item_id"))
}

fn id(item: &Members<'_>, name: &str, kind: &'static str) -> Option<Id> {
    let text = item.get(name)?.get().trim_matches('"');
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    (digits && text != "0").then(|| (kind, text.to_owned()))
}

fn elements(raw: &str) -> Vec<Members<'_>> {
    let all: Vec<&RawValue> = match serde_json::from_str::<Vec<&RawValue>>(raw) {
        Ok(list) => list,
        Err(_) => serde_json::from_str::<Members<'_>>(raw).map(|map| map.into_values().collect()).unwrap_or_default(),
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
