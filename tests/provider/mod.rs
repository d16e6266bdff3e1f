//! An identity provider on loopback: real sockets, real keys, and every lie that one could tell.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256, RSA_PSS_SHA256,
};
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, Response, StatusCode, Uri, header};
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use crossdock::clock::{SharedClock, SystemClock};
use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::Url;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

pub const CLIENT_ID: &str = "crossdock-tests";
pub const CLIENT_SECRET: &str = "s3cret with spaces & more";

/// How the token is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signing {
    Rs256,
    Ps256,
    Es256,
    /// `alg: none`, with nothing behind the last dot.
    None,
    /// HS256 with the public key as the secret: the classic confusion.
    PublicKeyAsSecret,
    /// RS256 said and signed, under the name of the key for ES256.
    OtherKind,
    /// With a key that is published nowhere, under the name of one that is.
    Stranger,
}

/// What is answered in place of what should be.
#[derive(Clone, Debug)]
pub enum Instead {
    Status(u16, String),
    Redirect(String),
    Late(Duration),
}

struct Ask {
    nonce: String,
    challenge: String,
    redirect_uri: String,
}

type Bend = Box<dyn Fn(&mut Value, &mut Value) + Send>;

struct Inner {
    clock: SharedClock,
    rsa: RsaPair,
    kid: String,
    ec: EcdsaKeyPair,
    signing: Signing,
    bend: Option<Bend>,
    person: Value,
    instead: HashMap<String, Instead>,
    document: Value,
    codes: HashMap<String, Ask>,
    asked: Vec<String>,
}

/// Until it is dropped with the test's runtime.
#[derive(Clone)]
pub struct IdentityProvider {
    inner: Arc<Mutex<Inner>>,
    address: SocketAddr,
}

impl IdentityProvider {
    pub async fn start() -> IdentityProvider {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.expect("a loopback port");
        let address = listener.local_addr().expect("it is bound");
        let inner = Inner {
            clock: Arc::new(SystemClock),
            rsa: RsaPair::generate(KeySize::Rsa2048).expect("a key"),
            kid: "rsa-1".to_owned(),
            ec: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key"),
            signing: Signing::Rs256,
            bend: None,
            person: json!({}),
            instead: HashMap::new(),
            document: json!({}),
            codes: HashMap::new(),
            asked: Vec::new(),
        };
        let provider = IdentityProvider { inner: Arc::new(Mutex::new(inner)), address };
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(document))
            .route("/keys", get(keys))
            .route("/authorize", get(authorize))
            .route("/token", post(token))
            .with_state(provider.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.expect("it serves until it is stopped") });
        provider
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("no test panics while it is held")
    }

    /// Another site than the service on `127.0.0.1`.
    pub fn issuer(&self) -> String {
        format!("http://localhost:{}", self.address.port())
    }

    pub fn clock_is(&self, clock: SharedClock) {
        self.inner().clock = clock;
    }

    /// Who signs in there from now on.
    pub fn person(&self, claims: Value) {
        self.inner().person = claims;
    }

    pub fn signs(&self, signing: Signing) {
        self.inner().signing = signing;
    }

    /// Changes header and claims of each token before it is signed.
    pub fn bends(&self, bend: impl Fn(&mut Value, &mut Value) + Send + 'static) {
        self.inner().bend = Some(Box::new(bend));
    }

    /// Answers something else under a path.
    pub fn answers(&self, path: &str, instead: Instead) {
        self.inner().instead.insert(path.to_owned(), instead);
    }

    /// Members of the document that differ.
    pub fn says_of_itself(&self, members: Value) {
        self.inner().document = members;
    }

    /// No lie from now on.
    pub fn is_honest(&self) {
        let mut inner = self.inner();
        (inner.signing, inner.bend, inner.document) = (Signing::Rs256, None, json!({}));
        inner.instead.clear();
    }

    /// Another key in place of the one before.
    pub fn rotates(&self) {
        let mut inner = self.inner();
        inner.rsa = RsaPair::generate(KeySize::Rsa2048).expect("a key");
        inner.kid = format!("{}+", inner.kid);
    }

    /// How often a path was asked for.
    pub fn asked(&self, path: &str) -> usize {
        self.inner().asked.iter().filter(|asked| *asked == path).count()
    }

    /// What a person's consent leads back to: code and state, for the address that a sign-in began with.
    pub fn consents(&self, location: &str) -> (String, String) {
        let url = Url::parse(location).expect("an address");
        assert_eq!(url.path(), "/authorize");
        let members: HashMap<String, String> = url.query_pairs().into_owned().collect();
        let member = |name: &str| members.get(name).cloned().unwrap_or_else(|| panic!("{name} in {location}"));
        assert_eq!((member("response_type"), member("client_id")), ("code".to_owned(), CLIENT_ID.to_owned()));
        assert_eq!(member("code_challenge_method"), "S256");
        assert!(member("scope").split(' ').any(|scope| scope == "openid"));
        let (state, nonce) = (member("state"), member("nonce"));
        assert!(state.len() >= 43 && nonce.len() >= 43 && state != nonce);
        let mut inner = self.inner();
        let code = format!("code-{}", inner.codes.len() + 1);
        let ask = Ask { nonce, challenge: member("code_challenge"), redirect_uri: member("redirect_uri") };
        inner.codes.insert(code.clone(), ask);
        (code, state)
    }
}

impl Inner {
    fn visited(&mut self, path: &str) -> Option<Instead> {
        self.asked.push(path.to_owned());
        self.instead.get(path).cloned()
    }

    /// `n` of the public key; its exponent is 65537.
    fn modulus(&self) -> Vec<u8> {
        // PKCS #1: a sequence of two integers, the first of 257 bytes with its leading zero.
        let der = self.rsa.public_key().as_ref();
        assert_eq!(der[4..9], [2, 0x82, 1, 1, 0], "a key of 2,048 bits");
        der[9..9 + 256].to_vec()
    }

    fn id_token(&self, ask: &Ask, access_token: &str, issuer: &str) -> String {
        let now = self.clock.now().as_second();
        let hash = URL_SAFE_NO_PAD.encode(&Sha256::digest(access_token)[..16]);
        let mut claims = json!({
            "iss": issuer, "aud": CLIENT_ID, "iat": now, "exp": now + 300, "nonce": ask.nonce, "at_hash": hash,
        });
        for (name, value) in self.person.as_object().expect("claims") {
            claims[name] = value.clone();
        }
        let (alg, kid) = match self.signing {
            Signing::Rs256 | Signing::Stranger => ("RS256", self.kid.as_str()),
            Signing::Ps256 => ("PS256", self.kid.as_str()),
            Signing::Es256 => ("ES256", "ec-1"),
            Signing::None => ("none", self.kid.as_str()),
            Signing::PublicKeyAsSecret => ("HS256", self.kid.as_str()),
            Signing::OtherKind => ("RS256", "ec-1"),
        };
        let mut header = json!({ "alg": alg, "typ": "JWT", "kid": kid });
        if let Some(bend) = &self.bend {
            bend(&mut header, &mut claims);
        }
        let encoded = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let message = format!("{}.{}", encoded(&header), encoded(&claims));
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(self.signature(message.as_bytes())))
    }

    fn signature(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        let rsa = |pair: &RsaPair, how| {
            let mut signature = vec![0; pair.public_modulus_len()];
            pair.sign(how, &random, message, &mut signature).expect("it signs");
            signature
        };
        match self.signing {
            Signing::Rs256 | Signing::OtherKind => rsa(&self.rsa, &RSA_PKCS1_SHA256),
            Signing::Ps256 => rsa(&self.rsa, &RSA_PSS_SHA256),
            Signing::Stranger => rsa(&RsaPair::generate(KeySize::Rsa2048).expect("a key"), &RSA_PKCS1_SHA256),
            Signing::Es256 => self.ec.sign(&random, message).expect("it signs").as_ref().to_vec(),
            Signing::None => Vec::new(),
            Signing::PublicKeyAsSecret => {
                let mut mac = Hmac::<Sha256>::new_from_slice(self.rsa.public_key().as_ref()).expect("any length");
                mac.update(message);
                mac.finalize().into_bytes().to_vec()
            }
        }
    }
}

async fn lie(instead: Instead) -> Response<String> {
    let response = Response::builder();
    let response = match instead {
        Instead::Status(status, body) => response.status(StatusCode::from_u16(status).expect("a status")).body(body),
        Instead::Redirect(to) => response.status(302).header(header::LOCATION, to).body(String::new()),
        Instead::Late(wait) => {
            tokio::time::sleep(wait).await;
            response.body("{}".to_owned())
        }
    };
    response.expect("a response")
}

async fn document(State(provider): State<IdentityProvider>) -> Response<String> {
    let instead = provider.inner().visited("/.well-known/openid-configuration");
    if let Some(instead) = instead {
        return lie(instead).await;
    }
    let issuer = provider.issuer();
    let mut document = json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "jwks_uri": format!("{issuer}/keys"),
        "authorization_response_iss_parameter_supported": true,
    });
    for (name, value) in provider.inner().document.as_object().expect("members") {
        document[name] = value.clone();
    }
    Response::new(document.to_string())
}

async fn keys(State(provider): State<IdentityProvider>) -> Response<String> {
    let instead = provider.inner().visited("/keys");
    if let Some(instead) = instead {
        return lie(instead).await;
    }
    let inner = provider.inner();
    let point = inner.ec.public_key().as_ref();
    let encoded = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let keys = json!({ "keys": [
        { "kty": "RSA", "kid": "enc-1", "use": "enc", "n": encoded(&inner.modulus()), "e": "AQAB" },
        { "kty": "RSA", "kid": inner.kid, "use": "sig", "n": encoded(&inner.modulus()), "e": "AQAB" },
        { "kty": "EC", "kid": "ec-1", "crv": "P-256", "x": encoded(&point[1..33]), "y": encoded(&point[33..]) },
        { "kty": "OKP", "kid": "ed-1", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" },
    ] });
    Response::new(keys.to_string())
}

/// The page on which a person says yes.
async fn authorize(State(provider): State<IdentityProvider>, uri: Uri) -> Response<String> {
    let (code, state) = provider.consents(&format!("{}{uri}", provider.issuer()));
    let redirect_uri = provider.inner().codes[&code].redirect_uri.clone();
    let mut back = Url::parse(&redirect_uri).expect("an address");
    let issuer = provider.issuer();
    back.query_pairs_mut().extend_pairs([("code", &code), ("state", &state), ("iss", &issuer)]);
    let back = back.as_str().replace('&', "&amp;");
    let page = format!(
        "<!doctype html><html lang=en><title>Provider</title><link rel=icon href=\"data:,\">\
         <main><a href=\"{back}\">Yes, it is me</a></main>"
    );
    Response::builder().header(header::CONTENT_TYPE, "text/html").body(page).expect("a response")
}

async fn token(State(provider): State<IdentityProvider>, headers: HeaderMap, body: String) -> Response<String> {
    let instead = provider.inner().visited("/token");
    if let Some(instead) = instead {
        return lie(instead).await;
    }
    let form = Url::parse(&format!("form:?{body}")).expect("a form");
    let form: HashMap<String, String> = form.query_pairs().into_owned().collect();
    let member = |name: &str| form.get(name).cloned().unwrap_or_default();
    let refuses = |status: u16, error: &str| {
        let body = json!({ "error": error, "error_description": "<script>alert(1)</script>" }).to_string();
        Response::builder().status(status).body(body).expect("a response")
    };
    let pair = headers.get("authorization").and_then(|value| value.to_str().ok()?.strip_prefix("Basic "));
    let known = match pair {
        Some(pair) => {
            let pair = String::from_utf8(STANDARD.decode(pair).expect("base64")).expect("text");
            pair == format!("{CLIENT_ID}:s3cret+with+spaces+%26+more")
        }
        None => member("client_id") == CLIENT_ID && member("client_secret") == CLIENT_SECRET,
    };
    if !known {
        return refuses(401, "invalid_client");
    }
    let issuer = provider.issuer();
    let mut inner = provider.inner();
    let Some(ask) = inner.codes.remove(&member("code")) else { return refuses(400, "invalid_grant") };
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(member("code_verifier")));
    if member("grant_type") != "authorization_code"
        || member("redirect_uri") != ask.redirect_uri
        || challenge != ask.challenge
    {
        return refuses(400, "invalid_grant");
    }
    let access_token = "an-access-token";
    let id_token = inner.id_token(&ask, access_token, &issuer);
    let given =
        json!({ "token_type": "Bearer", "access_token": access_token, "expires_in": 300, "id_token": id_token });
    Response::new(given.to_string())
}
