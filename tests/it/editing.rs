//! One parked document edited by a person: what leaves for the ERP then, what is refused, and what never happens twice.

use crossdock::demo::erp::Fault;
use serde_json::{Value, json};

use crate::support::process::binary;
use crate::support::{Answer, TestApp, orders, until};

const CITY: &str = "/order/shipping_address/city";
const POSTCODE: &str = "/order/shipping_address/postcode";

/// An order that the ERP refused for good: its delivery.
async fn refused(app: &TestApp, number: &str) -> Value {
    app.erp.next([Fault::Status(422)]);
    app.patchworks_sends(orders::rest(number, "24-WG085", 2).to_string()).await;
    app.order_is(number, "parked").await["deliveries"][0].clone()
}

async fn whole() -> TestApp {
    TestApp::with(|text| text + "\n[policies]\nedit = \"document\"\n").await
}

fn path_of(delivery: &Value) -> String {
    format!("/api/v1/deliveries/{}/edit", delivery["id"].as_str().unwrap())
}

fn setting(delivery: &Value, places: &[(&str, Value)]) -> Value {
    let set: Vec<Value> = places.iter().map(|(path, value)| json!({ "path": path, "value": value })).collect();
    json!({ "document_id": delivery["document_id"], "set": set, "reason": "the ERP does not know the place" })
}

async fn edits(app: &TestApp, delivery: &Value, key: &str, places: &[(&str, Value)]) -> Answer {
    app.acts(&path_of(delivery), key, &setting(delivery, places)).await
}

/// What is wrong with it, place by place.
fn problems(answer: &Answer) -> String {
    assert_eq!(answer.status, 422, "{}", answer.text);
    answer.json()["problems"].to_string()
}

/// The document of the last request that the ERP took.
fn taken(app: &TestApp, number: &str) -> Value {
    let found = app.erp.find(number);
    assert_eq!(found.len(), 1, "{number} stands there once");
    serde_json::from_slice(&found[0].body).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn key_3_a_an_edited_document_goes_once_in_the_place_of_what_was_refused() {
    let app = TestApp::start().await;
    let delivery = refused(&app, "000000001").await;
    let places = [(CITY, json!("Londinium")), ("/lines/0/sku", json!("ITEM-9"))];
    let path = path_of(&delivery);
    let would = app.acts(&format!("{path}?dry_run=true"), "look", &setting(&delivery, &places)).await;
    assert_eq!(would.status, 200, "{}", would.text);
    let would = would.json();
    assert_eq!((&would["dry_run"], &would["new_delivery_id"]), (&json!(true), &Value::Null), "{would}");
    assert_eq!(
        would["changes"],
        json!([
            { "path": "/lines/0/sku", "before": "24-WG085", "after": "ITEM-9" },
            { "path": CITY, "before": "London", "after": "Londinium" },
        ])
    );
    assert!(would["explanation"].as_str().unwrap().contains("a replay of its event"), "{would}");
    assert_eq!(app.order("000000001").await["deliveries"].as_array().unwrap().len(), 1, "a preview writes nothing");

    let done = edits(&app, &delivery, "edit", &places).await;
    assert_eq!((done.status, &done.json()["dry_run"]), (200, &json!(false)), "{}", done.text);
    let again = edits(&app, &delivery, "edit", &places).await;
    assert_eq!((again.status, &again.text), (200, &done.text), "api_2: the first answer");
    assert!(again.headers.contains_key("idempotency-replayed"));
    let told = app.order_is("000000001", "delivered").await;
    let (old, new) = (&told["deliveries"][0], &told["deliveries"][1]);
    assert_eq!((&old["state"], &new["state"]), (&json!("superseded"), &json!("delivered")));
    assert_eq!((&old["edited"], &new["edited"], &new["generation"]), (&json!(false), &json!(true), &json!(1)));
    assert_eq!(told["exceptions"][0]["state"], "resolved");
    let document = app.sees(&format!("/api/v1/documents/{}", new["document_id"].as_str().unwrap())).await;
    let edited = json!({ "original": old["document_id"], "by": "token:test-admin", "reason": "the ERP does not know the place" });
    assert_eq!(document["edited"], edited, "{document}");
    let words = told["timeline"].to_string();
    assert!(words.contains("edited by token:test-admin"), "{words}");
    let body = taken(&app, "000000001");
    assert_eq!((&body["lines"][0]["sku"], body.pointer(CITY).unwrap()), (&json!("ITEM-9"), &json!("Londinium")));
    assert_eq!((app.erp.counts().applied, app.erp.counts().doubled, app.erp.counts().key_reused), (1, 0, 0));
    assert_eq!(app.running.store.recount().await.unwrap(), Vec::<String>::new(), "the books");
    // API-5: the places, and never the words themselves.
    let audit = app.sees("/api/v1/audit?limit=5").await;
    let row = audit["items"].as_array().unwrap().iter().find(|row| row["action"] == "document.edit").unwrap();
    assert!(row["after"].as_str().unwrap().contains(CITY) && !row.to_string().contains("Londinium"), "{row}");
    assert_eq!(edits(&app, &delivery, "later", &places).await.status, 409, "what was replaced is not edited");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_breaks_a_law_or_its_form_is_refused_with_the_place() {
    let app = whole().await;
    let delivery = refused(&app, "000000001").await;
    for (case, place, value, wanted) in [
        ("a cent more on a line", "/lines/0/net", json!("20.01"), "law 1: line 1 does not add up"),
        ("a cent more in the totals", "/totals/grand_total", json!("29.01"), "law 2"),
        ("one piece more", "/lines/0/quantity", json!("3"), "law 3"),
        ("three digits of a pound", "/lines/0/tax", json!("4.001"), "law 5"),
        ("a number for a text", "/lines/0/sku", json!(5), "expected"),
        ("a text that is no amount", "/totals/tax", json!("four"), "is no decimal"),
        ("a spelling of its own", "/lines/0/quantity", json!("2.0"), "not how the document spells it"),
        ("an unknown member", "/lines/0/colour", json!("red"), "unknown field"),
        ("nothing where a name must be", "/lines/0/name", Value::Null, "expected a string"),
        ("a line that is none", "/lines/-", json!({}), "missing field"),
        ("another number", "/order/increment_id", json!("000000002"), "never edited"),
        ("another schema", "/schema", json!("crossdock.order_change.v1"), "never edited"),
        ("Commerce's own digits", "/totals/as_sent/grand_total", json!("1"), "never edited"),
        ("a megabyte of text", "/order/note", json!("x".repeat(1 << 20)), "longer than 10000"),
        ("a control character", "/order/note", json!("a\u{0}b"), "control character"),
        ("a mask", "/order/note", json!("••• and more"), "stands for what is hidden"),
        ("no such place", "/order/nothing/here", json!("x"), "no such place"),
        ("no pointer", "order/note", json!("x"), "no JSON pointer"),
        ("a member with an endless name", &format!("/{}", "x".repeat(1 << 20)), json!(1), "unknown field"),
        ("what stands there already", "/lines/0/sku", json!("24-WG085"), "nothing would change"),
    ] {
        let answer = edits(&app, &delivery, case, &[(place, value)]).await;
        let told = problems(&answer);
        assert!(told.contains(wanted), "{case}: {told}");
        assert!(answer.text.len() < 4_096, "{case}: no echo");
    }
    let document = &delivery["document_id"];
    let place = json!([{ "path": CITY, "value": "x" }]);
    for (index, body) in [
        json!({ "document_id": document, "reason": "neither" }),
        json!({ "document_id": document, "set": [], "reason": "nothing" }),
        json!({ "document_id": document, "set": place, "document": {}, "reason": "both" }),
        json!({ "document_id": "doc_x", "set": place, "reason": "no id" }),
        json!({ "document_id": document, "document": [], "reason": "no document" }),
        json!({ "document_id": document, "set": place, "reason": " " }),
        json!({ "document_id": document, "set": place, "reason": "x".repeat(2_001) }),
        json!({ "document_id": document, "set": [{ "path": CITY }], "reason": "no value" }),
        json!({ "document_id": document, "set": place, "reason": "unknown", "force": true }),
    ]
    .into_iter()
    .enumerate()
    {
        let answer = app.acts(&path_of(&delivery), &format!("form {index}"), &body).await;
        assert_eq!(answer.status, 422, "{index}: {}", answer.text);
    }
    assert_eq!(app.order("000000001").await["state"], "parked");

    // What the laws leave open goes: words of a script stay words, and a line of words may follow.
    let script = "<script>alert(1)</script> ={{ 7*7 }}";
    let comment = json!({ "number": 3, "kind": "comment", "sku": null, "name": script, "quantity": null,
        "order_item_id": null, "product_id": null, "parent_order_item_id": null, "ships": false, "unit_price": null,
        "net": "0.00", "discount": "0.00", "tax": "0.00", "total": "0.00",
        "base": { "net": "0.00", "discount": "0.00", "tax": "0.00", "total": "0.00" }, "tax_percent": null,
        "tax_code": null, "bundle": null, "options": [], "configuration": [], "location": null });
    let done = edits(&app, &delivery, "done", &[("/lines/-", comment), ("/order/note", json!(script))]).await;
    assert_eq!(done.status, 200, "{}", done.text);
    app.order_is("000000001", "delivered").await;
    assert_eq!(taken(&app, "000000001")["order"]["note"], script);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_policy_of_a_destination_says_what_may_be_edited() {
    let app = TestApp::start().await;
    let delivery = refused(&app, "000000001").await;
    let figures = edits(&app, &delivery, "figures", &[("/lines/0/net", json!("20.01"))]).await;
    assert!(problems(&figures).contains("edit = \\\"fields\\\""), "{}", figures.text);
    app.stop().await;
    let app =
        TestApp::with(|text| text.replace("[[routes]]", "[destinations.erp.policies]\nedit = \"off\"\n\n[[routes]]"))
            .await;
    let delivery = refused(&app, "000000001").await;
    let off = edits(&app, &delivery, "off", &[(CITY, json!("x"))]).await;
    assert!(off.status == 409 && off.text.contains("edit = \\\"off\\\""), "{}", off.text);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn key_5_what_may_have_been_applied_keeps_its_bytes_and_key_7_what_was_is_not_edited() {
    let app = TestApp::with(|text| text.replace("guard = \"key\"\nkey_window = \"24h\"", "guard = \"none\"")).await;
    app.erp.next([Fault::DropAfterApply]);
    app.patchworks_sends(orders::rest("000000001", "24-WG085", 2).to_string()).await;
    let doubtful = app.order_is("000000001", "parked").await["deliveries"][0].clone();
    assert_eq!(doubtful["uncertain"], true);
    let answer = edits(&app, &doubtful, "doubt", &[(CITY, json!("x"))]).await;
    assert!(answer.status == 409 && answer.text.contains("look there, then decide"), "{}", answer.text);
    app.patchworks_sends(orders::rest("000000002", "24-WG085", 2).to_string()).await;
    let there = app.order_is("000000002", "delivered").await["deliveries"][0].clone();
    let answer = edits(&app, &there, "there", &[(CITY, json!("x"))]).await;
    assert!(answer.status == 409 && answer.text.contains("resend"), "{}", answer.text);
    app.erp.always(Some(Fault::Status(503)));
    app.acts("/api/v1/destinations/erp/hold", "hold", &json!({})).await;
    app.patchworks_sends(orders::rest("000000003", "24-WG085", 2).to_string()).await;
    let waits = app.order_is("000000003", "due").await["deliveries"][0].clone();
    let answer = edits(&app, &waits, "waits", &[(CITY, json!("x"))]).await;
    assert!(answer.status == 409 && answer.text.contains("on its way"), "{}", answer.text);
    let nothing = json!({ "id": "dlv_01m87rm5jwepwvqv2vrr5agnp5", "document_id": there["document_id"] });
    assert_eq!(edits(&app, &nothing, "nothing", &[(CITY, json!("x"))]).await.status, 404);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_edits_at_once_one_goes_and_the_other_is_told_so() {
    let app = TestApp::start().await;
    let delivery = refused(&app, "000000001").await;
    let (one, two) = (json!("Leeds"), json!("York"));
    let (one, two) = ([(CITY, one)], [(CITY, two)]);
    let (one, two) = tokio::join!(edits(&app, &delivery, "one", &one), edits(&app, &delivery, "two", &two));
    let mut statuses = [one.status, two.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409], "{} {}", one.text, two.text);
    app.order_is("000000001", "delivered").await;
    assert_eq!(app.erp.find("000000001").len(), 1);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_of_a_document_that_is_no_longer_sent_is_stale() {
    let app = TestApp::start().await;
    let first = refused(&app, "000000001").await;
    app.erp.next([Fault::Status(422)]);
    assert_eq!(edits(&app, &first, "one", &[(CITY, json!("Leeds"))]).await.status, 200);
    let told = until("the edited one is refused as well", async || {
        let order = app.order("000000001").await;
        (order["deliveries"][1]["state"] == "parked").then_some(order)
    })
    .await;
    let second = told["deliveries"][1].clone();
    let stale = json!({ "id": second["id"], "document_id": first["document_id"] });
    let answer = edits(&app, &stale, "stale", &[(CITY, json!("York"))]).await;
    assert!(answer.status == 412 && answer.text.contains(second["document_id"].as_str().unwrap()), "{}", answer.text);

    // A replay is made from the event: it says that the edit is lost, before and after.
    let open = app.exceptions_of("000000001").await.remove(0);
    let replay = format!("/api/v1/exceptions/{}/replay", open["id"].as_str().unwrap());
    let lost = "What token:test-admin edited is replaced by what the event makes";
    let would = app.acts(&format!("{replay}?dry_run=true"), "look", &json!({})).await.json();
    assert!(would["explanation"].as_str().unwrap().contains(lost), "{would}");
    assert_eq!(would["documents"][0]["changes"][0], json!({ "path": CITY, "before": "Leeds", "after": "London" }));
    // Edited once more, what was edited before stays.
    let done = edits(&app, &second, "two", &[(POSTCODE, json!("LS1 1AA"))]).await;
    assert_eq!(done.status, 200, "{}", done.text);
    app.order_is("000000001", "delivered").await;
    let body = taken(&app, "000000001");
    assert_eq!((body.pointer(CITY).unwrap(), body.pointer(POSTCODE).unwrap()), (&json!("Leeds"), &json!("LS1 1AA")));
    app.stop().await;
}

/// The secret of a token with only these permissions.
async fn narrowed(app: &TestApp, name: &str, role: &str, scopes: &[&str]) -> String {
    let body = json!({ "name": name, "role": role, "scopes": scopes });
    let made = app.acts("/api/v1/tokens", name, &body).await;
    assert_eq!(made.status, 201, "{}", made.text);
    made.json()["secret"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn dat_3_who_does_not_see_buyers_can_edit_goods_and_learns_nothing_of_them() {
    let app = TestApp::start().await;
    let delivery = refused(&app, "000000001").await;
    let editor = narrowed(&app, "editor", "operator", &["documents:edit", "records:read"]).await;
    let as_editor = async |key: &str, body: &Value| {
        let request = app.client.post(app.url(&path_of(&delivery))).bearer_auth(&editor);
        let request =
            request.header("idempotency-key", format!("\"{key}\"")).header("content-type", "application/json");
        Answer::of(request.body(body.to_string()).send().await.unwrap()).await
    };
    let mut answers = Vec::new();
    for guess in ["anna@example.com", "nobody@example.com"] {
        let mut body = setting(&delivery, &[("/order/customer/email", json!(guess))]);
        body["dry_run"] = json!(true);
        let answer = as_editor(guess, &body).await;
        assert!(problems(&answer).contains("personal-data:reveal"), "{}", answer.text);
        answers.push(problems(&answer));
    }
    assert_eq!(answers[0], answers[1], "a right guess is answered as a wrong one");
    let shown = app.sees(&format!("/api/v1/documents/{}", delivery["document_id"].as_str().unwrap())).await;
    let mut document = shown["body"].clone();
    assert_eq!(document["order"]["customer"]["email"], "•••");
    document["lines"][0]["sku"] = json!("ITEM-9");
    let whole =
        json!({ "document_id": delivery["document_id"], "document": document, "reason": "by its article number" });
    let done = as_editor("whole", &whole).await;
    assert_eq!((done.status, &done.json()["places"]), (200, &json!(["/lines/0/sku"])), "{}", done.text);
    app.order_is("000000001", "delivered").await;
    let body = taken(&app, "000000001");
    assert_eq!(
        (&body["lines"][0]["sku"], &body["order"]["customer"]["email"]),
        (&json!("ITEM-9"), &json!("anna@example.com"))
    );

    let delivery = refused(&app, "000000002").await;
    for (role, scopes) in
        [("viewer", vec![]), ("mapper", vec![]), ("operator", vec!["records:read", "exceptions:replay"])]
    {
        let token = narrowed(&app, &format!("{role}-2"), role, &scopes).await;
        let request =
            app.client.post(app.url(&path_of(&delivery))).bearer_auth(token).header("idempotency-key", "\"x\"");
        assert_eq!(request.body("{}").send().await.unwrap().status(), 403, "{role}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dat_1_an_edited_document_is_erased_with_its_buyer() {
    let app = TestApp::start().await;
    let delivery = refused(&app, "000000001").await;
    app.erp.next([Fault::Status(422)]);
    let body = json!({ "document_id": delivery["document_id"], "set": [{ "path": CITY, "value": "Leeds" }],
        "reason": "Anna Weiß telephoned" });
    assert_eq!(app.acts(&path_of(&delivery), "one", &body).await.status, 200);
    let told = until("it is refused again", async || {
        let order = app.order("000000001").await;
        (order["deliveries"][1]["state"] == "parked").then_some(order)
    })
    .await;
    let path = app.site.config_path();
    let erased = tokio::task::spawn_blocking(move || {
        let arguments = ["erase", "--order", "000000001", "--even-if-open", "--reason", "asked", "--config"];
        binary().args(arguments).arg(path).output().unwrap()
    })
    .await
    .unwrap();
    assert!(erased.status.success(), "{}", String::from_utf8_lossy(&erased.stderr));
    let edited = &told["deliveries"][1];
    let document = app.sees(&format!("/api/v1/documents/{}", edited["document_id"].as_str().unwrap())).await;
    assert_eq!((&document["body"], &document["gone"]), (&Value::Null, &json!("erased")), "{document}");
    assert_eq!(
        (&document["edited"]["reason"], &document["edited"]["by"]),
        (&json!("erased"), &json!("token:test-admin"))
    );
    assert_eq!(edits(&app, edited, "late", &[(CITY, json!("York"))]).await.status, 409);
    app.stop().await;
}
