//! Conditions and decisions.

use std::fmt;
use std::sync::{Arc, LazyLock};

use minijinja::{Environment, Error, ErrorKind, Expression, UndefinedBehavior, Value};
use rust_decimal::Decimal;

use super::{DocumentKind, Route};

/// Instructions one evaluation may spend: enough to walk an order of a thousand lines, and ended within milliseconds.
const FUEL: u64 = 50_000;

/// Longest condition; a longer one is a program in the wrong place.
const CONDITION_BYTES_MAX: usize = 4_096;

/// Scale of [`minor`]: six decimals hold every amount and quantity of Commerce.
const MINOR_SCALE: u32 = 6;

/// One environment for all conditions: no loader, no templates, strict about what is undefined.
static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    environment.add_filter("minor", minor);
    environment
});

/// An expression over a document, compiled once: `order.store_id in [1, 2]`.
///
/// Amounts in documents are strings, and strings compare by letters. The filter `minor` turns a decimal string into a
/// whole number of millionths, exactly: `totals.grand_total|minor > "100.00"|minor`.
#[derive(Clone)]
pub struct Condition {
    text: Arc<str>,
    expression: Arc<Expression<'static, 'static>>,
}

/// A text that is not a condition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConditionError(String);

impl Condition {
    /// Compiles an expression; unknown filters and tests are refused here, not on the first order.
    pub fn compile(text: &str) -> Result<Self, ConditionError> {
        if text.len() > CONDITION_BYTES_MAX {
            return Err(ConditionError(format!("longer than {CONDITION_BYTES_MAX} bytes")));
        }
        let expression =
            ENVIRONMENT.compile_expression_owned(text.to_owned()).map_err(|error| ConditionError(reason(&error)))?;
        // Names of filters are looked up while evaluating. An empty document makes every other failure an undefined one.
        if let Err(error) = expression.eval(Value::from_pairs(std::iter::empty::<(String, Value)>()))
            && matches!(error.kind(), ErrorKind::UnknownFilter | ErrorKind::UnknownTest | ErrorKind::UnknownFunction)
        {
            return Err(ConditionError(reason(&error)));
        }
        Ok(Condition { text: text.into(), expression: Arc::new(expression) })
    }

    /// As written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it holds of a document.
    ///
    /// # Errors
    /// Something is undefined, of the wrong type, too expensive, or the answer is neither true nor false.
    pub fn holds(&self, document: &Value) -> Result<bool, ConditionError> {
        let answer = self.expression.eval(document.clone()).map_err(|error| ConditionError(reason(&error)))?;
        match answer.kind() {
            minijinja::value::ValueKind::Bool => Ok(answer.is_true()),
            other => Err(ConditionError(format!("gives a value of type {other}, not true or false"))),
        }
    }
}

impl fmt::Debug for Condition {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Condition").field(&self.text).finish()
    }
}

/// Kind and detail without the engine's source listing, which could span lines.
fn reason(error: &Error) -> String {
    match error.detail() {
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    }
}

/// A decimal string (or whole number) as a whole number of millionths.
fn minor(value: &Value) -> Result<i128, Error> {
    let refuse = |why: &str| Error::new(ErrorKind::InvalidOperation, format!("minor: {why}"));
    let text = match value.as_str() {
        Some(text) => text.to_owned(),
        None if value.is_integer() => value.to_string(),
        None => return Err(refuse("a decimal in quotes is expected, such as \"100.00\"")),
    };
    let decimal = Decimal::from_str_exact(&text).map_err(|_| refuse("not a decimal"))?.normalize();
    if decimal.scale() > MINOR_SCALE {
        return Err(refuse("more than six decimals"));
    }
    Ok(decimal.mantissa() * 10_i128.pow(MINOR_SCALE - decimal.scale()))
}

/// Where a document goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Each destination once, with the first route that named it, in the order of the file.
    pub destinations: Vec<(String, String)>,
    /// What every route thought, in the order of the file.
    pub trace: Vec<RouteTrace>,
}

impl Decision {
    /// The first route whose condition could not be evaluated, with the reason. Such a document is not decided: it is
    /// parked whole, since sending half of it would have to be undone by hand.
    pub fn failed(&self) -> Option<(&str, &str)> {
        self.trace.iter().find_map(|trace| match &trace.outcome {
            RouteOutcome::ConditionFailed(reason) => Some((trace.route.as_str(), reason.as_str())),
            RouteOutcome::Accepted | RouteOutcome::KindNot | RouteOutcome::ConditionFalse => None,
        })
    }
}

/// What one route thought of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteTrace {
    /// Its name.
    pub route: String,
    /// Its answer.
    pub outcome: RouteOutcome,
    /// The destinations it names.
    pub to: Vec<String>,
    /// Its condition as written.
    pub when: Option<String>,
}

/// The answer of one route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RouteOutcome {
    /// It takes the document.
    Accepted,
    /// It is for other kinds.
    KindNot,
    /// Its condition does not hold.
    ConditionFalse,
    /// Its condition could not be evaluated, and why.
    ConditionFailed(String),
}

/// Asks every route. `document` is the rendered document, `Value::from(minijinja::value::Serde(&sales_order))`.
pub fn decide(routes: &[Route], kind: DocumentKind, document: &Value) -> Decision {
    let mut decision = Decision { destinations: Vec::new(), trace: Vec::with_capacity(routes.len()) };
    for route in routes {
        let outcome = ask(route, kind, document);
        if outcome == RouteOutcome::Accepted {
            for destination in &route.to {
                if !decision.destinations.iter().any(|(known, _)| known == destination) {
                    decision.destinations.push((destination.clone(), route.name.clone()));
                }
            }
        }
        let when = route.when.as_ref().map(|when| when.as_str().to_owned());
        decision.trace.push(RouteTrace { route: route.name.clone(), outcome, to: route.to.clone(), when });
    }
    decision
}

fn ask(route: &Route, kind: DocumentKind, document: &Value) -> RouteOutcome {
    if !route.accepts.contains(&kind) {
        return RouteOutcome::KindNot;
    }
    match route.when.as_ref().map(|when| when.holds(document)) {
        None | Some(Ok(true)) => RouteOutcome::Accepted,
        Some(Ok(false)) => RouteOutcome::ConditionFalse,
        Some(Err(error)) => RouteOutcome::ConditionFailed(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document() -> Value {
        Value::from(minijinja::value::Serde(serde_json::json!({
            "order": { "store_id": 2, "coupon_code": null, "increment_id": "000000042" },
            "totals": { "grand_total": "99.50" },
            "lines": [{ "sku": "A", "quantity": "2" }, { "sku": "B", "quantity": "0.5" }],
        })))
    }

    fn route(name: &str, accepts: &[DocumentKind], when: Option<&str>, to: &[&str]) -> Route {
        Route {
            name: name.to_owned(),
            accepts: accepts.to_vec(),
            when: when.map(|text| Condition::compile(text).unwrap()),
            to: to.iter().map(ToString::to_string).collect(),
            pause_on_storm: false,
            lane: crate::routing::LanePolicy::Hold,
        }
    }

    #[test]
    fn conditions_read_the_document() {
        let table = [
            ("order.store_id in [1, 2]", Ok(true)),
            ("order.store_id == 3", Ok(false)),
            ("order.coupon_code is none", Ok(true)),
            ("totals.grand_total|minor > \"100\"|minor", Ok(false)),
            ("totals.grand_total|minor == 99500000", Ok(true)),
            ("lines|selectattr(\"sku\", \"equalto\", \"B\")|list|length == 1", Ok(true)),
            ("order.stor_id == 1", Err("undefined")),
            ("order.gift is defined", Ok(false)),
            ("order.store_id", Err("not true or false")),
            ("order.increment_id|minor > 1.5|minor", Err("minor")),
            ("\"1.0000001\"|minor > 0", Err("six decimals")),
            ("range(100000)|list|length > 1", Err("")),
            ("range(9999)|list|join(\"x\")|list|length > range(9999)|list|length", Err("fuel")),
        ];
        for (text, expected) in table {
            let answer = Condition::compile(text).unwrap().holds(&document());
            match (expected, answer) {
                (Ok(expected), Ok(answer)) => assert_eq!(expected, answer, "{text}"),
                (Err(word), Err(error)) => assert!(error.to_string().contains(word), "{text}: {error}"),
                (expected, answer) => panic!("{text}: {expected:?} but {answer:?}"),
            }
        }
    }

    #[test]
    fn conditions_that_can_never_work_do_not_compile() {
        for text in
            ["order.store_id ==", "", "{{ x }}", "1 %}", "x|nosuchfilter", "nosuchfunction()", "1 is nosuchtest"]
        {
            assert!(Condition::compile(text).is_err(), "{text}");
        }
        assert!(Condition::compile(&"1+".repeat(4_000)).is_err());
        assert!(Condition::compile(&"(".repeat(4_000)).is_err());
    }

    #[test]
    fn all_matching_routes_apply_and_a_destination_counts_once() {
        let routes = [
            route("stock", &[DocumentKind::Stock], None, &["shop"]),
            route("uk", &[DocumentKind::Order], Some("order.store_id == 2"), &["erp", "wms"]),
            route("us", &[DocumentKind::Order], Some("order.store_id == 1"), &["erp-us"]),
            route("all", &[DocumentKind::Order, DocumentKind::Invoice], None, &["erp", "archive"]),
        ];
        let decision = decide(&routes, DocumentKind::Order, &document());
        let names: Vec<_> = decision.destinations.iter().map(|(to, by)| format!("{to} by {by}")).collect();
        assert_eq!(names, ["erp by uk", "wms by uk", "archive by all"]);
        let outcomes: Vec<_> = decision.trace.iter().map(|trace| trace.outcome.clone()).collect();
        assert_eq!(
            outcomes,
            [RouteOutcome::KindNot, RouteOutcome::Accepted, RouteOutcome::ConditionFalse, RouteOutcome::Accepted]
        );
        assert_eq!(decision.failed(), None);
    }

    #[test]
    fn a_condition_that_fails_is_not_a_no() {
        let routes = [
            route("all", &[DocumentKind::Order], None, &["erp"]),
            route("vip", &[DocumentKind::Order], Some("order.vip"), &["crm"]),
        ];
        let decision = decide(&routes, DocumentKind::Order, &document());
        let (name, reason) = decision.failed().unwrap();
        assert_eq!(name, "vip");
        assert!(reason.contains("undefined"), "{reason}");
    }
}
