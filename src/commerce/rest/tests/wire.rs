//! The client on a real socket.

use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::http::StatusCode;
use axum::response::IntoResponse as _;

use super::super::{Auth, Call, Rest as _, RestError, Scope, search::Search};
use crate::commerce::ims::Ims;

use super::helpers::{Server, client, credentials};

#[tokio::test]
async fn signed_searches_and_writes_are_accepted_and_no_nonce_comes_twice() {
    let server = Server::start().await;
    let rest = server.client(Auth::OAuth1(credentials()));
    let search = Search::new().filter("increment_id", "eq", "A b+c=ü&d").filter("state", "in", "a,b");
    for _ in 0..3 {
        rest.call(search.call("/V1/orders")).await.unwrap();
    }
    rest.call(Call::post("/V1/orders", r#"{"entity":{}}"#)).await.unwrap();
    let seen = server.requests();
    assert!(seen[0].uri.starts_with("/rest/all/V1/orders?searchCriteria%5Bfilter_groups%5D"), "{}", seen[0].uri);
    assert_eq!(seen[3].body, r#"{"entity":{}}"#);
    assert_eq!(seen[3].headers["content-type"], "application/json");
    assert!(seen[0].headers.contains_key("x-request-id") && seen[0].headers["accept"] == "application/json");
}

#[tokio::test]
async fn the_store_is_a_part_of_the_path_or_a_header() {
    let server = Server::start().await;
    let view = Call { scope: Scope::View("de".to_owned()), ..Call::get("/V1/orders/1") };
    server.client(Auth::None).call(view.clone()).await.unwrap();
    let mut settings = server.settings(Auth::None);
    settings.saas = true;
    client(settings).call(view).await.unwrap();
    let seen = server.requests();
    assert_eq!(seen[0].uri, "/rest/de/V1/orders/1");
    assert_eq!((seen[1].uri.as_str(), &seen[1].headers["store"]), ("/rest/V1/orders/1", &"de".parse().unwrap()));
}

#[tokio::test]
async fn reads_are_tried_again_and_writes_never() {
    let server = Server::start().await;
    let rest = server.client(Auth::None);
    server.then(|| (StatusCode::SERVICE_UNAVAILABLE, "<html>maintenance</html>").into_response());
    server.then(|| (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "1")], "{}").into_response());
    let begun = std::time::Instant::now();
    rest.call(Call::get("/V1/orders/1")).await.unwrap();
    assert!(begun.elapsed() >= Duration::from_secs(1));
    assert_eq!(server.requests().len(), 3);
    server.then(|| (StatusCode::SERVICE_UNAVAILABLE, "<html>maintenance</html>").into_response());
    let refused = rest.call(Call::post("/V1/orders", "{}")).await;
    assert!(matches!(refused, Err(RestError::Unavailable { .. })), "{refused:?}");
    assert_eq!(server.requests().len(), 4);
}

#[tokio::test]
async fn who_is_asked_to_wait_long_gives_the_answer_back() {
    let server = Server::start().await;
    server.then(|| (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "600")], "{}").into_response());
    let limited = server.client(Auth::None).call(Call::get("/V1/orders/1")).await;
    assert_eq!(limited, Err(RestError::Limited { retry_after: Some(Duration::from_mins(10)) }));
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let server = Server::start().await;
    server.then(|| (StatusCode::FOUND, [("location", "/elsewhere")]).into_response());
    let refused = server.client(Auth::None).call(Call::get("/V1/orders/1")).await;
    assert!(matches!(refused, Err(RestError::Refused { status: 302, .. })), "{refused:?}");
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn an_answer_that_is_huge_slow_or_no_json_is_an_error() {
    let server = Server::start().await;
    let mut settings = server.settings(Auth::None);
    settings.request_timeout = Duration::from_secs(2);
    let rest = client(settings);
    server.then(|| vec![b' '; 16 * 1024 * 1024 + 1].into_response());
    assert_eq!(rest.call(Call::get("/a")).await, Err(RestError::TooLarge(16 * 1024 * 1024)));
    server.then(|| "<html></html>".into_response());
    assert!(matches!(rest.call(Call::post("/b", "{}")).await, Err(RestError::Unavailable { .. })));
    *server.slow.lock().unwrap() = Duration::from_secs(4);
    assert!(matches!(rest.call(Call::get("/c")).await, Err(RestError::Unreachable(_))));
}

#[tokio::test]
async fn no_more_calls_at_once_than_configured() {
    let server = Server::start().await;
    *server.slow.lock().unwrap() = Duration::from_millis(30);
    let rest = server.client(Auth::OAuth1(credentials()));
    let call = || rest.call(Call::get("/V1/orders/1"));
    let (first, second, third, last) = tokio::join!(call(), call(), call(), call());
    assert!([first, second, third, last].iter().all(Result::is_ok));
    assert_eq!(server.most.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_token_is_fetched_once_and_renewed_once_when_it_is_refused() {
    let (server, ims) = (Server::start().await, Server::start().await);
    ims.then(|| r#"{"access_token":"one","expires_in":86400}"#.into_response());
    ims.then(|| r#"{"access_token":"two","expires_in":86400}"#.into_response());
    let auth = Auth::Ims(Ims {
        client_id: "cid".to_owned(),
        client_secret: "s&s".to_owned(),
        scopes: vec!["openid".to_owned(), "commerce.accs".to_owned()],
        org_id: Some("o@AdobeOrg".to_owned()),
        token_url: format!("http://{}/ims/token/v3", ims.address.lock().unwrap()).parse().unwrap(),
    });
    let rest = server.client(auth);
    let (a, b) = tokio::join!(rest.call(Call::get("/V1/orders/1")), rest.call(Call::get("/V1/orders/2")));
    assert!(a.is_ok() && b.is_ok());
    assert_eq!(ims.requests().len(), 1);
    let form = &ims.requests()[0].body;
    assert!(form.contains("client_secret=s%26s") && form.contains("scope=openid%2Ccommerce.accs"), "{form}");
    server.then(|| (StatusCode::UNAUTHORIZED, r#"{"message":"expired"}"#).into_response());
    rest.call(Call::post("/V1/orders", "{}")).await.unwrap();
    let last = server.requests().pop().unwrap();
    assert_eq!(last.headers["authorization"], "Bearer two");
    assert_eq!(last.headers["x-api-key"], "cid");
    assert_eq!(last.headers["x-gw-ims-org-id"], "o@AdobeOrg");
    for _ in 0..2 {
        server.then(|| (StatusCode::UNAUTHORIZED, r#"{"message":"no"}"#).into_response());
    }
    ims.then(|| r#"{"access_token":"three","expires_in":86400}"#.into_response());
    assert!(matches!(rest.call(Call::get("/x")).await, Err(RestError::Unauthorized(_))));
    assert_eq!(ims.requests().len(), 3);
}
