//! Whether everything came to what was expected of it. Pure: evidence in, differences out.

use std::collections::BTreeSet;

use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::Value;

use super::evidence::{Evidence, Sent, document};
use super::table::proof;
use crate::demo::samples::{Channel, Expected, Sample, UNMAPPED_SKU};

/// Figures of the whole tour, all from the store and the ERP's books.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Records written down for the first time.
    pub accepted: u64,
    /// Records known already.
    pub duplicates: u64,
    /// Orders that became one sales order each.
    pub delivered: u64,
    /// Records that wait for a person.
    pub parked: u64,
    /// Sales orders whose totals prove.
    pub proved: u64,
    /// Orders that exist more than once at the ERP.
    pub doubled: u64,
    /// From the first request until nothing was due.
    pub took_us: u64,
    /// Half of the orders were confirmed by the ERP within this time from their receipt.
    pub received_to_confirmed_p50_us: Option<u64>,
    /// What differs from what was expected; empty when all is well.
    pub differences: Vec<String>,
}

impl Summary {
    /// Compares the evidence with what every sample expects.
    pub fn of(evidence: &Evidence) -> Summary {
        let times = evidence.received_to_confirmed();
        let median = times.get(times.len().saturating_sub(1) / 2);
        let micros = |time: std::time::Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let states = evidence.orders.values().flatten().map(|order| order.order.state.as_str());
        Summary {
            accepted: evidence.ledger.accepted,
            duplicates: evidence.duplicates,
            delivered: states.filter(|state| *state == "delivered").count() as u64,
            parked: evidence.ledger.exception,
            proved: evidence.effects.iter().filter(|effect| proof(&document(effect)).holds()).count() as u64,
            doubled: evidence.counts.doubled,
            took_us: micros(evidence.took),
            received_to_confirmed_p50_us: median.copied().map(micros),
            differences: differences(evidence),
        }
    }
}

fn differences(evidence: &Evidence) -> Vec<String> {
    let mut found = Vec::new();
    for sent in &evidence.sent {
        found.extend(answer(sent));
        for sample in sent.sending.samples {
            match sent.sending.expected {
                Expected::Delivered => delivered(evidence, sample, &mut found),
                Expected::Parked => parked(evidence, sample, &mut found),
                // The order itself is judged where it came first.
                Expected::NothingNew | Expected::Duplicate => {}
            }
        }
    }
    sums(evidence, &mut found);
    found
}

/// Whether the answer is the one the sender needs to hear.
fn answer(sent: &Sent) -> Option<String> {
    let Sent { sending, answer } = sent;
    let answer = answer.as_ref()?;
    let duplicate = sending.expected == Expected::Duplicate;
    let (status, word, records) = match (sending.channel, duplicate) {
        (channel, _) if channel.is_commerce() => (200, "success", 1),
        // Adobe looks at the status alone.
        (Channel::AdobeEvent, _) => (200, "", 0),
        (_, false) => (202, "accepted", sending.samples.len()),
        (_, true) => (200, "duplicate", sending.samples.len()),
    };
    let said: Vec<&str> = words_of(&answer.body);
    let right = answer.status == status && said.len() == records && said.iter().all(|said| *said == word);
    let title = sending.channel.title();
    (!right).then(|| format!("{title} was answered {} {said:?} instead of {status} \"{word}\"", answer.status))
}

/// What an answer says of each record: `op` for Commerce, `status` of each result for a flow.
pub(super) fn words_of(body: &Value) -> Vec<&str> {
    match body["results"].as_array() {
        Some(results) => results.iter().filter_map(|result| result["status"].as_str()).collect(),
        None => body["op"].as_str().into_iter().collect(),
    }
}

/// One sales order at the ERP, applied once, whose totals prove and are what the shop charged.
fn delivered(evidence: &Evidence, sample: &Sample, found: &mut Vec<String>) {
    let number = sample.increment_id;
    let states: Vec<&str> =
        evidence.orders.get(number).into_iter().flatten().map(|order| order.order.state.as_str()).collect();
    if states != ["delivered"] {
        found.push(format!("order {number} is {states:?} in the store instead of delivered"));
    }
    let effects: Vec<_> = evidence.at_the_erp(number).collect();
    let [effect] = effects[..] else {
        found.push(format!("the ERP holds {} sales orders for order {number} instead of one", effects.len()));
        return;
    };
    if effect.applied != 1 {
        found.push(format!("the ERP applied the sales order for order {number} {} times", effect.applied));
    }
    let proof = proof(&document(effect));
    if !proof.holds() {
        found.push(format!("the totals of order {number} do not prove"));
    }
    let grand_total = proof.sides.first().and_then(|side| side.grand_total);
    if grand_total.is_none() || grand_total != charged(sample) {
        found.push(format!("the ERP's grand total of order {number} is not what the sample says"));
    }
}

/// The sample's own grand total, read from its digits.
fn charged(sample: &Sample) -> Option<Decimal> {
    let order: Value = serde_json::from_str(sample.json).ok()?;
    let digits = match &order["grand_total"] {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    Decimal::from_str_exact(&digits).ok()
}

/// Waits for a person for the one reason the sample is about, and never reached the ERP.
fn parked(evidence: &Evidence, sample: &Sample, found: &mut Vec<String>) {
    let number = sample.increment_id;
    let open: Vec<_> = evidence.open_of(number).collect();
    let reason = |exception: &&crate::store::view::ExceptionRow| {
        exception.code == "unmapped_sku" && exception.value.as_deref() == Some(UNMAPPED_SKU)
    };
    if open.len() != 1 || !open.iter().all(reason) {
        let codes: Vec<&str> = open.iter().map(|exception| exception.code.as_str()).collect();
        found.push(format!("order {number} should wait for {UNMAPPED_SKU} alone, and waits for {codes:?}"));
    }
    if evidence.at_the_erp(number).next().is_some() {
        found.push(format!("order {number} reached the ERP although it should wait for a person"));
    }
}

/// The sums of the store and of the ERP have the last word.
fn sums(evidence: &Evidence, found: &mut Vec<String>) {
    let records = |wanted: &[Expected]| {
        let of = evidence.sent.iter().filter(|sent| wanted.contains(&sent.sending.expected));
        of.map(|sent| sent.sending.samples.len() as u64).sum::<u64>()
    };
    let (delivered, parked) = (records(&[Expected::Delivered]), records(&[Expected::Parked]));
    // An event that only names its order is a record of its own, beside the order that is read.
    let named = evidence.sent.iter().filter(|sent| sent.sending.channel == Channel::AdobeEvent).count() as u64;
    let new = delivered + parked + records(&[Expected::NothingNew]) + named;
    let again = records(&[Expected::Duplicate]);
    let ledger = &evidence.ledger;
    let mut equal = |what: &str, is: u64, should: u64| {
        if is != should {
            found.push(format!("{what}: {is} instead of {should}"));
        }
    };
    equal("records accepted", ledger.accepted, new);
    equal("records known already", evidence.duplicates, again);
    equal("records waiting for a person", ledger.exception, parked);
    equal("open exceptions", evidence.open.len() as u64, parked);
    equal("records still due", ledger.due, 0);
    equal("sales orders at the ERP", evidence.effects.len() as u64, delivered);
    equal("sales orders applied by the ERP", evidence.counts.applied, delivered);
    equal("orders doubled at the ERP", evidence.counts.doubled, 0);
    if ledger.difference() != 0 {
        found.push(format!("the ledger does not close: {ledger:?}"));
    }
    let expected: BTreeSet<&str> =
        evidence.sent.iter().flat_map(|sent| sent.sending.samples).map(|sample| sample.increment_id).collect();
    for effect in &evidence.effects {
        if effect.reference.as_deref().is_none_or(|number| !expected.contains(number)) {
            found.push(format!("the ERP holds {} that nobody ordered", effect.id));
        }
    }
}
