//! Orders of any body to sales orders, by pure functions alone: for the API's `expand` and the command of that name.

use std::borrow::Cow;

use super::error::ProblemLine;
use super::state::{Expansion, ExpansionProblem, Expansions};
use crate::catalogue::Shelf;
use crate::clock::Timestamp;
use crate::commerce::parse::{self, Reading};
use crate::domain::catalogue::{Catalogue, NoCatalogue};
use crate::domain::defect::Defect;
use crate::domain::expand::{Rules, expand};
use crate::domain::mapping::Mappings;
use crate::domain::policy::Policies;
use crate::domain::sales_order::SalesOrder;
use crate::domain::shaping::shaped;
use crate::envelope::kind::RecordKind;
use crate::intake::answer::Dialect;
use crate::intake::decode::{self, DecodeProblem, Record};
use crate::json::{self, Json, Limits};
use crate::processor::unresolved::resolved;

/// What an expansion goes by.
#[derive(Clone, Copy, Debug)]
pub struct Expander<'a> {
    /// Name of the Commerce instance put into the documents.
    pub system: &'a str,
    /// Tables in force.
    pub mappings: &'a Mappings,
    /// Decisions in force.
    pub policies: &'a Policies,
    /// For whom; empty for nobody in particular.
    pub destination: &'a str,
    /// What is kept of the catalogue; nobody is asked.
    pub shelf: Option<&'a Shelf>,
    /// Now, for what is too old to be used.
    pub now: Timestamp,
}

impl Expander<'_> {
    /// Every order of a body. `Err` when the body is not JSON or holds no order.
    pub fn expand(&self, body: &[u8]) -> Result<Expansions, ProblemLine> {
        let json = json::parse(body, &Limits::default()).map_err(|error| ProblemLine::new("", error.to_string()))?;
        let found = orders_of(&json);
        if found.is_empty() {
            return Err(ProblemLine::new("", "the body holds no order"));
        }
        let list = found.len() > 1 || found.first().is_some_and(|first| is_in_a_list(&json, path(first)));
        Ok(Expansions { list, orders: found.iter().map(|record| self.one(record)).collect() })
    }

    fn one(&self, record: &Result<Record<'_, '_>, DecodeProblem>) -> Expansion {
        match record {
            Ok(record) if matches!(record.kind, RecordKind::Order | RecordKind::Unknown) => self.order(record),
            Ok(record) => refused(&record.path, format!("is a record of kind {}; an order is expected", record.kind)),
            Err(problem) => refused(&problem.path, problem.message.clone()),
        }
    }

    fn order(&self, record: &Record<'_, '_>) -> Expansion {
        let reading = Reading { system: self.system, default_store_id: None, not_yet_saved: record.unsaved };
        let expanded = parse::order(record.json, &reading).and_then(|order| {
            let view = self.shelf.and_then(|shelf| shelf.view(&order, self.system, self.now));
            let catalogue: &dyn Catalogue = view.as_ref().map_or(&NoCatalogue, |view| view);
            let (mappings, policies, destination) = (self.mappings, self.policies, self.destination);
            let document = expand(&order, &Rules { mappings, policies, destination, catalogue })?;
            let document = resolved(document, view.as_ref(), policies.unresolved)?;
            let put = match shaped(&order, &document, &policies.shape)? {
                Cow::Owned(put) => Some(put),
                Cow::Borrowed(_) => None,
            };
            Ok(put.unwrap_or(document))
        });
        match expanded {
            Ok(document) => done(document),
            Err(defects) => Expansion {
                sales_order: None,
                warnings: Vec::new(),
                problems: defects.iter().map(|defect| problem(&record.path, defect)).collect(),
            },
        }
    }
}

/// The records of a body. An invoice or credit memo that carries its whole order beside it is about that order here, as
/// it is on a path that asks for orders; one that does not stays what it is, and is refused by its name.
fn orders_of<'j, 'a>(json: &'j Json<'a>) -> Vec<Result<Record<'j, 'a>, DecodeProblem>> {
    let found = decode::records(json, Dialect::Patchworks, None).records;
    let of_another_kind = |record: &Result<Record<'_, '_>, DecodeProblem>| matches!(record, Ok(record) if !matches!(record.kind, RecordKind::Order | RecordKind::Unknown));
    if !found.iter().all(of_another_kind) {
        return found;
    }
    let beside = decode::records(json, Dialect::Patchworks, Some(RecordKind::Order)).records;
    let is_order = |record: &Result<Record<'_, '_>, DecodeProblem>| matches!(record, Ok(record) if record.json.present("increment_id").is_some());
    let elsewhere = beside.len() == found.len()
        && beside.iter().zip(&found).all(|(one, other)| is_order(one) && path(one) != path(other));
    if elsewhere { beside } else { found }
}

fn done(document: SalesOrder) -> Expansion {
    let warnings = document.warnings.clone();
    Expansion { sales_order: Some(Box::new(document)), warnings, problems: Vec::new() }
}

fn path<'r>(record: &'r Result<Record<'_, '_>, DecodeProblem>) -> &'r str {
    match record {
        Ok(record) => &record.path,
        Err(problem) => &problem.path,
    }
}

/// Whether some value on the way to the record is an array, or a map of records by number.
fn is_in_a_list(json: &Json<'_>, path: &str) -> bool {
    let Some((parent, _)) = path.rsplit_once('/') else { return false };
    json.pointer(parent).is_some_and(Json::is_array) || is_in_a_list(json, parent)
}

fn refused(path: &str, message: String) -> Expansion {
    let problem = ExpansionProblem {
        code: "unreadable_payload".to_owned(),
        path: path.to_owned(),
        message,
        remedy: "Send an order as Commerce's REST API, its events or its webhooks show it.".to_owned(),
    };
    Expansion { sales_order: None, warnings: Vec::new(), problems: vec![problem] }
}

/// A defect with its place in the body rather than in the record.
fn problem(record: &str, defect: &Defect) -> ExpansionProblem {
    let path = if defect.path.is_empty() { record.to_owned() } else { format!("{record}/{}", defect.path) };
    ExpansionProblem {
        code: defect.code.as_str().to_owned(),
        path,
        message: defect.message.clone(),
        remedy: defect.remedy.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expansions(body: &str) -> Result<Expansions, ProblemLine> {
        let (mappings, policies) = (Mappings::default(), Policies::default());
        Expander {
            system: "acme",
            mappings: &mappings,
            policies: &policies,
            destination: "",
            shelf: None,
            now: Timestamp::UNIX_EPOCH,
        }
        .expand(body.as_bytes())
    }

    #[test]
    fn what_is_no_order_says_so_with_its_place() {
        assert!(expansions("{").unwrap_err().message.contains("not valid JSON"));
        assert!(expansions("[]").unwrap_err().message.contains("no order"));
        let two = expansions("[7, {}]").unwrap();
        assert!(two.list);
        assert_eq!(two.orders[0].problems[0].path, "/0");
        assert!(two.orders.iter().all(|order| order.sales_order.is_none() && !order.problems.is_empty()));
    }

    #[test]
    fn an_invoice_with_its_order_beside_it_is_about_the_order_and_alone_it_is_refused_by_name() {
        let order = include_str!("../demo/orders/simple.json");
        let invoice = r#"{"order_id":1,"grand_total":1,"total_qty":1}"#;
        for body in [
            format!(r#"{{"invoice":{invoice},"order":{order}}}"#),
            format!(r#"[{{"invoice":{invoice},"order":{order}}}]"#),
        ] {
            let both = expansions(&body).unwrap();
            assert!(both.orders.len() == 1 && both.orders[0].sales_order.is_some(), "{:?}", both.orders[0].problems);
        }
        for body in [invoice.to_owned(), format!(r#"{{"invoice":{invoice}}}"#)] {
            let alone = expansions(&body).unwrap();
            assert!(alone.orders[0].problems[0].message.contains("kind invoice"), "{:?}", alone.orders[0].problems);
        }
    }

    #[test]
    fn one_order_is_one_answer_and_a_list_stays_a_list() {
        let order = include_str!("../demo/orders/simple.json");
        let one = expansions(order).unwrap();
        assert!(!one.list);
        let document = one.orders[0].sales_order.as_ref().expect("the sample is sound");
        let document = serde_json::to_value(document).unwrap();
        assert_eq!(document["schema"], "crossdock.sales_order.v1");
        assert_eq!(document["order"]["system"], "acme");
        for wrapped in [format!("[{order}]"), format!("{{\"items\":[{order}]}}"), format!("{{\"orders\":[{order}]}}")] {
            let list = expansions(&wrapped).unwrap();
            assert!(list.list, "{}", &wrapped[..20]);
            assert!(list.orders[0].sales_order.is_some());
        }
        let hook = format!(
            "{{\"subject\":[],\"eventName\":\"sales_order_save_commit_after\",\"data\":{{\"order\":{order}}}}}"
        );
        let hook = expansions(&hook).unwrap();
        assert!(!hook.list && hook.orders[0].sales_order.is_some());
    }
}
