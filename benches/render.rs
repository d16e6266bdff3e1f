//! What an order costs in a back office's words: the document read, and every request of every step written. `create` is the one
//! that goes out in any case.

use std::hint::black_box;
use std::path::Path;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use crossdock::app;
use crossdock::commerce::parse::{self, Reading};
use crossdock::config::Config;
use crossdock::destinations::recipe::Work;
use crossdock::domain::catalogue::NoCatalogue;
use crossdock::domain::expand::{self, expand};
use crossdock::domain::mapping::Mappings;
use crossdock::domain::policy::Policies;
use crossdock::envelope::keys::IdempotencyKey;
use crossdock::json::{self, Limits};

mod support;

const CONFIG: &str = r#"
[destinations.http]
profile = "http"
url = "https://erp.example.com/orders"
guard = "none"

[destinations.erpnext]
profile = "erpnext"
url = "https://erp.example.com"
with = { customer = "Web", tax_account = "VAT - C", shipping_account = "Freight - C", discount_account = "Discounts - C" }

[destinations.sap-s4hana]
profile = "sap-s4hana"
url = "https://sap.example.com/sap/opu/odata/sap/API_SALES_ORDER_SRV"
with = { sales_organization = "1010", sold_to = "10100001", tax_condition = "ZTAX" }

[destinations.shiphero]
profile = "shiphero"
url = "https://public-api.example.com"
with = { shop = "shop.example.com" }
"#;

/// The canonical document of an order as Commerce sends it.
fn document(text: &str) -> Bytes {
    let reading = Reading { system: "acme", default_store_id: None, not_yet_saved: false };
    let json = json::parse(text.as_bytes(), &Limits::default()).expect("JSON");
    let order = parse::order(&json, &reading).expect("an order");
    let (mappings, policies) = (Mappings::default(), Policies::default());
    let by = expand::Rules { mappings: &mappings, policies: &policies, destination: "erp", catalogue: &NoCatalogue };
    let expanded = expand(&order, &by).expect("it expands");
    serde_json::to_vec(&expanded).expect("a sales order always serialises").into()
}

fn rendering(criterion: &mut Criterion) {
    let orders = [
        ("bundles", document(include_str!("../src/demo/orders/bundle_dynamic_bought_twice.json"))),
        ("4", document(&support::order(4))),
        ("100", document(&support::order(100))),
    ];
    let config = Config::read(CONFIG, Path::new(""), &|_| None).expect("a configuration").config;
    let key = IdempotencyKey::from_stored("ek1-0000000000000000000000000000000000000000000000000000");
    let mut group = criterion.benchmark_group("render");
    for settings in config.destinations.values() {
        let destination = app::destination_of(settings).expect("a destination");
        for (name, document) in &orders {
            let made = destination.render("order.create", document, &key, "").expect("it can be written");
            assert!(made.body.len() > 200, "{name}");
            group.bench_function(BenchmarkId::new(format!("{}/create", settings.name), name), |bencher| {
                bencher.iter(|| destination.render("order.create", black_box(document), &key, ""));
            });
            let Some(profile) = destination.recipe() else { continue };
            group.bench_function(BenchmarkId::new(format!("{}/all steps", settings.name), name), |bencher| {
                bencher.iter(|| {
                    let work = Work::new("order.create", black_box(document), &key).expect("a document");
                    profile.recipe.rehearse(&work)
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, rendering);
criterion_main!(benches);
