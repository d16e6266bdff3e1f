//! A Tryton of a test's own: a copy of the prepared database, a port, a process.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

/// What was made beside the database.
#[derive(Clone, Debug, serde::Deserialize)]
pub struct Keys {
    pub key: String,
    pub company: u64,
    pub shop: u64,
    pub unit: u64,
    pub carrier: u64,
    #[serde(rename = "box")]
    pub package_type: u64,
}

/// A running Tryton; ends with its test.
pub struct Tryton {
    folder: TempDir,
    home: PathBuf,
    process: Option<Child>,
    port: u16,
    pub keys: Keys,
    http: reqwest::Client,
}

/// The prepared folder; `None` where there is none, which is said.
pub fn home() -> Option<PathBuf> {
    let home = std::env::var_os("CROSSDOCK_TRYTON").map(PathBuf::from);
    if home.is_none() {
        eprintln!("CROSSDOCK_TRYTON is unset: nothing was tried against a real Tryton (tests/run makes one)");
    }
    home
}

impl Tryton {
    /// Starts one with an empty company.
    pub async fn start(home: PathBuf) -> Tryton {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("db")).unwrap();
        std::fs::copy(home.join("db/erp.sqlite"), folder.path().join("db/erp.sqlite")).unwrap();
        let keys: Keys = serde_json::from_slice(&std::fs::read(home.join("keys.json")).unwrap()).unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let conf = format!(
            "[database]\nuri = sqlite://\npath = {}\ndefault_name = erp\n[web]\nlisten = 127.0.0.1:{port}\n",
            folder.path().join("db").display()
        );
        std::fs::write(folder.path().join("erp.conf"), conf).unwrap();
        let mut tryton = Tryton { folder, home, process: None, port, keys, http: reqwest::Client::new() };
        tryton.run().await;
        tryton
    }

    async fn run(&mut self) {
        let log = std::fs::File::create(self.folder.path().join("log")).unwrap();
        let process = Command::new(self.home.join("venv/bin/trytond"))
            .args(["-c", "erp.conf", "-d", "erp"])
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.process = Some(process);
        let patience = Instant::now() + Duration::from_mins(2);
        loop {
            let (status, _) = self.get("currency.currency", &json!([["code", "=", "EUR"]]), &["code"]).await;
            if status == 200 {
                return;
            }
            let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            assert!(Instant::now() < patience, "Tryton does not answer: {log}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/erp", self.port)
    }

    fn context(&self) -> String {
        encoded(&json!({ "company": self.keys.company }))
    }

    /// Status, and what was answered: JSON, or a text.
    pub async fn get(&self, model: &str, domain: &Value, fields: &[&str]) -> (u16, Value) {
        let fields = fields.iter().fold(String::new(), |text, field| text + "f=" + field + "&");
        let url = format!("{}/rest/model/{model}?{fields}s=10000&d={}", self.url(), encoded(domain));
        self.answer(self.http.get(url)).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        self.answer(self.http.post(format!("{}/rest/model/{path}", self.url())).body(body.to_string())).await
    }

    async fn answer(&self, request: reqwest::RequestBuilder) -> (u16, Value) {
        let request = request.bearer_auth(&self.keys.key).header("x-tryton-context", self.context());
        let request = request.header("content-type", "application/json");
        let Ok(response) = request.timeout(Duration::from_mins(1)).send().await else { return (0, Value::Null) };
        let status = response.status().as_u16();
        let text = response.text().await.unwrap_or_default();
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    /// Products for these SKUs, each in whole units or in any part of one.
    pub async fn sells(&self, skus: &[(String, bool)]) {
        let (_, units) = self.get("product.uom", &json!([["name", "in", ["Unit", "Meter"]]]), &["name"]).await;
        let unit = |name: &str| {
            let units = units.as_array().expect("units");
            units.iter().find(|unit| unit["name"] == name).expect("the unit is there")["id"].clone()
        };
        let (whole, part) = (unit("Unit"), unit("Meter"));
        for (sku, is_whole) in skus {
            let unit = if *is_whole { &whole } else { &part };
            let product = json!({
                "name": sku, "default_uom": unit, "sale_uom": unit, "type": "goods", "salable": true, "list_price": "1",
                "products": [["create", [{ "suffix_code": sku }]]],
            });
            let (status, answer) = self.post("product.template", &product).await;
            assert_eq!(status, 200, "{sku}: {answer}");
        }
    }

    /// An inventory that finds so many of a product in the storage of the warehouse.
    pub async fn counts(&self, sku: &str, quantity: u32) {
        let (_, products) = self.get("product.product", &json!([["code", "=", sku]]), &["code"]).await;
        let (_, storage) = self.get("stock.location", &json!([["code", "=", "STO"]]), &["code"]).await;
        // What it expects it finds out by itself.
        let line = json!({ "product": products[0]["id"], "quantity": quantity, "expected_quantity": 0 });
        let company = self.keys.company;
        let inventory = json!({ "company": company, "location": storage[0]["id"], "lines": [["create", [line]]] });
        let (status, made) = self.post("stock.inventory?f=id", &inventory).await;
        assert_eq!(status, 200, "{made}");
        let id = &made["id"];
        let (status, answer) = self.post(&format!("stock.inventory/{id}/confirm"), &json!({})).await;
        assert_eq!(status, 200, "{answer}");
    }

    /// Ships all of an order in one package with a tracking number; the shipment's number.
    pub async fn ships(&self, order: &str, tracking: &str) -> String {
        let fields = ["number", "outgoing_moves.id"];
        let domain = json!([["moves.sale.web_id", "=", order], ["state", "=", "waiting"]]);
        let (status, found) = self.get("stock.shipment.out", &domain, &fields).await;
        assert_eq!(status, 200, "{found}");
        let id = found[0]["id"].as_u64().expect("a shipment waits");
        let number = found[0]["number"].as_str().unwrap().to_owned();
        self.put(&format!("stock.shipment.out/{id}"), &json!({ "carrier": self.keys.carrier })).await;
        for button in ["assign_try", "pick"] {
            self.press(id, button).await;
        }
        let (_, found) = self.get("stock.shipment.out", &json!([["id", "=", id]]), &fields).await;
        let moves: Vec<&Value> =
            found[0]["outgoing_moves"].as_array().unwrap().iter().map(|goods| &goods["id"]).collect();
        let package = json!({
            "company": self.keys.company, "shipment": format!("stock.shipment.out,{id}"), "type": self.keys.package_type,
            "moves": [["add", moves]], "shipping_reference": tracking,
        });
        let (status, answer) = self.post("stock.package", &package).await;
        assert_eq!(status, 200, "{answer}");
        for button in ["pack", "do"] {
            self.press(id, button).await;
        }
        number
    }

    async fn press(&self, shipment: u64, button: &str) {
        let (status, answer) = self.post(&format!("stock.shipment.out/{shipment}/{button}"), &json!({})).await;
        assert_eq!(status, 200, "{button}: {answer}");
    }

    async fn put(&self, path: &str, body: &Value) {
        let url = format!("{}/rest/model/{path}", self.url());
        let (status, answer) = self.answer(self.http.put(url).body(body.to_string())).await;
        assert_eq!(status, 200, "{answer}");
    }

    /// Every sale under our numbers: web id, state and total.
    pub async fn sales(&self) -> Vec<(String, String, String)> {
        let fields = ["web_id", "state", "total_amount", "number"];
        let (status, answer) = self.get("sale.sale", &json!([["web_id", "!=", null]]), &fields).await;
        assert_eq!(status, 200, "{answer}");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let sale = |sale: &Value| (text(&sale["web_id"]), text(&sale["state"]), text(&sale["total_amount"]["decimal"]));
        answer.as_array().expect("a list").iter().map(sale).collect()
    }

    /// The database is away: its file has another name.
    pub fn database_stops(&self) {
        let db = self.folder.path().join("db");
        std::fs::rename(db.join("erp.sqlite"), db.join("away.sqlite")).unwrap();
    }

    pub fn database_starts(&self) {
        let db = self.folder.path().join("db");
        // Tryton may have made an empty one meanwhile.
        std::fs::rename(db.join("away.sqlite"), db.join("erp.sqlite")).unwrap();
    }

    /// Sessions stand in the database.
    pub fn forgets_sessions(&self) {
        let db = rusqlite::Connection::open(self.folder.path().join("db/erp.sqlite")).unwrap();
        let ended = db.execute("DELETE FROM ir_session", []).unwrap();
        assert!(ended >= 1, "there was a session");
    }

    /// The whole ERP is away.
    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    pub async fn start_again(&mut self) {
        self.run().await;
    }
}

impl Drop for Tryton {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A JSON text as Tryton wants it in an address or a header.
pub fn encoded(value: &Value) -> String {
    data_encoding::BASE64URL.encode(value.to_string().as_bytes())
}
