//! Every order of the sample corpus, where there is one.

use std::path::{Path, PathBuf};

use super::{Json, SalesOrder, expanded, read};
use crate::commerce::fakes::Fakes;
use crate::commerce::parse::{Completeness, completeness};

fn corpus() -> Option<PathBuf> {
    let root = std::env::var_os("CROSSDOCK_CORPUS").map(PathBuf::from);
    if root.is_none() {
        eprintln!("left out: CROSSDOCK_CORPUS is not set");
    }
    root
}

fn files(root: &Path, folder: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(root.join(folder)).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// The orders inside a payload: a search result, a connector's body, an event, an order.
pub(super) fn orders<'j, 'a>(json: &'j Json<'a>) -> Vec<&'j Json<'a>> {
    if json.get("search_criteria").is_some() {
        return json.get("items").and_then(Json::elements).unwrap_or_default();
    }
    for wrapper in ["/order", "/event/data/value", "/data/value"] {
        if let Some(order) = json.pointer(wrapper) {
            return vec![order];
        }
    }
    if json.get("increment_id").is_some() && json.get("grand_total").is_some() && json.get("order_id").is_none() {
        return vec![json];
    }
    Vec::new()
}

#[test]
fn every_complete_order_of_the_corpus_expands_and_keeps_the_five_laws() {
    let Some(root) = corpus() else { return };
    let (mut whole, mut complete, mut refused) = (0, 0, Vec::new());
    for folder in ["orders", "events", "invoices", "credit-memos"] {
        for file in files(&root, folder) {
            let text = std::fs::read_to_string(&file).unwrap();
            let json = read(&text);
            for order in orders(&json) {
                match (completeness(order), expanded(order)) {
                    (found, Ok(document)) => {
                        complete += usize::from(found == Completeness::Complete);
                        assert!(document.lines.iter().all(|line| line.kind != super::LineKind::Rounding), "{file:?}");
                        assert!(document.totals.base.is_some(), "{file:?}");
                        whole += 1;
                    }
                    (Completeness::Complete, Err(defects)) => panic!("{file:?}: {defects:#?}"),
                    (Completeness::Incomplete(missing), Err(_)) => refused.push((file.clone(), missing)),
                }
            }
        }
    }
    assert_eq!((whole, complete, refused.len()), (42, 42, 2), "{refused:#?}");
}

#[test]
fn an_order_without_its_buyer_still_gives_the_same_lines() {
    let Some(root) = corpus() else { return };
    let by = Fakes::new("a secret");
    let mut orders_seen = 0;
    for folder in ["orders", "events"] {
        for file in files(&root, folder) {
            let text = std::fs::read_to_string(&file).unwrap();
            let faked = by.payload(&read(&text));
            let (real, faked) = (read(&text), read(&faked));
            for (real, faked) in orders(&real).into_iter().zip(orders(&faked)) {
                for person in ["customer_email", "customer_lastname"] {
                    let of = |json: &Json<'_>| json.get(person).and_then(|value| value.as_str().map(str::to_owned));
                    if let Some(name) = of(real).filter(|name| name.chars().count() >= 4) {
                        assert!(!faked.to_string().contains(&name), "{file:?} still says {person}");
                    }
                }
                let Ok(document) = expanded(real) else { continue };
                let amounts = |document: &SalesOrder| {
                    let line = |line: &super::SalesLine| format!("{:?} {:?} {:?}", line.kind, line.sku, line.amounts);
                    document.lines.iter().map(line).collect::<Vec<_>>()
                };
                assert_eq!(amounts(&expanded(faked).unwrap()), amounts(&document), "{file:?}");
                orders_seen += 1;
            }
        }
    }
    assert_eq!(orders_seen, 40);
}

/// What must be equal whichever way an order came: everything but ids of other runs and words that REST does not have.
fn essence(document: &SalesOrder) -> Vec<String> {
    let line = |line: &super::SalesLine| {
        let options: Vec<&str> = line.options.iter().map(|option| option.id.as_str()).collect();
        let bundle = line.bundle.as_ref().map(|bundle| (bundle.sku.as_str(), bundle.quantity_per_bundle));
        let tax = (line.tax_percent.map(|percent| percent.normalize()), &line.tax_code);
        let price = line.unit_price.map(|price| price.normalize());
        format!(
            "{:?} {:?} {:?} {:?} {:?} {price:?} {:?} {:?} {} {options:?} {bundle:?} {tax:?}",
            line.kind, line.sku, line.name, line.quantity, line.product_id, line.amounts, line.base, line.ships
        )
    };
    document.lines.iter().map(line).chain([format!("{:?}", document.settlements)]).collect()
}

#[test]
fn an_order_gives_the_same_lines_as_an_event_and_from_rest() {
    let Some(root) = corpus() else { return };
    let mut twins = 0;
    for file in files(&root, "events") {
        let name = file.file_stem().unwrap().to_str().unwrap();
        let Some(story) = name.strip_prefix("eng_raw_").and_then(|rest| rest.strip_suffix("_new")) else { continue };
        let (event, rest) =
            (std::fs::read_to_string(&file), std::fs::read_to_string(root.join(format!("orders/eng_{story}.json"))));
        let (event, rest) = (event.unwrap(), rest.unwrap());
        let (event, rest) = (expanded(&read(&event)).unwrap(), expanded(&read(&rest)).unwrap());
        assert_eq!(essence(&event), essence(&rest), "{story}");
        twins += 1;
    }
    assert_eq!(twins, 7);
}

#[test]
fn one_order_gives_the_same_lines_in_every_spelling() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/spellings");
    let essence_of = |story: &str, spelling: &str| {
        let text = std::fs::read_to_string(root.join(format!("{story}.{spelling}.json"))).unwrap();
        essence(&expanded(&read(&text)).unwrap())
    };
    for story in ["bundle_dynamic_bought_twice", "configurable_with_options", "coupon_tax_inclusive"] {
        let rest = essence_of(story, "rest");
        for spelling in ["fresh", "loaded"] {
            assert_eq!(essence_of(story, spelling), rest, "{story}, {spelling}");
        }
    }
}
