use std::path::Path;

use super::*;
use crate::config::{Config, Loaded, Problem};

fn read(alerts: &str) -> Result<Loaded, Vec<Problem>> {
    let env = |name: &str| (name == "SECRET").then(|| "https://hooks.slack.com/services/T0/B0/verysecret".to_owned());
    Config::read(alerts, Path::new(""), &env)
}

fn problems(alerts: &str) -> Vec<String> {
    match read(alerts) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn one_contact_is_a_useful_configuration() {
    let loaded = read("[alerts.contacts.ops]\ntype = \"slack\"\nurl = \"env:SECRET\"").unwrap();
    let alerts = &loaded.config.alerts;
    let watched: Vec<&str> = alerts.rules.iter().map(|rule| rule.watch.as_str()).collect();
    assert_eq!(watched, ["exceptions", "age", "rate", "lag", "breaker", "ledger", "silence"]);
    assert!(alerts.rules.iter().all(|rule| rule.to == ["ops"] && rule.escalate_to.is_empty()));
    assert!(!format!("{loaded:?}").contains("verysecret"), "DAT-3");
    assert!(!loaded.warnings.iter().any(|warning| warning.path.starts_with("alerts")), "{:?}", loaded.warnings);
}

#[test]
fn who_is_next_is_not_told_first() {
    let text = "[alerts]\nescalate_to = [\"lead\"]\nescalate_after = \"5m\"\n\
                [alerts.contacts.ops]\ntype = \"slack\"\nurl = \"env:SECRET\"\n\
                [alerts.contacts.lead]\ntype = \"teams\"\nurl = \"https://example.logic.azure.com/x\"";
    let alerts = read(text).unwrap().config.alerts;
    assert!(alerts.rules.iter().all(|rule| rule.to == ["ops"] && rule.escalate_to == ["lead"]));
    assert_eq!(alerts.rules[0].escalate_after, Duration::from_mins(5));
}

#[test]
fn everything_that_is_wrong_is_told_at_once_with_its_remedy() {
    let found = problems(
        "[alerts]\nto = [\"nobody\"]\nzone = \"Mars/Base\"\n\
         [alerts.contacts.ops]\ntype = \"slak\"\n\
         [alerts.contacts.mail]\ntype = \"email\"\nhost = \"mail.example.com\"\nfrom = \"x\"\nto = []\nuser = \"me\"\n\
         security = \"none\"\n\
         [alerts.contacts.inside]\ntype = \"webhook\"\nurl = \"https://10.0.0.1/hook\"\nsecret = \"short\"\n\
         [alerts.contacts.flow]\ntype = \"patchworks\"\nurl = \"https://start.example.com\"\nflow = \"F1\"\n\
         [[alerts.rules]]\nwatch = \"lag\"\nlonger = \"soon\"\nusual = 3\n\
         [[alerts.rules]]\nwatch = \"lag\"\nto = [\"mai\"]",
    );
    for (place, words) in [
        ("alerts.to", "\"nobody\" is no contact of this file"),
        ("alerts.zone", "is not a time zone"),
        ("alerts.contacts.ops.type", "did you mean \"slack\"?"),
        ("alerts.contacts.mail.from", "is no address"),
        ("alerts.contacts.mail.to", "name at least one address"),
        ("alerts.contacts.mail.password", "is missing beside user"),
        ("alerts.contacts.mail.security", "name the server's addresses in allow_private"),
        ("alerts.contacts.inside.secret", "24 to 64 bytes"),
        ("alerts.contacts.flow.key", "is missing beside flow"),
        ("alerts.rules[0].longer", "is not a duration"),
        ("alerts.rules[0].usual", "is not a key of a rule that watches lag"),
        ("alerts.rules[1].to", "did you mean \"mail\"?"),
        ("alerts.rules[1].name", "is the name of another rule as well"),
    ] {
        assert!(found.iter().any(|line| line.contains(place) && line.contains(words)), "{place} {words}: {found:#?}");
    }
}

#[test]
fn dat_5_private_addresses_are_named_and_secrets_are_not_shown() {
    let found = problems("[alerts.contacts.in]\ntype = \"slack\"\nurl = \"https://10.0.0.1/verysecret\"");
    assert!(found.iter().any(|line| line.contains("allow_private")), "{found:#?}");
    assert!(!found.join("\n").contains("verysecret"), "{found:#?}");
    let named =
        "[alerts.contacts.in]\ntype = \"slack\"\nurl = \"https://10.0.0.1/x\"\nallow_private = [\"10.0.0.0/8\"]";
    assert_eq!(problems(named), [] as [&str; 0]);
    let dead_man = problems("[alerts.dead_man]\nurl = \"http://127.0.0.1:1/verysecret\"");
    assert!(dead_man.iter().any(|line| line.contains("allow_private")), "{dead_man:#?}");
    assert!(!dead_man.join("\n").contains("verysecret"), "{dead_man:#?}");
}

#[test]
fn a_header_cannot_be_smuggled_into_an_address() {
    let text = "[alerts.contacts.mail]\ntype = \"email\"\nhost = \"mail.example.com\"\n\
                from = \"a@example.com\\r\\nBcc: b@example.com\"\nto = [\"c@example.com\"]";
    assert!(problems(text).iter().any(|line| line.contains("contacts.mail.from")), "{:?}", problems(text));
}

#[test]
fn the_public_address_has_no_slash_at_its_end() {
    let loaded = read("[server]\npublic_url = \"https://crossdock.example.com/\"").unwrap();
    assert_eq!(loaded.config.alerts.public_url.as_deref(), Some("https://crossdock.example.com"));
    assert!(!problems("[server]\npublic_url = \"crossdock\"").is_empty());
}
