//! API-4: who may call what.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use crossdock::access::roles::{PERMISSIONS, Role, Scopes};
use crossdock::access::tokens::mint;
use crossdock::api::{ANYONE, PREFIX, routes};
use crossdock::clock::Clock as _;

use crate::support::Site;

/// A path that reaches the handler: ids are well-formed and name nothing.
pub fn concrete(path: &str) -> String {
    let id = |prefix: &str| format!("{prefix}_{}", "0".repeat(26));
    let id = match path.split('/').nth(1).unwrap() {
        "events" => id("env"),
        "documents" => id("doc"),
        "deliveries" => id("dlv"),
        "exceptions" => id("exc"),
        "users" => id("usr"),
        "bulk" => id("blk"),
        "views" => id("viw"),
        _ => id("tok"),
    };
    path.replace("{id}", &id)
        .replace("{increment_id}", "000000042")
        .replace("{table}", "skus")
        .replace("{name}", "erp")
        .replace("{fingerprint}", "a1b2")
}

#[tokio::test]
async fn api_4_every_route_lets_in_the_roles_of_its_permission_and_nobody_else() {
    let site = Site::open().await;
    for (index, route) in routes().into_iter().enumerate().filter(|(_, route)| route.needs != ANYONE) {
        let path = concrete(route.path);
        let uri = format!("{PREFIX}{path}");
        for bearer in [None, Some("Bearer cdk_nonsense"), Some("Basic YTpi"), Some("Bearer")] {
            let mut request = Request::builder().method(route.method).uri(&uri);
            if let Some(bearer) = bearer {
                request = request.header("authorization", bearer);
            }
            let answered = site.send(request.body(Body::empty()).unwrap()).await;
            assert_eq!(answered.status, StatusCode::UNAUTHORIZED, "{} {path} with {bearer:?}", route.method);
            assert!(answered.header("www-authenticate").starts_with("Bearer"));
        }
        for role in Role::ALL {
            assert_eq!(PERMISSIONS.iter().filter(|needs| **needs == route.needs).count(), 1, "{}", route.path);
            let key = format!("\"{index}-{role}\"");
            let headers = [("content-type", "application/json"), ("idempotency-key", key.as_str())];
            let answered = site.call(role, route.method, &path, &headers, "{}").await;
            // One's own account is a person's: every role has it, and a token has none.
            let own = route.needs.permission == "account:own" && answered.text.contains("nobody's account");
            let let_in = own || !matches!(answered.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
            assert_eq!(
                let_in,
                route.needs.roles.contains(&role),
                "{} {path} as {role}: {}",
                route.method,
                answered.status
            );
        }
    }
}

#[tokio::test]
async fn a_doubled_authorization_header_is_refused() {
    let site = Site::open().await;
    let bearer = format!("Bearer {}", site.token(Role::Admin));
    let request = Request::builder().uri(format!("{PREFIX}/whoami"));
    let request = request.header("authorization", &bearer).header("authorization", &bearer);
    assert_eq!(site.send(request.body(Body::empty()).unwrap()).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn whoami_names_the_token_and_its_role() {
    let site = Site::open().await;
    let answered = site.call(Role::Operator, "GET", "/whoami", &[], "").await.json();
    assert_eq!((&answered["name"], &answered["role"]), (&"operator".into(), &"operator".into()));
    let version = site.get("/version").await.json();
    assert_eq!(version["config_version"], "c0ffee");
}

#[tokio::test]
async fn a_token_is_shown_once_works_and_is_refused_once_revoked() {
    let site = Site::open().await;
    let json = [("content-type", "application/json")];
    let made = site.call(Role::Admin, "POST", "/tokens", &json, r#"{"name":"dashboard","role":"viewer"}"#).await;
    assert_eq!(made.status, StatusCode::CREATED);
    let (id, secret) = (made.json()["id"].clone(), made.json()["secret"].as_str().unwrap().to_owned());
    let who = |secret: String| {
        let request =
            Request::builder().uri(format!("{PREFIX}/whoami")).header("authorization", format!("bearer {secret}"));
        site.send(request.body(Body::empty()).unwrap())
    };
    assert_eq!(who(secret.clone()).await.status, StatusCode::OK);
    let listed = site.call(Role::Admin, "GET", "/tokens", &[], "").await;
    assert!(listed.text.contains("dashboard") && !listed.text.contains(&secret) && !listed.text.contains("secret"));
    let twice = site.call(Role::Admin, "POST", "/tokens", &json, r#"{"name":"dashboard","role":"viewer"}"#).await;
    assert_eq!(twice.status, StatusCode::CONFLICT);
    let path = format!("/tokens/{}", id.as_str().unwrap());
    assert_eq!(site.call(Role::Admin, "DELETE", &path, &[], "").await.status, StatusCode::NO_CONTENT);
    assert_eq!(who(secret).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_token_revoked_beside_the_service_is_refused_within_two_seconds() {
    let site = Site::open().await;
    assert_eq!(site.get("/whoami").await.status, StatusCode::OK);
    let tokens = site.store.tokens().await.unwrap();
    let viewer = tokens.iter().find(|token| token.name == "viewer").unwrap();
    let act = crossdock::access::Actor::System.act("token.revoke", viewer.id, viewer.created_at);
    site.store.revoke_token(viewer.id, act).await.unwrap();
    site.clock.advance(std::time::Duration::from_secs(2));
    assert_eq!(site.get("/whoami").await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn an_expired_token_is_refused_even_while_it_is_remembered() {
    let site = Site::open().await;
    let body = r#"{"name":"short","role":"viewer","expires_at":"2026-03-01T10:00:01Z"}"#;
    let made = site.call(Role::Admin, "POST", "/tokens", &[("content-type", "application/json")], body).await.json();
    let bearer = format!("Bearer {}", made["secret"].as_str().unwrap());
    let who = || {
        let request = Request::builder().uri(format!("{PREFIX}/whoami")).header("authorization", &bearer);
        site.send(request.body(Body::empty()).unwrap())
    };
    assert_eq!(who().await.status, StatusCode::OK);
    site.clock.advance(std::time::Duration::from_secs(1));
    assert_eq!(who().await.status, StatusCode::UNAUTHORIZED);
}

/// One call with this secret, as an attacker or a program would send it.
async fn status(site: &Site, method: &str, path: &str, secret: &str) -> StatusCode {
    let request = Request::builder()
        .method(method)
        .uri(format!("{PREFIX}{}", concrete(path)))
        .header("authorization", format!("Bearer {secret}"))
        .header("content-type", "application/json")
        .header("idempotency-key", format!("\"{}\"", &secret[4..20]));
    site.send(request.body(Body::from("{}")).unwrap()).await.status
}

#[tokio::test]
async fn api_4_expired_revoked_and_narrowed_tokens_open_no_route_they_should_not() {
    let site = Site::open().await;
    let now = site.clock.now();
    let system = crossdock::access::Actor::System;
    let make = async |name: &str, scopes: &[&str], expires_at| {
        let scopes = Scopes::narrow(Role::Admin, scopes.iter().copied()).unwrap();
        let (secret, token) = mint(name, (Role::Admin, &scopes), expires_at, now, &*site.entropy).unwrap();
        let id = token.id;
        site.store.create_token(token, system.act("token.create", id, now)).await.unwrap();
        (id, secret.reveal().to_owned())
    };
    let soon = crossdock::clock::later(now, std::time::Duration::from_secs(1));
    let (_, expired) = make("expired", &[], Some(soon)).await;
    let (id, revoked) = make("revoked", &[], None).await;
    site.store.revoke_token(id, system.act("token.revoke", id, now)).await.unwrap();
    site.clock.advance(std::time::Duration::from_secs(1));
    for route in routes().iter().filter(|route| route.needs != ANYONE) {
        for secret in [&expired, &revoked] {
            assert_eq!(
                status(&site, route.method, route.path, secret).await,
                StatusCode::UNAUTHORIZED,
                "{}",
                route.path
            );
        }
    }
    for needs in PERMISSIONS {
        let (_, narrowed) = make(&needs.permission.replace(':', " "), &[needs.permission], None).await;
        for route in routes().iter().filter(|route| route.needs != ANYONE) {
            let refused = status(&site, route.method, route.path, &narrowed).await == StatusCode::FORBIDDEN;
            let other = route.needs.permission != needs.permission;
            // A route of one's own account refuses tokens, which have none.
            let own = route.needs.permission == "account:own" && refused;
            assert!(own || refused == other, "{} {} with {} alone", route.method, route.path, needs.permission);
        }
    }
}

#[tokio::test]
async fn api_4_nobody_hands_out_more_than_they_hold() {
    let site = Site::open().await;
    let json = [("content-type", "application/json")];
    let body = r#"{"name":"minter","role":"admin","scopes":["tokens:manage","records:read"]}"#;
    let made = site.call(Role::Admin, "POST", "/tokens", &json, body).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    assert_eq!(made.json()["scopes"], serde_json::json!(["tokens:manage", "records:read"]));
    let secret = made.json()["secret"].as_str().unwrap().to_owned();
    let mint_with = |body: &'static str| {
        let request = Request::builder().method("POST").uri(format!("{PREFIX}/tokens"));
        let request = request.header("authorization", format!("Bearer {secret}"));
        site.send(request.header("content-type", "application/json").body(Body::from(body)).unwrap())
    };
    let wide = mint_with(r#"{"name":"wide","role":"admin"}"#).await;
    assert_eq!(wide.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(wide.text.contains("allowed more than you are"), "{}", wide.text);
    let narrow = mint_with(r#"{"name":"narrow","role":"viewer","scopes":["records:read"]}"#).await;
    assert_eq!(narrow.status, StatusCode::CREATED, "{}", narrow.text);
    let beyond = mint_with(r#"{"name":"beyond","role":"viewer","scopes":["exceptions:replay"]}"#).await;
    assert!(beyond.text.contains("never widens"), "{}", beyond.text);
}
