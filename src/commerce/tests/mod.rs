//! Orders from Commerce's text to a sales order, through one door each.

mod corpus;
mod figures;
mod generated;
mod later;
mod lost;
mod model;
mod shapes;
mod stories;

use crate::commerce::parse::{self, Reading};
use crate::domain::catalogue::{Catalogue, NoCatalogue};
use crate::domain::conserve;
use crate::domain::defect::Defect;
use crate::domain::expand::{Rules, expand};
use crate::domain::mapping::Mappings;
use crate::domain::order::Order;
use crate::domain::policy::Policies;
use crate::domain::sales_order::{LineKind, SalesLine, SalesOrder};
use crate::json::{Json, Limits};

const READING: Reading<'static> = Reading { system: "acme", default_store_id: None, not_yet_saved: false };

/// What an expansion goes by in a test; everything else is the default.
#[derive(Default)]
struct Shop {
    mappings: Mappings,
    policies: Policies,
}

impl Shop {
    fn expand_with(&self, order: &Order, catalogue: &dyn Catalogue) -> Result<SalesOrder, Vec<Defect>> {
        let (mappings, policies) = (&self.mappings, &self.policies);
        let document = expand(order, &Rules { mappings, policies, destination: "erp", catalogue })?;
        assert_eq!(conserve::check(order, &document), [], "a document that breaks a law was returned");
        assert!(conserve::proof(&document).closes);
        Ok(document)
    }

    fn expand(&self, order: &Order) -> Result<SalesOrder, Vec<Defect>> {
        self.expand_with(order, &NoCatalogue)
    }
}

fn read(text: &str) -> Json<'_> {
    crate::json::parse(text.as_bytes(), &Limits::default()).unwrap()
}

fn order(json: &Json<'_>) -> Result<Order, Vec<Defect>> {
    parse::order(json, &READING)
}

fn expanded(json: &Json<'_>) -> Result<SalesOrder, Vec<Defect>> {
    Shop::default().expand(&order(json)?)
}
