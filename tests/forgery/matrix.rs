//! Every scheme × every mechanical forgery.

use std::sync::Arc;

use crossdock::config::{AuthSetting, Dated, Secret, SignedBytes};
use crossdock::intake::signature::Refused;

use crate::adobe::{self, AdobeDoor};
use crate::{
    BODY, Door, Genuine, Headers, NOW, SIGNER, Spelling, WEBHOOK_SECRET, ask, at, every_scheme, secrets, verifier,
    webhook,
};

/// A scheme with its verifier and the count of forgeries tried, so that a matrix that shrank is noticed.
struct Bench {
    genuine: Genuine,
    verifier: Arc<dyn Door>,
    tried: usize,
}

impl Bench {
    fn all() -> Vec<Bench> {
        let set_up = |(genuine, verifier): (Genuine, Arc<dyn Door>)| {
            assert!(
                matches!(ask(&*verifier, &genuine.headers, BODY, NOW), Some(Ok(_))),
                "{}: the genuine request passes",
                genuine.name
            );
            Bench { genuine, verifier, tried: 0 }
        };
        let of_the_file = every_scheme().into_iter().map(|genuine| {
            let door: Arc<dyn Door> = Arc::new(verifier(std::slice::from_ref(&genuine.auth)));
            (genuine, door)
        });
        let of_adobe: (Genuine, Arc<dyn Door>) = (adobe::genuine(), Arc::new(AdobeDoor::new()));
        of_the_file.chain([of_adobe]).map(set_up).collect()
    }

    fn refused(&mut self, what: &str, headers: &Headers, body: &[u8]) {
        self.refused_at(what, headers, body, NOW);
    }

    fn refused_at(&mut self, what: &str, headers: &Headers, body: &[u8], now: i64) {
        if let Some(answer) = ask(&*self.verifier, headers, body, now) {
            self.tried += 1;
            assert!(answer.is_err(), "{}: {what} passed: {headers:?}", self.genuine.name);
        }
    }

    /// The genuine request with another value in one header, unless it is the same value spelled otherwise.
    fn refused_with(&mut self, what: &str, index: usize, value: Vec<u8>) {
        if !is_one(self.genuine.spelling, &self.genuine.headers[index].1, &value) {
            let headers = self.with_header(index, value);
            self.refused(what, &headers, BODY);
        }
    }

    fn with_header(&self, index: usize, value: Vec<u8>) -> Headers {
        let mut headers = self.genuine.headers.clone();
        headers[index].1 = value;
        headers
    }
}

/// Whether two values of a header are one by the rules of its spelling. White space around a value is not part of it
/// for any HTTP implementation, and the token of `Bearer` may stand behind more than one space.
fn is_one(spelling: Spelling, genuine: &[u8], other: &[u8]) -> bool {
    let (genuine, other) = (genuine.trim_ascii(), other.trim_ascii());
    match spelling {
        Spelling::Exact => genuine == other,
        // The name of the only algorithm may stand in front.
        Spelling::Hex => {
            let digits = |value: &[u8]| value.strip_prefix(b"sha256=").unwrap_or(value).to_ascii_lowercase();
            digits(genuine) == digits(other)
        }
        Spelling::Word(length) => {
            other.len() >= length
                && genuine[..length].eq_ignore_ascii_case(&other[..length])
                && (other[length..] == genuine[length..])
        }
    }
}

#[test]
fn sig_4_sig_10_no_bit_of_a_credential_may_differ() {
    for mut bench in Bench::all() {
        for (index, (name, value)) in bench.genuine.headers.clone().into_iter().enumerate() {
            for place in 0..value.len() * 8 {
                let mut flipped = value.clone();
                flipped[place / 8] ^= 1 << (place % 8);
                bench.refused_with(&format!("{name} with bit {place} flipped"), index, flipped);
            }
        }
        assert!(bench.tried > 100, "{}: only {} forgeries", bench.genuine.name, bench.tried);
    }
}

#[test]
fn sig_4_no_truncation_and_no_extension_of_a_credential_passes() {
    for mut bench in Bench::all() {
        for (index, (name, value)) in bench.genuine.headers.clone().into_iter().enumerate() {
            for length in 0..value.len() {
                bench.refused_with(&format!("{name} cut to {length}"), index, value[..length].to_vec());
                let last = value[value.len() - length..].to_vec();
                bench.refused_with(&format!("the last {length} of {name}"), index, last);
            }
            for tail in ["A", "=", "==", "a", "0", "00", ",", ";", ".", "%00", "\u{e9}", ", x", "\\n", "AAAA"] {
                bench.refused_with(&format!("{name} with {tail:?} behind"), index, [&value, tail.as_bytes()].concat());
                bench.refused_with(
                    &format!("{name} with {tail:?} in front"),
                    index,
                    [tail.as_bytes(), &value].concat(),
                );
            }
        }
        assert!(bench.tried > 60, "{}: only {} forgeries", bench.genuine.name, bench.tried);
    }
}

#[test]
fn sig_1_no_bit_of_a_covered_body_may_differ_nor_its_length() {
    for mut bench in Bench::all().into_iter().filter(|bench| bench.genuine.covers_body) {
        let headers = bench.genuine.headers.clone();
        for place in 0..BODY.len() * 8 {
            let mut flipped = BODY.to_vec();
            flipped[place / 8] ^= 1 << (place % 8);
            bench.refused(&format!("a body with bit {place} flipped"), &headers, &flipped);
        }
        for length in 0..BODY.len() {
            bench.refused(&format!("a body cut to {length}"), &headers, &BODY[..length]);
        }
        for tail in [&b" "[..], b"\n", b"\0", b"{}", BODY] {
            bench.refused("a body with something behind", &headers, &[BODY, tail].concat());
            bench.refused("a body with something in front", &headers, &[tail, BODY].concat());
        }
        // The same JSON for a reader, other bytes for a signature.
        let respelled = String::from_utf8(BODY.to_vec()).unwrap().replace(r"\/", "/");
        bench.refused("the same JSON in other bytes", &headers, respelled.as_bytes());
        let of_other = bench.genuine.of_other_body.clone().unwrap();
        bench.refused("a genuine signature of another body", &of_other, BODY);
        assert!(bench.tried > 700, "{}: only {} forgeries", bench.genuine.name, bench.tried);
    }
}

#[test]
fn a_strangers_key_is_refused_whatever_stands_beside_it() {
    for mut bench in Bench::all() {
        let stranger = bench.genuine.by_stranger.clone();
        bench.refused("a stranger's credential", &stranger, BODY);
        bench.refused("no credential", &Vec::new(), BODY);
        let empty = bench.genuine.headers.iter().map(|(name, _)| (*name, Vec::new())).collect();
        bench.refused("empty credentials", &empty, BODY);
        for missing in 0..bench.genuine.headers.len() {
            let mut headers = bench.genuine.headers.clone();
            headers.remove(missing);
            bench.refused(&format!("without header {missing}"), &headers, BODY);
        }
        assert!(bench.tried >= 4);
    }
}

#[test]
fn sig_3_a_header_twice_is_refused_in_either_order() {
    for mut bench in Bench::all() {
        for (name, value) in bench.genuine.headers.clone() {
            let stranger = bench.genuine.by_stranger.iter().find(|(other, _)| *other == name).unwrap().1.clone();
            for second in [value.clone(), stranger, Vec::new()] {
                let mut behind = bench.genuine.headers.clone();
                behind.push((name, second.clone()));
                bench.refused(&format!("{name} twice"), &behind, BODY);
                let mut before = vec![(name, second)];
                before.extend(bench.genuine.headers.clone());
                bench.refused(&format!("{name} twice, the genuine one last"), &before, BODY);
            }
            if name == "webhook-signature" {
                // A list by its standard: each signature in it stands for itself.
                continue;
            }
            let index = bench.genuine.headers.iter().position(|(known, _)| *known == name).unwrap();
            bench.refused_with(&format!("{name} twice in one line"), index, [&value[..], b", ", &value].concat());
        }
    }
}

#[test]
fn sig_4_other_encodings_of_the_right_bytes_are_refused() {
    for mut bench in Bench::all() {
        for (index, (name, value)) in bench.genuine.headers.clone().into_iter().enumerate() {
            let text = String::from_utf8(value.clone()).unwrap();
            for (what, other) in respellings(&text) {
                bench.refused_with(&format!("{name} {what}"), index, other.into_bytes());
            }
        }
        assert!(bench.tried > 5, "{}: only {} forgeries", bench.genuine.name, bench.tried);
    }
}

/// The value as other programs might write the same bytes.
fn respellings(text: &str) -> Vec<(&'static str, String)> {
    let (head, last) = text.split_at(text.rfind([' ', ',', '=']).map_or(0, |at| at + 1).min(text.len()));
    let percent = percent_encoding::percent_encode(text.as_bytes(), percent_encoding::NON_ALPHANUMERIC).to_string();
    let mut forms = vec![
        ("percent-encoded", percent),
        ("in quotes", format!("\"{text}\"")),
        ("in angle brackets", format!("<{text}>")),
        ("with a parameter", format!("{text};q=1")),
        ("in upper case", text.to_uppercase()),
        ("with a space inside", format!("{} {}", &text[..text.len() / 2], &text[text.len() / 2..])),
        ("with a tab inside", format!("{}\t{}", &text[..text.len() / 2], &text[text.len() / 2..])),
        ("with a zero-width space", format!("{text}\u{200b}")),
        ("in full-width letters", text.chars().map(full_width).collect()),
        ("as hex of its text", data_encoding::HEXLOWER.encode(text.as_bytes())),
        ("as base64 of its text", data_encoding::BASE64.encode(text.as_bytes())),
        ("with 0x in front", format!("0x{text}")),
        ("with its word changed", format!("v1a,{last}")),
        ("without its word", if head.is_empty() { format!("v1,{text}") } else { last.to_owned() }),
        ("with an algorithm of the forger", format!("none={last}")),
        ("with a weaker algorithm", format!("sha1={last}")),
    ];
    if text.ends_with('=') {
        forms.push(("without padding", text.trim_end_matches('=').to_owned()));
        forms.push(("with more padding", format!("{text}=")));
        forms.push(("with unused bits set", crate::vectors::with_unused_bits(text)));
    }
    if text.contains(['+', '/']) {
        forms.push(("in the alphabet of URLs", text.replace('+', "-").replace('/', "_")));
    }
    forms
}

fn full_width(symbol: char) -> char {
    let wide = symbol.is_ascii_graphic().then(|| char::from_u32(u32::from(symbol) + 0xfee0)).flatten();
    wide.unwrap_or(symbol)
}

#[test]
fn sig_2_a_credential_counts_only_where_it_belongs() {
    // Every genuine request against every other scheme: nothing in a request chooses how it is verified.
    let benches = Bench::all();
    let mut tried = 0;
    for origin in &benches {
        for sender in &benches {
            if std::ptr::eq(origin, sender) || may_share(origin, sender) {
                continue;
            }
            tried += 1;
            let answer = ask(&*origin.verifier, &sender.genuine.headers, BODY, NOW).unwrap();
            assert!(answer.is_err(), "{} passed as {}", sender.genuine.name, origin.genuine.name);
            // The value under the header that the origin looks at.
            let moved: Headers =
                origin.genuine.headers.iter().map(|(name, _)| (*name, sender.genuine.headers[0].1.clone())).collect();
            if moved != origin.genuine.headers {
                assert!(ask(&*origin.verifier, &moved, BODY, NOW).unwrap().is_err());
            }
        }
    }
    assert!(tried > 60, "{tried}");
}

/// Ways of writing one and the same credential.
fn may_share(one: &Bench, other: &Bench) -> bool {
    one.genuine.name.starts_with("hmac") && other.genuine.name.starts_with("hmac")
}

#[test]
fn headers_of_a_standard_webhook_cannot_be_swapped_among_themselves_or_between_events() {
    let genuine = webhook(WEBHOOK_SECRET, "msg_1", NOW, BODY);
    let other = webhook(WEBHOOK_SECRET, "msg_2", NOW - 1, b"{}");
    let verifier = verifier(&[AuthSetting::StandardWebhooks { secrets: secrets(&[WEBHOOK_SECRET]) }]);
    let refused = |headers: &Headers| assert!(ask(&verifier, headers, BODY, NOW).unwrap().is_err(), "{headers:?}");
    for mask in 1..8_usize {
        let mixed: Headers =
            (0..3).map(|index| if mask >> index & 1 == 1 { &other } else { &genuine }[index].clone()).collect();
        refused(&mixed);
    }
    for order in [[0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let names = ["webhook-id", "webhook-timestamp", "webhook-signature"];
        let swapped: Headers = (0..3).map(|index| (names[index], genuine[order[index]].1.clone())).collect();
        refused(&swapped);
    }
    // Moving the boundary between id and timestamp: the same signed bytes if the stop were allowed in an id.
    let stamp = NOW.to_string();
    let split: Headers = vec![
        ("webhook-id", format!("msg_1.{}", &stamp[..4]).into_bytes()),
        ("webhook-timestamp", stamp.as_bytes()[4..].to_vec()),
        genuine[2].clone(),
    ];
    refused(&split);
}

#[test]
fn sig_5_a_replayed_webhook_is_stale_after_five_minutes_and_cannot_be_freshened() {
    let genuine = webhook(WEBHOOK_SECRET, "msg_1", NOW, BODY);
    let verifier = verifier(&[AuthSetting::StandardWebhooks { secrets: secrets(&[WEBHOOK_SECRET]) }]);
    let at = |headers: &Headers, now| ask(&verifier, headers, BODY, now).unwrap();
    for age in [-300, -1, 0, 1, 300] {
        assert_eq!(at(&genuine, NOW + age), Ok("standard-webhooks"), "{age}");
    }
    for age in [-301, 301, 3_600, 86_400, 400 * 86_400, -86_400, i64::from(u32::MAX)] {
        assert_eq!(at(&genuine, NOW + age), Err(Refused::Stale), "{age}");
        let mut freshened = genuine.clone();
        freshened[1].1 = (NOW + age).to_string().into_bytes();
        assert!(at(&freshened, NOW + age).is_err(), "{age}");
    }
}

#[test]
fn sig_8_a_retired_secret_stops_at_its_end_in_every_scheme() {
    let until = |text: &str| Dated { value: Secret::new(text.to_owned()), until: Some(at(NOW)) };
    for genuine in every_scheme() {
        let retired = match &genuine.auth {
            AuthSetting::RsaSignature { public_keys, signed } => {
                let keys = public_keys.iter().map(|key| Dated { value: key.value.clone(), until: Some(at(NOW)) });
                AuthSetting::RsaSignature { public_keys: keys.collect(), signed: *signed }
            }
            AuthSetting::Header { name, values } => AuthSetting::Header {
                name: name.clone(),
                values: values.iter().map(|value| until(value.value.expose())).collect(),
            },
            AuthSetting::Bearer { tokens } => {
                AuthSetting::Bearer { tokens: tokens.iter().map(|value| until(value.value.expose())).collect() }
            }
            AuthSetting::Basic { user, passwords } => AuthSetting::Basic {
                user: user.clone(),
                passwords: passwords.iter().map(|value| until(value.value.expose())).collect(),
            },
            AuthSetting::Hmac { header, secrets } => AuthSetting::Hmac {
                header: header.clone(),
                secrets: secrets.iter().map(|value| until(value.value.expose())).collect(),
            },
            AuthSetting::StandardWebhooks { secrets } => AuthSetting::StandardWebhooks {
                secrets: secrets.iter().map(|value| until(value.value.expose())).collect(),
            },
            AuthSetting::All(_) => unreachable!("no scheme of the matrix is a group"),
        };
        let verifier = verifier(&[retired]);
        assert!(ask(&verifier, &genuine.headers, BODY, NOW - 1).unwrap().is_ok(), "{}", genuine.name);
        assert_eq!(ask(&verifier, &genuine.headers, BODY, NOW).unwrap(), Err(Refused::Wrong), "{}", genuine.name);
    }
}

#[test]
fn sig_10_every_key_is_tried_wherever_the_right_one_stands() {
    let strangers = ["first-stranger-0123456789abcdef", "second-stranger-0123456789abcdef"];
    for place in 0..3 {
        let mut all = strangers.to_vec();
        all.insert(place, crate::SECRET);
        let hmac = AuthSetting::Hmac { header: http::HeaderName::from_static("x-hmac-hash"), secrets: secrets(&all) };
        let genuine = every_scheme().into_iter().find(|genuine| genuine.name == "hmac in hex").unwrap();
        assert_eq!(ask(&verifier(&[hmac]), &genuine.headers, BODY, NOW), Some(Ok("hmac")), "place {place}");
    }
    for place in 0..2 {
        let mut keys = vec![crate::STRANGER.public_key_pem()];
        keys.insert(place, SIGNER.public_key_pem());
        let public_keys = keys.into_iter().map(Dated::always).collect();
        let rsa = AuthSetting::RsaSignature { public_keys, signed: SignedBytes::Base64Body };
        let genuine = every_scheme().into_iter().next().unwrap();
        assert_eq!(ask(&verifier(&[rsa]), &genuine.headers, BODY, NOW), Some(Ok("rsa-signature")), "place {place}");
    }
}

#[test]
fn a_group_wants_every_member_genuine_and_alone() {
    let schemes = every_scheme();
    let pick = |name: &str| schemes.iter().find(|genuine| genuine.name == name).unwrap();
    let (key, hmac, rsa) = (pick("header"), pick("hmac in hex"), pick("rsa over base64"));
    let group = verifier(&[AuthSetting::All(vec![key.auth.clone(), hmac.auth.clone(), rsa.auth.clone()])]);
    let members = [key, hmac, rsa];
    for mask in 0..27_usize {
        // Each member genuine, a stranger's, or missing.
        let choices = [mask % 3, mask / 3 % 3, mask / 9];
        let headers: Headers = members
            .iter()
            .zip(choices)
            .flat_map(|(member, choice)| match choice {
                0 => member.headers.clone(),
                1 => member.by_stranger.clone(),
                _ => Vec::new(),
            })
            .collect();
        let passed = ask(&group, &headers, BODY, NOW).unwrap().is_ok();
        assert_eq!(passed, mask == 0, "{choices:?}");
    }
}
