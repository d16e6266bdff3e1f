//! Refusals of configuration, and the wire over real sockets: what counts as sent and what does not.

use super::double::{Double, Play};
use super::*;
use crate::clock::from_micros;
use crate::destinations::http::render;

fn settings(url: &str) -> Settings {
    Settings {
        allow_private: vec!["127.0.0.0/8".parse().unwrap()],
        request_timeout: Duration::from_millis(400),
        ..Settings::new("erp", url)
    }
}

fn key() -> IdempotencyKey {
    IdempotencyKey::from_stored("ek1-key")
}

fn document() -> Bytes {
    Bytes::from_static(b"{\"schema\":\"crossdock.sales_order.v1\"}")
}

async fn exchange(destination: &Destination) -> (Wire, AttemptOutcome) {
    let request = destination.render("order.create", &document(), &key(), "").unwrap();
    let wire = destination.send(&request, Shown::default()).await;
    let outcome = destination.read("order.create", &wire, from_micros(0));
    (wire, outcome)
}

fn problems(settings: Settings) -> Vec<String> {
    Destination::new(settings).err().unwrap_or_default()
}

#[test]
fn ret_7_a_key_guard_needs_a_window() {
    let with = |guard| problems(Settings { guard, ..settings("https://erp.example.com/orders") });
    assert!(with(Guard::Key { window: Duration::ZERO })[0].contains("RET-7"));
    assert_eq!(with(Guard::Key { window: Duration::from_secs(1) }), Vec::<String>::new());
    assert_eq!(with(Guard::None), Vec::<String>::new());
    assert_eq!(with(Guard::Find).len(), 1);
    assert_eq!(with(Guard::Unique).len(), 1);
}

#[test]
fn every_problem_of_a_destination_is_reported_at_once() {
    let wrong = Settings {
        guard: Guard::Key { window: Duration::ZERO },
        auth: OutboundAuth::Bearer("a\nb".into()),
        concurrency: 0,
        request_timeout: Duration::ZERO,
        retry_delays: vec![Duration::ZERO],
        receipt: vec!["id".into()],
        key_header: "not a header".into(),
        ..Settings::new("", "http://10.0.0.1/#x")
    };
    let found = problems(wrong);
    for word in [
        "key_window",
        "credential",
        "concurrency",
        "request_timeout",
        "retry delay",
        "JSON pointer",
        "key_header",
        "name",
        "allow_private",
        "fragment",
    ] {
        assert!(found.iter().any(|problem| problem.contains(word)), "{word}: {found:?}");
    }
}

#[tokio::test]
async fn design_2_5_the_request_carries_key_agent_and_type_and_the_document_byte_for_byte() {
    let double = Double::start().await;
    let destination = Destination::new(settings(&double.url())).unwrap();
    let (_, outcome) = exchange(&destination).await;
    assert_eq!(outcome, AttemptOutcome::Accepted(Receipt(Some("SO-1".into()))));
    let seen = double.seen().remove(0);
    assert!(seen.head.starts_with("POST /orders HTTP/1.1"));
    assert_eq!(seen.header("idempotency-key"), Some("ek1-key"));
    assert_eq!(seen.header("content-type"), Some("application/json"));
    assert_eq!(seen.header("user-agent"), Some("crossdock/0.1"));
    assert_eq!(seen.header("accept-encoding"), None);
    assert_eq!(seen.body.as_bytes(), document());
}

#[tokio::test]
async fn the_key_may_travel_in_another_header() {
    let double = Double::start().await;
    let destination =
        Destination::new(Settings { key_header: "X-Request-Id".into(), ..settings(&double.url()) }).unwrap();
    exchange(&destination).await;
    assert_eq!(double.seen()[0].header("x-request-id"), Some("ek1-key"));
}

#[tokio::test]
async fn section_8_after_the_first_byte_every_silence_is_uncertain() {
    let (hang, _go) = Play::hang();
    for play in [Play::CloseAfterReading, Play::Reset, Play::ResetInHead, Play::Garbage, hang] {
        let double = Double::start().await;
        double.play([play.clone()]);
        let destination = Destination::new(settings(&double.url())).unwrap();
        let (wire, outcome) = exchange(&destination).await;
        assert!(matches!(wire, Wire::Lost(_)), "{play:?}: {wire:?}");
        assert_eq!((outcome.as_str(), wire.health()), ("uncertain", Health::Failed), "{play:?}");
        assert!(double.seen().len() <= 1 && double.connections() == 1, "{play:?}: nothing is sent twice on its own");
    }
}

#[tokio::test]
async fn section_8_a_connection_closed_unread_is_unavailable_only_if_the_request_was_never_begun() {
    for _ in 0..20 {
        let double = Double::start().await;
        double.play([Play::CloseUnread]);
        let destination = Destination::new(settings(&double.url())).unwrap();
        let (wire, outcome) = exchange(&destination).await;
        // A race of two sockets: either the client had begun to write, or it handed the request back.
        match wire {
            Wire::NotSent(detail) => assert!(detail.contains("canceled"), "{detail}"),
            Wire::Lost(_) => assert_eq!(outcome.as_str(), "uncertain"),
            other => panic!("{other:?}"),
        }
        assert!(double.seen().is_empty() && double.connections() == 1, "nothing is sent twice on its own");
    }
}

#[tokio::test]
async fn section_8_a_success_whose_body_breaks_off_or_never_ends_is_uncertain() {
    for play in [Play::HalfBody, Play::HangInBody] {
        let double = Double::start().await;
        double.play([play.clone()]);
        let destination = Destination::new(settings(&double.url())).unwrap();
        let (wire, outcome) = exchange(&destination).await;
        assert_eq!((wire.status(), outcome.as_str()), (Some(201), "uncertain"), "{play:?}");
    }
}

#[tokio::test]
async fn att_3_a_body_over_the_cap_is_not_read_to_its_end() {
    let double = Double::start().await;
    double.play([
        Play::answer(200, &[], &"x".repeat(3 * 1024 * 1024)),
        Play::answer(422, &[], &"x".repeat(3 * 1024 * 1024)),
    ]);
    let destination = Destination::new(settings(&double.url())).unwrap();
    let (wire, outcome) = exchange(&destination).await;
    let Wire::Answered(response) = wire else { panic!("it answered") };
    assert_eq!((response.end, outcome.as_str()), (BodyEnd::TooLarge, "uncertain"));
    assert!(response.body.len() <= 1024 * 1024);
    assert_eq!(exchange(&destination).await.1.as_str(), "rejected");
}

#[tokio::test]
async fn att_3_a_body_of_just_the_cap_in_many_pieces_is_whole() {
    let double = Double::start().await;
    let body = "y".repeat(1024 * 1024);
    double.play([Play::answer(200, &[], &body)]);
    let destination =
        Destination::new(Settings { request_timeout: Duration::from_secs(10), ..settings(&double.url()) }).unwrap();
    let (wire, _) = exchange(&destination).await;
    let Wire::Answered(response) = wire else { panic!("it answered") };
    assert_eq!((response.end, response.body.as_ref() == body.as_bytes()), (BodyEnd::Complete, true));
}

#[tokio::test]
async fn att_3_redirects_are_not_followed() {
    let (double, other) = (Double::start().await, Double::start().await);
    for status in [301, 302, 303, 307, 308] {
        double.play([Play::answer(status, &[("location", &other.url())], "")]);
        let destination = Destination::new(settings(&double.url())).unwrap();
        let (wire, outcome) = exchange(&destination).await;
        assert_eq!((wire.status(), outcome.as_str()), (Some(status), "rejected"));
    }
    assert_eq!(other.connections(), 0);
}

#[tokio::test]
async fn section_8_where_no_byte_was_sent_it_is_unavailable() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (wire, outcome) = exchange(&Destination::new(settings(&format!("http://{closed}/"))).unwrap()).await;
    assert!(matches!(wire, Wire::NotSent(_)), "refused: {wire:?}");
    assert_eq!((outcome.as_str(), wire.health()), ("unavailable", Health::ConnectFailed));

    // TLS against something that does not speak it.
    let double = Double::start().await;
    let url = double.url().replace("http://", "https://");
    let settings = Settings { connect_timeout: Duration::from_millis(200), ..settings(&url) };
    let (wire, _) = exchange(&Destination::new(settings).unwrap()).await;
    assert!(matches!(wire, Wire::NotSent(_)), "TLS: {wire:?}");
    assert!(double.seen().is_empty());
}

#[tokio::test]
async fn dat_5_a_name_is_called_only_at_addresses_that_pass() {
    let double = Double::start().await;
    let port = double.url().replace("http://127.0.0.1:", "");
    let url = format!("http://localhost:{port}");
    // 127.0.0.1 is named, ::1 is not: the name leads to the one that is.
    let (_, outcome) = exchange(&Destination::new(settings(&url)).unwrap()).await;
    assert_eq!(outcome.as_str(), "accepted");
    let elsewhere = Settings { allow_private: vec!["10.0.0.0/8".parse().unwrap()], ..settings(&url) };
    let (wire, _) = exchange(&Destination::new(elsewhere).unwrap()).await;
    let Wire::NotSent(detail) = wire else { panic!("{wire:?}") };
    assert!(detail.contains("allow_private"), "{detail}");
    assert_eq!(double.seen().len(), 1);
}

#[tokio::test]
async fn key_5_sealed_bytes_go_where_they_were_sealed_for_but_never_to_another_host() {
    let (double, other) = (Double::start().await, Double::start().await);
    let destination = Destination::new(settings(&double.url())).unwrap();
    let mut sealed = destination.render("order.create", &document(), &key(), "").unwrap();
    sealed.url = double.url().replace("/orders", "/v1/orders");
    assert_eq!(destination.send(&sealed, Shown::default()).await.status(), Some(201));
    assert!(double.seen()[0].head.starts_with("POST /v1/orders"));
    for url in
        [other.url(), "http://169.254.169.254/".into(), "https://127.0.0.1/orders".into(), String::new(), "x".into()]
    {
        sealed.url = url;
        let wire = destination.send(&sealed, Shown::default()).await;
        assert!(matches!(wire, Wire::Forbidden(_)), "{}: {wire:?}", sealed.url);
        assert_eq!(destination.read("order.create", &wire, from_micros(0)).as_str(), "rejected");
    }
    assert_eq!(other.connections(), 0);
    assert!(render::is_intact(&destination.render("order.create", &document(), &key(), "").unwrap()));
}

#[tokio::test]
async fn connections_are_kept_and_a_stale_one_is_not_trusted_with_proof() {
    let double = Double::start().await;
    let destination = Destination::new(settings(&double.url())).unwrap();
    exchange(&destination).await;
    exchange(&destination).await;
    assert_eq!(double.connections(), 1);
    // The server reads the request on the kept connection and closes: no proof that it was not applied.
    double.play([Play::CloseAfterReading]);
    assert_eq!(exchange(&destination).await.1.as_str(), "uncertain");
    assert_eq!(double.seen().len(), 3, "and it was not sent again behind our back");
}

#[tokio::test]
async fn an_answer_with_a_silly_head_is_uncertain() {
    let double = Double::start().await;
    let many = "x: y\r\n".repeat(500);
    double.play([Play::Say(format!("HTTP/1.1 200 OK\r\n{many}\r\n"))]);
    let destination = Destination::new(settings(&double.url())).unwrap();
    assert_eq!(exchange(&destination).await.1.as_str(), "uncertain");
}
