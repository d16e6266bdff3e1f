use super::*;

const ORDER: &str = r#"{"purpose":"order.create","order":{"system":"acme","store_id":1,"increment_id":"000000042"},"totals":{"grand_total":"12.00"}}"#;

fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap()
}

async fn post(erp: &StandInErp, key: &str, body: &str) -> Result<reqwest::Response, reqwest::Error> {
    let request = client().post(erp.url()).header("idempotency-key", key).header("crossdock-attempt", "1");
    request.body(body.to_owned()).send().await
}

async fn json(response: reqwest::Response) -> serde_json::Value {
    serde_json::from_slice(&response.bytes().await.unwrap()).unwrap()
}

#[tokio::test]
async fn a_new_key_makes_one_sales_order_and_a_repeated_one_replays_the_answer() {
    let erp = StandInErp::start().await.unwrap();
    let first = post(&erp, "ek1-a", ORDER).await.unwrap();
    assert_eq!(first.status(), 201);
    assert!(first.headers().get("idempotency-replayed").is_none());
    assert_eq!(json(first).await["id"], "SO-000001");

    let again = post(&erp, "ek1-a", ORDER).await.unwrap();
    assert_eq!(again.status(), 201);
    assert_eq!(again.headers()["idempotency-replayed"], "true");
    assert_eq!(json(again).await["id"], "SO-000001");

    let counts = erp.counts();
    assert_eq!((counts.requests, counts.applied, counts.replayed, counts.doubled), (2, 1, 1, 0));
    assert_eq!(erp.effects()[0].reference.as_deref(), Some("000000042"));
}

#[tokio::test]
async fn a_key_with_other_content_is_refused() {
    let erp = StandInErp::start().await.unwrap();
    post(&erp, "ek1-a", ORDER).await.unwrap();
    let other = post(&erp, "ek1-a", &ORDER.replace("12.00", "13.00")).await.unwrap();
    assert_eq!(other.status(), 422);
    assert_eq!(json(other).await["title"], "key reused");
    assert_eq!(erp.counts().key_reused, 1);
    assert_eq!(erp.effects().len(), 1);
}

#[tokio::test]
async fn a_key_still_being_worked_on_is_a_conflict_and_the_work_ends_once() {
    let options = ErpOptions { latency: Duration::from_millis(200), ..ErpOptions::default() };
    let erp = StandInErp::start_with(options).await.unwrap();
    let (one, two) = tokio::join!(post(&erp, "ek1-a", ORDER), post(&erp, "ek1-a", ORDER));
    let mut statuses = [one.unwrap().status().as_u16(), two.unwrap().status().as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409]);
    assert_eq!(erp.counts().applied, 1);
}

#[tokio::test]
async fn work_goes_on_when_the_caller_has_hung_up() {
    let options = ErpOptions { latency: Duration::from_millis(150), ..ErpOptions::default() };
    let erp = StandInErp::start_with(options).await.unwrap();
    let request = client().post(erp.url()).header("idempotency-key", "ek1-a").body(ORDER);
    assert!(request.timeout(Duration::from_millis(50)).send().await.unwrap_err().is_timeout());
    erp.applied(1).await;
    assert_eq!(erp.find("000000042").len(), 1);
}

#[tokio::test]
async fn two_keys_for_one_order_are_counted_as_doubled() {
    let erp = StandInErp::start().await.unwrap();
    post(&erp, "ek1-a", ORDER).await.unwrap();
    post(&erp, "ek1-b", ORDER).await.unwrap();
    assert_eq!(erp.counts().doubled, 1);
    let cancel = ORDER.replace("order.create", "order.cancel");
    post(&erp, "ek1-c", &cancel).await.unwrap();
    assert_eq!(erp.counts().doubled, 1, "a cancellation is another document of the same order");
}

#[tokio::test]
async fn an_erp_that_ignores_keys_shows_what_would_have_been_doubled() {
    let options = ErpOptions { honours_keys: false, ..ErpOptions::default() };
    let erp = StandInErp::start_with(options).await.unwrap();
    post(&erp, "ek1-a", ORDER).await.unwrap();
    post(&erp, "ek1-a", ORDER).await.unwrap();
    assert_eq!(erp.effects()[1].applied, 2);
    assert_eq!(erp.counts().doubled, 1);
}

#[tokio::test]
async fn a_forgetful_erp_still_replays_finds_and_counts() {
    let options = ErpOptions { forgetful: true, ..ErpOptions::default() };
    let erp = StandInErp::start_with(options).await.unwrap();
    post(&erp, "ek1-a", ORDER).await.unwrap();
    let again = post(&erp, "ek1-a", ORDER).await.unwrap();
    assert_eq!(json(again).await["id"], "SO-000001");
    post(&erp, "ek1-b", ORDER).await.unwrap();
    assert_eq!(erp.find("000000042")[0].id, "SO-000001");
    assert_eq!((erp.counts().applied, erp.counts().doubled), (2, 1));
    assert!(erp.effects().is_empty() && erp.log().is_empty());
}

#[tokio::test]
async fn every_fault_does_what_its_name_says() {
    let short = Duration::from_millis(10);
    // fault, status seen (none: no answer), applied
    let table: [(Fault, Option<u16>, bool); 14] = [
        (Fault::Status(503), Some(503), false),
        (Fault::StatusAfterApply(500), Some(500), true),
        (Fault::DropBeforeApply, None, false),
        (Fault::DropAfterApply, None, true),
        (Fault::Hang(short), None, false),
        (Fault::HangAfterApply(short), Some(201), true),
        (Fault::retry_after(429, 7), Some(429), false),
        (Fault::ErrorIn200, Some(200), false),
        (Fault::Garbage, Some(200), false),
        (Fault::GarbageAfterApply, Some(201), true),
        (Fault::CutOffAfterApply, Some(201), true),
        (Fault::Redirect, Some(307), false),
        (Fault::DribbleAfterApply(short), Some(201), true),
        (Fault::FailForGood(422), Some(422), false),
    ];
    let erp = StandInErp::start().await.unwrap();
    for (place, (fault, status, applied)) in table.into_iter().enumerate() {
        let number = format!("{place:09}");
        erp.next([fault.clone()]);
        let answer = post(&erp, &format!("ek1-{place}"), &ORDER.replace("000000042", &number)).await;
        assert_eq!(answer.ok().map(|response| response.status().as_u16()), status, "{fault:?}");
        assert_eq!(!erp.find(&number).is_empty(), applied, "{fault:?}");
        assert_eq!(erp.log()[place].outcome, fault.name());
    }
    assert_eq!(erp.counts().faults, 14);
}

#[tokio::test]
async fn an_answer_cut_off_is_seen_as_incomplete_and_one_of_garbage_as_no_json() {
    let erp = StandInErp::start().await.unwrap();
    erp.next([Fault::CutOffAfterApply, Fault::GarbageAfterApply, Fault::retry_after(503, 9)]);
    assert!(post(&erp, "ek1-a", ORDER).await.unwrap().bytes().await.is_err());
    let garbage = post(&erp, "ek1-a", ORDER).await.unwrap().bytes().await.unwrap();
    assert!(serde_json::from_slice::<serde_json::Value>(&garbage).is_err());
    assert_eq!(post(&erp, "ek1-b", ORDER).await.unwrap().headers()["retry-after"], "9");
}

#[tokio::test]
async fn an_order_applied_late_is_not_found_at_first() {
    let erp = StandInErp::start().await.unwrap();
    erp.next([Fault::ApplyLate(Duration::from_millis(100))]);
    assert!(post(&erp, "ek1-a", ORDER).await.is_err());
    assert!(erp.find("000000042").is_empty());
    erp.applied(1).await;
    assert_eq!(erp.find("000000042").len(), 1);
}

#[tokio::test]
async fn queued_faults_go_before_the_standing_one_and_the_plan() {
    let erp = StandInErp::start().await.unwrap();
    erp.next_good(1);
    erp.always(Some(Fault::Status(502)));
    erp.plan(Some(Box::new(|number| (number == 3).then_some(Fault::Status(504)))));
    let mut seen = Vec::new();
    for key in ["ek1-a", "ek1-b"] {
        seen.push(post(&erp, key, ORDER).await.unwrap().status().as_u16());
    }
    erp.always(None);
    for key in ["ek1-c", "ek1-a"] {
        seen.push(post(&erp, key, ORDER).await.unwrap().status().as_u16());
    }
    assert_eq!(seen, [201, 502, 504, 201]);
}

#[tokio::test]
async fn it_can_be_unreachable_and_come_back_with_its_memory() {
    let mut erp = StandInErp::start().await.unwrap();
    post(&erp, "ek1-a", ORDER).await.unwrap();
    erp.go_down();
    // The listener closes on another task; a connect that wins the race is closed without an answer.
    while !post(&erp, "ek1-a", ORDER).await.is_err_and(|error| error.is_connect()) {
        tokio::task::yield_now().await;
    }
    erp.come_back().await.unwrap();
    let replayed = post(&erp, "ek1-a", ORDER).await.unwrap();
    assert_eq!(replayed.headers()["idempotency-replayed"], "true");
}

#[tokio::test]
async fn it_is_found_by_reference_and_shows_its_log() {
    let erp = StandInErp::start().await.unwrap();
    post(&erp, "ek1-a", ORDER).await.unwrap();
    let found = json(client().get(format!("{}?ref=000000042", erp.url())).send().await.unwrap()).await;
    assert_eq!(found["items"][0]["reference"], "000000042");
    assert_eq!(found["items"][0]["grand_total"], "12.00");
    let absent = json(client().get(format!("{}?ref=7", erp.url())).send().await.unwrap()).await;
    assert_eq!(absent["items"], serde_json::json!([]));
    let log = json(client().get(format!("http://{}/log", erp.address())).send().await.unwrap()).await;
    assert_eq!(log["items"][0]["attempt"], 1);
    erp.next_finds([Fault::Status(500)]);
    assert_eq!(client().get(format!("{}?ref=7", erp.url())).send().await.unwrap().status(), 500);
}

#[tokio::test]
async fn a_wrong_token_is_refused_before_anything_is_counted() {
    let options = ErpOptions { token: Some("t-1".to_owned()), ..ErpOptions::default() };
    let erp = StandInErp::start_with(options).await.unwrap();
    assert_eq!(post(&erp, "ek1-a", ORDER).await.unwrap().status(), 401);
    let request = client().post(erp.url()).header("authorization", "Bearer t-1").body(ORDER);
    assert_eq!(request.send().await.unwrap().status(), 201);
    assert_eq!(erp.counts().requests, 1);
}

#[tokio::test]
async fn dropping_it_closes_the_port() {
    let erp = StandInErp::start().await.unwrap();
    let url = erp.url();
    drop(erp);
    while client().post(&url).body(ORDER).send().await.is_ok() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_failure_stored_for_a_key_is_answered_for_ever_and_another_key_is_free() {
    let erp = StandInErp::start().await.unwrap();
    erp.next([Fault::FailForGood(500)]);
    for replayed in [false, true, true] {
        let answer = post(&erp, "ek1-a", ORDER).await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.headers().contains_key("idempotency-replayed")), (500, replayed));
    }
    assert_eq!(post(&erp, "ek1-b", ORDER).await.unwrap().status(), 201);
    assert_eq!(erp.counts().applied, 1);
}

#[tokio::test]
async fn a_failure_that_was_none_is_applied_behind_the_callers_back() {
    let erp = StandInErp::start().await.unwrap();
    erp.next([Fault::StatusThenApply { status: 504, wait: Duration::from_millis(50) }]);
    assert_eq!(post(&erp, "ek1-a", ORDER).await.unwrap().status(), 504);
    assert!(erp.find("000000042").is_empty());
    erp.applied(1).await;
    assert_eq!(post(&erp, "ek1-a", ORDER).await.unwrap().status(), 201);
    assert_eq!(erp.counts().applied, 1);
}

#[tokio::test]
async fn where_references_are_unique_a_second_record_is_refused_in_the_words_of_the_house() {
    let refusal = Refusal { status: 400, body: "ORA-00001: unique constraint violated".to_owned() };
    let options = ErpOptions { honours_keys: false, unique: Some(refusal), ..ErpOptions::default() };
    let erp = StandInErp::start_with(options).await.unwrap();
    assert_eq!(post(&erp, "ek1-a", ORDER).await.unwrap().status(), 201);
    let refused = post(&erp, "ek1-b", ORDER).await.unwrap();
    assert_eq!(refused.status(), 400);
    assert!(refused.text().await.unwrap().starts_with("ORA-00001"));
    let counts = erp.counts();
    assert_eq!((counts.applied, counts.refused_as_existing, counts.doubled), (1, 1, 0));
    assert_eq!(post(&erp, "ek1-c", &ORDER.replace("order.create", "order.cancel")).await.unwrap().status(), 201);
}

#[tokio::test]
async fn a_key_is_forgotten_when_its_window_is_over() {
    let options = ErpOptions { key_window: Some(Duration::ZERO), ..ErpOptions::default() };
    let erp = StandInErp::start_with(options).await.unwrap();
    post(&erp, "ek1-a", ORDER).await.unwrap();
    let again = post(&erp, "ek1-a", ORDER).await.unwrap();
    assert!(!again.headers().contains_key("idempotency-replayed"));
    assert_eq!(erp.counts().doubled, 1);
}

#[tokio::test]
async fn an_erp_that_cannot_be_asked_has_no_such_door() {
    let options = ErpOptions { can_be_asked: false, ..ErpOptions::default() };
    let erp = StandInErp::start_with(options).await.unwrap();
    let answer = client().get(format!("{}?ref=000000042", erp.url())).send().await.unwrap();
    assert_eq!(answer.status(), 405);
}

#[tokio::test]
async fn a_connection_can_be_reset_before_anything_is_read() {
    let erp = StandInErp::start().await.unwrap();
    erp.plan_connects(Some(Box::new(|number| (number == 1).then_some(Fault::DropBeforeApply))));
    assert!(post(&erp, "ek1-a", ORDER).await.is_err());
    assert_eq!(post(&erp, "ek1-a", ORDER).await.unwrap().status(), 201);
    assert_eq!(erp.counts().requests, 1, "the first never got as far as being a request");
}

#[tokio::test]
async fn its_memory_is_written_as_json_lines_in_the_order_of_application() {
    let options = ErpOptions { keeps_bodies: false, ..ErpOptions::default() };
    let erp = StandInErp::start_with(options).await.unwrap();
    post(&erp, "ek1-a", ORDER).await.unwrap();
    post(&erp, "ek1-b", &ORDER.replace("000000042", "000000043")).await.unwrap();
    let mut memory = Vec::new();
    erp.write_memory(&mut memory).unwrap();
    let lines: Vec<serde_json::Value> =
        String::from_utf8(memory).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!((&lines[1]["reference"], &lines[1]["key"]), (&"000000043".into(), &"ek1-b".into()));
    assert_eq!(lines[0]["digest"], crate::envelope::keys::Digest::of(ORDER.as_bytes()).hex());
    assert_eq!(erp.effects()[0].body.len(), 0);
    assert_eq!(erp.effects_after(1).len(), 1);
}
