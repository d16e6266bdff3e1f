//! `openapi.yaml` is held equal to the routes: paths, methods, permissions; its references resolve and its examples are what
//! its schemas say.

#![allow(clippy::unwrap_used, missing_docs, reason = "test code: a panic is the report")]

mod contract;

use std::collections::{BTreeMap, BTreeSet};

use contract::Contract;
use crossdock::api::idempotency::KeyRule;
use crossdock::api::{OUTSIDE, PREFIX, routes};
use crossdock::domain::defect::ExceptionCode;
use serde_json::Value;

const METHODS: [&str; 5] = ["get", "post", "put", "delete", "patch"];

fn operations(contract: &Contract) -> BTreeMap<(String, String), Value> {
    let mut found = BTreeMap::new();
    for (path, item) in contract.0["paths"].as_object().unwrap() {
        for method in METHODS {
            if let Some(operation) = item.get(method) {
                found.insert((method.to_uppercase(), path.clone()), operation.clone());
            }
        }
    }
    found
}

#[test]
fn the_document_and_the_routes_agree_on_paths_methods_and_permissions() {
    let contract = Contract::read();
    let documented: BTreeSet<(String, String, String)> = operations(&contract)
        .into_iter()
        .map(|((method, path), operation)| {
            (method, path, operation["x-permission"].as_str().unwrap_or("none").to_owned())
        })
        .collect();
    let api =
        routes().into_iter().map(|route| (route.method, format!("{PREFIX}{}", route.path), route.needs.permission));
    let outside = OUTSIDE.iter().map(|(method, path, role)| (*method, (*path).to_owned(), *role));
    let served: BTreeSet<(String, String, String)> =
        api.chain(outside).map(|(method, path, role)| (method.to_owned(), path, role.to_owned())).collect();
    assert_eq!(documented, served);
}

#[test]
fn the_document_names_the_dry_run_where_the_routes_have_one() {
    let contract = Contract::read();
    let operations = operations(&contract);
    for route in routes() {
        let operation = &operations[&(route.method.to_owned(), format!("{PREFIX}{}", route.path))];
        let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        let named = parameters.iter().any(|one| contract.resolve(one)["name"] == "dry_run");
        assert_eq!(named, route.rehearses, "{} {}", route.method, route.path);
    }
}

#[test]
fn api_1_the_document_names_the_idempotency_key_where_the_routes_take_it() {
    let contract = Contract::read();
    let operations = operations(&contract);
    for route in routes() {
        let operation = &operations[&(route.method.to_owned(), format!("{PREFIX}{}", route.path))];
        let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        let key = parameters.iter().map(|one| contract.resolve(one)).find(|one| one["name"] == "Idempotency-Key");
        let required = key.map(|key| key["required"] == true);
        let expected = match route.key {
            KeyRule::None => None,
            KeyRule::Taken => Some(false),
            KeyRule::Required => Some(true),
        };
        assert_eq!(required, expected, "{} {}", route.method, route.path);
    }
}

#[test]
fn path_parameters_are_declared_and_operations_have_names() {
    let contract = Contract::read();
    let mut names = BTreeSet::new();
    for ((method, path), operation) in operations(&contract) {
        let name = operation["operationId"].as_str().unwrap_or_else(|| panic!("{method} {path} has no operationId"));
        assert!(names.insert(name.to_owned()), "{name} stands twice");
        let in_path: BTreeSet<&str> =
            path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).collect();
        let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        let parameters: Vec<Value> = parameters.iter().map(|one| contract.resolve(one).clone()).collect();
        let declared = parameters.iter().filter(|one| one["in"] == "path").map(|one| one["name"].as_str().unwrap());
        assert_eq!(in_path, declared.collect(), "{method} {path}");
    }
}

#[test]
fn every_reference_resolves_and_every_component_is_used() {
    let contract = Contract::read();
    let mut used = BTreeSet::new();
    walk(&contract.0, &mut |value| {
        if let Some(reference) = value.get("$ref").and_then(Value::as_str) {
            contract.resolve(value);
            used.insert(reference.to_owned());
        }
    });
    for (kind, components) in contract.0["components"].as_object().unwrap() {
        for name in components.as_object().unwrap().keys() {
            let reference = format!("#/components/{kind}/{name}");
            assert!(kind == "securitySchemes" || used.contains(&reference), "nothing uses {reference}");
        }
    }
}

fn walk(value: &Value, visit: &mut impl FnMut(&Value)) {
    visit(value);
    match value {
        Value::Array(items) => items.iter().for_each(|item| walk(item, visit)),
        Value::Object(members) => members.values().for_each(|member| walk(member, visit)),
        _ => {}
    }
}

#[test]
fn every_example_is_what_its_schema_says() {
    let contract = Contract::read();
    let mut checked = 0;
    walk(&contract.0, &mut |media| {
        let (Some(schema), Some(examples)) = (media.get("schema"), media.get("examples").and_then(Value::as_object))
        else {
            return;
        };
        for (name, example) in examples {
            let mut findings = Vec::new();
            contract.check(schema, &contract.resolve(example)["value"], name, &mut findings);
            assert!(findings.is_empty(), "{findings:#?}");
            checked += 1;
        }
    });
    assert!(checked > 20, "only {checked} examples were found");
}

#[test]
fn the_document_lists_every_exception_code() {
    let contract = Contract::read();
    let listed: BTreeSet<&str> = contract.0["components"]["schemas"]["ExceptionCode"]["enum"]
        .as_array()
        .unwrap()
        .iter()
        .map(|code| code.as_str().unwrap())
        .collect();
    assert_eq!(listed, ExceptionCode::ALL.iter().map(|code| code.as_str()).collect());
}
