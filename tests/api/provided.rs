//! API-4: people sign in with an identity provider that tells the truth, and nobody with one that does not.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use crossdock::access::roles::Role;
use crossdock::access::vouched::Rules;
use crossdock::access::{Actor, Settings, users};
use crossdock::api::PREFIX;
use crossdock::clock::Clock as _;
use crossdock::oidc;
use crossdock::store::accounts::{UserChange, UserRow};
use serde_json::{Value, json};

use crate::provider::{CLIENT_ID, CLIENT_SECRET, IdentityProvider, Instead, Signing};
use crate::support::{Answered, Site};

const PUBLIC: &str = "https://console.example.com";

/// Our own service and the provider that it believes.
struct Pair {
    site: Site,
    provider: IdentityProvider,
}

/// A sign-in that was begun.
struct Begun {
    location: String,
    cookie: String,
}

fn anna() -> Value {
    json!({ "sub": "anna-1", "preferred_username": "anna", "email": "anna@example.com", "groups": ["repair"] })
}

impl Pair {
    async fn open() -> Pair {
        Pair::with(|_| {}).await
    }

    async fn with(edit: impl FnOnce(&mut Settings)) -> Pair {
        let provider = IdentityProvider::start().await;
        let map = [("repair", Role::Operator), ("boss", Role::Admin)];
        let map: BTreeMap<String, Role> = map.into_iter().map(|(value, role)| (value.to_owned(), role)).collect();
        let mut access = Settings {
            public_origin: Some(PUBLIC.to_owned()),
            vouched: Rules { claim: "groups".to_owned(), map, ..Rules::default() },
            ..Settings::default()
        };
        edit(&mut access);
        let settings = oidc::Settings {
            name: "Contoso".to_owned(),
            issuer: provider.issuer(),
            client_id: CLIENT_ID.to_owned(),
            client_secret: CLIENT_SECRET.to_owned(),
            scopes: vec!["openid".to_owned(), "email".to_owned()],
            allow_private: Vec::new(),
        };
        let site = Site::vouched_for_by(Some(settings), access).await;
        provider.clock_is(Arc::clone(&site.clock) as _);
        provider.person(anna());
        Pair { site, provider }
    }

    async fn posts(&self, path: &str, cookie: &str, body: &Value) -> Answered {
        let request = Request::builder().method("POST").uri(format!("{PREFIX}{path}")).header("cookie", cookie);
        let request = request.header("host", "console.example.com").header("content-type", "application/json");
        self.site.send(request.body(Body::from(body.to_string())).unwrap()).await
    }

    async fn tries_to_begin(&self, cookie: &str) -> Answered {
        self.posts("/session/provider", cookie, &json!({ "next": "/console/orders" })).await
    }

    async fn begins(&self) -> Begun {
        // Whatever was tried before is forgotten by then.
        self.site.clock.advance(Duration::from_mins(16));
        let begun = self.tries_to_begin("").await;
        assert_eq!(begun.status, StatusCode::OK, "{}", begun.text);
        let cookie = begun.header("set-cookie");
        assert!(cookie.starts_with("__Host-crossdock-provider=") && cookie.ends_with("; Secure"), "{cookie}");
        assert!(cookie.contains("; Path=/; HttpOnly; SameSite=Lax; Max-Age=600"), "{cookie}");
        let cookie = cookie.split(';').next().unwrap().to_owned();
        Begun { location: begun.json()["location"].as_str().unwrap().to_owned(), cookie }
    }

    fn answer(&self, begun: &Begun) -> Value {
        let (code, state) = self.provider.consents(&begun.location);
        json!({ "state": state, "code": code, "iss": self.provider.issuer() })
    }

    async fn hands_in(&self, begun: &Begun, answer: &Value) -> Answered {
        self.posts("/session/provider/answer", &begun.cookie, answer).await
    }

    /// The whole way, whatever comes of it.
    async fn signs_in(&self) -> Answered {
        let begun = self.begins().await;
        let answer = self.answer(&begun);
        self.hands_in(&begun, &answer).await
    }

    async fn users(&self) -> Vec<UserRow> {
        self.site.store.users().await.unwrap()
    }

    /// The reasons of refused sign-ins, and what is written of other acts.
    async fn audit(&self, action: &str) -> Vec<String> {
        let rows = self.site.store.audit_after(0).await.unwrap();
        rows.into_iter().filter(|row| row.action == action).map(|row| format!("{} {}", row.reason, row.after)).collect()
    }
}

#[tokio::test]
async fn api_4_whoever_the_provider_vouches_for_is_let_in_under_the_role_it_grants() {
    let pair = Pair::open().await;
    for signing in [Signing::Rs256, Signing::Ps256, Signing::Es256] {
        pair.provider.signs(signing);
        let let_in = pair.signs_in().await;
        assert_eq!(let_in.status, StatusCode::OK, "{signing:?}: {}", let_in.text);
        let told = let_in.json();
        assert_eq!(told["next"], "/console/orders");
        let user = &told["session"]["user"];
        assert_eq!(
            (&user["name"], &user["role"], &user["email"]),
            (&json!("anna"), &json!("operator"), &json!("anna@example.com"))
        );
        assert_eq!((&user["vouched_for"], &user["issuer"]), (&json!(true), &json!(pair.provider.issuer())));
        assert_eq!((&user["password"], &user["totp"]), (&json!(false), &json!(false)));
        let cookie = let_in.header("set-cookie");
        assert!(cookie.starts_with("__Host-crossdock=") && cookie.contains("SameSite=Strict"), "{cookie}");
        let cookie = cookie.split(';').next().unwrap();
        let request = Request::builder().uri(format!("{PREFIX}/whoami")).header("cookie", cookie);
        let who = pair.site.send(request.header("host", "console.example.com").body(Body::empty()).unwrap()).await;
        assert_eq!(who.json()["role"], "operator");
    }
    assert_eq!(pair.users().await.len(), 1, "one person, however often");
    assert_eq!(pair.audit("user.create").await.len(), 1);
    assert_eq!(pair.audit("session.begin").await.len(), 3);
    assert!(pair.audit("session.refuse").await.is_empty());
    assert!(pair.site.store.audit_break().await.unwrap().is_none());
}

#[tokio::test]
async fn api_4_a_token_that_lies_lets_nobody_in() {
    type Bend = fn(&mut Value, &mut Value);
    let pair = Pair::open().await;
    let bends: [(&str, Bend); 27] = [
        ("another issuer", |_, claims| claims["iss"] = json!("https://evil.example")),
        ("another issuer", |_, claims| claims["iss"] = json!(format!("{}/", claims["iss"].as_str().unwrap()))),
        ("another application", |_, claims| claims["aud"] = json!("other")),
        ("another application", |_, claims| claims["aud"] = json!([])),
        ("another application", |_, claims| claims["aud"] = json!(["other", "crossdock-tests2"])),
        ("several applications", |_, claims| claims["aud"] = json!([CLIENT_ID, "other"])),
        ("another application", |_, claims| {
            (claims["aud"], claims["azp"]) = (json!([CLIENT_ID, "other"]), json!("other"));
        }),
        ("another application", |_, claims| claims["azp"] = json!("other")),
        ("is over", |_, claims| claims["exp"] = json!(claims["iat"].as_i64().unwrap() - 60)),
        ("until when", |_, claims| claims["exp"] = Value::Null),
        ("until when", |_, claims| claims["exp"] = json!("2099-01-01")),
        ("until when", |_, claims| claims["exp"] = json!(1e300)),
        ("from the future", |_, claims| claims["iat"] = json!(claims["iat"].as_i64().unwrap() + 61)),
        ("when it was made", |_, claims| claims["iat"] = json!({})),
        ("not good yet", |_, claims| claims["nbf"] = json!(claims["iat"].as_i64().unwrap() + 61)),
        ("another sign-in", |_, claims| claims["nonce"] = json!("another")),
        ("another sign-in", |_, claims| claims["nonce"] = Value::Null),
        ("access token", |_, claims| claims["at_hash"] = json!("another")),
        ("access token", |_, claims| claims["at_hash"] = Value::Null),
        ("who it is about", |_, claims| claims["sub"] = json!("")),
        ("who it is about", |_, claims| claims["sub"] = json!(7)),
        ("who it is about", |_, claims| claims["sub"] = json!("x".repeat(256))),
        ("demands", |header, _| header["crit"] = json!(["b64"])),
        ("does not publish", |header, _| header["kid"] = json!("unknown")),
        ("not for its algorithm", |header, _| header["alg"] = json!("ES256")),
        ("not signed with", |header, _| header["alg"] = json!("rs256")),
        ("does not publish", |header, _| header["kid"] = json!("enc-1")),
    ];
    for (reason, bend) in bends {
        pair.provider.bends(bend);
        is_doubted(&pair, reason).await;
    }
    pair.provider.is_honest();
    for (reason, signing) in [
        ("not signed with", Signing::None),
        ("not signed with", Signing::PublicKeyAsSecret),
        ("not for its algorithm", Signing::OtherKind),
        ("signature", Signing::Stranger),
    ] {
        pair.provider.signs(signing);
        is_doubted(&pair, reason).await;
    }
    pair.provider.is_honest();
    assert!(pair.users().await.is_empty(), "no lie made anybody");
    assert_eq!(pair.signs_in().await.status, StatusCode::OK);
}

/// Nobody is signed in; outside it is one sentence, and the audit says why.
async fn is_doubted(pair: &Pair, reason: &str) {
    let refused = pair.signs_in().await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED, "{reason}: {}", refused.text);
    assert_eq!(refused.header("set-cookie"), "");
    assert!(!refused.text.contains(reason), "{}", refused.text);
    let told = pair.audit("session.refuse").await;
    assert!(told.last().is_some_and(|told| told.contains(reason)), "{reason}: {:?}", told.last());
}

#[tokio::test]
async fn api_4_a_clock_may_differ_by_a_minute() {
    let pair = Pair::open().await;
    pair.provider.bends(|_, claims| {
        let now = claims["iat"].as_i64().unwrap();
        (claims["iat"], claims["nbf"], claims["exp"]) = (json!(now + 59), json!(now + 59), json!(now - 59));
    });
    assert_eq!(pair.signs_in().await.status, StatusCode::OK);
}

#[tokio::test]
async fn api_4_an_answer_is_good_once_in_the_browser_that_asked() {
    let pair = Pair::open().await;
    let begun = pair.begins().await;
    let answer = pair.answer(&begun);
    let elsewhere = pair.begins().await;
    let stolen = pair.hands_in(&elsewhere, &answer).await;
    assert_eq!(stolen.status, StatusCode::UNAUTHORIZED, "another browser: {}", stolen.text);
    let bare = Begun { location: String::new(), cookie: String::new() };
    assert_eq!(pair.hands_in(&bare, &answer).await.status, StatusCode::UNAUTHORIZED, "no browser");
    pair.site.clock.advance(Duration::from_mins(16));
    assert_eq!(pair.hands_in(&begun, &answer).await.status, StatusCode::UNAUTHORIZED, "too late");

    let begun = pair.begins().await;
    let answer = pair.answer(&begun);
    let (one, two) = tokio::join!(pair.hands_in(&begun, &answer), pair.hands_in(&begun, &answer));
    let mut both = [one.status, two.status];
    both.sort();
    assert_eq!(both, [StatusCode::OK, StatusCode::UNAUTHORIZED], "two at once are one");
    assert_eq!(pair.hands_in(&begun, &answer).await.status, StatusCode::UNAUTHORIZED, "a replay");
    assert_eq!(pair.audit("session.begin").await.len(), 1);
    for nonsense in [json!({ "state": "" }), json!({ "state": "x".repeat(9_000), "code": "\u{0}" })] {
        assert_eq!(pair.hands_in(&begun, &nonsense).await.status, StatusCode::UNAUTHORIZED);
    }
}

#[tokio::test]
async fn api_4_the_answer_names_its_issuer_and_brings_a_code() {
    let pair = Pair::open().await;
    for (bend, reason) in [
        (json!({ "iss": "https://evil.example" }), "another issuer"),
        (json!({ "iss": null }), "does not name its issuer"),
        (json!({ "code": null }), "holds no code"),
        (json!({ "code": "guessed" }), "the code is used up"),
        (json!({ "error": "access_denied" }), "declined there"),
        (json!({ "error": "<script>alert(1)</script>" }), "no reason that is known"),
    ] {
        let begun = pair.begins().await;
        let mut answer = pair.answer(&begun);
        for (name, value) in bend.as_object().unwrap() {
            answer[name] = value.clone();
        }
        let refused = pair.hands_in(&begun, &answer).await;
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED, "{reason}: {}", refused.text);
        assert!(!refused.text.contains("script"), "{}", refused.text);
        let told = pair.audit("session.refuse").await;
        assert!(told.last().is_some_and(|told| told.contains(reason)), "{reason}: {told:?}");
        assert!(!told.last().unwrap().contains("script"));
    }
    assert!(pair.users().await.is_empty());
}

#[tokio::test]
async fn dat_5_a_provider_in_trouble_is_said_to_be_and_led_nowhere() {
    let pair = Pair::open().await;
    let elsewhere = IdentityProvider::start().await;
    let garbage = |text: &str| Instead::Status(200, text.to_owned());
    for instead in [
        Instead::Status(500, String::new()),
        Instead::Redirect(format!("{}/.well-known/openid-configuration", elsewhere.issuer())),
        garbage("<html>"),
        garbage("{}"),
        garbage(&"x".repeat(300 * 1024)),
    ] {
        pair.provider.answers("/.well-known/openid-configuration", instead.clone());
        pair.site.clock.advance(Duration::from_mins(16));
        let refused = pair.tries_to_begin("").await;
        assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE, "{instead:?}: {}", refused.text);
    }
    pair.provider.is_honest();
    for itself in [
        json!({ "issuer": "https://evil.example" }),
        json!({ "token_endpoint": "ftp://x" }),
        json!({ "jwks_uri": "http://user@localhost/keys" }),
        json!({ "authorization_endpoint": "javascript:alert(1)" }),
    ] {
        pair.provider.says_of_itself(itself.clone());
        pair.site.clock.advance(Duration::from_mins(16));
        let refused = pair.tries_to_begin("").await;
        assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE, "{itself}: {}", refused.text);
    }
    pair.provider.is_honest();
    for (path, instead) in [
        ("/token", Instead::Status(500, String::new())),
        // The one case that waits: ten seconds are a person's patience.
        ("/token", Instead::Late(Duration::from_mins(1))),
        ("/token", garbage("{")),
        ("/token", garbage("{}")),
        ("/token", garbage("{\"id_token\":\"a.b.c\"}")),
        ("/token", Instead::Redirect(format!("{}/token", elsewhere.issuer()))),
        ("/token", garbage(&"x".repeat(300 * 1024))),
        ("/keys", garbage("{\"keys\":[]}")),
        ("/keys", Instead::Redirect(format!("{}/keys", elsewhere.issuer()))),
    ] {
        pair.provider.answers(path, instead.clone());
        let refused = pair.signs_in().await;
        let known = [StatusCode::SERVICE_UNAVAILABLE, StatusCode::UNAUTHORIZED].contains(&refused.status);
        assert!(known, "{path} {instead:?}: {} {}", refused.status, refused.text);
        pair.provider.is_honest();
        // What is kept of the provider is read anew.
        pair.site.clock.advance(Duration::from_hours(25));
    }
    let asked = ["/.well-known/openid-configuration", "/token", "/keys"].map(|path| elsewhere.asked(path));
    assert_eq!(asked, [0, 0, 0], "a redirect is followed nowhere");
    assert_eq!(pair.signs_in().await.status, StatusCode::OK);
}

#[tokio::test]
async fn api_4_a_new_key_is_read_once_and_not_at_every_name() {
    let pair = Pair::open().await;
    assert_eq!(pair.signs_in().await.status, StatusCode::OK);
    assert_eq!(pair.signs_in().await.status, StatusCode::OK);
    assert_eq!(pair.provider.asked("/keys"), 1, "kept");
    pair.provider.rotates();
    assert_eq!(pair.signs_in().await.status, StatusCode::OK, "the new key");
    assert_eq!(pair.provider.asked("/keys"), 2);
    pair.provider.bends(|header, _| header["kid"] = json!("guessed"));
    for _ in 0..2 {
        let begun = pair.tries_to_begin("").await;
        let cookie = begun.header("set-cookie").split(';').next().unwrap().to_owned();
        let begun = Begun { location: begun.json()["location"].as_str().unwrap().to_owned(), cookie };
        let answer = pair.answer(&begun);
        assert_eq!(pair.hands_in(&begun, &answer).await.status, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(pair.provider.asked("/keys"), 2, "not within a minute of the last reading");
}

#[tokio::test]
async fn api_4_the_providers_word_changes_the_role_and_takes_it() {
    let pair = Pair::open().await;
    let first = pair.signs_in().await;
    let cookie = first.header("set-cookie").split(';').next().unwrap().to_owned();
    let sees = async || {
        let request = Request::builder().uri(format!("{PREFIX}/orders")).header("cookie", &cookie);
        pair.site.send(request.header("host", "console.example.com").body(Body::empty()).unwrap()).await.status
    };
    pair.provider.person(json!({ "sub": "anna-1", "preferred_username": "anna.w", "groups": ["boss"] }));
    let second = pair.signs_in().await.json();
    let user = &second["session"]["user"];
    assert_eq!((&user["role"], &user["name"], &user["email"]), (&json!("admin"), &json!("anna"), &json!("")));
    assert_eq!(sees().await, StatusCode::UNAUTHORIZED, "a session under the role before has ended");
    assert!(pair.audit("user.change").await[0].contains("by the word of http"));

    pair.provider.person(json!({ "sub": "anna-1", "groups": ["visitors"] }));
    let refused = pair.signs_in().await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN, "{}", refused.text);
    assert!(refused.text.contains("none of your groups"), "{}", refused.text);
    assert_eq!(pair.audit("session.end_all").await.len(), 1, "what she had ends with it");
    pair.provider.person(json!({ "sub": "eve-1" }));
    assert_eq!(pair.signs_in().await.status, StatusCode::FORBIDDEN);
    assert_eq!(pair.users().await.len(), 1, "whoever is granted nothing is not made known");
}

#[tokio::test]
async fn api_4_nobody_of_our_own_is_taken_over_by_a_name() {
    let pair = Pair::open().await;
    let ours = users::new("anna", "anna@example.com", Role::Admin, None, pair.site.clock.now(), &*pair.site.entropy);
    let ours = ours.unwrap();
    let id = ours.id;
    let act = Actor::System.act("user.create", id, pair.site.clock.now());
    pair.site.store.create_user(ours, act).await.unwrap();
    let let_in = pair.signs_in().await.json();
    assert_ne!(let_in["session"]["user"]["id"], id.to_string());
    assert_eq!(let_in["session"]["user"]["name"], "anna@example.com", "the next of her names");
    pair.provider.person(
        json!({ "sub": "anna-2", "preferred_username": "Anna", "email": "anna@example.com", "groups": ["repair"] }),
    );
    let other = pair.signs_in().await.json();
    let name = other["session"]["user"]["name"].as_str().unwrap().to_owned();
    assert!(name.starts_with("person-"), "{name}");
    assert_eq!(pair.users().await.len(), 3);
}

#[tokio::test]
async fn api_4_two_first_sign_ins_at_once_make_one_person() {
    let pair = Pair::open().await;
    let later = pair.begins().await;
    let more = pair.tries_to_begin(&later.cookie).await;
    assert_eq!(more.header("set-cookie").split(';').next().unwrap(), later.cookie, "two pages of one browser");
    let more = Begun { location: more.json()["location"].as_str().unwrap().to_owned(), cookie: later.cookie.clone() };
    let answers = (pair.answer(&later), pair.answer(&more));
    let (one, two) = tokio::join!(pair.hands_in(&later, &answers.0), pair.hands_in(&more, &answers.1));
    assert_eq!((one.status, two.status), (StatusCode::OK, StatusCode::OK), "{} {}", one.text, two.text);
    assert_eq!(pair.users().await.len(), 1);
}

#[tokio::test]
async fn api_4_whoever_is_shut_out_here_stays_out_and_the_provider_keeps_the_rest() {
    let pair = Pair::open().await;
    let id = pair.signs_in().await.json()["session"]["user"]["id"].as_str().unwrap().to_owned();
    let token = &pair.site.tokens.iter().find(|(role, _)| *role == Role::Admin).unwrap().1;
    let patches = async |body: Value| {
        let request = Request::builder().method("PATCH").uri(format!("{PREFIX}/users/{id}"));
        let request = request.header("authorization", format!("Bearer {token}"));
        let request = request.header("content-type", "application/json").body(Body::from(body.to_string()));
        pair.site.send(request.unwrap()).await
    };
    for theirs in [json!({ "role": "admin" }), json!({ "password": "otter mills fourteen" })] {
        let refused = patches(theirs).await;
        assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.text);
        assert!(refused.text.contains("identity provider"), "{}", refused.text);
    }
    assert_eq!(patches(json!({ "disabled": true })).await.status, StatusCode::OK);
    let refused = pair.signs_in().await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN, "{}", refused.text);
    assert!(refused.text.contains("shut out"), "{}", refused.text);
    assert_eq!(patches(json!({ "disabled": false })).await.status, StatusCode::OK);
    assert_eq!(pair.signs_in().await.status, StatusCode::OK);
}

#[tokio::test]
async fn api_4_the_last_admin_of_our_own_stays_whoever_the_provider_makes_one() {
    let pair = Pair::open().await;
    let ours = users::new("root", "", Role::Admin, None, pair.site.clock.now(), &*pair.site.entropy).unwrap();
    let id = ours.id;
    let act = |action: &str| Actor::System.act(action, id, pair.site.clock.now());
    pair.site.store.create_user(ours, act("user.create")).await.unwrap();
    pair.provider.person(json!({ "sub": "boss-1", "groups": ["boss"] }));
    assert_eq!(pair.signs_in().await.json()["session"]["user"]["role"], "admin");
    for change in [UserChange::Disabled(true), UserChange::Role("viewer".to_owned())] {
        assert!(pair.site.store.change_user(id, vec![change], act("user.change")).await.is_err());
    }
    pair.provider.person(json!({ "sub": "boss-1", "groups": ["repair"] }));
    assert_eq!(pair.signs_in().await.status, StatusCode::OK, "the provider takes back what it gave");
}

#[tokio::test]
async fn api_4_beginnings_and_answers_are_slowed_down() {
    let pair = Pair::open().await;
    let mut statuses = Vec::new();
    for _ in 0..6 {
        statuses.push(pair.tries_to_begin("").await.status);
    }
    assert_eq!(statuses[..5], [StatusCode::OK; 5]);
    assert_eq!(statuses[5], StatusCode::TOO_MANY_REQUESTS);
    let answer = json!({ "state": "guessed", "code": "x" });
    assert_eq!(pair.posts("/session/provider/answer", "", &answer).await.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(pair.provider.asked("/token"), 0);
}

#[tokio::test]
async fn api_4_passwords_are_not_taken_where_the_provider_alone_counts() {
    let pair = Pair::with(|settings| settings.passwords = false).await;
    let body = json!({ "name": "anna", "password": "otter mills fourteen" });
    let refused = pair.posts("/session", "", &body).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN, "{}", refused.text);
    assert_eq!(pair.signs_in().await.status, StatusCode::OK);
    let request = Request::builder().uri(format!("{PREFIX}/session/provider")).body(Body::empty()).unwrap();
    assert_eq!(pair.site.send(request).await.json(), json!({ "provider": "Contoso", "passwords": false }));
}

#[tokio::test]
async fn without_a_provider_there_is_none_and_without_an_address_nobody_is_sent_away() {
    let site = Site::open().await;
    let request = Request::builder().method("POST").uri(format!("{PREFIX}/session/provider"));
    let request = request.header("content-type", "application/json").body(Body::from("{}")).unwrap();
    assert_eq!(site.send(request).await.status, StatusCode::NOT_FOUND);
    let pair = Pair::with(|settings| settings.public_origin = None).await;
    let nowhere = pair.tries_to_begin("").await;
    assert_eq!(nowhere.status, StatusCode::CONFLICT, "a host that anybody can write: {}", nowhere.text);
    assert!(nowhere.text.contains("access.public_url"), "{}", nowhere.text);
}
