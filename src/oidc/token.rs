//! The token that says who somebody is: its signature, and whether it was made for us, now, and for this sign-in.
//!
//! Pure: keys, expectations and the time are arguments. OpenID Connect Core 1.0 section 3.1.3.7 is the list of what is
//! looked at; RFC 7515 is the form, RFC 7517 the keys, RFC 7518 the algorithms. A key says which algorithm it is for, the
//! token merely which key: so a public key is never taken for a secret, and `none` is no algorithm.

use std::time::Duration;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, RsaParameters,
    RsaPublicKeyComponents, UnparsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::clock::{Timestamp, earlier, later};
use crate::json::{self, Limits};

/// A provider's clock may differ by so much.
pub const SKEW: Duration = Duration::from_mins(1);

/// Longest token; with many groups in it one is a few kilobytes.
const TOKEN_BYTES_MAX: usize = 64 * 1024;

/// Keys of one provider; most publish two or three.
const KEYS_MAX: usize = 64;

/// OpenID Connect Core 1.0 section 2: a subject has at most 255 ASCII characters.
const SUBJECT_CHARS_MAX: usize = 255;

/// How a token may be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Algorithm {
    Rs256,
    Ps256,
    Es256,
}

impl Algorithm {
    fn of(word: &str) -> Option<Self> {
        match word {
            "RS256" => Some(Algorithm::Rs256),
            "PS256" => Some(Algorithm::Ps256),
            "ES256" => Some(Algorithm::Es256),
            _ => None,
        }
    }
}

/// A public key of the provider.
#[derive(Clone, Debug)]
struct Key {
    id: Option<String>,
    /// The only algorithm it is for, where it says so.
    algorithm: Option<Algorithm>,
    material: Material,
}

#[derive(Clone, Debug)]
enum Material {
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
    /// An uncompressed point.
    P256(Vec<u8>),
}

impl Key {
    /// A key that can check a signature; `None`: one for something else.
    fn read(said: &Value) -> Option<Key> {
        let text = |name: &str| said.get(name).and_then(Value::as_str);
        if text("use").is_some_and(|usage| usage != "sig") {
            return None;
        }
        if let Some(uses) = said.get("key_ops").and_then(Value::as_array)
            && !uses.iter().any(|usage| usage == "verify")
        {
            return None;
        }
        let algorithm = match text("alg") {
            None => None,
            Some(word) => Some(Algorithm::of(word)?),
        };
        let bytes = |name: &str| URL_SAFE_NO_PAD.decode(text(name)?).ok();
        let material = match text("kty")? {
            "RSA" => Material::Rsa { n: bytes("n")?, e: bytes("e")? },
            "EC" if text("crv") == Some("P-256") => {
                let (x, y) = (bytes("x")?, bytes("y")?);
                if x.len() != 32 || y.len() != 32 {
                    return None;
                }
                Material::P256([&[4], x.as_slice(), y.as_slice()].concat())
            }
            _ => return None,
        };
        Some(Key { id: text("kid").map(str::to_owned), algorithm, material })
    }

    fn fits(&self, algorithm: Algorithm) -> bool {
        let kind = match self.material {
            Material::Rsa { .. } => matches!(algorithm, Algorithm::Rs256 | Algorithm::Ps256),
            Material::P256(_) => algorithm == Algorithm::Es256,
        };
        kind && self.algorithm.is_none_or(|own| own == algorithm)
    }

    fn signed(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        match (&self.material, algorithm) {
            (Material::Rsa { n, e }, Algorithm::Rs256) => rsa(n, e, &RSA_PKCS1_2048_8192_SHA256, message, signature),
            (Material::Rsa { n, e }, Algorithm::Ps256) => rsa(n, e, &RSA_PSS_2048_8192_SHA256, message, signature),
            (Material::P256(point), Algorithm::Es256) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature).is_ok()
            }
            (Material::Rsa { .. }, Algorithm::Es256) | (Material::P256(_), Algorithm::Rs256 | Algorithm::Ps256) => {
                false
            }
        }
    }
}

fn rsa(n: &[u8], e: &[u8], how: &'static RsaParameters, message: &[u8], signature: &[u8]) -> bool {
    RsaPublicKeyComponents { n, e }.verify(how, message, signature).is_ok()
}

/// The keys that a provider publishes.
#[derive(Clone, Debug, Default)]
pub struct Keys(Vec<Key>);

impl Keys {
    /// From a JWK set (RFC 7517 section 5); keys for other things are left out.
    ///
    /// # Errors
    /// Why it is none.
    pub fn read(text: &[u8]) -> Result<Self, String> {
        json::parse(text, &Limits::default()).map_err(|error| format!("the provider's keys: {error}"))?;
        let set: Value = serde_json::from_slice(text).map_err(|_| "the provider's keys are no JSON".to_owned())?;
        let keys = set.get("keys").and_then(Value::as_array).ok_or("the provider's keys are no list of keys")?;
        let keys: Vec<Key> = keys.iter().take(KEYS_MAX).filter_map(Key::read).collect();
        if keys.is_empty() {
            return Err("the provider publishes no key for RS256, PS256 or ES256".to_owned());
        }
        Ok(Keys(keys))
    }

    fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Result<&Key, Doubt> {
        let named = |key: &&Key| id.is_none() || key.id.as_deref() == id;
        let mut fitting = self.0.iter().filter(named).filter(|key| key.fits(algorithm));
        match (fitting.next(), fitting.next()) {
            (Some(key), None) => Ok(key),
            (Some(_), Some(_)) => Err(Doubt::Because("does not say which of several keys signed it")),
            // A name that we know, of a key that is for something else, is no reason to read the keys again.
            (None, _) if id.is_some() && self.0.iter().any(|key| named(&key)) => {
                Err(Doubt::Because("names a key that is not for its algorithm"))
            }
            (None, _) => Err(Doubt::UnknownKey),
        }
    }
}

/// What a token has to say.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// Who made it, to the letter.
    pub issuer: &'a str,
    /// For whom.
    pub client_id: &'a str,
    /// For which sign-in.
    pub nonce: &'a str,
    /// The token that came with it.
    pub access_token: Option<&'a str>,
}

/// Why a token is not believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// Signed by a key that we have not read; perhaps a new one.
    UnknownKey,
    /// For good.
    Because(&'static str),
}

impl std::fmt::Display for Doubt {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("the token ")?;
        formatter.write_str(match self {
            Doubt::UnknownKey => "is signed by a key that the provider does not publish",
            Doubt::Because(why) => why,
        })
    }
}

/// All that a token says, if it is to be believed.
///
/// # Errors
/// The first reason why not.
pub fn verify(
    token: &str,
    keys: &Keys,
    expected: Expected<'_>,
    now: Timestamp,
) -> Result<(String, Map<String, Value>), Doubt> {
    let claims = signed_claims(token, keys)?;
    let subject = check(&claims, expected, now).map_err(Doubt::Because)?;
    Ok((subject, claims))
}

/// What is signed, whatever it says.
fn signed_claims(token: &str, keys: &Keys) -> Result<Map<String, Value>, Doubt> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(Doubt::Because("is too long"));
    }
    let parts: Vec<&str> = token.split('.').collect();
    let [head, body, signature] = parts[..] else { return Err(Doubt::Because("does not have three parts")) };
    let header = object(head).ok_or(Doubt::Because("has a header that cannot be read"))?;
    let algorithm = header.get("alg").and_then(Value::as_str).and_then(Algorithm::of);
    let algorithm = algorithm.ok_or(Doubt::Because("is not signed with RS256, PS256 or ES256"))?;
    if header.contains_key("crit") {
        return Err(Doubt::Because("has a header that demands what is not known here"));
    }
    let id = match header.get("kid") {
        None => None,
        Some(id) => Some(id.as_str().ok_or(Doubt::Because("has a header that cannot be read"))?),
    };
    let key = keys.find(id, algorithm)?;
    let signature = URL_SAFE_NO_PAD.decode(signature);
    let message = &token.as_bytes()[..head.len() + 1 + body.len()];
    if !signature.is_ok_and(|signature| key.signed(algorithm, message, &signature)) {
        return Err(Doubt::Because("has a signature that is wrong"));
    }
    object(body).ok_or(Doubt::Because("holds what cannot be read"))
}

/// A part of a token; names that stand twice are refused, since readers disagree on which one counts.
fn object(part: &str) -> Option<Map<String, Value>> {
    let text = URL_SAFE_NO_PAD.decode(part).ok()?;
    json::parse(&text, &Limits::default()).ok()?;
    serde_json::from_slice(&text).ok()
}

fn check(claims: &Map<String, Value>, expected: Expected<'_>, now: Timestamp) -> Result<String, &'static str> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    if text("iss") != Some(expected.issuer) {
        return Err("is of another issuer");
    }
    let audience = match claims.get("aud") {
        Some(Value::String(one)) => vec![one.as_str()],
        Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    if !audience.contains(&expected.client_id) {
        return Err("is for another application");
    }
    match claims.get("azp") {
        None if audience.len() > 1 => return Err("is for several applications and does not say which one asked"),
        Some(party) if party.as_str() != Some(expected.client_id) => {
            return Err("was asked for by another application");
        }
        _ => {}
    }
    if instant(claims, "exp").ok_or("does not say until when it is good")? <= earlier(now, SKEW) {
        return Err("is over");
    }
    if instant(claims, "iat").ok_or("does not say when it was made")? > later(now, SKEW) {
        return Err("is from the future: is a clock wrong?");
    }
    if claims.contains_key("nbf") && instant(claims, "nbf").is_none_or(|from| from > later(now, SKEW)) {
        return Err("is not good yet: is a clock wrong?");
    }
    let nonce = text("nonce").unwrap_or_default();
    if !bool::from(nonce.as_bytes().ct_eq(expected.nonce.as_bytes())) {
        return Err("is for another sign-in");
    }
    if let Some(hash) = claims.get("at_hash")
        && (hash.as_str().is_none() || hash.as_str() != expected.access_token.map(half_hash).as_deref())
    {
        return Err("came with another access token than the one it names");
    }
    let subject = text("sub").filter(|subject| !subject.is_empty() && subject.chars().count() <= SUBJECT_CHARS_MAX);
    subject.map(str::to_owned).ok_or("does not say who it is about")
}

/// Seconds since 1970, perhaps with a fraction; a time that no calendar has is none.
fn instant(claims: &Map<String, Value>, name: &str) -> Option<Timestamp> {
    let seconds = claims.get(name)?.as_f64()?;
    #[expect(clippy::cast_possible_truncation, reason = "what is out of range is refused by the calendar")]
    Timestamp::from_second(seconds.floor() as i64).ok()
}

/// OpenID Connect Core 1.0 section 3.1.3.6, for algorithms over SHA-256.
fn half_hash(access_token: &str) -> String {
    URL_SAFE_NO_PAD.encode(&Sha256::digest(access_token)[..16])
}

/// What stands in for a verifier until it is shown (RFC 7636 section 4.2).
pub fn challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(verifier))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_challenge_is_that_of_rfc_7636_appendix_b() {
        let challenge = challenge("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
        assert_eq!(challenge, "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }

    /// RFC 7515 appendix A.3.
    const SIGNED: &str = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
    const KEY: &str = r#"{"keys":[{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}"#;

    #[test]
    fn the_signature_is_that_of_rfc_7515_appendix_a_3() {
        let keys = Keys::read(KEY.as_bytes()).unwrap();
        let claims = signed_claims(SIGNED, &keys).unwrap();
        assert_eq!(claims["iss"], "joe");
        let bent = SIGNED.replace("eyJpc3MiOiJqb2UiLA0K", "eyJpc3MiOiJqb2UiLA0L");
        assert_eq!(signed_claims(&bent, &keys), Err(Doubt::Because("has a signature that is wrong")));
    }

    #[test]
    fn api_4_a_key_for_something_else_checks_nothing() {
        for other in [
            KEY.replace("\"kty\"", "\"use\":\"enc\",\"kty\""),
            KEY.replace("\"kty\"", "\"key_ops\":[\"sign\"],\"kty\""),
            KEY.replace("\"kty\"", "\"alg\":\"HS256\",\"kty\""),
            KEY.replace("P-256", "P-384"),
            KEY.replace("f83OJ3D2", ""),
            "{\"keys\":[{\"kty\":\"oct\",\"k\":\"c2VjcmV0\"}]}".to_owned(),
            "{\"keys\":[]}".to_owned(),
            "[]".to_owned(),
            "<html>".to_owned(),
        ] {
            assert!(Keys::read(other.as_bytes()).is_err(), "{other}");
        }
    }

    #[test]
    fn what_is_no_token_is_refused_without_a_key() {
        let keys = Keys::read(KEY.as_bytes()).unwrap();
        for nonsense in ["", ".", "..", "a.b.c", "....", "eyJhbGciOiJub25lIn0.e30.", &"x".repeat(70_000)] {
            assert!(matches!(signed_claims(nonsense, &keys), Err(Doubt::Because(_))), "{nonsense}");
        }
    }
}
