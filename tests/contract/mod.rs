//! `openapi.yaml` as data, and a check of values against its schemas: the part of JSON Schema that the document uses.

#![allow(dead_code, reason = "each test binary uses its part")]

use serde_json::{Map, Value};

/// The document.
pub struct Contract(pub Value);

impl Contract {
    /// Reads the file beside `Cargo.toml`.
    pub fn read() -> Self {
        let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.yaml")).unwrap();
        Contract(serde_norway::from_str(&text).expect("openapi.yaml is YAML"))
    }

    /// What a `$ref` names; the value itself where it is none.
    pub fn resolve<'v>(&'v self, value: &'v Value) -> &'v Value {
        match value.get("$ref").and_then(Value::as_str) {
            Some(reference) => {
                let pointer = reference.strip_prefix('#').expect("references stay inside the document");
                self.resolve(self.0.pointer(pointer).unwrap_or_else(|| panic!("{reference} names nothing")))
            }
            None => value,
        }
    }

    /// Every finding of a value against a schema of `components`.
    pub fn findings(&self, schema: &str, value: &Value) -> Vec<String> {
        let reference = serde_json::json!({ "$ref": format!("#/components/schemas/{schema}") });
        let mut findings = Vec::new();
        self.check(&reference, value, "", &mut findings);
        findings
    }

    /// Checks a value against any schema of the document.
    pub fn check(&self, schema: &Value, value: &Value, at: &str, findings: &mut Vec<String>) {
        let schema = self.resolve(schema);
        let Some(rules) = schema.as_object() else { return };
        for (rule, demand) in rules {
            self.check_rule(rule, demand, rules, value, at, findings);
        }
    }

    fn check_rule(
        &self,
        rule: &str,
        demand: &Value,
        rules: &Map<String, Value>,
        value: &Value,
        at: &str,
        findings: &mut Vec<String>,
    ) {
        let mut wrong = |what: String| findings.push(format!("{at}: {what}"));
        match (rule, value) {
            ("type", _) if !words(demand).iter().any(|kind| is(kind, value)) => {
                wrong(format!("{value} is not {demand}"));
            }
            ("const", _) if demand != value => wrong(format!("{value} is not {demand}")),
            ("enum", _) if !demand.as_array().unwrap().contains(value) => wrong(format!("{value} is none of {demand}")),
            ("pattern", Value::String(text)) if !matches(demand.as_str().unwrap(), text) => {
                wrong(format!("{text} does not match {demand}"));
            }
            ("format", Value::String(text)) if demand == "date-time" && text.parse::<jiff::Timestamp>().is_err() => {
                wrong(format!("{text} is not a time"));
            }
            ("minimum", Value::Number(number)) if number.as_i64() < demand.as_i64() => {
                wrong(format!("{number} is below {demand}"));
            }
            ("required", Value::Object(members)) => {
                for name in words(demand).into_iter().filter(|name| !members.contains_key(*name)) {
                    wrong(format!("{name} is missing"));
                }
            }
            ("properties", Value::Object(members)) => {
                for (name, schema) in demand.as_object().unwrap() {
                    if let Some(member) = members.get(name) {
                        self.check(schema, member, &format!("{at}/{name}"), findings);
                    }
                }
            }
            ("additionalProperties", Value::Object(members)) => {
                let known = rules.get("properties").and_then(Value::as_object);
                for (name, member) in
                    members.iter().filter(|(name, _)| !known.is_some_and(|known| known.contains_key(*name)))
                {
                    match demand {
                        Value::Bool(false) => findings.push(format!("{at}: {name} is not known")),
                        schema => self.check(schema, member, &format!("{at}/{name}"), findings),
                    }
                }
            }
            ("items", Value::Array(items)) => {
                for (index, item) in items.iter().enumerate() {
                    self.check(demand, item, &format!("{at}/{index}"), findings);
                }
            }
            ("allOf", _) => {
                for schema in demand.as_array().unwrap() {
                    self.check(schema, value, at, findings);
                }
            }
            ("oneOf", _) => {
                let fitting = demand.as_array().unwrap().iter().any(|schema| {
                    let mut inner = Vec::new();
                    self.check(schema, value, at, &mut inner);
                    inner.is_empty()
                });
                if !fitting {
                    findings.push(format!("{at}: fits none of the alternatives"));
                }
            }
            _ => {}
        }
    }
}

fn words(value: &Value) -> Vec<&str> {
    match value {
        Value::Array(words) => words.iter().filter_map(Value::as_str).collect(),
        word => word.as_str().into_iter().collect(),
    }
}

fn is(kind: &str, value: &Value) -> bool {
    match kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("the document uses the type {other}"),
    }
}

/// The few patterns of the document, by hand; a new one must be added here.
fn matches(pattern: &str, text: &str) -> bool {
    let decimal = |text: &str| {
        let digits = text.strip_prefix('-').unwrap_or(text);
        let (whole, part) = digits.split_once('.').unwrap_or((digits, "0"));
        [whole, part].iter().all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let id = |prefix: &str| text.strip_prefix(prefix).is_some_and(|rest| rest.len() == 26);
    match pattern {
        "^req_" | "^env_" | "^dlv_" | "^ek1-" => text.starts_with(&pattern[1..]),
        "^-?[0-9]+(\\.[0-9]+)?$" => decimal(text),
        "^[A-Z]{3}$" => text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_uppercase()),
        "^cdk_[A-Za-z0-9_-]{43}$" => text.len() == 47 && text.starts_with("cdk_"),
        _ if pattern.ends_with("[0-9a-hjkmnp-tv-z]{26}$") => id(&pattern[1..5]),
        other => panic!("the document uses the pattern {other}"),
    }
}
