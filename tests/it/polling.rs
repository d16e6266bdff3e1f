//! A back office that does not send and is read, and what becomes of its lies.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use crossdock::server::{Server, Settings};
use crossdock::store::EventFilter;
use crossdock::store::view::Paging;
use jiff::Timestamp;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{TestApp, until};

/// A change there: when, which, and what is said of it.
type Change = (Timestamp, u64, Value);

/// What is wrong with its answers.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Lie {
    Html,
    Half,
    NoList,
    ThrottledFor(u64),
    Status(u16),
    /// It shows its first page whatever is asked.
    NeverOn,
    /// The newest first.
    Backwards,
}

#[derive(Clone, Default)]
struct Shared {
    changes: Arc<Mutex<Vec<Change>>>,
    lie: Arc<Mutex<Option<Lie>>>,
    asked: Arc<Mutex<Vec<HashMap<String, String>>>>,
}

/// A warehouse on loopback.
struct Warehouse {
    shared: Shared,
    server: Server,
    recipes: TempDir,
}

const STEPS: &str = r#"
about = "A warehouse"
[[steps]]
name = "create"
kind = "create"
path = "/orders"

[[polls]]
name = "stock"
entity = "stock"
page = 2
path = "/changes?at={{ since.at }}&id={{ since.id or 0 }}&skip={{ page.skip }}&limit={{ page.size }}"
list = "/items"
record = '{ "sku": "{{ record.sku | needed("the product has no code") }}", "location": "{{ record.place }}", "quantity": "{{ record.level | number }}" }'
"#;
/// Both stand at the end of the recipe's poll.
const BY_IDS: &str = "position = { at = \"{{ record.at }}\", id = \"{{ record.id }}\" }\n";
const COUNTED: &str = "position = { at = \"{{ record.at }}\" }\n";
const SHIPMENTS: &str = r#"
[[polls]]
name = "shipments"
entity = "fulfilments"
path = "/changes?at={{ since.at }}&id={{ since.id or 0 }}&skip=0&limit={{ page.size }}"
list = "/items"
position = { at = "{{ record.at }}", id = "{{ record.id }}" }
record = '{ "reference": "{{ record.number }}", "order": { "increment_id": "{{ record.order }}" }, "items": [{ "sku": "{{ record.sku }}", "quantity": "1" }] }'
"#;

impl Warehouse {
    async fn start() -> Warehouse {
        let shared = Shared::default();
        let router = Router::new().route("/api/changes", get(changes)).with_state(shared.clone());
        let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let server = Server::start(anywhere, router, Settings::default()).await.expect("a loopback port");
        Warehouse { shared, server, recipes: tempfile::tempdir().unwrap() }
    }

    /// The service, reading it every second by this recipe.
    async fn read_by(&self, recipe: &str) -> TestApp {
        TestApp::with(self.reading(recipe)).await
    }

    fn reading(&self, recipe: &str) -> impl FnOnce(String) -> String + use<> {
        let path = self.recipes.path().join("wms.recipe.toml");
        std::fs::write(&path, recipe).unwrap();
        let read = if recipe.contains("fulfilments") { "fulfilments" } else { "stock" };
        let sections = format!(
            r#"[origins.wms]
type = "backoffice"
commerce = "acme"
auth = [{{ type = "bearer", token = "wms-token-for-tests-0123456789" }}]
poll = {{ destination = "wms", every = "1s", read = ["{read}"] }}

[destinations.wms]
profile = "recipe"
recipe = "{}"
url = "http://{}/api"
auth = {{ type = "bearer", token = "key" }}
allow_private = ["127.0.0.0/8"]

[[routes]]"#,
            path.display(),
            self.server.address(),
        );
        move |text| text.replacen("[[routes]]", &sections, 1)
    }

    fn changes(&self, at: Timestamp, id: u64, said: &Value) {
        let mut said = said.clone();
        (said["at"], said["id"]) = (json!(at.to_string()), json!(id));
        self.shared.changes.lock().unwrap().push((at, id, said));
    }

    fn level(&self, at: Timestamp, id: u64, sku: &str, level: u32) {
        self.changes(at, id, &json!({ "sku": sku, "place": "LON1", "level": level }));
    }

    fn lies(&self, lie: Option<Lie>) {
        *self.shared.lie.lock().unwrap() = lie;
    }

    fn asked(&self) -> usize {
        self.shared.asked.lock().unwrap().len()
    }
}

async fn changes(
    State(shared): State<Shared>,
    headers: HeaderMap,
    Query(asked): Query<HashMap<String, String>>,
) -> Response {
    assert_eq!(headers["authorization"], "Bearer key");
    shared.asked.lock().unwrap().push(asked.clone());
    let lie = *shared.lie.lock().unwrap();
    let number = |name: &str| asked[name].parse::<u64>().unwrap();
    let since: Timestamp = asked["at"].parse().unwrap();
    let mut found: Vec<Change> = shared.changes.lock().unwrap().clone();
    found.sort_by_key(|(at, id, _)| (*at, *id));
    let never_on = lie == Some(Lie::NeverOn);
    // By ids it shows what is behind; without them what is there from a time on.
    let counted = number("id") == 0;
    found.retain(|(at, id, _)| never_on || *at > since || (*at == since && (counted || *id > number("id"))));
    let skip = if never_on || number("id") > 0 { 0 } else { usize::try_from(number("skip")).unwrap() };
    let mut page: Vec<Value> = found.into_iter().map(|(.., said)| said).skip(skip).collect();
    page.truncate(usize::try_from(number("limit")).unwrap());
    let text = |status: u16, kind: &'static str, body: String| {
        (StatusCode::from_u16(status).unwrap(), [(header::CONTENT_TYPE, kind)], body).into_response()
    };
    let whole = |page: &[Value]| json!({ "items": page }).to_string();
    match lie {
        Some(Lie::Html) => text(200, "text/html", "<html>Please log in</html>".to_owned()),
        Some(Lie::Half) => text(200, "application/json", "{\"items\": [{\"id\": 1, ".to_owned()),
        Some(Lie::NoList) => text(200, "application/json", json!({ "items": { "1": {} } }).to_string()),
        Some(Lie::Status(status)) => text(status, "application/json", "{}".to_owned()),
        Some(Lie::ThrottledFor(seconds)) => {
            let mut answer = text(429, "application/json", "{}".to_owned());
            answer.headers_mut().insert(header::RETRY_AFTER, seconds.into());
            answer
        }
        Some(Lie::Backwards) => {
            page.reverse();
            text(200, "application/json", whole(&page))
        }
        Some(Lie::NeverOn) | None => text(200, "application/json", whole(&page)),
    }
}

/// Every record that was read, as it stands here, oldest first.
async fn read(app: &TestApp) -> Vec<Value> {
    let filter = EventFilter { origin: Some("wms".to_owned()), ..EventFilter::default() };
    let mut rows = app.running.store.events(filter, Paging { limit: 200, cursor: None }).await.unwrap().items;
    rows.reverse();
    let mut found = Vec::new();
    for row in rows {
        let envelope = app.running.store.envelope(row.id).await.unwrap().unwrap();
        let body: Value = serde_json::from_slice(&envelope.body).unwrap();
        found.push(body.pointer(&envelope.path).unwrap().clone());
    }
    found
}

/// SKU and quantity of each stock value that was read.
async fn levels(app: &TestApp) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let all = read(app).await;
    all.iter().map(|one| (text(&one["items"][0]["sku"]), text(&one["items"][0]["quantity"]))).collect()
}

fn pairs(wanted: &[(&str, &str)]) -> Vec<(String, String)> {
    wanted.iter().map(|(sku, quantity)| ((*sku).to_owned(), (*quantity).to_owned())).collect()
}

async fn have(app: &TestApp, count: usize) {
    until(&format!("{count} are here"), async || (read(app).await.len() >= count).then_some(())).await;
}

async fn runs(app: &TestApp, outcome: &str) -> f64 {
    app.metric(&format!("poll_readings_total{{origin=\"wms\",poll=\"stock\",outcome=\"{outcome}\"}}")).await
}

async fn ran(app: &TestApp, outcome: &str) {
    let before = runs(app, outcome).await;
    until(&format!("a run ended {outcome}"), async || (runs(app, outcome).await > before).then_some(())).await;
}

async fn ended(app: &TestApp, outcome: &str) {
    until(&format!("a run ended {outcome}"), async || (runs(app, outcome).await >= 1.0).then_some(())).await;
}

/// What stands beside the position.
async fn trouble(app: &TestApp) -> Option<String> {
    let told = app.sees("/api/v1/catchup").await;
    let row = told["items"].as_array().unwrap().iter().find(|row| row["kind"] == "poll wms wms/stock").cloned();
    row.expect("the poll has a position")["trouble"].as_str().map(str::to_owned)
}

fn now() -> Timestamp {
    Timestamp::now()
}

fn ago(seconds: i64) -> Timestamp {
    now() - jiff::SignedDuration::from_secs(seconds)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_passes_is_told_while_it_lasts_and_nothing_is_lost_by_it() {
    let warehouse = Warehouse::start().await;
    let app = warehouse.read_by(&format!("{STEPS}{BY_IDS}")).await;
    ran(&app, "done").await;
    for (number, (lie, outcome, told)) in [
        (Lie::Html, "unavailable", "page for people"),
        (Lie::Half, "unavailable", "JSON"),
        (Lie::NoList, "unreadable", "no list"),
        (Lie::Status(503), "unavailable", "503"),
        (Lie::ThrottledFor(2), "limited", "429"),
    ]
    .into_iter()
    .enumerate()
    {
        warehouse.lies(Some(lie));
        ran(&app, outcome).await;
        until("it stands beside the position", async || trouble(&app).await.filter(|known| known.contains(told))).await;
        warehouse.level(now(), 10 + number as u64, "A", 1 + u32::try_from(number).unwrap());
        warehouse.lies(None);
        have(&app, number + 1).await;
        until("and is taken away", async || trouble(&app).await.is_none().then_some(())).await;
    }
    assert_eq!(levels(&app).await, pairs(&[("A", "1"), ("A", "2"), ("A", "3"), ("A", "4"), ("A", "5")]));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_never_advances_is_no_endless_loop() {
    let warehouse = Warehouse::start().await;
    for id in 1..5 {
        warehouse.level(ago(60), id, "A", u32::try_from(id).unwrap());
    }
    warehouse.lies(Some(Lie::NeverOn));
    let app = warehouse.read_by(&format!("{STEPS}{BY_IDS}")).await;
    ended(&app, "stuck").await;
    let told = until("it is told", async || trouble(&app).await).await;
    assert!(told.contains("never gets further than"), "{told}");
    assert!(warehouse.asked() <= 6, "{}", warehouse.asked());
    assert_eq!(read(&app).await.len(), 2, "what it shows is here all the same");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_in_another_order_is_not_trusted_with_the_position() {
    let warehouse = Warehouse::start().await;
    warehouse.level(ago(60), 1, "A", 1);
    warehouse.level(ago(50), 2, "A", 2);
    warehouse.lies(Some(Lie::Backwards));
    let app = warehouse.read_by(&format!("{STEPS}{BY_IDS}")).await;
    ended(&app, "stuck").await;
    let told = until("it is told", async || trouble(&app).await).await;
    assert!(told.contains("order of their positions"), "{told}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_credential_is_told_and_holds_no_deliveries() {
    let warehouse = Warehouse::start().await;
    warehouse.lies(Some(Lie::Status(403)));
    let app = warehouse.read_by(&format!("{STEPS}{BY_IDS}")).await;
    ended(&app, "unauthorized").await;
    let told = until("it is told", async || trouble(&app).await).await;
    assert!(told.contains("403"), "{told}");
    let all = app.sees("/api/v1/destinations").await;
    assert!(all["items"].as_array().unwrap().iter().all(|one| one["state"] == "open"), "{all}");
    assert!(warehouse.asked() <= 2, "once more with the credential read anew, then later");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_committed_late_is_found_in_the_overlap_and_known_ones_add_nothing() {
    let warehouse = Warehouse::start().await;
    let app = warehouse.read_by(&format!("{STEPS}{BY_IDS}")).await;
    warehouse.level(now(), 7, "A", 5);
    have(&app, 1).await;
    // It began before that one and ended after it was read.
    warehouse.level(ago(90), 6, "B", 9);
    have(&app, 2).await;
    for _ in 0..3 {
        ran(&app, "done").await;
    }
    let app = app.restart().await;
    ran(&app, "done").await;
    ran(&app, "done").await;
    assert_eq!(levels(&app).await, pairs(&[("A", "5"), ("B", "9")]));
    // The same level once more is another change.
    warehouse.level(now(), 8, "A", 5);
    have(&app, 3).await;
    assert_eq!(levels(&app).await, pairs(&[("A", "5"), ("B", "9"), ("A", "5")]));
    let as_of: Vec<Timestamp> =
        read(&app).await.iter().map(|one| one["as_of"].as_str().unwrap().parse().unwrap()).collect();
    assert!(as_of.windows(2).all(|pair| pair[0] < pair[1]), "stk_5: each is later than the one before: {as_of:?}");
    app.stop().await;
}

async fn a_tie_over_a_page_border_loses_nothing(position: &str) {
    let warehouse = Warehouse::start().await;
    let at = ago(60);
    for id in 1..8 {
        warehouse.level(at, id, &format!("S{id}"), 1);
    }
    warehouse.level(ago(30), 9, "S9", 1);
    let app = warehouse.read_by(&format!("{STEPS}{position}")).await;
    have(&app, 8).await;
    ran(&app, "done").await;
    let skus: Vec<String> = levels(&app).await.into_iter().map(|(sku, _)| sku).collect();
    assert_eq!(skus, ["S1", "S2", "S3", "S4", "S5", "S6", "S7", "S9"]);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn seven_changes_of_one_instant_on_pages_of_two_are_all_read_by_their_ids() {
    a_tie_over_a_page_border_loses_nothing(BY_IDS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn seven_changes_of_one_instant_on_pages_of_two_are_all_read_by_counting() {
    a_tie_over_a_page_border_loses_nothing(COUNTED).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_cannot_be_read_is_put_before_a_person_once_and_holds_up_nobody() {
    let warehouse = Warehouse::start().await;
    let app = warehouse.read_by(&format!("{STEPS}{BY_IDS}")).await;
    warehouse.level(ago(3), 1, "A", 1);
    warehouse.changes(ago(2), 2, &json!({ "sku": null, "place": "LON1", "level": 4 }));
    warehouse.changes(ago(1), 3, &json!({ "sku": "B", "place": "LON1", "level": "plenty" }));
    warehouse.level(now(), 4, "C", 1);
    have(&app, 4).await;
    for _ in 0..3 {
        ran(&app, "done").await;
    }
    let app = app.restart().await;
    ran(&app, "done").await;
    ran(&app, "done").await;
    assert_eq!(read(&app).await.len(), 4);
    let told = app.sees("/api/v1/exceptions?limit=10").await;
    let messages: Vec<&str> =
        told["items"].as_array().unwrap().iter().map(|one| one["message"].as_str().unwrap()).collect();
    assert_eq!(messages.len(), 2, "{told}");
    assert!(messages.iter().any(|one| one.contains("the product has no code")), "{messages:?}");
    assert!(messages.iter().any(|one| one.contains("plenty")), "{messages:?}");
    assert_eq!(told["items"][0]["code"], "unreadable_payload");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_corrected_recipe_and_another_from_bring_what_could_not_be_read() {
    let warehouse = Warehouse::start().await;
    let wrong = format!("{STEPS}{BY_IDS}").replace("record.sku | needed", "record.code | default(\"\") | needed");
    warehouse.level(ago(30), 1, "A", 4);
    let app = warehouse.read_by(&wrong).await;
    have(&app, 1).await;
    let told = app.sees("/api/v1/exceptions?limit=10").await;
    assert!(told["items"][0]["remedy"].as_str().unwrap().contains("poll.from"), "{told}");
    // Older than what a run looks back at.
    warehouse.level(ago(7_200), 2, "B", 3);
    let recipe = warehouse.recipes.path().join("wms.recipe.toml");
    std::fs::write(recipe, format!("{STEPS}{BY_IDS}")).unwrap();
    let config = app.site.config_path();
    let text = std::fs::read_to_string(&config).unwrap();
    let from = format!("every = \"1s\", from = \"{}\"", ago(10_000));
    std::fs::write(&config, text.replace("every = \"1s\"", &from)).unwrap();
    let app = app.restart().await;
    have(&app, 3).await;
    ran(&app, "done").await;
    ran(&app, "done").await;
    let all = read(&app).await;
    let skus: Vec<&Value> = all.iter().map(|one| &one["items"][0]["sku"]).collect();
    assert_eq!(skus, [&Value::Null, &json!("B"), &json!("A")], "the first is the record as it could not be read");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_origin_that_is_only_read_takes_nothing_from_strangers() {
    let warehouse = Warehouse::start().await;
    let without = warehouse.reading(&format!("{STEPS}{BY_IDS}"));
    let auth = "auth = [{ type = \"bearer\", token = \"wms-token-for-tests-0123456789\" }]\n";
    let app = TestApp::with(|text| without(text).replace(auth, "")).await;
    let stock = json!({ "mode": "delta", "items": [{ "sku": "A", "location": "LON1", "quantity": "1" }] });
    for token in ["", "Bearer ", "Bearer wms-token-for-tests-0123456789"] {
        let headers = [("authorization", token)];
        let headers = if token.is_empty() { &headers[..0] } else { &headers[..] };
        let answer = app.posts("/in/wms/stock", stock.to_string(), headers).await;
        assert_eq!(answer.status, 401, "{}", answer.text);
    }
    assert!(read(&app).await.is_empty());
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_destination_is_not_asked_and_goes_on_when_it_is_released() {
    let warehouse = Warehouse::start().await;
    let app = warehouse.read_by(&format!("{STEPS}{BY_IDS}")).await;
    ran(&app, "done").await;
    assert!(app.running.delivery.hold("wms", "stocktaking"));
    ran(&app, "shut").await;
    let asked = warehouse.asked();
    warehouse.level(now(), 1, "A", 1);
    let told = until("it is told", async || trouble(&app).await).await;
    assert!(told.contains("held"), "{told}");
    assert_eq!((warehouse.asked(), read(&app).await.len()), (asked, 0));
    assert!(app.running.delivery.release("wms"));
    have(&app, 1).await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shipment_that_was_posted_is_known_when_it_is_read() {
    let warehouse = Warehouse::start().await;
    let app = warehouse.read_by(&format!("{}{SHIPMENTS}", STEPS.split("[[polls]]").next().unwrap())).await;
    let shipment = json!({ "reference": "D-9", "order": { "increment_id": "000000042" }, "items": [{ "sku": "A", "quantity": "1" }] });
    let bearer = [("authorization", "Bearer wms-token-for-tests-0123456789")];
    let posted = app.posts("/in/wms/fulfilments", shipment.to_string(), &bearer).await;
    assert_eq!(posted.status, 202, "{}", posted.text);
    warehouse.changes(now(), 1, &json!({ "number": "D-9", "order": "000000042", "sku": "A" }));
    warehouse.changes(now(), 2, &json!({ "number": "D-10", "order": "000000042", "sku": "A" }));
    have(&app, 2).await;
    let references: Vec<Value> = read(&app).await.iter().map(|one| one["reference"].clone()).collect();
    assert_eq!(references, ["D-9", "D-10"]);
    let known = app.metric("poll_records_total{origin=\"wms\",poll=\"shipments\",became=\"known\"}").await;
    assert!(known >= 1.0);
    app.stop().await;
}
