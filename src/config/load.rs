//! From a file to a [`Config`], or to the list of everything that is wrong with it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use toml::de::DeTable;

use super::Config;
use super::access::access;
use super::alerts::alerts;
use super::commerce::commerce;
use super::destinations::{Profile, destination};
use super::exceptions::exceptions;
use super::limits;
use super::origins::origin;
use super::policies::policies;
use super::polls;
use super::problem::{Complaint, Problem, nearest};
use super::read::{Field, NAME_REMEDY, Place, Report, Section, is_name};
use super::server::{retention, server, store};
use super::units::shown;
use crate::envelope::keys::Digest;
use crate::routing::{Condition, DocumentKind, LanePolicy, Route};

/// Larger files are not configurations.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Which text a configuration came from: the first 12 hex digits of its SHA-256. Recorded on envelopes and attempts.
/// Secrets are not part of it, they are references; rotating one behind its reference keeps the version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigVersion(String);

impl ConfigVersion {
    fn of(text: &str) -> Self {
        ConfigVersion(Digest::of(text.as_bytes()).hex()[..12].to_owned())
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ConfigVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// A valid configuration and what is still worth saying about it.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// What works but should be looked at; sorted by line.
    pub warnings: Vec<Problem>,
    /// Which text it is.
    pub version: ConfigVersion,
}

impl Config {
    /// Reads and checks a file. `env` looks up environment variables.
    ///
    /// # Errors
    /// Every problem of the file at once, sorted by line.
    pub fn load(path: &Path, env: &dyn Fn(&str) -> Option<String>) -> Result<Loaded, Vec<Problem>> {
        let refuse = |message: String| {
            let remedy = "name a readable TOML file with --config".to_owned();
            vec![Problem { path: String::new(), line: None, message, remedy }]
        };
        let length = std::fs::metadata(path).map(|metadata| metadata.len());
        let length = length.map_err(|error| refuse(format!("{} cannot be read: {error}", path.display())))?;
        if length > FILE_BYTES_MAX {
            return Err(refuse(format!("{} is larger than 1 MiB", path.display())));
        }
        let text = std::fs::read_to_string(path)
            .map_err(|error| refuse(format!("{} cannot be read: {error}", path.display())))?;
        Config::read(&text, path.parent().unwrap_or(Path::new("")), env)
    }

    /// Reads and checks a text whose relative paths are relative to `base`.
    ///
    /// # Errors
    /// Every problem of the text at once, sorted by line.
    pub fn read(text: &str, base: &Path, env: &dyn Fn(&str) -> Option<String>) -> Result<Loaded, Vec<Problem>> {
        let mut report = Report::new(text, base, env);
        let (table, errors) = DeTable::parse_recoverable(text);
        for error in &errors {
            let place = Place { path: String::new(), at: error.span().map(|span| span.start) };
            report.error(&place, format!("is not TOML: {}", error.message()), "put the syntax right");
        }
        // A file that is not TOML would only add problems that follow from the first.
        let config = if errors.is_empty() { Some(whole(table.get_ref(), &mut report)) } else { None };
        let Report { mut problems, mut warnings, .. } = report;
        problems.sort_by_key(|problem| problem.line);
        warnings.sort_by_key(|problem| problem.line);
        match config {
            Some(config) if problems.is_empty() => Ok(Loaded { config, warnings, version: ConfigVersion::of(text) }),
            _ => Err(problems),
        }
    }
}

fn whole<'t>(table: &'t DeTable<'t>, report: &mut Report<'_>) -> Config {
    let mut root = Section::root(table);
    let file_policies = root.section("policies", report);
    let accounts = each(root.named("accounts", report), |name, section| Some(limits::account(name, section, report)));
    let server = server(root.section("server", report), report);
    let config = Config {
        alerts: alerts(root.section("alerts", report), server.public_url.clone(), report),
        server,
        store: store(root.section("store", report), report),
        access: access(root.section("access", report), report),
        retention: retention(root.section("retention", report), report),
        exceptions: exceptions(root.section("exceptions", report), report),
        policies: policies(&file_policies, None, report),
        commerce: each(root.named("commerce", report), |name, section| Some(commerce(name, section, report))),
        origins: each(root.named("origins", report), |name, section| origin(name, section, report)),
        destinations: each(root.named("destinations", report), |name, section| {
            destination(name, section, &file_policies, &accounts, report)
        }),
        routes: routes(&mut root, report),
    };
    // Names as the file has them: a section that did not parse is no reason to call its name unknown.
    let names = Names {
        commerce: root.named("commerce", &mut report.fresh()).into_iter().map(|(name, _)| name).collect(),
        destinations: root.named("destinations", &mut report.fresh()).into_iter().map(|(name, _)| name).collect(),
        accounts: root.named("accounts", &mut report.fresh()).into_iter().map(|(name, _)| name).collect(),
    };
    references(&mut root, &names, report);
    polls::check(&mut root, &config.origins, &config.destinations, &names.destinations, report);
    circles(&mut root, &config, report);
    advice(&root, &config, report);
    root.finish(report);
    config
}

fn each<'t, T>(
    sections: Vec<(String, Section<'t>)>,
    mut read: impl FnMut(String, Section<'t>) -> Option<T>,
) -> BTreeMap<String, T> {
    sections.into_iter().filter_map(|(name, section)| read(name.clone(), section).map(|value| (name, value))).collect()
}

fn routes(root: &mut Section<'_>, report: &mut Report<'_>) -> Vec<Route> {
    let Some(field) = root.field("routes") else { return Vec::new() };
    let mut names = BTreeSet::new();
    let mut routes = Vec::new();
    for item in field.list(false, report) {
        let Some(route) = route(&item, report) else { continue };
        if !names.insert(route.name.clone()) {
            report.error(&item.place.below("name"), "is the name of another route as well", "rename one of them");
        }
        routes.push(route);
    }
    routes
}

fn route(item: &Field<'_>, report: &mut Report<'_>) -> Option<Route> {
    let mut section = item.section("a route", report)?;
    let name = section.required("name", "give the route a name, it is shown where it decided", report);
    let name = name.and_then(|field| {
        field.parse(report, |text| {
            if is_name(text) { Ok(text.to_owned()) } else { Err(Complaint::new("is not a name", NAME_REMEDY)) }
        })
    });
    let kinds = DocumentKind::ALL.map(|kind| (kind.as_str(), kind));
    let accepts = words(&mut section, "accepts", "name the document kinds, such as [\"order\"]", report);
    let accepts = accepts.iter().filter_map(|field| field.choice(&kinds, report)).collect();
    let when = section.field("when").and_then(|field| {
        field.parse(report, |text| {
            Condition::compile(text).map_err(|error| {
                let remedy = "write an expression over the document, such as order.store_id in [1, 2]";
                Complaint::new(format!("is not a condition: {error}"), remedy)
            })
        })
    });
    let to = words(&mut section, "to", "name the destinations", report);
    let to = to.iter().filter_map(|field| field.text(report)).map(str::to_owned).collect();
    let pause_on_storm = section.boolean_or("pause_on_storm", false, report);
    let policies = [("hold", LanePolicy::Hold), ("overtake", LanePolicy::Overtake)];
    let lane = section.field("lane").and_then(|field| field.choice(&policies, report)).unwrap_or_default();
    section.finish(report);
    Some(Route { name: name?, accepts, when, to, pause_on_storm, lane })
}

/// A list of words that must not be empty.
fn words<'t>(section: &mut Section<'t>, name: &'static str, remedy: &str, report: &mut Report<'_>) -> Vec<Field<'t>> {
    let Some(field) = section.required(name, remedy, report) else { return Vec::new() };
    let items = field.list(true, report);
    if items.is_empty() {
        report.error(&field.place, "is an empty list", remedy);
    }
    items
}

struct Names {
    commerce: Vec<String>,
    destinations: Vec<String>,
    accounts: Vec<String>,
}

/// Every name that stands for something else must be the name of something.
fn references(root: &mut Section<'_>, names: &Names, report: &mut Report<'_>) {
    let mut quiet = report.fresh();
    for room in ["origins", "destinations"] {
        for (_, mut section) in root.named(room, &mut quiet) {
            if let Some(field) = section.field("commerce") {
                refers(&field, "Commerce instance", &names.commerce, report);
            }
            if let Some(field) = section.field("after").filter(|_| room == "destinations") {
                refers(&field, "destination", &names.destinations, report);
            }
            if let Some(field) = section.field("account").filter(|_| room == "destinations") {
                refers(&field, "account", &names.accounts, report);
            }
        }
    }
    let routes = root.field("routes").map(|field| field.list(false, &mut quiet)).unwrap_or_default();
    for item in routes {
        let to = item.section("a route", &mut quiet).and_then(|mut section| section.field("to"));
        for field in to.map(|field| field.list(true, &mut quiet)).unwrap_or_default() {
            refers(&field, "destination", &names.destinations, report);
        }
    }
}

/// Destinations that go after one another would wait for ever.
fn circles(root: &mut Section<'_>, config: &Config, report: &mut Report<'_>) {
    let mut quiet = report.fresh();
    for (name, mut section) in root.named("destinations", &mut quiet) {
        let Some(field) = section.field("after") else { continue };
        let leader = |name: &str| config.destinations.get(name)?.after.clone();
        let mut chain = std::iter::successors(leader(&name), |leader_name| leader(leader_name));
        if chain.by_ref().take(config.destinations.len() + 1).any(|leader| leader == name) {
            report.error(&field.place, "leads back to this destination", "let one of them go first");
        }
    }
}

/// A name must be that of something.
pub(super) fn refers(field: &Field<'_>, what: &str, known: &[String], report: &mut Report<'_>) {
    let Some(name) = field.value.as_str().filter(|name| !name.is_empty()) else { return };
    if known.iter().any(|known| known == name) {
        return;
    }
    let remedy = match nearest(name, known.iter().map(String::as_str)) {
        Some(word) => format!("did you mean \"{word}\"?"),
        None if known.is_empty() => format!("the file has no {what}: add one"),
        None => format!("known: {}", known.join(", ")),
    };
    report.error(&field.place, format!("\"{}\" is no {what} of this file", shown(name)), remedy);
}

/// Sections that stand there without effect.
fn advice(root: &Section<'_>, config: &Config, report: &mut Report<'_>) {
    let mut used: BTreeSet<&str> = config.routes.iter().flat_map(|route| &route.to).map(String::as_str).collect();
    let read = config.origins.values().filter_map(|origin| origin.poll.as_ref());
    used.extend(read.map(|poll| poll.destination.as_str()));
    for name in config.destinations.keys().filter(|name| !used.contains(name.as_str())) {
        let place = root.place.below("destinations").below(name);
        report.warn(&place, "is named by no route: nothing is sent to it", "add a route, or remove it");
    }
    if config.routes.is_empty() {
        let place = root.place.below("routes");
        report.warn(&place, "is empty: what arrives is stored and goes nowhere", "add [[routes]]");
    }
    for (name, kind) in followers_alone(config) {
        let place = root.place.below("routes");
        let problem = format!("take {kind} to \"{name}\", which no route sends orders to: nothing follows there");
        report.warn(&place, &problem, "send it orders as well, or take the kind out of the route");
    }
    if config.origins.is_empty() {
        report.warn(&root.place.below("origins"), "is empty: nothing can be sent to us", "add [origins.NAME]");
    }
}

/// Destinations that would get what follows an order, and never the order.
fn followers_alone(config: &Config) -> BTreeSet<(&str, DocumentKind)> {
    let to = |kind: DocumentKind| {
        let routes = config.routes.iter().filter(move |route| route.accepts.contains(&kind));
        routes.flat_map(|route| route.to.iter().map(String::as_str))
    };
    let with_orders: BTreeSet<&str> = to(DocumentKind::Order).collect();
    let kinds = [DocumentKind::OrderChange, DocumentKind::Cancellation];
    let all = kinds.into_iter().flat_map(|kind| to(kind).map(move |name| (name, kind)));
    // What goes back to Commerce is no follower of an order.
    let to_commerce = |name: &str| config.destinations.get(name).is_some_and(|to| to.profile == Profile::Commerce);
    all.filter(|(name, _)| !with_orders.contains(name) && !to_commerce(name)).collect()
}
