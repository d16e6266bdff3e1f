//! The sample orders through a configuration, with nothing stored or sent: where would each go, and why? For `check`.
//!
//! It asks the very function that processing asks, with no mapping table loaded, so codes pass as they are. A condition
//! that cannot be evaluated would park real orders, which is better known before the service starts.

use std::collections::BTreeSet;

use serde::Serialize;

use super::samples::{self, Sample};
use crate::clock::Timestamp;
use crate::commerce::parse::{self, Reading};
use crate::config::{Loaded, OriginType, Problem};
use crate::destinations::Find;
use crate::destinations::recipe::{Recipe, Work};
use crate::domain::catalogue::NoCatalogue;
use crate::domain::expand::{self, expand};
use crate::domain::sales_order::SalesOrder;
use crate::domain::shaping;
use crate::envelope::keys::IdempotencyKey;
use crate::envelope::kind::RecordKind;
use crate::json::{self, Limits};
use crate::processor::rules::{OriginRules, ReadBack, Rules};
use crate::processor::step::{Input, step};
use crate::routing::DocumentKind;

/// Stands for whatever origin brings the order; its name is shown nowhere.
const ORIGIN: &str = "rehearsal";

/// One sample order and what would become of it.
#[derive(Clone, Debug, Serialize)]
pub struct Rehearsed {
    /// The Commerce instance it would come from.
    pub system: String,
    /// Its number.
    pub increment_id: &'static str,
    /// What it is about.
    pub story: &'static str,
    /// Names of destinations.
    pub goes_to: Vec<String>,
    /// Why it would wait for a person, one sentence a reason.
    pub waits: Vec<String>,
    /// One sentence a route.
    pub explanation: String,
}

/// What the whole rehearsal came to.
#[derive(Clone, Debug)]
pub struct Rehearsal {
    /// One an order and Commerce instance.
    pub orders: Vec<Rehearsed>,
    /// Conditions that cannot be decided on some order, in the order of the file.
    pub problems: Vec<Problem>,
    /// Requests that a recipe cannot write of some order: a sample may have codes that the merchant never uses.
    pub warnings: Vec<Problem>,
}

/// Sends every sample order through the rules of a configuration, once for each Commerce instance that has an origin.
///
/// # Panics
/// When a sample is not an order, which a test excludes.
pub fn rehearse(rules: &Rules, loaded: &Loaded) -> Rehearsal {
    let origins = loaded.config.origins.values().filter(|origin| origin.kind != OriginType::Backoffice);
    let systems: BTreeSet<&str> = origins.map(|origin| origin.commerce.as_str()).collect();
    let mut rules = rules.clone();
    let (mut orders, mut documents) = (Vec::new(), Vec::new());
    for system in systems {
        let origin = OriginRules {
            system: system.to_owned(),
            default_store_id: None,
            read_back: ReadBack::WhenNeeded,
            readable: false,
            wait_for_order: std::time::Duration::from_mins(15),
            to_commerce: false,
        };
        rules.origins.insert(ORIGIN.to_owned(), origin);
        for sample in samples::orders() {
            orders.push(rehearsed(sample, system, &rules));
            documents.push((sample.increment_id, document(sample, system, &rules)));
        }
    }
    let mut problems = conditions(&rules, &documents);
    problems.extend(looks(loaded, &documents));
    problems.extend(polls(loaded));
    Rehearsal { orders, problems, warnings: recipes(loaded, &documents) }
}

/// Polls that are used and cannot write their first request.
fn polls(loaded: &Loaded) -> Vec<Problem> {
    let mut problems = Vec::new();
    for origin in loaded.config.origins.values() {
        let Some(poll) = &origin.poll else { continue };
        let Some(destination) = loaded.config.destinations.get(&poll.destination) else { continue };
        let (Some(said), Some(url)) = (&destination.recipe, &destination.url) else { continue };
        let Ok(recipe) = Recipe::new(said.said.clone(), &said.with, url) else { continue };
        for one in recipe.polls().iter().filter(|one| poll.read.contains(&one.entity())) {
            if let Err(problem) = recipe.rehearse_poll(one, Timestamp::UNIX_EPOCH) {
                problems.push(Problem {
                    path: format!("destinations.{}.recipe", destination.name),
                    line: None,
                    message: format!("poll {} cannot write its first request: {problem}", one.name()),
                    remedy: "correct the poll; docs/destinations/write-a-profile.md explains its words".to_owned(),
                });
            }
        }
    }
    problems
}

fn rehearsed(sample: &Sample, system: &str, rules: &Rules) -> Rehearsed {
    let json = json::parse(sample.json.as_bytes(), &Limits::default()).expect("every sample is JSON");
    let outcome =
        step(&Input { origin: ORIGIN, kind: RecordKind::Order, event_name: None, json: &json, later: false }, rules);
    let mut waits: Vec<String> = Vec::new();
    for parked in &outcome.parked {
        if !waits.contains(&parked.defect.message) {
            waits.push(parked.defect.message.clone());
        }
    }
    Rehearsed {
        system: system.to_owned(),
        increment_id: sample.increment_id,
        story: sample.story,
        goes_to: outcome.documents.into_iter().map(|made| made.destination).collect(),
        waits,
        explanation: outcome.explanation,
    }
}

/// Requests that a recipe cannot write of a sample order: each template once, with the first order that it fails on.
fn recipes(loaded: &Loaded, documents: &[(&'static str, Option<SalesOrder>)]) -> Vec<Problem> {
    let key = IdempotencyKey::from_stored("ek1-rehearsal");
    let mut problems: Vec<Problem> = Vec::new();
    for settings in loaded.config.destinations.values() {
        let (Some(said), Some(url)) = (&settings.recipe, &settings.url) else { continue };
        let Ok(recipe) = Recipe::new(said.said.clone(), &said.with, url) else { continue };
        let path = format!("destinations.{}.recipe", settings.name);
        for (number, document) in documents {
            let put = document.clone().map(|document| shaping::put(document, &settings.policies.shape));
            let Some(body) = put.and_then(|document| serde_json::to_vec(&document).ok()) else { continue };
            let Ok(work) = Work::new("order.create", &body, &key) else { continue };
            for rehearsed in recipe.rehearse(&work) {
                let Some(problem) = rehearsed.problem else { continue };
                let message = format!("step {}, on the sample order {number}: {problem}", rehearsed.step);
                if !problems.iter().any(|known| known.path == path && known.message.ends_with(&problem)) {
                    let remedy =
                        "correct the template, or the setting it reads; `crossdock render` shows the rest".to_owned();
                    problems.push(Problem { path: path.clone(), line: None, message, remedy });
                }
            }
        }
    }
    problems
}

/// What conditions look at; `None` when the policies of the file park the order before any document is made.
fn document(sample: &Sample, system: &str, rules: &Rules) -> Option<SalesOrder> {
    let json = json::parse(sample.json.as_bytes(), &Limits::default()).expect("every sample is JSON");
    let reading = Reading { system, default_store_id: None, not_yet_saved: false };
    let order = parse::order(&json, &reading).expect("every sample is an order");
    let (mappings, policies) = (&rules.mappings, &rules.policies);
    expand(&order, &expand::Rules { mappings, policies, destination: "", catalogue: &NoCatalogue }).ok()
}

/// One problem a condition that cannot be decided on every order.
fn conditions(rules: &Rules, documents: &[(&str, Option<SalesOrder>)]) -> Vec<Problem> {
    let view = |document| minijinja::Value::from(minijinja::value::Serde(document));
    let seen: Vec<(&str, minijinja::Value)> =
        documents.iter().filter_map(|(number, document)| Some((*number, view(document.as_ref()?)))).collect();
    let mut problems = Vec::new();
    for (place, route) in rules.routes.iter().enumerate() {
        let Some(when) = route.when.as_ref().filter(|_| route.accepts.contains(&DocumentKind::Order)) else { continue };
        let failed: Vec<(&str, String)> = seen
            .iter()
            .filter_map(|(number, document)| Some((*number, when.holds(document).err()?.to_string())))
            .collect();
        let Some((number, reason)) = failed.first() else { continue };
        problems.push(Problem {
            path: format!("routes[{place}].when"),
            line: None,
            message: undecided(failed.len(), seen.len(), number, reason),
            remedy: remedy(failed.len() == seen.len()).to_owned(),
        });
    }
    problems
}

/// One problem a destination that could not be asked about some order: such an order would wait for a person.
fn looks(loaded: &Loaded, documents: &[(&str, Option<SalesOrder>)]) -> Vec<Problem> {
    let key = IdempotencyKey::from_stored("ek1-rehearsal");
    let mut problems = Vec::new();
    for (name, destination) in &loaded.config.destinations {
        let allowed: Vec<_> =
            destination.allow_private.iter().filter_map(|network| network.to_string().parse().ok()).collect();
        // What is wrong without a document was said when the file was read.
        let Some(Ok(find)) = destination.find.clone().map(|settings| Find::new(settings, &allowed)) else { continue };
        let failed = documents.iter().find_map(|(number, document)| {
            let put = shaping::put(document.clone()?, &destination.policies.shape);
            let body = serde_json::to_vec(&put).expect("a document is JSON");
            Some((number, find.seek(&body.into(), &key).err()?))
        });
        let Some((number, reason)) = failed else { continue };
        problems.push(Problem {
            path: format!("destinations.{name}.find"),
            line: None,
            message: format!("cannot be asked about every sample order, such as {number}: {reason}"),
            remedy: "look at the members of a document with `crossdock expand --json`".to_owned(),
        });
    }
    problems
}

fn undecided(failed: usize, all: usize, number: &str, reason: &str) -> String {
    let which = if failed == all { "any sample order".to_owned() } else { format!("{failed} of {all} sample orders") };
    format!("could not be decided on {which}, such as {number}: {reason}; such orders would wait for a person")
}

/// A misspelt member fails on every order; one that only some orders have must be asked for first.
fn remedy(always: bool) -> &'static str {
    if always {
        "look at the members of a document with `crossdock expand --json`"
    } else {
        "ask first, as in order.shipping_address is not none and order.shipping_address.country == 'GB'"
    }
}
