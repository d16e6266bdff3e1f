//! People whom an identity provider vouches for: which role its word grants, and what they are called here. Pure.
//!
//! The provider keeps them: their role is what it grants at each sign-in, and whom it grants nothing does not come in. They
//! are never taken for somebody of our own because of a name or an address, which at many providers people choose freely.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::roles::Role;
use super::users;
use crate::envelope::keys::Digest;
use crate::store::accounts::Subject;

/// Values of one claim that are looked at.
const VALUES_MAX: usize = 2_000;

/// What the provider's word grants.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// The claim that holds groups or roles: a name, or a JSON pointer such as `/realm_access/roles`.
    pub claim: String,
    /// Role by a value of it.
    pub map: BTreeMap<String, Role>,
    /// For whoever has none of the values.
    pub default: Option<Role>,
    /// Domains of the addresses that are let in, in lower case; empty: all.
    pub email_domains: Vec<String>,
}

/// What is granted to somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Granted {
    /// Their role.
    pub role: Role,
    /// What they may be called, best first; the last is nobody else's.
    pub names: Vec<String>,
    /// Where to reach them, or empty.
    pub email: String,
}

/// Why nothing is granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotGranted {
    /// No value of the claim is mapped.
    #[error("the identity provider knows you, but none of your groups there has a role here")]
    Role,
    /// The address is of another domain.
    #[error("the identity provider knows you, but your e-mail address there is not of a domain that is let in")]
    Domain,
    /// The provider does not say that the address is theirs.
    #[error("the identity provider knows you, but does not say that your e-mail address was verified")]
    Unverified,
}

impl Rules {
    /// What the provider's word grants to this person.
    ///
    /// # Errors
    /// Why nothing.
    pub fn grant(&self, subject: &Subject, claims: &Map<String, Value>) -> Result<Granted, NotGranted> {
        let text = |name: &str| claims.get(name).and_then(Value::as_str).map(str::trim);
        let email = text("email").filter(|email| !email.is_empty() && users::check_email(email).is_ok());
        if !self.email_domains.is_empty() {
            let domain = email.and_then(|email| email.rsplit_once('@')).map(|(_, domain)| domain.to_lowercase());
            if !domain.is_some_and(|domain| self.email_domains.contains(&domain)) {
                return Err(NotGranted::Domain);
            }
            // Some providers write the word as a string.
            if !claims.get("email_verified").is_some_and(|said| *said == true || said == "true") {
                return Err(NotGranted::Unverified);
            }
        }
        let role = self.role(claims).ok_or(NotGranted::Role)?;
        let written = ["preferred_username", "email", "name"].into_iter().filter_map(text);
        let mut names: Vec<String> =
            written.filter(|name| users::check_name(name).is_ok()).map(str::to_owned).collect();
        let own = Digest::of_fields(&["crossdock.vouched.v1", &subject.issuer, &subject.subject]).hex();
        names.push(format!("person-{}", &own[..16]));
        Ok(Granted { role, names, email: email.unwrap_or_default().to_owned() })
    }

    /// The role with the most permissions among those that are mapped, or the default.
    fn role(&self, claims: &Map<String, Value>) -> Option<Role> {
        let found = self.values(claims).into_iter().filter_map(|value| self.map.get(value).copied());
        found.max_by_key(|role| role.permissions().count()).or(self.default)
    }

    fn values<'c>(&self, claims: &'c Map<String, Value>) -> Vec<&'c str> {
        let said = if self.claim.starts_with('/') {
            // A pointer goes through the members one by one; the first is a member of the token.
            let (first, rest) = self.claim[1..].split_once('/').unwrap_or((&self.claim[1..], ""));
            let first = claims.get(&first.replace("~1", "/").replace("~0", "~"));
            first.and_then(|value| if rest.is_empty() { Some(value) } else { value.pointer(&format!("/{rest}")) })
        } else {
            claims.get(&self.claim)
        };
        match said {
            Some(Value::String(one)) => vec![one.as_str()],
            Some(Value::Array(several)) => several.iter().take(VALUES_MAX).filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rules() -> Rules {
        let map = [("repair", Role::Operator), ("boss", Role::Admin), ("books", Role::Finance)];
        let map = map.into_iter().map(|(value, role)| (value.to_owned(), role)).collect();
        Rules { claim: "groups".to_owned(), map, ..Rules::default() }
    }

    fn grant(rules: &Rules, claims: &Value) -> Result<Granted, NotGranted> {
        let subject = Subject { issuer: "https://id.example".into(), subject: "1".into() };
        rules.grant(&subject, claims.as_object().unwrap())
    }

    fn role(rules: &Rules, claims: &Value) -> Result<Role, NotGranted> {
        grant(rules, claims).map(|granted| granted.role)
    }

    #[test]
    fn api_4_nothing_is_granted_that_is_not_mapped() {
        let rules = rules();
        assert_eq!(role(&rules, &json!({ "groups": ["staff", "repair"] })), Ok(Role::Operator));
        assert_eq!(role(&rules, &json!({ "groups": "repair" })), Ok(Role::Operator));
        assert_eq!(role(&rules, &json!({ "groups": ["books", "boss", "repair"] })), Ok(Role::Admin));
        for none in [
            json!({}),
            json!({ "groups": null }),
            json!({ "groups": [] }),
            json!({ "groups": ["Repair", " repair", "admin"] }),
            json!({ "groups": { "repair": true } }),
            json!({ "groups": [["repair"], 7, null] }),
            json!({ "roles": ["repair"] }),
        ] {
            assert_eq!(role(&rules, &none), Err(NotGranted::Role), "{none}");
        }
        let open = Rules { default: Some(Role::Viewer), ..rules };
        assert_eq!(role(&open, &json!({})), Ok(Role::Viewer));
        assert_eq!(role(&open, &json!({ "groups": ["repair"] })), Ok(Role::Operator));
    }

    #[test]
    fn a_claim_is_named_by_itself_or_by_a_pointer() {
        let nested = Rules { claim: "/realm_access/roles".into(), ..rules() };
        assert_eq!(role(&nested, &json!({ "realm_access": { "roles": ["repair"] } })), Ok(Role::Operator));
        assert_eq!(role(&nested, &json!({ "realm_access": [] })), Err(NotGranted::Role));
        let address = Rules { claim: "https://crossdock.example/roles".into(), ..rules() };
        assert_eq!(role(&address, &json!({ "https://crossdock.example/roles": ["boss"] })), Ok(Role::Admin));
        let flat = Rules { claim: "/groups".into(), ..rules() };
        assert_eq!(role(&flat, &json!({ "groups": ["boss"] })), Ok(Role::Admin));
    }

    #[test]
    fn api_4_a_domain_counts_only_where_the_address_was_verified() {
        let rules = Rules { email_domains: vec!["example.com".into()], default: Some(Role::Viewer), ..rules() };
        let of = |email: &str, verified: Value| role(&rules, &json!({ "email": email, "email_verified": verified }));
        assert_eq!(of("anna@Example.com", json!(true)), Ok(Role::Viewer));
        assert_eq!(of("anna@example.com", json!("true")), Ok(Role::Viewer));
        for (email, verified, why) in [
            ("anna@example.com", json!(false), NotGranted::Unverified),
            ("anna@example.com", Value::Null, NotGranted::Unverified),
            ("anna@example.com.evil.example", json!(true), NotGranted::Domain),
            ("anna@evil.example@example.com", json!(true), NotGranted::Domain),
            ("anna@sub.example.com", json!(true), NotGranted::Domain),
            ("example.com", json!(true), NotGranted::Domain),
            ("", json!(true), NotGranted::Domain),
        ] {
            assert_eq!(of(email, verified), Err(why), "{email}");
        }
    }

    #[test]
    fn a_name_is_the_first_that_can_be_one() {
        let rules = Rules { default: Some(Role::Viewer), ..rules() };
        let names = |claims: Value| grant(&rules, &claims).unwrap().names;
        let called = names(json!({ "preferred_username": "anna", "email": "anna@example.com", "name": "Anna W" }));
        assert_eq!(called[..2], ["anna", "anna@example.com"]);
        let odd = names(json!({ "preferred_username": "me", "name": "<b>\u{202e}", "email": 7 }));
        assert_eq!(odd.len(), 1);
        assert!(odd[0].starts_with("person-") && users::check_name(&odd[0]).is_ok());
    }
}
