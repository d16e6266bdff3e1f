//! The sample orders: who sends which basket, in which shape, and what is expected of it.
//!
//! The shop, its people and its addresses are invented. The files hold one order each, readable; [`Sending::body`]
//! wraps them and writes the bytes as the sender would. Amounts are exact in both currencies of an order.

/// One basket.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Its order number.
    pub increment_id: &'static str,
    /// What it is about, a few words.
    pub story: &'static str,
    /// The order as Commerce spells it.
    pub json: &'static str,
}

/// Who sends it, in which shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// A Commerce webhook on an observer event: `{"subject":[],"eventName":…,"data":{"order":…}}`.
    CommerceObserver,
    /// A Commerce webhook on a plugin method, after it: `{"order":…,"result":…,"subject":[]}`.
    CommercePlugin,
    /// A Patchworks flow, one order bare.
    PatchworksOne,
    /// A Patchworks flow, an array of orders.
    PatchworksArray,
    /// A Patchworks flow, orders under a name: `{"orders":[…]}`.
    PatchworksNamed,
    /// An event of Adobe I/O with the few members that name an order; the order itself is read back from Commerce.
    AdobeEvent,
    /// Nothing at all: the push was lost, and the order is only in Commerce.
    LostPush,
}

impl Channel {
    /// Whether Commerce sends it; Patchworks does otherwise.
    pub fn is_commerce(self) -> bool {
        matches!(self, Channel::CommerceObserver | Channel::CommercePlugin)
    }

    /// Whether the order is placed in the stand-in Commerce, which is asked for it.
    pub fn is_placed(self) -> bool {
        matches!(self, Channel::AdobeEvent | Channel::LostPush)
    }

    /// For people.
    pub fn title(self) -> &'static str {
        match self {
            Channel::CommerceObserver => "Commerce webhook, observer",
            Channel::CommercePlugin => "Commerce webhook, plugin",
            Channel::PatchworksOne => "Patchworks flow, one order",
            Channel::PatchworksArray => "Patchworks flow, array",
            Channel::PatchworksNamed => "Patchworks flow, {\"orders\": […]}",
            Channel::AdobeEvent => "Adobe I/O event, the order read back from Commerce",
            Channel::LostPush => "A push that got lost, the order found by searching Commerce",
        }
    }
}

/// What becomes of a sending when all is well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Each order becomes one sales order.
    Delivered,
    /// The order waits for a person.
    Parked,
    /// Byte for byte what came before: answered, nothing stored anew.
    Duplicate,
    /// Another report of an order already on its way: stored, and no second sales order.
    NothingNew,
}

/// One request to our intake.
#[derive(Clone, Copy, Debug)]
pub struct Sending {
    /// Who, and in which shape.
    pub channel: Channel,
    /// What is inside; one, except for the shapes that hold several.
    pub samples: &'static [Sample],
    /// What should become of it.
    pub expected: Expected,
}

macro_rules! sample {
    ($increment_id:literal, $file:literal, $story:literal) => {
        Sample { increment_id: $increment_id, story: $story, json: include_str!(concat!("orders/", $file, ".json")) }
    };
}

const SIMPLE: Sample = sample!("100000101", "simple", "two simple products, one of them zero-rated");
const CONFIGURABLE: Sample =
    sample!("100000102", "configurable_with_options", "a configurable jumper with a monogram and a delivery date");
const BUNDLE_DYNAMIC: Sample = sample!(
    "100000103",
    "bundle_dynamic_bought_twice",
    "a bundle priced by its parts, bought twice, two tax rates, coupon"
);
const BUNDLE_FIXED: Sample =
    sample!("100000104", "bundle_fixed_price_engraved", "a bundle with a fixed price, bought twice, engraved");
const BUNDLE_FIXED_EVENT: Sample =
    sample!("100000104", "bundle_fixed_price_engraved.event", "the same engraved bundle, reported by Commerce as well");
const GROUPED: Sample = sample!("100000105", "grouped", "a grouped range of plates, on account");
const VIRTUAL: Sample = sample!(
    "100000106",
    "virtual_downloadable_gift_card",
    "an evening class, a download and a gift card: nothing ships"
);
const COUPON_INCLUSIVE: Sample =
    sample!("200000107", "coupon_tax_inclusive", "prices with tax, a coupon on goods and shipping");
const GIFT_CARD: Sample =
    sample!("100000108", "gift_card_and_store_credit", "paid in part by gift card, store credit and reward points");
const TWO_CURRENCIES: Sample =
    sample!("300000109", "two_currencies", "sold in euros by a shop that books in dollars, two tax authorities");
const FEES: Sample =
    sample!("100000110", "product_tax_wrapping_fee", "fixed product tax, gift wrapping and a handling fee");
const UNMAPPED: Sample = sample!("100000111", "unmapped_sku", "a candle the ERP has no item for");
const SENT_TWICE: Sample = sample!("100000112", "sent_twice", "cloth by the metre, sent twice");
const GUEST: Sample =
    sample!("100000113", "guest_with_emoji", "a guest with accents, emoji and a message for grandmother");

/// The requests of the tour, in order.
pub const SENDINGS: &[Sending] = &[
    delivered(Channel::PatchworksOne, &[SIMPLE]),
    delivered(Channel::CommerceObserver, &[CONFIGURABLE]),
    delivered(Channel::CommerceObserver, &[BUNDLE_DYNAMIC]),
    delivered(Channel::PatchworksOne, &[BUNDLE_FIXED]),
    Sending { channel: Channel::CommercePlugin, samples: &[BUNDLE_FIXED_EVENT], expected: Expected::NothingNew },
    delivered(Channel::CommerceObserver, &[GROUPED]),
    delivered(Channel::AdobeEvent, &[FEES]),
    delivered(Channel::LostPush, &[VIRTUAL]),
    delivered(Channel::PatchworksArray, &[COUPON_INCLUSIVE, GIFT_CARD]),
    delivered(Channel::CommerceObserver, &[TWO_CURRENCIES]),
    Sending { channel: Channel::PatchworksNamed, samples: &[UNMAPPED], expected: Expected::Parked },
    delivered(Channel::CommerceObserver, &[SENT_TWICE]),
    Sending { channel: Channel::CommerceObserver, samples: &[SENT_TWICE], expected: Expected::Duplicate },
    delivered(Channel::CommercePlugin, &[GUEST]),
];

/// Every order once, in the order sent; a second spelling of an order is left out.
pub fn orders() -> Vec<&'static Sample> {
    let mut orders: Vec<&Sample> = Vec::new();
    for sample in SENDINGS.iter().flat_map(|sending| sending.samples) {
        if orders.iter().all(|known| known.increment_id != sample.increment_id) {
            orders.push(sample);
        }
    }
    orders
}

/// The SKU that no table maps, so that an order waits for a person.
pub const UNMAPPED_SKU: &str = "FRN-CANDLE-XL";

/// The mapping tables of the tour: table name and CSV text.
pub const TABLES: &[(&str, &str)] = &[
    ("skus", include_str!("skus.csv")),
    ("tax_codes", include_str!("tax_codes.csv")),
    ("options", include_str!("options.csv")),
    ("payment_methods", include_str!("payment_methods.csv")),
    ("shipping_methods", include_str!("shipping_methods.csv")),
];

const fn delivered(channel: Channel, samples: &'static [Sample]) -> Sending {
    Sending { channel, samples, expected: Expected::Delivered }
}

impl Sending {
    /// The exact bytes of the request; of an order that is placed in Commerce, the order itself.
    pub fn body(&self) -> String {
        let orders: Vec<&str> = self.samples.iter().map(|sample| sample.json.trim_end()).collect();
        let all = orders.join(",");
        let text = match self.channel {
            Channel::CommerceObserver => {
                format!(r#"{{"subject":[],"eventName":"sales_order_save_commit_after","data":{{"order":{all}}}}}"#)
            }
            Channel::CommercePlugin => format!(r#"{{"order":{all},"result":{all},"subject":[]}}"#),
            Channel::PatchworksOne | Channel::AdobeEvent | Channel::LostPush => all,
            Channel::PatchworksArray => format!("[{all}]"),
            Channel::PatchworksNamed => format!(r#"{{"orders":[{all}]}}"#),
        };
        rewrite(&text, self.channel.is_commerce())
    }
}

/// JSON without white space between tokens; digits stay as they are. As PHP writes it when `escaped`: `/` as `\/` and
/// everything beyond ASCII as `\uXXXX`, which is why signatures are checked over bytes and never over a re-encoding.
fn rewrite(text: &str, escaped: bool) -> String {
    let mut out = String::with_capacity(text.len());
    let mut inside = false;
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        match char {
            '"' => {
                inside = !inside;
                out.push(char);
            }
            '\\' if inside => {
                out.push(char);
                out.extend(chars.next());
            }
            _ if !inside => {
                if !char.is_ascii_whitespace() {
                    out.push(char);
                }
            }
            '/' if escaped => out.push_str("\\/"),
            _ if escaped && !char.is_ascii() => escape(char, &mut out),
            _ => out.push(char),
        }
    }
    out
}

fn escape(char: char, out: &mut String) {
    use std::fmt::Write as _;
    for unit in char.encode_utf16(&mut [0; 2]) {
        write!(out, "\\u{unit:04x}").expect("a String takes everything");
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::api::expander::Expander;
    use crate::api::mapping_csv;
    use crate::commerce;
    use crate::commerce::parse::Reading;
    use crate::demo::table;
    use crate::domain::catalogue::NoCatalogue;
    use crate::domain::conserve;
    use crate::domain::defect::ExceptionCode;
    use crate::domain::expand::{Rules, expand};
    use crate::domain::mapping::{MappingRow, Mappings, Table};
    use crate::domain::policy::Policies;
    use crate::json::{Limits, parse};

    #[test]
    fn commerce_writes_slashes_and_letters_beyond_ascii_escaped() {
        let text = "{ \"a b\": [ 1.50, \"T\\u0041/\u{fc}\\\"\\\\\u{1f382}\" ] }";
        let commerce = r#"{"a b":[1.50,"T\u0041\/\u00fc\"\\\ud83c\udf82"]}"#;
        assert_eq!(rewrite(text, true), commerce);
        assert_eq!(rewrite(text, false), "{\"a b\":[1.50,\"T\\u0041/\u{fc}\\\"\\\\\u{1f382}\"]}");
    }

    #[test]
    fn every_sending_is_json_and_reads_the_same_after_rewriting() {
        for sending in SENDINGS {
            let body = sending.body();
            parse(body.as_bytes(), &Limits::default()).unwrap();
            let value: serde_json::Value = serde_json::from_str(&body).unwrap();
            let order = match sending.channel {
                Channel::CommerceObserver => &value["data"]["order"],
                Channel::CommercePlugin => &value["result"],
                Channel::PatchworksOne | Channel::AdobeEvent | Channel::LostPush => &value,
                Channel::PatchworksArray => &value[0],
                Channel::PatchworksNamed => &value["orders"][0],
            };
            let file: serde_json::Value = serde_json::from_str(sending.samples[0].json).unwrap();
            assert_eq!(order, &file);
            assert_eq!(order["increment_id"], sending.samples[0].increment_id);
            assert!(body.is_ascii() || !sending.channel.is_commerce());
        }
    }

    #[test]
    fn every_sample_expands_with_all_five_laws_but_the_unmapped_one() {
        let mappings = tables();
        let by =
            Rules { mappings: &mappings, policies: &Policies::default(), destination: "erp", catalogue: &NoCatalogue };
        let mut parked = Vec::new();
        for sample in SENDINGS.iter().flat_map(|sending| sending.samples) {
            let json = parse(sample.json.as_bytes(), &Limits::default()).unwrap();
            let reading = Reading { system: "acme", default_store_id: None, not_yet_saved: false };
            let order = commerce::parse::order(&json, &reading).unwrap();
            match expand(&order, &by) {
                Ok(document) => {
                    assert_eq!(conserve::check(&order, &document), [], "{}", sample.story);
                    let shown = serde_json::to_value(&document).unwrap();
                    assert!(table::proof(&shown).holds(), "{}", table::render(&shown));
                }
                Err(defects) => parked.extend(defects.into_iter().map(|defect| (sample.increment_id, defect))),
            }
        }
        let [(number, defect)] = &parked[..] else { panic!("{parked:?}") };
        assert_eq!((*number, defect.code), (UNMAPPED.increment_id, ExceptionCode::UnmappedSku));
        assert_eq!(defect.value.as_deref(), Some(UNMAPPED_SKU));
    }

    #[test]
    fn both_spellings_of_an_order_carry_the_same_goods_and_amounts() {
        let mappings = tables();
        let (policies, destination) = (Policies::default(), "erp");
        let expander = Expander {
            system: "acme",
            mappings: &mappings,
            policies: &policies,
            destination,
            shelf: None,
            now: crate::clock::from_micros(0),
        };
        // REST leaves out what a bundle's choices are called; goods and amounts are the same.
        let carried = |sample: Sample| -> Vec<serde_json::Value> {
            let expansions = expander.expand(sample.json.as_bytes()).unwrap();
            let document = serde_json::to_value(expansions.orders[0].sales_order.as_ref().unwrap()).unwrap();
            let lines = document["lines"].as_array().unwrap().iter();
            let members = ["kind", "sku", "quantity", "net", "discount", "tax", "total", "base", "tax_code"];
            lines.map(|line| members.iter().map(|member| line[member].clone()).collect()).collect()
        };
        assert_eq!(carried(BUNDLE_FIXED), carried(BUNDLE_FIXED_EVENT));
    }

    /// The tables of the tour, as the store hands them to processing.
    fn tables() -> Mappings {
        let rows = TABLES.iter().flat_map(|(name, csv)| {
            let table = Table::ALL.into_iter().find(|table| table.as_str() == *name).unwrap();
            let rows = mapping_csv::read(csv.as_bytes()).unwrap();
            rows.into_iter().map(move |row| {
                let destination = (!row.destination.is_empty()).then_some(row.destination);
                (table, MappingRow { key: row.key, value: row.value, destination })
            })
        });
        Mappings::new(1, rows)
    }

    #[test]
    fn every_sku_of_the_samples_is_mapped_but_one() {
        let mapped: BTreeSet<&str> = TABLES[0].1.lines().skip(1).filter_map(|line| line.split(',').next()).collect();
        let mut unmapped = BTreeSet::new();
        for sample in SENDINGS.iter().flat_map(|sending| sending.samples) {
            let order: serde_json::Value = serde_json::from_str(sample.json).unwrap();
            let items: Vec<&serde_json::Value> = match &order["items"] {
                serde_json::Value::Object(map) => map.values().collect(),
                list => list.as_array().unwrap().iter().collect(),
            };
            unmapped.extend(
                items
                    .iter()
                    .map(|item| item["sku"].as_str().unwrap().to_owned())
                    .filter(|sku| !mapped.contains(&**sku)),
            );
        }
        assert_eq!(unmapped, BTreeSet::from([UNMAPPED_SKU.to_owned()]));
    }
}
