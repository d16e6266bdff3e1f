//! Views and edits in a person's hands: in a browser, on pages without scripts, and by verbs.

use crossdock::demo::erp::Fault;
use reqwest::redirect::Policy;
use serde_json::{Value, json};

use crate::support::browser::{Browser, LIGHT, PHONE};
use crate::support::process::{binary, user};
use crate::support::{Answer, Site, TestApp, orders};

const PASSWORD: &str = "otter mills fourteen";
const TABLE: &str = "key,value,destination\n24-WG085,ITEM-1,\n";

/// One order that waits for its SKU, one that the ERP refused, and Anna.
async fn site() -> TestApp {
    let app = TestApp::start().await;
    app.maps("skus", TABLE).await;
    app.commerce_sends(orders::observed("000000001", "NEW-SKU", 1)).await;
    app.order_is("000000001", "parked").await;
    app.erp.next([Fault::Status(422)]);
    app.commerce_sends(orders::observed("000000002", "24-WG085", 2)).await;
    app.order_is("000000002", "parked").await;
    tokio::task::block_in_place(|| user(&app.site, "anna", "admin", PASSWORD));
    app
}

async fn verb(site: &Site, arguments: &[&str]) -> std::process::Output {
    let mut command = binary();
    command.args(arguments).arg("--config").arg(site.config_path());
    tokio::task::spawn_blocking(move || command.output().expect("the binary runs")).await.unwrap()
}

fn said(ran: &std::process::Output) -> String {
    String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr)
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_browser_a_view_is_kept_opened_begun_with_renamed_and_deleted() {
    let app = site().await;
    let Some(mut browser) = Browser::open(app.url("").trim_end_matches('/'), LIGHT) else { return app.stop().await };
    browser.goes("/console/exceptions/list?code=rejected_by_destination");
    browser.signs_in("anna", PASSWORD);
    browser.does(&json!({ "do": "open", "text": "Keep this view" }));
    browser.fills("Name", "Refused <b>there</b>");
    browser.does(&json!({ "do": "tick", "label": "For everybody" }));
    browser.presses("Keep it");
    browser.sees("Refused <b>there</b>");
    browser.goes("/console/exceptions/list");
    browser.looks_at("exceptions-with-views");
    browser.follows("Refused <b>there</b> shared");
    assert!(browser.is_at().starts_with("/console/exceptions/list?code=rejected_by_destination&view=viw_"));
    let text = browser.text();
    assert!(text.contains("000000002") && !text.contains("000000001"), "{text}");
    browser.follows("Manage");
    browser.looks_at("views");
    browser.presses("Begin with it");
    browser.sees("opens when you sign in");
    browser.presses("Sign out");
    browser.goes("/console");
    browser.signs_in("anna", PASSWORD);
    assert!(
        browser.is_at().starts_with("/console/exceptions/list?code=rejected_by_destination"),
        "{}",
        browser.is_at()
    );
    browser.goes("/console");
    assert_eq!(browser.is_at(), "/console", "the overview is where it was");
    // By the verb beside the service, flags before the view.
    let listed = verb(&app.site, &["exceptions", "--view", "refused <B>there</b>", "--json"]).await;
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap_or_else(|_| panic!("{}", said(&listed)));
    assert_eq!(listed["items"].as_array().unwrap().len(), 1, "{listed}");
    let other =
        verb(&app.site, &["exceptions", "--view", "Refused <b>there</b>", "--code", "unmapped_sku", "--json"]).await;
    let other: Value = serde_json::from_slice(&other.stdout).unwrap();
    assert_eq!(other["items"][0]["code"], "unmapped_sku", "{other}");
    let unknown = verb(&app.site, &["exceptions", "--view", "nothing"]).await;
    assert!(unknown.status.code() == Some(1) && said(&unknown).contains("Refused <b>there</b>"), "{}", said(&unknown));
    assert!(said(&verb(&app.site, &["orders", "--view", "x"]).await).contains("no view of this list is shared"));
    browser.goes("/console/views");
    browser.does(&json!({ "do": "open", "text": "Change" }));
    browser.fills("Name", "By the ERP");
    browser.presses("Rename");
    browser.sees("By the ERP");
    browser.goes("/console/views");
    browser.does(&json!({ "do": "open", "text": "Change" }));
    browser.presses("Delete");
    browser.goes("/console/views");
    browser.sees("None yet.");
    browser.close();
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_browser_a_document_is_edited_previewed_and_sent() {
    let app = site().await;
    let Some(mut browser) = Browser::open(app.url("").trim_end_matches('/'), PHONE) else { return app.stop().await };
    let delivery = app.order("000000002").await["deliveries"][0].clone();
    browser.goes(&format!("/console/deliveries/{}", delivery["id"].as_str().unwrap()));
    browser.signs_in("anna", PASSWORD);
    browser.follows("Edit the document");
    let text = browser.text();
    assert!(!text.contains("anna@example.com") && !text.contains("1 High Street"), "{text}");
    browser.looks_at("edit");
    browser.fills("Shipping address city", "Londinium");
    browser.fills("Line 1 sku", "ITEM-9");
    browser.presses("Show what would change");
    browser.sees("Nothing was changed.");
    browser.sees("Londinium");
    browser.looks_at("edit-preview");
    browser.fills("Why", "the ERP knows it by its old name");
    browser.presses("Send the edited document");
    browser.sees("Edited; it goes in the place of what was refused");
    let told = app.order_is("000000002", "delivered").await;
    let sent: Value = serde_json::from_slice(&app.erp.find("000000002")[0].body).unwrap();
    assert_eq!(
        (&sent["lines"][0]["sku"], &sent["order"]["shipping_address"]["city"]),
        (&json!("ITEM-9"), &json!("Londinium"))
    );
    assert_eq!(sent["order"]["shipping_address"]["street"], json!(["1 High Street"]), "what is hidden stays");
    let document = told["deliveries"][1]["document_id"].as_str().unwrap().to_owned();
    browser.goes(&format!("/console/documents/{document}"));
    browser.sees("the ERP knows it by its old name");
    browser.looks_at("edited-document");
    browser.close();
    app.stop().await;
}

/// A form as a page without scripts sends it.
async fn sends(app: &TestApp, act: &str, form: &[(&str, &str)]) -> Answer {
    let client = reqwest::Client::builder().redirect(Policy::none()).build().unwrap();
    let form: Vec<String> = form.iter().map(|(name, value)| format!("{}={}", coded(name), coded(value))).collect();
    let request = client.post(app.url(&format!("/console/acts/{act}"))).bearer_auth(&app.token);
    let request = request.header("content-type", "application/x-www-form-urlencoded").body(form.join("&"));
    Answer::of(request.send().await.unwrap()).await
}

fn coded(text: &str) -> String {
    crossdock::templates::segment(text)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_without_scripts_edits_only_what_was_changed_and_says_what_is_wrong() {
    let app = site().await;
    let delivery = app.order("000000002").await["deliveries"][0].clone();
    let (id, document) = (delivery["id"].as_str().unwrap(), delivery["document_id"].as_str().unwrap());
    let hidden = [("id", id), ("document_id", document), ("key", "k1"), ("dry_run", "true")];
    let with = |fields: &[(&'static str, &'static str)]| [&hidden[..], fields].concat();
    let wrong =
        sends(&app, "edit-document", &with(&[("at:/lines/0/net", "1.00"), ("was:/lines/0/net", "20.00")])).await;
    assert!(wrong.status == 422 && wrong.text.contains("only words are edited"), "{}", wrong.text);
    let nothing = sends(&app, "edit-document", &with(&[("at:/order/note", ""), ("was:/order/note", "")])).await;
    assert_eq!(nothing.status, 422, "{}", nothing.text);
    let script = "<script>alert(1)</script>";
    let shown = sends(
        &app,
        "edit-document",
        &with(&[
            ("at:/order/note", script),
            ("was:/order/note", ""),
            ("lines:/order/shipping_address/street", "•••"),
            ("was:/order/shipping_address/street", "•••"),
        ]),
    )
    .await;
    assert_eq!(shown.status, 200, "{}", shown.text);
    assert!(!shown.text.contains(script) && shown.text.contains("&lt;script&gt;"), "{}", shown.text);
    assert!(!shown.text.contains("name=\"lines:"), "what does not change is not sent on");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verb_prints_edits_and_explains() {
    let app = site().await;
    let exception = app.exceptions_of("000000002").await.remove(0);
    let id = exception["id"].as_str().unwrap();
    let printed = verb(&app.site, &["exceptions", "edit", id]).await;
    let mut document: Value = serde_json::from_slice(&printed.stdout).unwrap_or_else(|_| panic!("{}", said(&printed)));
    let city = "/order/shipping_address/city=Leeds";
    let would = verb(&app.site, &["exceptions", "edit", id, "--set", city, "--dry-run"]).await;
    assert!(would.status.success() && said(&would).contains("\"London\" → \"Leeds\""), "{}", said(&would));
    let unsaid = verb(&app.site, &["exceptions", "edit", id, "--set", city]).await;
    assert!(unsaid.status.code() == Some(1) && said(&unsaid).contains("say why"), "{}", said(&unsaid));
    let broken = verb(&app.site, &["exceptions", "edit", id, "--set", "/totals/tax=9.99", "--reason", "x"]).await;
    assert!(broken.status.code() == Some(1) && said(&broken).contains("/totals/tax only words"), "{}", said(&broken));
    let usage = verb(&app.site, &["exceptions", "edit", id, "--set", "no pointer"]).await;
    assert_eq!(usage.status.code(), Some(2), "{}", said(&usage));
    let other = app.exceptions_of("000000001").await.remove(0);
    let none =
        verb(&app.site, &["exceptions", "edit", other["id"].as_str().unwrap(), "--set", city, "--reason", "x"]).await;
    assert!(said(&none).contains("no document was made"), "{}", said(&none));
    let stale = ["exceptions", "edit", id, "--set", city, "--reason", "x", "--from", "doc_01m87rm5jwepwvqv2vrr5agnp5"];
    assert!(said(&verb(&app.site, &stale).await).contains("another document now"));
    document["order"]["note"] = json!("leave it with the porter");
    let file = app.site.dir.path().join("document.json");
    std::fs::write(&file, document.to_string()).unwrap();
    let done = verb(
        &app.site,
        &["exceptions", "edit", id, "--document", file.to_str().unwrap(), "--reason", "asked", "--json"],
    )
    .await;
    let done: Value = serde_json::from_slice(&done.stdout).unwrap_or_else(|_| panic!("{}", said(&done)));
    assert_eq!(done["places"], json!(["/order/note"]), "{done}");
    app.order_is("000000002", "delivered").await;
    let sent: Value = serde_json::from_slice(&app.erp.find("000000002")[0].body).unwrap();
    assert_eq!(sent["order"]["note"], "leave it with the porter");
    app.stop().await;
}
