//! API-4: people sign in, and what they may not do.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use crossdock::access::password::Hasher;
use crossdock::access::roles::Role;
use crossdock::access::{Actor, totp, users};
use crossdock::api::{ANYONE, PREFIX, routes};
use crossdock::clock::Clock as _;
use crossdock::envelope::ids::UserId;
use crossdock::store::accounts::UserChange;
use serde_json::{Value, json};

use crate::roles::concrete;
use crate::support::{Answered, Site};

const PASSWORD: &str = "otter mills fourteen";
const HOST: &str = "console.example.com";

/// A browser with its one cookie.
struct Browser<'s> {
    site: &'s Site,
    cookie: String,
    csrf: String,
}

impl Site {
    async fn person(&self, name: &str, role: Role) -> UserId {
        let phc = Hasher::new(self.entropy.clone()).hash(PASSWORD).await.unwrap();
        let user = users::new(name, "", role, Some(phc), self.clock.now(), &*self.entropy).unwrap();
        let id = user.id;
        self.store.create_user(user, Actor::System.act("user.create", id, self.clock.now())).await.unwrap();
        id
    }

    async fn tries(&self, name: &str, password: &str, code: &str) -> Answered {
        let body = json!({ "name": name, "password": password, "code": code }).to_string();
        let request = Request::builder().method("POST").uri(format!("{PREFIX}/session")).header("host", HOST);
        self.send(request.header("content-type", "application/json").body(Body::from(body)).unwrap()).await
    }

    async fn signs_in(&self, name: &str) -> Browser<'_> {
        self.browser(&self.tries(name, PASSWORD, "").await)
    }

    fn browser(&self, answered: &Answered) -> Browser<'_> {
        assert_eq!(answered.status, StatusCode::OK, "{}", answered.text);
        let cookie = answered.header("set-cookie").split(';').next().unwrap().to_owned();
        assert!(cookie.starts_with("__Host-crossdock="), "{cookie}");
        Browser { site: self, cookie, csrf: answered.json()["csrf_token"].as_str().unwrap().to_owned() }
    }

    async fn audit(&self) -> Vec<(String, String, String)> {
        let rows = self.store.audit_after(0).await.unwrap();
        rows.into_iter().map(|row| (row.actor, row.action, row.target)).collect()
    }
}

impl Browser<'_> {
    async fn sends(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answered {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{PREFIX}{path}"))
            .header("host", HOST)
            .header("cookie", &self.cookie)
            .header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.site.send(request.body(Body::from(body.to_owned())).unwrap()).await
    }

    /// As our own page does it.
    async fn does(&self, method: &str, path: &str, body: &str) -> Answered {
        let headers = [("origin", "https://console.example.com"), ("x-csrf-token", self.csrf.as_str())];
        self.sends(method, path, &headers, body).await
    }

    async fn sees(&self, path: &str) -> Answered {
        self.sends("GET", path, &[], "").await
    }
}

#[tokio::test]
async fn api_4_a_person_signs_in_is_seen_and_signs_out() {
    let site = Site::open().await;
    let id = site.person("Anna", Role::Operator).await;
    let anna = site.signs_in("anna").await;
    let who = anna.sees("/whoami").await.json();
    assert_eq!((&who["name"], &who["role"]), (&json!("Anna"), &json!("operator")));
    let session = anna.sees("/session").await.json();
    assert_eq!((&session["csrf_token"], &session["user"]["id"]), (&json!(anna.csrf), &json!(id.to_string())));
    assert!(session["permissions"].as_array().unwrap().contains(&json!("exceptions:replay")));
    assert_eq!(anna.does("DELETE", "/session", "").await.status, StatusCode::NO_CONTENT);
    assert_eq!(anna.sees("/session").await.status, StatusCode::UNAUTHORIZED, "a stolen cookie is worth nothing now");
    let acts = site.audit().await;
    let told = |action: &str| acts.iter().find(|(_, known, _)| known == action).unwrap();
    assert_eq!(told("session.begin"), &("user:Anna".into(), "session.begin".into(), id.to_string()));
    assert_eq!(told("session.end").0, "user:Anna");
    assert!(site.store.audit_break().await.unwrap().is_none());
}

#[tokio::test]
async fn api_4_every_wrong_sign_in_is_answered_alike_and_written_down_without_the_name() {
    let site = Site::open().await;
    let id = site.person("anna", Role::Viewer).await;
    let shut = site.person("ben", Role::Viewer).await;
    let act = Actor::System.act("user.change", shut, site.clock.now());
    site.store.change_user(shut, vec![UserChange::Disabled(true)], act).await.unwrap();
    let long = "x".repeat(4_000);
    let mut answers = Vec::new();
    for (name, password) in [
        ("anna", "wrong"),
        ("nobody", PASSWORD),
        ("ben", PASSWORD),
        ("", ""),
        ("anna\u{0}", PASSWORD),
        ("ａｎｎａ", PASSWORD),
        ("x' OR 1=1", "y"),
        ("anna", &long),
        (&long, PASSWORD),
    ] {
        let answered = site.tries(name, password, "").await;
        assert_eq!(answered.header("set-cookie"), "");
        let text = answered.text.split("\"request_id\"").next().unwrap().to_owned();
        answers.push((answered.status, text));
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:#?}");
    assert_eq!(answers[0].0, StatusCode::UNAUTHORIZED);
    let huge = site.tries("anna", &"x".repeat(1_000_000), "").await;
    assert_eq!(huge.status, StatusCode::PAYLOAD_TOO_LARGE, "{}", huge.text);
    let refused: Vec<_> = site.audit().await.into_iter().filter(|(_, action, _)| action == "session.refuse").collect();
    assert_eq!(refused.len(), 9);
    assert!(refused.iter().all(|(actor, ..)| actor == "anonymous"));
    assert_eq!(refused[0].2, id.to_string());
    assert_eq!(refused[1].2, "unknown", "people type passwords where the name belongs");
}

#[tokio::test]
async fn api_4_tries_are_slowed_down_and_the_right_password_waits_too() {
    let site = Site::open().await;
    site.person("anna", Role::Viewer).await;
    for _ in 0..5 {
        assert_eq!(site.tries("anna", "wrong", "").await.status, StatusCode::UNAUTHORIZED);
    }
    let slow = site.tries("anna", PASSWORD, "").await;
    assert_eq!((slow.status, slow.header("retry-after")), (StatusCode::TOO_MANY_REQUESTS, "1"));
    assert_eq!(site.tries("ben", PASSWORD, "").await.status, StatusCode::UNAUTHORIZED, "others are not kept waiting");
    site.clock.advance(Duration::from_secs(1));
    site.signs_in("anna").await;
}

#[tokio::test]
async fn api_4_a_call_under_a_cookie_needs_our_page_and_the_sessions_token() {
    let site = Site::open().await;
    site.person("anna", Role::Admin).await;
    let (anna, again) = (site.signs_in("anna").await, site.signs_in("anna").await);
    let body = r#"{"name":"board","role":"viewer"}"#;
    let own = ("origin", "https://console.example.com");
    let token = ("x-csrf-token", anna.csrf.as_str());
    for forged in [
        &[][..],
        &[own],
        &[token],
        &[own, ("x-csrf-token", again.csrf.as_str())],
        &[("origin", "https://evil.example"), token],
        &[("origin", "null"), token],
        &[own, ("sec-fetch-site", "cross-site"), token],
    ] {
        let answered = anna.sends("POST", "/tokens", forged, body).await;
        assert_eq!(answered.status, StatusCode::FORBIDDEN, "{forged:?}: {}", answered.text);
    }
    assert_eq!(anna.does("POST", "/tokens", body).await.status, StatusCode::CREATED);
    // Nobody is signed in by another site's page either.
    let request = Request::builder().method("POST").uri(format!("{PREFIX}/session")).header("host", HOST);
    let request = request.header("origin", "https://evil.example").header("content-type", "application/json");
    let body = json!({ "name": "anna", "password": PASSWORD }).to_string();
    assert_eq!(site.send(request.body(Body::from(body)).unwrap()).await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn api_4_a_session_opens_the_routes_of_its_role_and_no_others() {
    let site = Site::open().await;
    for role in Role::ALL {
        site.person(&format!("the-{role}"), role).await;
        for (index, route) in routes().iter().enumerate().filter(|(_, route)| route.needs != ANYONE) {
            // A call may end the session or change the password: each has one of its own.
            let person = site.signs_in(&format!("the-{role}")).await;
            let key = format!("\"{role}-{index}\"");
            let headers =
                [("sec-fetch-site", "same-origin"), ("x-csrf-token", &person.csrf), ("idempotency-key", &key)];
            let answered = person.sends(route.method, &concrete(route.path), &headers, "{}").await;
            let let_in = !matches!(answered.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
            assert_eq!(
                let_in,
                route.needs.roles.contains(&role),
                "{} {} as {role}: {}",
                route.method,
                route.path,
                answered.text
            );
        }
    }
}

#[tokio::test]
async fn api_4_sessions_end_when_idle_and_at_last_and_whenever_the_person_changes() {
    let site = Site::open().await;
    let boss = site.person("boss", Role::Admin).await;
    let id = site.person("anna", Role::Operator).await;
    let anna = site.signs_in("anna").await;
    for _ in 0..15 {
        site.clock.advance(Duration::from_mins(29));
        assert_eq!(anna.sees("/session").await.status, StatusCode::OK);
    }
    site.clock.advance(Duration::from_mins(29));
    assert_eq!(anna.sees("/session").await.status, StatusCode::OK, "seven hours and 44 minutes");
    site.clock.advance(Duration::from_mins(20));
    assert_eq!(anna.sees("/session").await.status, StatusCode::UNAUTHORIZED, "eight hours");
    let idle = site.signs_in("anna").await;
    site.clock.advance(Duration::from_mins(30));
    assert_eq!(idle.sees("/session").await.status, StatusCode::UNAUTHORIZED);
    let open_page = site.signs_in("anna").await;
    let looks = async || open_page.sends("GET", "/session", &[("crossdock-watching", "1")], "").await.status;
    for _ in 0..2 {
        site.clock.advance(Duration::from_mins(14));
        assert_eq!(looks().await, StatusCode::OK);
    }
    site.clock.advance(Duration::from_mins(2));
    assert_eq!(looks().await, StatusCode::UNAUTHORIZED, "a page that looks by itself keeps nobody signed in");
    let boss_page = site.signs_in("boss").await;
    for change in [r#"{"role":"viewer"}"#, r#"{"password":"seven green harbours"}"#, r#"{"disabled":true}"#] {
        let name_page = if change.contains("disabled") {
            site.browser(&site.tries("anna", "seven green harbours", "").await)
        } else {
            site.signs_in("anna").await
        };
        let changed = boss_page.does("PATCH", &format!("/users/{id}"), change).await;
        assert_eq!(changed.status, StatusCode::OK, "{}", changed.text);
        assert_eq!(name_page.sees("/session").await.status, StatusCode::UNAUTHORIZED, "{change}");
    }
    // The last admin stays, whatever is tried.
    for (method, path, body) in [
        ("DELETE", format!("/users/{boss}"), ""),
        ("PATCH", format!("/users/{boss}"), r#"{"role":"viewer"}"#),
        ("PATCH", format!("/users/{boss}"), r#"{"disabled":true}"#),
    ] {
        let refused = boss_page.does(method, &path, body).await;
        assert_eq!(refused.status, StatusCode::CONFLICT, "{body}");
        assert!(refused.text.contains("make another user an admin first"), "{}", refused.text);
    }
    assert_eq!(boss_page.does("DELETE", &format!("/users/{id}"), "").await.status, StatusCode::NO_CONTENT);
    assert_eq!(boss_page.sees(&format!("/users/{id}")).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn api_4_a_second_factor_is_asked_for_and_no_code_is_good_twice() {
    let site = Site::open().await;
    site.person("anna", Role::Viewer).await;
    let anna = site.signs_in("anna").await;
    let wrong = anna.does("POST", "/users/me/totp", r#"{"password":"wrong"}"#).await;
    assert_eq!(
        (wrong.status, wrong.json()["problems"][0]["path"].clone()),
        (StatusCode::UNPROCESSABLE_ENTITY, json!("/password"))
    );
    let proof = json!({ "password": PASSWORD }).to_string();
    let enrolled = anna.does("POST", "/users/me/totp", &proof).await.json();
    let secret = data_encoding::BASE32_NOPAD.decode(enrolled["secret"].as_str().unwrap().as_bytes()).unwrap();
    assert!(enrolled["address"].as_str().unwrap().starts_with("otpauth://totp/Crossdock:anna?secret="));
    let step = || site.clock.now().as_second() / 30;
    assert_eq!(site.tries("anna", PASSWORD, "").await.status, StatusCode::OK, "not asked for before it is confirmed");
    let unlike = anna.does("POST", "/users/me/totp/confirm", r#"{"code":"000000"}"#).await;
    assert_eq!(unlike.status, StatusCode::UNPROCESSABLE_ENTITY);
    let code = totp::code_at(&secret, step());
    let confirmed = anna.does("POST", "/users/me/totp/confirm", &json!({ "code": code }).to_string()).await.json();
    let recovery: Vec<String> = serde_json::from_value(confirmed["recovery_codes"].clone()).unwrap();
    for wrong in ["", "000000", &code] {
        let refused = site.tries("anna", PASSWORD, wrong).await;
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED, "\"{wrong}\": the confirming code is used up");
    }
    site.clock.advance(Duration::from_mins(2));
    let code = totp::code_at(&secret, step());
    // Two at once with one code: one of them is let in.
    let (one, other) = tokio::join!(site.tries("anna", PASSWORD, &code), site.tries("anna", PASSWORD, &code));
    let mut both = [one.status.as_u16(), other.status.as_u16()];
    both.sort_unstable();
    assert_eq!(both, [200, 401]);
    assert_eq!(site.tries("anna", PASSWORD, &recovery[0]).await.status, StatusCode::OK);
    assert_eq!(site.tries("anna", PASSWORD, &recovery[0]).await.status, StatusCode::UNAUTHORIZED, "each is good once");
    let seen = anna.sees("/session").await.json();
    assert_eq!((&seen["user"]["totp"], &seen["user"]["recovery_codes"]), (&json!(true), &json!(9)));
    assert_eq!(anna.does("POST", "/users/me/totp/remove", &proof).await.status, StatusCode::NO_CONTENT);
    assert_eq!(anna.sees("/session").await.status, StatusCode::UNAUTHORIZED);
    site.signs_in("anna").await;
}

#[tokio::test]
async fn api_4_a_new_password_ends_other_sessions_and_gives_this_one_a_new_secret() {
    let site = Site::open().await;
    site.person("anna", Role::Viewer).await;
    let (here, there) = (site.signs_in("anna").await, site.signs_in("anna").await);
    let change = |current: &str, new: &str| json!({ "current": current, "new": new }).to_string();
    let wrong = here.does("POST", "/users/me/password", &change("wrong", "seven green harbours")).await;
    assert_eq!(wrong.json()["problems"][0]["path"], "/current");
    let weak = here.does("POST", "/users/me/password", &change(PASSWORD, "password1234")).await;
    assert!(weak.text.contains("among the first that anybody tries"), "{}", weak.text);
    let changed =
        site.browser(&here.does("POST", "/users/me/password", &change(PASSWORD, "seven green harbours")).await);
    assert_eq!(changed.sees("/session").await.status, StatusCode::OK);
    for old in [&here, &there] {
        assert_eq!(old.sees("/session").await.status, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(site.tries("anna", PASSWORD, "").await.status, StatusCode::UNAUTHORIZED);
    let rows = site.store.audit_after(0).await.unwrap();
    let text = serde_json::to_string(&rows).unwrap();
    assert!(text.contains("user.password") && !text.contains("harbours") && !text.contains("argon2"), "{text}");
}

#[tokio::test]
async fn api_4_users_are_made_by_those_who_may_do_as_much() {
    let site = Site::open().await;
    let json = [("content-type", "application/json")];
    let lets_in = async |body: Value| site.call(Role::Admin, "POST", "/users", &json, &body.to_string()).await;
    let made =
        lets_in(json!({ "name": "anna", "role": "finance", "email": "anna@example.com", "password": PASSWORD })).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    assert!(!made.text.contains("argon2") && !made.text.contains("otter"));
    assert_eq!(lets_in(json!({ "name": "ANNA", "role": "viewer" })).await.status, StatusCode::CONFLICT);
    for (body, path) in [
        (json!({ "name": "a b", "role": "viewer" }), "/name"),
        (json!({ "name": "me", "role": "viewer" }), "/name"),
        (json!({ "name": "ben", "role": "root" }), "/role"),
        (json!({ "name": "ben", "role": "viewer", "email": "nowhere" }), "/email"),
        (json!({ "name": "ben", "role": "viewer", "password": "short" }), "/password"),
    ] {
        assert_eq!(lets_in(body.clone()).await.json()["problems"][0]["path"], path, "{body}");
    }
    site.signs_in("anna").await;
    let listed = site.call(Role::Admin, "GET", "/users", &[], "").await.json();
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    // A token that may manage users, and little else, lets nobody in who may do more.
    let body = r#"{"name":"desk","role":"admin","scopes":["users:manage"]}"#;
    let secret =
        site.call(Role::Admin, "POST", "/tokens", &json, body).await.json()["secret"].as_str().unwrap().to_owned();
    let request = Request::builder().method("POST").uri(format!("{PREFIX}/users"));
    let request =
        request.header(header::AUTHORIZATION, format!("Bearer {secret}")).header("content-type", "application/json");
    let refused = site.send(request.body(Body::from(r#"{"name":"eve","role":"admin"}"#)).unwrap()).await;
    assert!(refused.text.contains("may do more than you"), "{}", refused.text);
}

#[tokio::test]
async fn api_5_acts_leave_as_a_file_that_proves_itself() {
    let site = Site::open().await;
    site.person("anna", Role::Viewer).await;
    let exported = site.call(Role::Admin, "GET", "/audit/export?action=user", &[], "").await;
    assert_eq!((exported.status, exported.header("content-type")), (StatusCode::OK, "application/jsonl"));
    let row: crossdock::store::books::AuditRow = serde_json::from_str(exported.text.trim()).unwrap();
    assert_eq!((row.action.as_str(), row.actor.as_str()), ("user.create", "system"));
    let mut check = crossdock::store::trail::Check::looking_for(Some(&row.digest));
    check.row(&row);
    let (checked, found) = check.end();
    assert_eq!((checked.broken, found), (None, Some(true)));
    let csv = site
        .call(Role::Admin, "GET", "/audit/export?format=csv&actor=system&until=2027-01-01T00:00:00Z", &[], "")
        .await;
    assert!(
        csv.header("content-type").starts_with("text/csv") && csv.header("content-disposition").contains("audit.csv")
    );
    assert_eq!(csv.text.lines().count(), 2 + Role::ALL.len());
    assert_eq!(
        site.call(Role::Admin, "GET", "/audit/export?format=xls", &[], "").await.status,
        StatusCode::BAD_REQUEST
    );
}
