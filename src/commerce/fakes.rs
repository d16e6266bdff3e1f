//! Payloads without their buyers: every personal detail replaced by a fake of the same shape, everything else as it was sent.
//!
//! For support and for fixtures: what made an order hard (types, escapes, lengths, lines, empty members) stays, who placed it
//! does not. The same detail becomes the same fake within one [`Fakes`], so that two payloads about one buyer still agree.
//! Members are known by their names as Commerce spells them (adobe-commerce 3.5); a personal detail met under such a name is
//! also replaced wherever it stands in other text, and so is everything that looks like an e-mail address.
//!
//! Deliberately absent: a promise that free text in unknown members holds nothing personal. A person looks before sending.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use crate::json::{self, Json, Limits};

/// JSON inside strings inside strings is followed so far.
const NESTED_MAX: usize = 4;
/// Shorter details (a house number, a two-letter name) are not looked for in other text.
const SOUGHT_CHARS_MIN: usize = 4;

/// Makes fakes; the same secret makes the same ones.
#[derive(Clone, Debug)]
pub struct Fakes {
    secret: Vec<u8>,
}

/// How a member's value is faked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Email,
    /// Letters for letters, digits for digits, of the same case and length.
    Shape,
    /// An address of the network for documentation (RFC 5737).
    Internet,
    /// A date of birth.
    Birth,
}

impl Fakes {
    /// Fakes that nobody without the secret can trace back.
    pub fn new(secret: impl Into<Vec<u8>>) -> Self {
        Fakes { secret: secret.into() }
    }

    /// The payload with fakes, as compact JSON text; numbers keep their digits unless they are personal.
    pub fn payload(&self, json: &Json<'_>) -> String {
        let mut found = BTreeMap::new();
        self.collect(json, None, 0, &mut found);
        let mut out = String::new();
        self.write(json, None, 0, &found, &mut out);
        out
    }

    /// Every personal detail long enough to be looked for elsewhere, with its fake.
    fn collect(&self, json: &Json<'_>, kind: Option<Kind>, nested: usize, found: &mut BTreeMap<String, String>) {
        match json {
            Json::String(text) => match (kind, inner(text, nested)) {
                (_, Some(inner)) => self.collect(&inner, kind, nested + 1, found),
                (Some(kind), None) => {
                    for line in text.lines().map(str::trim) {
                        if line.chars().count() >= SOUGHT_CHARS_MIN && line.chars().any(char::is_alphabetic) {
                            found.insert(line.to_owned(), self.text(kind, line));
                        }
                    }
                }
                (None, None) => {}
            },
            Json::Array(items) => items.iter().for_each(|item| self.collect(item, kind, nested, found)),
            Json::Object(members) => {
                for (name, value) in members {
                    self.collect(value, kind_of(name, members).or(kind), nested, found);
                }
            }
            Json::Null | Json::Bool(_) | Json::Number(_) => {}
        }
    }

    fn write(
        &self,
        json: &Json<'_>,
        kind: Option<Kind>,
        nested: usize,
        found: &BTreeMap<String, String>,
        out: &mut String,
    ) {
        match json {
            Json::Number(digits) if kind.is_some() => out.push_str(&self.number(digits)),
            Json::String(text) => {
                let faked = match (inner(text, nested), kind) {
                    (Some(inner), _) => {
                        let mut faked = String::new();
                        self.write(&inner, kind, nested + 1, found, &mut faked);
                        faked
                    }
                    (None, Some(kind)) => self.lines(kind, text),
                    (None, None) => self.elsewhere(text, found),
                };
                out.push_str(&Json::String(faked.into()).to_string());
            }
            Json::Array(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    out.push_str(if index > 0 { "," } else { "" });
                    self.write(item, kind, nested, found, out);
                }
                out.push(']');
            }
            Json::Object(members) => {
                out.push('{');
                for (index, (name, value)) in members.iter().enumerate() {
                    out.push_str(if index > 0 { "," } else { "" });
                    out.push_str(&Json::String(name.as_ref().into()).to_string());
                    out.push(':');
                    self.write(value, kind_of(name, members).or(kind), nested, found, out);
                }
                out.push('}');
            }
            Json::Null | Json::Bool(_) | Json::Number(_) => out.push_str(&json.to_string()),
        }
    }

    /// A street is one string with line breaks in events, and its lines are what other text may repeat.
    fn lines(&self, kind: Kind, text: &str) -> String {
        let faked: Vec<String> = text
            .split('\n')
            .map(|line| {
                let trimmed = line.trim();
                if trimmed.is_empty() { line.to_owned() } else { line.replace(trimmed, &self.text(kind, trimmed)) }
            })
            .collect();
        faked.join("\n")
    }

    fn text(&self, kind: Kind, text: &str) -> String {
        match kind {
            Kind::Email if text.contains('@') => self.email(text),
            Kind::Email | Kind::Shape => self.shape(text),
            Kind::Internet => format!("192.0.2.{}", self.stream(text).next().unwrap_or_default()),
            Kind::Birth => text.chars().map(|letter| if letter.is_ascii_digit() { '1' } else { letter }).collect(),
        }
    }

    fn email(&self, text: &str) -> String {
        let mut stream = self.stream(&text.to_lowercase());
        let mut name = String::from("buyer-");
        for _ in 0..8 {
            name.push(char::from(b'a' + stream.next().unwrap_or_default() % 26));
        }
        format!("{name}@example.com")
    }

    fn shape(&self, text: &str) -> String {
        let mut stream = self.stream(text);
        text.chars()
            .map(|letter| {
                let draw = stream.next().unwrap_or_default();
                match letter {
                    '0'..='9' => char::from(b'0' + draw % 10),
                    'a'..='z' => char::from(b'a' + draw % 26),
                    'A'..='Z' => char::from(b'A' + draw % 26),
                    // Another letter beyond ASCII, since that is what made it interesting.
                    other if other.is_alphabetic() => {
                        let others = ['ä', 'ö', 'ü', 'é', 'ñ', 'ø'];
                        others[usize::from(draw) % others.len()]
                    }
                    other => other,
                }
            })
            .collect()
    }

    /// As long as it was, and no leading zero that was not there.
    fn number(&self, digits: &str) -> String {
        let faked = self.shape(digits);
        let whole = digits.trim_start_matches('-');
        if whole.starts_with('0') || !whole.bytes().all(|byte| byte.is_ascii_digit()) {
            return digits.to_owned();
        }
        let (sign, rest) = faked.split_at(digits.len() - whole.len());
        rest.strip_prefix('0').map_or_else(|| faked.clone(), |rest| format!("{sign}1{rest}"))
    }

    /// Details that are known from their own members, and whatever looks like an e-mail address.
    fn elsewhere(&self, text: &str, found: &BTreeMap<String, String>) -> String {
        let mut faked = text.to_owned();
        for (detail, fake) in found.iter().rev() {
            if faked.contains(detail.as_str()) {
                faked = faked.replace(detail.as_str(), fake);
            }
        }
        if !faked.contains('@') {
            return faked;
        }
        let is_part = |letter: char| letter.is_alphanumeric() || "@.+-_".contains(letter);
        let mut out = String::with_capacity(faked.len());
        let mut word = String::new();
        for letter in faked.chars().chain(['\0']) {
            if is_part(letter) {
                word.push(letter);
                continue;
            }
            let looks_like_one =
                word.split_once('@').is_some_and(|(name, host)| !name.is_empty() && host.contains('.'));
            if looks_like_one && !word.ends_with("@example.com") {
                out.push_str(&self.email(&word));
            } else {
                out.push_str(&word);
            }
            word.clear();
            if letter != '\0' {
                out.push(letter);
            }
        }
        out
    }

    /// Bytes without end that depend on the secret and the text alone.
    fn stream(&self, text: &str) -> impl Iterator<Item = u8> + use<> {
        let mut seed = Sha256::new();
        seed.update(u64::try_from(self.secret.len()).unwrap_or_default().to_be_bytes());
        seed.update(&self.secret);
        seed.update(text.as_bytes());
        let seed: [u8; 32] = seed.finalize().into();
        (0_u64..).flat_map(move |block| {
            let mut next = Sha256::new();
            next.update(seed);
            next.update(block.to_be_bytes());
            let bytes: [u8; 32] = next.finalize().into();
            bytes
        })
    }
}

/// JSON that is kept in a string, as `product_options` and `gift_cards` are.
fn inner(text: &str, nested: usize) -> Option<Json<'_>> {
    let opens = text.starts_with('{') || text.starts_with('[');
    (opens && nested < NESTED_MAX).then(|| json::parse(text.as_bytes(), &Limits::default()).ok()).flatten()
}

/// What a member holds, by its name; `members` are its neighbours.
fn kind_of(name: &str, members: &[(std::borrow::Cow<'_, str>, Json<'_>)]) -> Option<Kind> {
    let name = name.to_ascii_lowercase().replace(['_', '-'], "");
    let kind = match name.as_str() {
        "email" | "customeremail" | "giftcardsenderemail" | "giftcardrecipientemail" | "emailaddress" => Kind::Email,
        "remoteip" | "xforwardedfor" | "ip" | "customerip" => Kind::Internet,
        "dob" | "customerdob" => Kind::Birth,
        "firstname"
        | "lastname"
        | "middlename"
        | "fullname"
        | "customerfirstname"
        | "customerlastname"
        | "customermiddlename"
        | "customername"
        | "billingname"
        | "shippingname"
        | "giftcardsendername"
        | "giftcardrecipientname"
        | "giftcardmessage"
        | "sender"
        | "recipient"
        | "message"
        | "street"
        | "street1"
        | "street2"
        | "street3"
        | "city"
        | "postcode"
        | "telephone"
        | "fax"
        | "company"
        | "vatid"
        | "taxvat"
        | "customertaxvat"
        | "vatrequestid"
        | "customernote"
        | "comment"
        | "lasttransid"
        | "ponumber"
        | "additionalinformation"
        | "paymentadditionalinfo"
        | "cclast4"
        | "ccowner"
        | "ccnumberenc"
        | "ccexpmonth"
        | "ccexpyear"
        | "ccssownername"
        | "echeckaccountname"
        | "echeckroutingnumber"
        | "protectcode"
        | "customerid"
        | "customeraddressid" => Kind::Shape,
        // What a buyer wrote into a custom option; a choice of a list says nothing about anybody.
        "optionvalue" | "printvalue" | "value" if written_by_the_buyer(members) => Kind::Shape,
        _ => return None,
    };
    Some(kind)
}

/// Whether these are the members of a custom option that is filled in rather than chosen.
fn written_by_the_buyer(members: &[(std::borrow::Cow<'_, str>, Json<'_>)]) -> bool {
    let text = |wanted: &str| {
        members.iter().find(|(name, _)| name == wanted).and_then(|(_, value)| value.as_text()).unwrap_or_default()
    };
    if members.iter().all(|(name, _)| name != "option_id") {
        return false;
    }
    match text("option_type") {
        "field" | "area" | "file" => true,
        "" => text("option_value").chars().any(char::is_alphabetic),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faked(text: &str) -> String {
        Fakes::new("a secret").payload(&json::parse(text.as_bytes(), &Limits::default()).unwrap())
    }

    #[test]
    fn a_buyer_is_gone_and_the_figures_are_as_they_were() {
        let order = r#"{"increment_id":"000000042","grand_total":19.90000000000000000001,"customer_email":"anna@shop.test",
            "customer_firstname":"Anna","billing_address":{"firstname":"Anna","street":["Lange Gasse 7","3. Stock"],"postcode":1080,
            "telephone":"+43 1 555 0101","country_id":"AT"},"items":[{"sku":"MUG-BLUE","name":"Blue mug","qty_ordered":2}]}"#;
        let out = faked(order);
        for gone in ["anna@", "Anna", "Lange", "1080", "555 0101", "Stock"] {
            assert!(!out.contains(gone), "{gone} in {out}");
        }
        for kept in ["000000042", "19.90000000000000000001", "MUG-BLUE", "Blue mug", "\"AT\"", "@example.com"] {
            assert!(out.contains(kept), "{kept} not in {out}");
        }
        let json = json::parse(out.as_bytes(), &Limits::default()).unwrap();
        let first = json.get("customer_firstname").and_then(Json::as_str).unwrap();
        assert_eq!(json.pointer("/billing_address/firstname").and_then(Json::as_str), Some(first), "the same buyer");
        assert_eq!(json.pointer("/billing_address/postcode").unwrap().kind(), "number");
    }

    #[test]
    fn a_detail_is_found_in_other_text_in_json_within_strings_and_without_a_member_of_its_own() {
        let out = faked(
            r#"{"customer_lastname":"Himmelblau","store_name":"Shop\nfor Himmelblau","note_of_ours":"write to b.c+d@mail.test, please",
                "additional":"{\"email\":\"x@mail.test\",\"sku\":\"A-1\"}"}"#,
        );
        for gone in ["Himmelblau", "b.c+d@mail.test", "x@mail.test"] {
            assert!(!out.contains(gone), "{gone} in {out}");
        }
        assert!(out.contains("write to buyer-") && out.contains(", please") && out.contains("A-1"), "{out}");
    }

    #[test]
    fn what_was_engraved_is_faked_and_what_was_chosen_is_kept() {
        let out = faked(
            r#"{"options":[{"option_id":"5","option_type":"field","label":"Engraving","value":"To Anna","print_value":"To Anna",
                "option_value":"To Anna"},{"option_id":"6","option_type":"drop_down","label":"Color","value":"Black","option_value":"12"}]}"#,
        );
        assert!(
            !out.contains("Anna") && out.contains("Engraving") && out.contains("Black") && out.contains("\"12\""),
            "{out}"
        );
    }

    #[test]
    fn shapes_stay_and_another_secret_makes_other_fakes() {
        let one = Fakes::new("one");
        assert_eq!(one.shape("SW1A 2AA"), one.shape("SW1A 2AA"));
        assert_ne!(one.shape("SW1A 2AA"), Fakes::new("two").shape("SW1A 2AA"));
        let shape = one.shape("Straße 12b");
        assert_eq!(
            shape.chars().map(char::is_alphabetic).collect::<Vec<_>>(),
            "Straße 12b".chars().map(char::is_alphabetic).collect::<Vec<_>>()
        );
        assert!(!shape.is_ascii(), "{shape}");
    }

    #[test]
    fn empty_members_nulls_and_broken_inner_json_stay_what_they_are() {
        let order = r#"{"customer_email":"","street":[],"telephone":null,"product_options":"{not json","extension_attributes":[],"dob":"1984-02-29"}"#;
        assert_eq!(
            faked(order),
            r#"{"customer_email":"","street":[],"telephone":null,"product_options":"{not json","extension_attributes":[],"dob":"1111-11-11"}"#
        );
    }
}
