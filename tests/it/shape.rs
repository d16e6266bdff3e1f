//! One order, two destinations that want it put differently: each is sent what it asked for, and previews show the same.

use serde_json::{Value, json};

use crate::support::TestApp;
use crate::support::laws::broken;
use crate::support::process::binary;
use crate::support::receiver::Receiver;
use crate::support::until;

const ENGRAVED: &str = include_str!("../../src/demo/orders/bundle_fixed_price_engraved.json");
const NUMBER: &str = "100000104";

/// The stand-in ERP wants one tax line, no shipping among the lines and options as comments; the warehouse no tax at all.
async fn app(warehouse: &Receiver) -> TestApp {
    let url = warehouse.url();
    TestApp::with(move |text| {
        let text = text
            .replace("to = [\"erp\"]", "to = [\"erp\", \"warehouse\"]")
            .replace("accepts = [\"order\"]", "accepts = [\"order\", \"order_change\", \"cancellation\"]");
        format!(
            r#"{text}
[destinations.erp.shape]
tax = "line"
shipping = "field"
options = "comment"

[destinations.warehouse]
profile = "http"
url = "{url}"
guard = "key"
key_window = "24h"
auth = {{ type = "none" }}
allow_private = ["127.0.0.0/8"]
shape = {{ tax = "none", options = "name" }}
"#
        )
    })
    .await
}

fn kinds(document: &Value) -> Vec<&str> {
    document["lines"].as_array().unwrap().iter().map(|line| line["kind"].as_str().unwrap()).collect()
}

fn line<'d>(document: &'d Value, kind: &str) -> &'d Value {
    document["lines"].as_array().unwrap().iter().find(|line| line["kind"] == kind).unwrap()
}

/// What the warehouse was sent, oldest first, once there is that much.
async fn sent(warehouse: &Receiver, count: usize) -> Vec<Value> {
    until("the warehouse has it", async || {
        let got = warehouse.got();
        (got.len() >= count).then(|| got.iter().map(|got| serde_json::from_slice(&got.body).unwrap()).collect())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn each_destination_is_sent_an_order_the_way_it_wants_it_and_its_cancellation_too() {
    let warehouse = Receiver::start().await;
    let app = app(&warehouse).await;
    let answer = app.patchworks_sends(ENGRAVED).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    app.order_is(NUMBER, "delivered").await;

    let at_erp: Value = serde_json::from_slice(&app.erp.effects()[0].body).unwrap();
    assert_eq!(broken(&at_erp), Vec::<String>::new());
    assert_eq!(at_erp["shape"]["tax"], "line", "{at_erp}");
    assert_eq!(at_erp["schema"], "crossdock.sales_order.v1");
    let tax = line(&at_erp, "tax");
    assert_eq!((&tax["net"], &tax["tax"], &tax["total"]), (&json!("44.92"), &json!("0.00"), &json!("44.92")));
    assert_eq!((&at_erp["totals"]["tax"], &at_erp["totals"]["total"]), (&json!("0.00"), &json!("269.52")));
    assert!(!kinds(&at_erp).contains(&"shipping"));
    assert_eq!((&at_erp["shipping"]["net"], &at_erp["shipping"]["tax"]), (&json!("7.50"), &json!("0.00")));
    let words: Vec<&str> =
        at_erp["lines"].as_array().unwrap().iter().filter_map(|line| line["name"].as_str()).collect();
    assert!(words.iter().any(|name| name.ends_with("To Anna")), "{words:?}");

    let there = sent(&warehouse, 1).await.remove(0);
    assert_eq!(broken(&there), Vec::<String>::new());
    assert_eq!(there["shape"]["tax"], "none", "{there}");
    assert!(!kinds(&there).contains(&"tax") && kinds(&there).contains(&"shipping"));
    let totals = &there["totals"];
    assert_eq!(
        (&totals["total"], &totals["tax_left_out"], &totals["grand_total"]),
        (&json!("224.60"), &json!("44.92"), &json!("269.52"))
    );
    assert!(there["lines"].as_array().unwrap().iter().all(|line| line["tax"] == "0.00"));
    assert!(line(&there, "comment")["name"].as_str().unwrap().contains("To Anna"), "{there}");

    previews_show_the_same(&app, &at_erp, &there);
    let order: Value = serde_json::from_str(ENGRAVED).unwrap();
    let path = "/api/v1/orders/expand?destination=warehouse";
    let preview = app.asks(reqwest::Method::POST, path, Some(&order)).await;
    assert_eq!(preview.json()["sales_order"], there, "{}", preview.text);

    let mut order = order;
    (order["state"], order["status"], order["updated_at"]) =
        (json!("canceled"), json!("canceled"), json!("2027-01-01 00:00:00"));
    app.patchworks_sends(order.to_string()).await;
    let cancelled = sent(&warehouse, 2).await.remove(1);
    assert_eq!(
        (&cancelled["schema"], &cancelled["shape"]["tax"]),
        (&json!("crossdock.cancellation.v1"), &json!("none"))
    );
    assert_eq!(
        (&cancelled["totals"]["total"], &cancelled["totals"]["tax_left_out"]),
        (&totals["total"], &totals["tax_left_out"])
    );
    let gone =
        until("the ERP has the cancellation", async || app.erp.effects().get(1).map(|effect| effect.body.clone()))
            .await;
    let gone: Value = serde_json::from_slice(&gone).unwrap();
    assert_eq!((&line(&gone, "tax")["net"], &line(&gone, "tax")["number"]), (&tax["net"], &tax["number"]), "{gone}");
    assert_eq!(gone["shipping"], at_erp["shipping"]);
    app.stop().await;
}

/// `expand` and `render` beside the service.
fn previews_show_the_same(app: &TestApp, at_erp: &Value, there: &Value) {
    let file = app.site.dir.path().join("order.json");
    std::fs::write(&file, ENGRAVED).unwrap();
    for (name, sent) in [("erp", at_erp), ("warehouse", there)] {
        let mut command = binary();
        command.args(["expand", "--json", "--destination", name, "--config"]).arg(app.site.config_path()).arg(&file);
        let ran = command.output().unwrap();
        let shown: Value = serde_json::from_slice(&ran.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&ran.stderr)));
        assert_eq!(&shown, sent, "{name}");
        let mut command = binary();
        command.args(["expand", "--destination", name, "--config"]).arg(app.site.config_path()).arg(&file);
        let table = String::from_utf8(command.output().unwrap().stdout).unwrap();
        assert!(!table.contains('✗'), "{table}");
        assert_eq!(table.contains("tax left out 44.92"), name == "warehouse", "{table}");
    }
    let mut command = binary();
    command.args(["render", "--destination", "warehouse", "--config"]).arg(app.site.config_path()).arg(&file);
    let rendered = String::from_utf8(command.output().unwrap().stdout).unwrap();
    assert!(rendered.contains("tax_left_out"), "{rendered}");
}
