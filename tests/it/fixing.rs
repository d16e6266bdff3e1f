//! A group fixed at its cause: proposed, previewed, added, released; by API and by verbs, and by two people at once.

use serde_json::{Value, json};

use crate::support::process::binary;
use crate::support::{TestApp, orders};

const TABLE: &str = "key,value,destination\n24-WG085,ITEM-1,\nNEW-SKU-S,ITEM-2,\n";

/// Orders parked for one SKU; the group's fingerprint.
async fn parked(app: &TestApp, numbers: std::ops::RangeInclusive<u32>) -> String {
    app.maps("skus", TABLE).await;
    for number in numbers {
        let number = format!("{number:09}");
        app.commerce_sends(orders::observed(&number, "NEW-SKU", 2)).await;
        app.order_is(&number, "parked").await;
    }
    let groups = app.sees("/api/v1/exceptions/groups").await;
    groups["items"][0]["fingerprint"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_row_is_proposed_previewed_added_and_every_order_goes_once() {
    let app = TestApp::start().await;
    let group = format!("/api/v1/exceptions/groups/{}", parked(&app, 1..=3).await);
    let proposed = app.sees(&format!("{group}/proposals")).await;
    assert_eq!((&proposed["table"], &proposed["key"]), (&json!("skus"), &json!("NEW-SKU")), "{proposed}");
    assert_eq!(proposed["proposals"][0]["value"], "ITEM-2", "{proposed}");
    let version = app.sees(&format!("{group}/preview?limit=2")).await;
    assert_eq!(
        (&version["counts"]["still_parked"], version["items"].as_array().unwrap().len()),
        (&json!(2), 2),
        "{version}"
    );
    assert_eq!(version["items"][0]["problems"][0]["code"], "unmapped_sku", "{version}");

    let dry = app.acts(&format!("{group}/fix?dry_run=true"), "dry", &json!({ "value": "ITEM-2" })).await;
    let preview = dry.json()["preview"].clone();
    assert_eq!((dry.status, &preview["counts"]["released"]), (200, &json!(3)), "{}", dry.text);
    let document = &preview["items"][0]["documents"][0];
    assert_eq!(
        (&document["document"]["lines"][0]["sku"], &document["known_before"]),
        (&json!("ITEM-2"), &json!(false))
    );
    assert_eq!(document["total_after"], document["document"]["totals"]["grand_total"]);
    app.settled().await;
    assert_eq!(app.erp.counts().requests, 0, "a preview sends nothing");
    assert_eq!(app.sees("/api/v1/mappings/skus").await["items"].as_array().unwrap().len(), 2, "and writes nothing");

    for (body, path) in
        [(json!({ "value": " " }), "/value"), (json!({ "value": "X", "destination": "wms" }), "/destination")]
    {
        let refused = app.acts(&format!("{group}/fix"), path, &body).await;
        assert_eq!((refused.status, &refused.json()["problems"][0]["path"]), (422, &json!(path)), "{}", refused.text);
    }
    let body = json!({ "value": "ITEM-2", "reason": "new item" });
    let fixed = app.acts(&format!("{group}/fix"), "fix", &body).await;
    assert_eq!((fixed.status, &fixed.json()["release"]["released"]), (200, &json!(3)), "{}", fixed.text);
    for number in 1..=3 {
        app.order_is(&format!("{number:09}"), "delivered").await;
    }
    let again = app.acts(&format!("{group}/fix"), "fix", &body).await;
    assert_eq!((again.status, &again.text), (200, &fixed.text), "api_2");
    assert_eq!((app.erp.counts().applied, app.erp.counts().doubled), (3, 0));
    let changes = app.sees("/api/v1/mappings/skus/changes?key=NEW-SKU").await;
    assert_eq!((&changes["items"][0]["before"], &changes["items"][0]["after"]), (&json!(null), &json!("ITEM-2")));
    assert_eq!(app.sees("/api/v1/ledger").await["difference"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn chosen_members_go_and_tables_that_changed_since_the_preview_stop_a_release() {
    let app = TestApp::start().await;
    let group = format!("/api/v1/exceptions/groups/{}", parked(&app, 1..=3).await);
    let preview = app.sees(&format!("{group}/preview")).await;
    let seen = preview["mappings_version"].clone();
    let edit = app.client.patch(app.url("/api/v1/mappings/skus")).bearer_auth(&app.token);
    let body = json!({ "set": [{ "key": "NEW-SKU", "value": "ITEM-3" }] }).to_string();
    let edit = edit.header("content-type", "application/json").body(body).send().await.unwrap();
    assert_eq!(edit.status().as_u16(), 200);
    let stale = app.acts(&format!("{group}/release"), "stale", &json!({ "mappings_version": seen })).await;
    assert_eq!(stale.status, 412, "{}", stale.text);
    let looked = app.sees(&format!("{group}/preview")).await;
    assert_eq!(looked["counts"]["released"], 3, "{looked}");
    // The newest stands first; the one in the middle goes alone.
    let id = looked["items"][1]["exception_id"].clone();
    let foreign = json!({ "ids": [id, "exc_00000000000000000000000000"] });
    let refused = app.acts(&format!("{group}/release"), "foreign", &foreign).await;
    assert_eq!((refused.status, &refused.json()["problems"][0]["path"]), (422, &json!("/ids/1")), "{}", refused.text);
    let body = json!({ "ids": [id], "mappings_version": looked["mappings_version"] });
    let one = app.acts(&format!("{group}/release"), "one", &body).await;
    assert_eq!(
        (one.status, &one.json()["released"], &one.json()["remaining"]),
        (200, &json!(1), &json!(2)),
        "{}",
        one.text
    );
    app.order_is("000000002", "delivered").await;
    app.order_is("000000001", "parked").await;

    // Two people release the rest at once: each record goes once.
    let path = format!("{group}/release");
    let nothing = json!({});
    let (anna, ben) = tokio::join!(app.acts(&path, "anna", &nothing), app.acts(&path, "ben", &nothing));
    let released = |answer: &Value| answer["released"].as_u64().unwrap_or(0);
    let both: u64 =
        [&anna, &ben].iter().filter(|answer| answer.status == 200).map(|answer| released(&answer.json())).sum();
    assert_eq!(both, 2, "{} {}", anna.text, ben.text);
    for number in 1..=3 {
        app.order_is(&format!("{number:09}"), "delivered").await;
    }
    assert_eq!((app.erp.counts().applied, app.erp.counts().doubled), (3, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn verbs_propose_fix_assign_note_and_dismiss_beside_the_service() {
    let app = TestApp::start().await;
    let fingerprint = parked(&app, 1..=2).await;
    let run = async |arguments: &[&str]| {
        let mut command = binary();
        command.args(arguments).arg("--config").arg(app.site.config_path());
        let ran = tokio::task::spawn_blocking(move || command.output().expect("the binary runs")).await.unwrap();
        let said = String::from_utf8_lossy(&ran.stdout).into_owned();
        (ran.status.code(), said, String::from_utf8_lossy(&ran.stderr).into_owned())
    };
    let first = app.exceptions_of("000000001").await[0]["id"].as_str().unwrap().to_owned();
    let (code, said, complained) = run(&["exceptions", "assign", &first, "--to", "anna", "--json"]).await;
    let shown: Value = serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said} {complained}"));
    assert_eq!((code, &shown["state"], &shown["assignee"]), (Some(0), &json!("assigned"), &json!("anna")));
    assert_eq!(shown, app.sees(&format!("/api/v1/exceptions/{first}")).await, "the verb and the API tell the same");
    assert_eq!(run(&["exceptions", "note", &first, "asked <b>the</b> supplier"]).await.0, Some(0));
    let (_, said, _) = run(&["exceptions", "note", &first]).await;
    assert!(said.contains("asked <b>the</b> supplier"), "{said}");
    assert_eq!(run(&["exceptions", "snooze", &first, "--for", "2h"]).await.0, Some(0));
    assert_eq!(app.sees(&format!("/api/v1/exceptions/{first}")).await["state"], "snoozed");
    assert_eq!(run(&["exceptions", "snooze", &first]).await.0, Some(2), "until when?");
    let (code, _, why) = run(&["exceptions", "dismiss", &first, "--reason", " "]).await;
    assert!(code == Some(1) && why.contains("say why"), "{why}");
    assert_eq!(run(&["exceptions", "dismiss", &first, "--reason", "a test order"]).await.0, Some(0));
    app.order_is("000000001", "ignored").await;

    let (code, said, _) = run(&["exceptions", "proposals", &fingerprint]).await;
    assert!(code == Some(0) && said.contains("ITEM-2"), "{said}");
    let (code, said, _) = run(&["exceptions", "fix", &fingerprint, "--value", "ITEM-2", "--dry-run"]).await;
    assert!(code == Some(0) && said.contains("would be released"), "{said}");
    let (code, _, why) = run(&["exceptions", "fix", &fingerprint, "--value", "ITEM-2"]).await;
    assert_eq!(code, Some(0), "{why}");
    app.order_is("000000002", "delivered").await;
    let (_, said, _) = run(&["mappings", "changes", "skus"]).await;
    assert!(said.contains("NEW-SKU") && said.contains("ITEM-2"), "{said}");
    let acts = app.sees("/api/v1/audit").await["items"].to_string();
    assert!(acts.contains("exception.fix_group"), "API-5: {acts}");
    assert_eq!(run(&["mappings", "unset", "skus", "NEW-SKU"]).await.0, Some(0));
    assert_eq!(run(&["mappings", "set", "skus", "", "X"]).await.0, Some(1), "a row has a key");
    assert_eq!(app.erp.counts().applied, 1);
}

/// A program that releases records has no need of who bought them; a colleague's row is not overwritten by a second fix.
#[tokio::test(flavor = "multi_thread")]
async fn a_preview_names_no_buyer_to_whom_it_is_not_for_and_a_row_that_is_there_stands() {
    let app = TestApp::start().await;
    let group = format!("/api/v1/exceptions/groups/{}", parked(&app, 1..=2).await);
    let made = tokio::task::block_in_place(|| {
        let scopes = ["--scope", "records:read", "--scope", "exceptions:replay", "--scope", "exceptions:fix"];
        let create = ["token", "create", "--name", "releaser", "--role", "operator"];
        binary().args(create).args(scopes).arg("--config").arg(app.site.config_path()).output().unwrap()
    });
    let token = String::from_utf8(made.stdout).unwrap().trim().to_owned();
    let fix = async |body: Value, key: &str| {
        let sent = app.client.post(app.url(&format!("{group}/fix"))).bearer_auth(&token);
        let sent = sent.header("content-type", "application/json").header("idempotency-key", format!("\"{key}\""));
        let answer = sent.body(body.to_string()).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let (status, shown) = fix(json!({ "value": "ITEM-2", "dry_run": true }), "look").await;
    assert_eq!(status, 200, "{shown}");
    assert!(shown.contains("•••"), "{shown}");
    for buyer in ["anna@example.com", "Weiß", "1 High Street", "020 7946"] {
        assert!(!shown.contains(buyer), "{buyer} in {shown}");
    }
    // A look is kept for nobody: the same key acts afterwards.
    let (status, done) = fix(json!({ "value": "ITEM-2" }), "look").await;
    assert_eq!(status, 200, "{done}");
    app.settled().await;
    let group = format!("/api/v1/exceptions/groups/{}", {
        app.commerce_sends(orders::observed("000000009", "OTHER-SKU", 1)).await;
        app.order_is("000000009", "parked").await;
        let groups = app.sees("/api/v1/exceptions/groups").await;
        groups["items"][0]["fingerprint"].as_str().unwrap().to_owned()
    });
    app.maps("skus", &format!("{TABLE}OTHER-SKU,ITEM-7,\n")).await;
    let second = app.acts(&format!("{group}/fix"), "mine", &json!({ "value": "ITEM-8" })).await;
    assert_eq!(second.status, 409, "{}", second.text);
    assert!(second.text.contains("ITEM-7"), "{}", second.text);
    let fingerprint = group.rsplit('/').next().unwrap().to_owned();
    let ran = tokio::task::block_in_place(|| {
        let fix = ["exceptions", "fix", &fingerprint, "--value", "ITEM-8"];
        binary().args(fix).arg("--config").arg(app.site.config_path()).output().unwrap()
    });
    let why = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert!(ran.status.code() == Some(1) && why.contains("ITEM-7"), "the verb overwrites no more than the API: {why}");
    app.stop().await;
}
