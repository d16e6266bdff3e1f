//! From a request to an answer: address, route, who may, and then the shop.

use std::sync::MutexGuard;

use http::HeaderMap;
use http::header;
use percent_encoding::percent_decode_str;

use super::Shared;
use super::answer::Answer;
use super::oauth::{self, Signed};
use super::search::Criteria;
use super::shop::{Shop, Table};
use super::tree::{Fields, Tree};
use super::writes;

/// One request, its address still percent-encoded.
pub(super) struct Request<'a> {
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    pub(super) query: &'a str,
    pub(super) headers: &'a HeaderMap,
    pub(super) body: &'a [u8],
}

impl Request<'_> {
    fn header(&self, name: header::HeaderName) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Decoded query pairs; a plus is a space.
    pub(super) fn pairs(&self) -> Vec<(String, String)> {
        let pairs = self.query.split('&').filter(|pair| !pair.is_empty());
        let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        pairs.map(|(name, value)| (decode(name), decode(value))).collect()
    }
}

/// The resource that stands in the text of a refusal, by the decoded segments behind `V1`.
fn resource(method: &str, route: &[&str]) -> Option<&'static str> {
    Some(match (method, route) {
        ("GET", ["orders"] | ["orders", _] | ["orders", "items", _]) => "Magento_Sales::actions_view",
        ("GET", ["invoices"] | ["invoices", _]) => "Magento_Sales::sales_invoice",
        ("GET", ["shipments"] | ["shipment", _]) => "Magento_Sales::shipment",
        ("GET", ["creditmemos"] | ["creditmemo", _]) => "Magento_Sales::sales_creditmemo",
        ("POST", ["order", _, "ship"]) => "Magento_Sales::ship",
        ("GET", ["products", "attributes", _]) => "Magento_Catalog::attributes_attributes",
        (
            "GET",
            ["products"]
            | ["products", _]
            | ["products", _, "options"]
            | ["bundle-products" | "configurable-products", _, "options", "all"]
            | ["bundle-products" | "configurable-products", _, "children"],
        ) => "Magento_Catalog::products",
        ("POST", ["inventory", "source-items"]) => "Magento_InventoryApi::stock_source_item_assign",
        ("GET", ["inventory", "source-items" | "sources"] | ["inventory", "sources", _]) => {
            "Magento_InventoryApi::source"
        }
        ("GET", ["inventory", "stocks"] | ["inventory", "stocks", _]) => "Magento_InventoryApi::stock",
        ("GET", ["taxClasses" | "taxRates" | "taxRules", "search"]) => "Magento_Tax::manage_tax",
        ("GET", ["store", "storeConfigs" | "storeViews" | "storeGroups" | "websites"]) => "Magento_Backend::store",
        ("GET", ["modules"]) => "Magento_Backend::admin",
        ("GET", ["directory", "currency"] | ["directory", "countries", _])
        | ("POST", ["integration", "admin", "token"]) => "anonymous",
        ("GET", ["webhooks", "list"]) | ("POST", ["webhooks", "subscribe" | "unsubscribe"]) => {
            "Magento_AdobeCommerceWebhooks::webhooks_list"
        }
        ("GET", ["eventing", "getEventSubscriptions"]) | ("POST", ["eventing", "eventSubscribe"]) => {
            "Magento_AdobeCommerceEventsClient::event_subscribe"
        }
        ("POST", ["eventing", "eventUnsubscribe", _]) => "Magento_AdobeCommerceEventsClient::event_unsubscribe",
        _ => return None,
    })
}

/// The answer, cut to `fields` and in the language that `Accept` asks for.
pub(super) fn answer(shared: &Shared, request: &Request<'_>) -> Answer {
    if shared.is_in_maintenance() {
        return Answer::maintenance();
    }
    let accept = request.header(header::ACCEPT).unwrap_or("*/*");
    let wanted = super::accept::wanted(accept);
    if wanted == super::accept::Wanted::Page {
        return Answer::page_error();
    }
    let mut answer = routed(shared, request);
    let fields = request.pairs().into_iter().find(|(name, _)| name == "fields").map(|(_, value)| value);
    if let (Some(tree), Some(fields)) = (&answer.tree, fields.filter(|fields| !fields.is_empty())) {
        answer = Answer::ok(Fields::parse(&fields).cut(tree));
    }
    if wanted == super::accept::Wanted::Xml { super::accept::as_xml(&answer) } else { answer }
}

fn routed(shared: &Shared, request: &Request<'_>) -> Answer {
    if matches!(request.method, "PATCH" | "HEAD" | "OPTIONS") {
        return Answer::message(405, &format!("The {} HTTP method is not supported.", request.method));
    }
    let Some(rest) = request.path.strip_prefix("/rest/") else { return Answer::no_route() };
    let segments: Vec<String> = rest.trim_end_matches('/').split('/').map(decode).collect();
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let is_version = |text: &str| text.strip_prefix('V').is_some_and(|digits| digits.parse::<u8>().is_ok());
    let (version, route) = match &segments[..] {
        [version, route @ ..] if is_version(version) => (*version, route),
        [store, version, route @ ..] if shared.shop().stores.contains(*store) => (*version, route),
        _ => return Answer::message(400, "Specified request cannot be processed."),
    };
    let resource = if version == "V1" { resource(request.method, route) } else { None };
    let Some(resource) = resource else { return Answer::no_route() };
    if resource != "anonymous"
        && let Err(refused) = admit(shared, request, resource)
    {
        return refused;
    }
    let mut shop = shared.shop();
    match request.method {
        "GET" => read(shared, &mut shop, request, route),
        _ => writes::write(shared, &mut shop, request.headers, request.body, route),
    }
    .unwrap_or_else(|refused| refused)
}

/// Whether the caller may use `resource`.
fn admit(shared: &Shared, request: &Request<'_>, resource: &'static str) -> Result<(), Answer> {
    let header = request.header(header::AUTHORIZATION).unwrap_or_default();
    let (scheme, rest) = header.split_once(' ').unwrap_or((header, ""));
    let settings = &shared.settings;
    let mut shop = shared.shop();
    let is_known = if scheme.eq_ignore_ascii_case("oauth") {
        let offloaded = request.headers.get("x-forwarded-proto").is_some_and(|value| value.as_bytes() == b"https");
        let signed = Signed {
            method: request.method,
            scheme: if offloaded { "https" } else { "http" },
            host: request.header(header::HOST).unwrap_or_default(),
            path: request.path,
            query: request.query,
        };
        let now = settings.clock.now().as_second();
        oauth::verify(rest, &signed, &settings.credentials, &mut shop.nonces, now)?;
        true
    } else {
        let is_bearer = scheme.eq_ignore_ascii_case("bearer");
        is_bearer && (settings.bearer && rest == settings.credentials.token || shop.admin_tokens.contains(rest))
    };
    if is_known && !settings.denied.iter().any(|denied| denied == resource) {
        Ok(())
    } else {
        Err(oauth::unauthorized(resource))
    }
}

fn read(
    shared: &Shared,
    shop: &mut MutexGuard<'_, Shop>,
    request: &Request<'_>,
    route: &[&str],
) -> Result<Answer, Answer> {
    let search = |table| searched(shared, shop, request, table);
    let by_id = |table, text: &str| {
        let rows = shop.rows(table, shared.settings.clock.now());
        let id = whole_id(text)?.to_string();
        let key = table_key(table);
        let row = rows.into_iter().find(|row| row.get(key).and_then(Tree::as_text) == Some(&id));
        row.cloned().map(Answer::ok).ok_or_else(Answer::no_entity)
    };
    match route {
        ["orders"] => search(Table::Orders),
        ["orders", "items"] => {
            let rows = order_items(&shop.rows(Table::Orders, shared.settings.clock.now()));
            let criteria = Criteria::read(&request.pairs(), shared.settings.pages)?;
            let rows: Vec<&Tree> = rows.iter().collect();
            let known = |name: &str| rows.iter().any(|row| row.get(name).is_some());
            criteria.apply(&rows, &known, &scalar, &|_| Answer::masked()).map(without_missing_parents).map(Answer::ok)
        }
        ["orders", "items", id] => {
            let id = whole_id(id)?.to_string();
            let rows = order_items(&shop.rows(Table::Orders, shared.settings.clock.now()));
            let row = rows.into_iter().find(|row| row.get("item_id").and_then(Tree::as_text) == Some(&id));
            row.map(Answer::ok).ok_or_else(Answer::no_entity)
        }
        ["orders", id] => {
            let order = shop.visible_order(whole_id(id)?, shared.settings.clock.now());
            order.map(Answer::ok).ok_or_else(Answer::no_entity)
        }
        ["invoices"] => search(Table::Invoices),
        ["invoices", id] => by_id(Table::Invoices, id),
        ["shipments"] => search(Table::Shipments),
        ["shipment", id] => by_id(Table::Shipments, id),
        ["creditmemos"] => search(Table::CreditMemos),
        ["creditmemo", id] => by_id(Table::CreditMemos, id),
        ["products"] => search(Table::Products),
        ["products", sku] => product(shared, shop, sku).map(Answer::ok),
        ["products", "attributes", _] => document(shop, route),
        ["products" | "configurable-products" | "bundle-products", sku, what @ ..] => {
            let product = product(shared, shop, sku)?;
            if route[0] == "bundle-products" && product.get("type_id").and_then(Tree::as_text) != Some("bundle") {
                return Err(Answer::message(400, "This is implemented for bundle products only."));
            }
            let sku = product.get("sku").and_then(Tree::as_text).unwrap_or_default();
            let path = format!("{}/{sku}/{}", route[0], what.join("/"));
            Ok(Answer::ok(shop.document(&path).cloned().unwrap_or(Tree::List(Vec::new()))))
        }
        ["inventory", "source-items"] => search(Table::SourceItems),
        ["inventory", "sources"] => search(Table::Sources),
        ["inventory", "stocks"] => search(Table::Stocks),
        ["taxClasses", "search"] => search(Table::TaxClasses),
        ["taxRates", "search"] => search(Table::TaxRates),
        ["taxRules", "search"] => search(Table::TaxRules),
        ["webhooks", "list"] => Ok(Answer::ok(Tree::List(shop.webhooks.clone()))),
        ["eventing", "getEventSubscriptions"] => Ok(Answer::ok(Tree::List(shop.subscriptions.clone()))),
        _ => document(shop, route),
    }
}

fn document(shop: &Shop, route: &[&str]) -> Result<Answer, Answer> {
    shop.document(&route.join("/")).cloned().map(Answer::ok).ok_or_else(Answer::no_entity)
}

fn searched(shared: &Shared, shop: &Shop, request: &Request<'_>, table: Table) -> Result<Answer, Answer> {
    let criteria = Criteria::read(&request.pairs(), shared.settings.pages)?;
    let rows = shop.rows(table, shared.settings.clock.now());
    if table == Table::Products {
        let known = |name: &str| {
            ["entity_id", "sku", "updated_at", "created_at", "type_id"].contains(&name)
                || rows.iter().any(|row| attribute(row, name).is_some())
        };
        let unknown = |name: &str| {
            Answer::with(400, "The \"%1\" attribute name is invalid. Reset the name and try again.", &[name])
        };
        return criteria.apply(&rows, &known, &attribute, &unknown).map(Answer::ok);
    }
    let known = |name: &str| columns(table).contains(&name) || rows.iter().any(|row| scalar(row, name).is_some());
    criteria.apply(&rows, &known, &scalar, &|_| Answer::masked()).map(Answer::ok)
}

/// Columns that are there even when no row shows them.
fn columns(table: Table) -> &'static [&'static str] {
    match table {
        Table::Orders => &[
            "entity_id",
            "increment_id",
            "state",
            "status",
            "store_id",
            "created_at",
            "updated_at",
            "customer_email",
            "customer_id",
            "ext_order_id",
            "quote_id",
            "grand_total",
        ],
        Table::Shipments | Table::Invoices | Table::CreditMemos => {
            &["entity_id", "increment_id", "order_id", "store_id", "created_at", "updated_at"]
        }
        Table::Products => &[],
        Table::SourceItems => &["sku", "source_code", "quantity", "status"],
        Table::Sources => &["source_code", "name", "enabled"],
        Table::Stocks => &["stock_id", "name"],
        Table::TaxClasses => &["class_id", "class_name", "class_type"],
        Table::TaxRates | Table::TaxRules => &["code"],
    }
}

fn table_key(table: Table) -> &'static str {
    table.key()[0]
}

/// A member that can be a column: text or a number.
fn scalar(row: &Tree, name: &str) -> Option<String> {
    row.get(name).and_then(Tree::as_text).map(str::to_owned)
}

/// A product's member or custom attribute; its `id` is called `entity_id` in a search.
fn attribute(row: &Tree, name: &str) -> Option<String> {
    let own = scalar(row, if name == "entity_id" { "id" } else { name });
    let attributes = match row.get("custom_attributes") {
        Some(Tree::List(attributes)) => &attributes[..],
        _ => &[],
    };
    own.or_else(|| {
        let known = |item: &&Tree| item.get("attribute_code").and_then(Tree::as_text) == Some(name);
        attributes.iter().find(known).and_then(|item| scalar(item, "value"))
    })
}

/// A product by its SKU, whatever the letter case and trailing spaces.
fn product(shared: &Shared, shop: &Shop, sku: &str) -> Result<Tree, Answer> {
    let plain = |text: &str| text.trim_end().to_lowercase();
    let rows = shop.rows(Table::Products, shared.settings.clock.now());
    let is_wanted = |row: &Tree| scalar(row, "sku").is_some_and(|known| plain(&known) == plain(sku));
    rows.into_iter().find(|row| is_wanted(row)).cloned().ok_or_else(Answer::no_product)
}

/// A list shows the parent inside a child only where the list holds the parent as well.
fn without_missing_parents(mut found: Tree) -> Tree {
    let Some(Tree::List(mut items)) = found.get("items").cloned() else { return found };
    let ids: Vec<String> = items.iter().filter_map(|item| scalar(item, "item_id")).collect();
    for item in &mut items {
        let is_there = scalar(item, "parent_item_id").is_some_and(|parent| ids.contains(&parent));
        if let (false, Tree::Object(members)) = (is_there, item) {
            members.retain(|(name, _)| name != "parent_item");
        }
    }
    found.set("items", Tree::List(items));
    found
}

fn order_items(orders: &[&Tree]) -> Vec<Tree> {
    let lists = orders.iter().filter_map(|order| order.get("items"));
    let items = lists.flat_map(|items| match items {
        Tree::List(items) => items.clone(),
        _ => Vec::new(),
    });
    let mut items: Vec<Tree> = items.collect();
    items.sort_by_key(|item| scalar(item, "item_id").and_then(|id| id.parse::<u64>().ok()));
    items
}

/// A whole number as PHP takes it from a path: leading zeros and a fraction are dropped.
fn whole_id(text: &str) -> Result<u64, Answer> {
    let whole = text.split_once('.').map_or(text, |(whole, fraction)| {
        if fraction.bytes().all(|byte| byte.is_ascii_digit()) { whole } else { text }
    });
    if whole.is_empty() || !whole.bytes().all(|byte| byte.is_ascii_digit()) {
        let message =
            format!("The \"{text}\" value's type is invalid. The \"int\" type was expected. Verify and try again.");
        return Err(Answer::message(400, &message));
    }
    match whole.parse() {
        Ok(0) => Err(Answer::message(400, "An ID is needed. Set the ID and try again.")),
        Ok(id) => Ok(id),
        Err(_) => Err(Answer::no_entity()),
    }
}

/// A part of an address; a plus is a space.
fn decode(text: &str) -> String {
    percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned()
}
