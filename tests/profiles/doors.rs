//! Doors that are opened by what has to be fetched first: OAuth 2 with secret and with signed assertion, logins with cookies.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use aws_lc_rs::signature::{RSA_PSS_2048_8192_SHA256, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use crossdock::intake::signature::sign::CommerceSigner;
use serde_json::{Value, json};

use crate::contract::{Profile, one, orders, send, service_with};
use crate::office::{Asked, Booked, Fault, Office, Reply, System};
use crate::support::{TestApp, orders as order, until};

/// An API behind a token endpoint and a login.
#[derive(Default)]
struct Guarded {
    issued: Mutex<usize>,
    valid: Mutex<BTreeSet<String>>,
    orders: Mutex<Vec<String>>,
    /// DER of the public key that assertions are checked with.
    client_key: Mutex<Vec<u8>>,
}

impl Guarded {
    fn issue(&self) -> String {
        let mut issued = self.issued.lock().unwrap();
        *issued += 1;
        let token = format!("t0k3n-{issued}");
        self.valid.lock().unwrap().insert(token.clone());
        token
    }

    fn token(&self, asked: &Asked) -> Reply {
        let form = reqwest::Url::parse(&format!("form:?{}", asked.text)).unwrap();
        let member = |name: &str| {
            form.query_pairs().find(|(known, _)| known == name).map(|(_, value)| value.into_owned()).unwrap_or_default()
        };
        let refused = Reply::json(401, &json!({ "error": "invalid_client" }));
        if member("grant_type") != "client_credentials"
            || asked.header("content-type") != "application/x-www-form-urlencoded"
        {
            return Reply::json(400, &json!({ "error": "unsupported_grant_type" }));
        }
        let assertion = member("client_assertion");
        let known = if assertion.is_empty() {
            member("client_id") == "router"
                && member("client_secret") == "s3cr3t & more"
                && member("scope") == "orders.write"
        } else {
            self.is_ours(&assertion)
        };
        if !known {
            return refused;
        }
        Reply::json(200, &json!({ "access_token": self.issue(), "token_type": "bearer", "expires_in": 3600 }))
    }

    fn is_ours(&self, assertion: &str) -> bool {
        let parts: Vec<&str> = assertion.split('.').collect();
        let [head, claims, signature] = parts[..] else { return false };
        let read = |part: &str| -> Value { serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap() };
        let key = UnparsedPublicKey::new(&RSA_PSS_2048_8192_SHA256, self.client_key.lock().unwrap().clone());
        let message = format!("{head}.{claims}");
        let signed = key.verify(message.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap()).is_ok();
        let (head, claims) = (read(head), read(claims));
        let life = claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap();
        signed
            && head["alg"] == "PS256"
            && head["kid"] == "cert-1"
            && claims["iss"] == "router"
            && claims["aud"].as_str().unwrap().ends_with("/token")
            && (1..3_600).contains(&life)
    }

    fn login(&self, asked: &Asked) -> Reply {
        let body = asked.json();
        if body["UserName"] != "router" || body["Password"] != "s3cr3t & more" {
            return Reply::json(401, &json!({ "error": { "code": -5001, "message": { "value": "Login failed" } } }));
        }
        let session = self.issue();
        Reply::json(200, &json!({ "SessionTimeout": 30 }))
            .with("set-cookie", &format!("B1SESSION={session}; Path=/b1s; HttpOnly"))
            .with("set-cookie", "ROUTEID=.node1; path=/b1s")
            .with("set-cookie", "tracking=no")
    }

    fn lets_in(&self, asked: &Asked) -> bool {
        let valid = self.valid.lock().unwrap();
        let bearer = asked.header("authorization").strip_prefix("Bearer ").unwrap_or_default();
        let cookies: Vec<&str> = asked.header("cookie").split("; ").collect();
        let session = cookies.iter().find_map(|cookie| cookie.strip_prefix("B1SESSION="));
        valid.contains(bearer)
            || (session.is_some_and(|session| valid.contains(session))
                && cookies.contains(&"ROUTEID=.node1")
                && cookies.len() == 2)
    }
}

impl System for Guarded {
    fn answer(&self, asked: &Asked) -> Reply {
        match asked.path.as_str() {
            "/token" => self.token(asked),
            "/login" => self.login(asked),
            "/moved" => Reply::text(302, "text/plain", "").with("location", "/token"),
            "/orders" if self.lets_in(asked) => {
                let number = asked.json()["order"]["increment_id"].as_str().unwrap().to_owned();
                let mut orders = self.orders.lock().unwrap();
                orders.push(number);
                Reply::json(201, &json!({ "id": format!("O-{}", orders.len()) }))
            }
            _ => Reply::json(401, &json!({ "error": "unauthorized" })),
        }
    }

    fn makes(&self, asked: &Asked) -> bool {
        asked.path == "/orders"
    }

    fn orders(&self) -> Vec<Booked> {
        let orders = self.orders.lock().unwrap();
        let booked = |(place, number): (usize, &String)| Booked {
            reference: number.clone(),
            number: format!("O-{}", place + 1),
            total: String::new(),
            finished: true,
        };
        orders.iter().enumerate().map(booked).collect()
    }

    fn has_already(&self, _: &str, _: &str, _: &str) {}

    fn forgets(&self, _: &str) -> bool {
        false
    }

    fn learns(&self, _: &str) {}
}

async fn behind(system: &Arc<Guarded>, auth: &str) -> (TestApp, Office) {
    let never = Reply::json(500, &Value::Null);
    let profile = Profile {
        system: system.clone(),
        config: "profile = \"http\"\nguard = \"key\"\nkey_window = \"24h\"\nAUTH\n",
        path: "/orders",
        permanent: never.clone(),
        throttled: never.clone(),
        transient: never.clone(),
        unauthorized: never,
        error_inside: None,
    };
    let auth = auth.to_owned();
    service_with(&profile, move |text| {
        let url = text.split("url = \"").find_map(|part| part.split_once("/orders\"")).map(|(url, _)| url.to_owned());
        text.replace("settle_after = \"200ms\"\n", "")
            .replace("AUTH", &auth.replace("HERE", &url.expect("the office's address")))
    })
    .await
}

const SECRET: &str = r#"auth = { type = "oauth2", token_url = "HERE/token", client_id = "router", client_secret = "s3cr3t & more", scope = "orders.write" }"#;

async fn delivered(app: &TestApp, numbers: std::ops::Range<u32>) {
    for number in numbers.clone() {
        let body = order::rest(&format!("{number:09}"), "24-WG085", 1).to_string();
        assert_eq!(app.patchworks_sends(body).await.status, 202);
    }
    for number in numbers {
        app.order_is(&format!("{number:09}"), "delivered").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_token_serves_all_and_a_refused_one_is_fetched_anew_once() {
    let system = Arc::new(Guarded::default());
    let (app, office) = behind(&system, SECRET).await;
    delivered(&app, 1..21).await;
    let asked = |path: &str| office.log().iter().filter(|asked| asked.path == path).count();
    assert_eq!(asked("/token"), 1, "twenty orders, one token");
    // The other side forgets all tokens.
    system.valid.lock().unwrap().clear();
    delivered(&app, 21..41).await;
    assert_eq!(asked("/token"), 2, "one for all that were refused");
    assert_eq!(system.orders().len(), 40);
    // Nothing of it is told.
    for number in ["000000001", "000000021"] {
        let told = app.order(number).await.to_string() + &app.sees("/api/v1/deliveries").await.to_string();
        assert!(!told.contains("s3cr3t") && !told.contains("t0k3n"), "{told}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_not_known_holds_the_destination_and_parks_nobody() {
    let system = Arc::new(Guarded::default());
    let (app, office) = behind(&system, &SECRET.replace("s3cr3t & more", "an old secret")).await;
    let (number, order) = one();
    send(&app, &order).await;
    let held = app.destination_is("held").await;
    assert!(held["reason"].as_str().unwrap().contains("credential"), "{held}");
    assert!(app.exceptions_of(number).await.is_empty());
    assert!(office.log().iter().all(|asked| asked.path == "/token"), "nothing went out without a credential");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_endpoint_that_stumbles_or_moves_delays_and_does_not_doubt() {
    let system = Arc::new(Guarded::default());
    let (app, office) = behind(&system, SECRET).await;
    office.next([
        Fault::Say(Reply::json(500, &json!({}))),
        Fault::Drop,
        Fault::Say(Reply::json(200, &json!({ "nothing": 1 }))),
    ]);
    delivered(&app, 1..2).await;
    assert_eq!(system.orders().len(), 1);
    app.stop().await;

    let (app, office) = behind(&system, &SECRET.replace("HERE/token", "HERE/moved")).await;
    send(&app, &orders()[0].1).await;
    until("it was asked", async || (office.log().len() > 1).then_some(())).await;
    assert!(office.log().iter().all(|asked| asked.path == "/moved"), "a redirect is not followed with a secret");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_assertion_signed_with_our_key_is_proof_enough() {
    let system = Arc::new(Guarded::default());
    let pair = CommerceSigner::generate();
    let body: String = pair.public_key_pem().lines().filter(|line| !line.starts_with("-----")).collect();
    *system.client_key.lock().unwrap() = base64::engine::general_purpose::STANDARD.decode(body).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("client.pem");
    std::fs::write(&file, pair.private_key_pem()).unwrap();
    let auth = format!(
        r#"auth = {{ type = "oauth2", token_url = "HERE/token", client_id = "router", private_key = "file:{}", key_id = "cert-1" }}"#,
        file.display()
    );
    let (app, office) = behind(&system, &auth).await;
    for number in 1..4 {
        let body = order::rest(&format!("{number:09}"), "24-WG085", 1).to_string();
        assert_eq!(app.patchworks_sends(body).await.status, 202);
    }
    let patience = tokio::time::Instant::now() + std::time::Duration::from_secs(30);
    while system.orders().len() < 3 {
        let asked: Vec<String> = office.log().into_iter().map(|asked| asked.path).collect();
        let told =
            app.sees("/api/v1/deliveries").await.to_string() + &app.sees("/api/v1/destinations").await.to_string();
        assert!(tokio::time::Instant::now() < patience, "{asked:?} {told}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_gives_the_cookies_that_are_named_and_is_made_again_when_the_session_is_over() {
    let system = Arc::new(Guarded::default());
    let auth = r#"auth = { type = "login", url = "HERE/login", body = { UserName = "router", Password = "s3cr3t & more" }, cookies = ["B1SESSION", "ROUTEID"], lifetime = "25m" }"#;
    let (app, office) = behind(&system, auth).await;
    delivered(&app, 1..4).await;
    system.valid.lock().unwrap().clear();
    delivered(&app, 4..7).await;
    assert_eq!(office.log().iter().filter(|asked| asked.path == "/login").count(), 2);
    app.stop().await;
}
