//! Which destinations a document goes to, and why.
//!
//! Pure: [`decide`] takes the routes of the configuration and one document, and says where it goes and what each route
//! thought of it. A condition that cannot be evaluated decides nothing; the caller parks the record ([`Decision::failed`]).
//! Deliberately absent: order among routes. All that match apply, and a destination named twice counts once.

mod rules;
mod explain;

use std::fmt;
use std::str::FromStr;

pub use explain::explain;
pub use rules::{Condition, ConditionError, Decision, RouteOutcome, RouteTrace, decide};

/// What a document is about; routes accept by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DocumentKind {
    /// A sales order.
    Order,
    /// An order that changed after it was sent.
    OrderChange,
    /// An order, or part of it, that is no longer wanted.
    Cancellation,
    /// An invoice.
    Invoice,
    /// A refund.
    CreditMemo,
    /// A shipment Commerce knows of.
    Shipment,
    /// A product.
    Product,
    /// A customer.
    Customer,
    /// Stock levels.
    Stock,
    /// What a warehouse sent out.
    Fulfilment,
}

impl DocumentKind {
    /// All kinds.
    pub const ALL: [DocumentKind; 10] = [
        DocumentKind::Order,
        DocumentKind::OrderChange,
        DocumentKind::Cancellation,
        DocumentKind::Invoice,
        DocumentKind::CreditMemo,
        DocumentKind::Shipment,
        DocumentKind::Product,
        DocumentKind::Customer,
        DocumentKind::Stock,
        DocumentKind::Fulfilment,
    ];

    /// The word in configuration and documents.
    pub fn as_str(self) -> &'static str {
        match self {
            DocumentKind::Order => "order",
            DocumentKind::OrderChange => "order_change",
            DocumentKind::Cancellation => "cancellation",
            DocumentKind::Invoice => "invoice",
            DocumentKind::CreditMemo => "credit_memo",
            DocumentKind::Shipment => "shipment",
            DocumentKind::Product => "product",
            DocumentKind::Customer => "customer",
            DocumentKind::Stock => "stock",
            DocumentKind::Fulfilment => "fulfilment",
        }
    }
}

impl fmt::Display for DocumentKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// A word that is no document kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a document kind")]
pub struct UnknownDocumentKind;

impl FromStr for DocumentKind {
    type Err = UnknownDocumentKind;

    fn from_str(text: &str) -> Result<Self, UnknownDocumentKind> {
        DocumentKind::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or(UnknownDocumentKind)
    }
}

/// What a route's documents do in a lane whose head is parked (LANE-2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LanePolicy {
    /// Wait behind it.
    #[default]
    Hold,
    /// Go before it.
    Overtake,
}

/// One route of the configuration.
#[derive(Clone, Debug)]
pub struct Route {
    /// Its name, shown wherever it decided.
    pub name: String,
    /// Kinds it takes.
    pub accepts: Vec<DocumentKind>,
    /// What must hold of the document besides.
    pub when: Option<Condition>,
    /// Names of destinations.
    pub to: Vec<String>,
    /// POI-4: its destinations are held when many of their records are parked by one cause.
    pub pause_on_storm: bool,
    /// What its documents do behind a parked head.
    pub lane: LanePolicy,
}
