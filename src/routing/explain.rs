//! A decision in words, for the console and `check`.

use super::{Decision, DocumentKind, RouteOutcome, RouteTrace};

/// One sentence a route, in the order of the file, and a last one with the result.
pub fn explain(decision: &Decision, kind: DocumentKind) -> Vec<String> {
    let mut sentences: Vec<String> = decision.trace.iter().map(|trace| sentence(trace, kind)).collect();
    sentences.push(result(decision, kind));
    sentences
}

fn sentence(trace: &RouteTrace, kind: DocumentKind) -> String {
    let route = &trace.route;
    let when = trace.when.as_deref().unwrap_or_default();
    match &trace.outcome {
        RouteOutcome::Accepted if when.is_empty() => {
            format!("Route \"{route}\" takes every {kind}: to {}.", trace.to.join(", "))
        }
        RouteOutcome::Accepted => {
            format!("Route \"{route}\" takes this {kind} because {when} holds: to {}.", trace.to.join(", "))
        }
        RouteOutcome::KindNot => format!("Route \"{route}\" does not take documents of kind {kind}."),
        RouteOutcome::ConditionFalse => format!("Route \"{route}\" leaves it out because {when} does not hold."),
        RouteOutcome::ConditionFailed(reason) => {
            format!("Route \"{route}\" could not decide: {when} failed with {reason}.")
        }
    }
}

fn result(decision: &Decision, kind: DocumentKind) -> String {
    if decision.failed().is_some() {
        return format!("The {kind} waits for a person, because one route could not decide.");
    }
    if decision.destinations.is_empty() {
        return format!("The {kind} goes nowhere.");
    }
    let names: Vec<&str> = decision.destinations.iter().map(|(name, _)| name.as_str()).collect();
    format!("The {kind} goes to {}.", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::super::{Condition, Route, decide};
    use super::*;
    use minijinja::Value;

    #[test]
    fn every_route_gets_its_sentence() {
        let route = |name: &str, kind, when: Option<&str>, to: &str| Route {
            name: name.to_owned(),
            accepts: vec![kind],
            when: when.map(|text| Condition::compile(text).unwrap()),
            to: vec![to.to_owned()],
            pause_on_storm: false,
            lane: crate::routing::LanePolicy::Hold,
        };
        let routes = [
            route("stock", DocumentKind::Stock, None, "shop"),
            route("uk", DocumentKind::Order, Some("order.store_id == 2"), "erp"),
            route("us", DocumentKind::Order, Some("order.store_id == 1"), "erp-us"),
            route("all", DocumentKind::Order, None, "archive"),
        ];
        let document = Value::from(minijinja::value::Serde(serde_json::json!({ "order": { "store_id": 2 } })));
        let decision = decide(&routes, DocumentKind::Order, &document);
        assert_eq!(
            explain(&decision, DocumentKind::Order),
            [
                "Route \"stock\" does not take documents of kind order.",
                "Route \"uk\" takes this order because order.store_id == 2 holds: to erp.",
                "Route \"us\" leaves it out because order.store_id == 1 does not hold.",
                "Route \"all\" takes every order: to archive.",
                "The order goes to erp, archive.",
            ]
        );
        let nowhere = decide(&routes, DocumentKind::Customer, &document);
        assert_eq!(explain(&nowhere, DocumentKind::Customer).last().unwrap(), "The customer goes nowhere.");
        let broken = [route("vip", DocumentKind::Order, Some("order.vip"), "crm")];
        let sentences = explain(&decide(&broken, DocumentKind::Order, &document), DocumentKind::Order);
        assert!(sentences[0].starts_with("Route \"vip\" could not decide: order.vip failed with "), "{sentences:?}");
        assert!(sentences[0].contains("undefined"), "{sentences:?}");
        assert_eq!(sentences[1], "The order waits for a person, because one route could not decide.");
    }
}
