//! The few writes that are needed before anything flows back: subscriptions, source items, an admin token.

use data_encoding::BASE64URL_NOPAD;
use http::{HeaderMap, header};

use super::Shared;
use super::answer::Answer;
use super::shop::{Shop, Table};
use super::tree::Tree;

pub(super) fn write(
    shared: &Shared,
    shop: &mut Shop,
    headers: &HeaderMap,
    body: &[u8],
    route: &[&str],
) -> Result<Answer, Answer> {
    let body = decoded(headers, body)?;
    match route {
        ["integration", "admin", "token"] => admin_token(shared, shop, &body),
        ["inventory", "source-items"] => source_items(shop, &body),
        ["webhooks", "subscribe"] => subscribe(&mut shop.webhooks, &body, "webhook", &HOOK_NAMES),
        ["webhooks", "unsubscribe"] => unsubscribe(&mut shop.webhooks, &body),
        ["eventing", "eventSubscribe"] => subscribe(&mut shop.subscriptions, &body, "event", &["name"]),
        ["eventing", "eventUnsubscribe", name] => {
            shop.subscriptions.retain(|known| known.get("name").and_then(Tree::as_text) != Some(name));
            Ok(Answer::ok(Tree::Bool(true)))
        }
        _ => Err(Answer::no_route()),
    }
}

/// What identifies a hook.
const HOOK_NAMES: [&str; 4] = ["webhook_method", "webhook_type", "batch_name", "hook_name"];

/// The body as JSON; an empty one, `null` and an empty list count as an object without members.
fn decoded(headers: &HeaderMap, body: &[u8]) -> Result<Tree, Answer> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (kind, parameters) = kind.split_once(';').unwrap_or((kind, ""));
    if kind.is_empty() {
        return Err(Answer::message(400, "Content-Type header is empty."));
    }
    if !kind.trim().eq_ignore_ascii_case("application/json") {
        let message = format!("Server cannot understand Content-Type HTTP header media type {}", kind.trim());
        return Err(Answer::message(400, &message));
    }
    let charset = parameters.trim().strip_prefix("charset=");
    if charset.is_some_and(|charset| !charset.eq_ignore_ascii_case("utf-8")) {
        return Err(Answer::message(400, "UTF-8 is the only supported charset."));
    }
    if body.is_empty() {
        return Ok(Tree::Null);
    }
    Tree::parse(body).map_err(|_| Answer::message(400, "Decoding error."))
}

fn admin_token(shared: &Shared, shop: &mut Shop, body: &Tree) -> Result<Answer, Answer> {
    let text = |name: &str| body.get(name).and_then(Tree::as_text).ok_or_else(|| Answer::required(name));
    let (user, password) = &shared.settings.admin;
    if text("username")? != user || text("password")? != password {
        let message = "The account sign-in was incorrect or your account is disabled temporarily. Please wait and try \
                       again later.";
        return Err(Answer::message(401, message));
    }
    let now = shared.settings.clock.now().as_second();
    let part = |text: &str| BASE64URL_NOPAD.encode(text.as_bytes());
    let claims = format!("{{\"uid\":1,\"utypid\":2,\"iat\":{now},\"exp\":{}}}", now + 3600);
    let token = format!("{}.{}.{}", part("{\"alg\":\"HS256\"}"), part(&claims), part(&shared.random_hex()));
    shop.admin_tokens.insert(token.clone());
    Ok(Answer::ok(Tree::Text(token)))
}

/// Absolute upsert by SKU and source; both spellings of every member.
fn source_items(shop: &mut Shop, body: &Tree) -> Result<Answer, Answer> {
    let items = body.get("sourceItems").or_else(|| body.get("source_items"));
    let Some(Tree::List(items)) = items else { return Err(Answer::required("sourceItems")) };
    if items.is_empty() {
        return Err(Answer::message(400, "Input data is empty"));
    }
    for item in items {
        let member =
            |snake: &str, camel: &str| item.get(snake).or_else(|| item.get(camel)).cloned().unwrap_or(Tree::Null);
        let row = Tree::object([
            ("sku", member("sku", "sku")),
            ("source_code", member("source_code", "sourceCode")),
            ("quantity", member("quantity", "quantity")),
            ("status", member("status", "status")),
        ]);
        shop.put(Table::SourceItems, &row);
    }
    Ok(Answer::ok(Tree::List(Vec::new())))
}

fn subscribe(known: &mut Vec<Tree>, body: &Tree, name: &'static str, keys: &[&str]) -> Result<Answer, Answer> {
    let wanted = body.get(name).ok_or_else(|| Answer::required(name))?;
    let is_same = |known: &Tree| keys.iter().all(|key| known.get(key) == wanted.get(key));
    match known.iter_mut().find(|known| is_same(known)) {
        Some(known) => *known = wanted.clone(),
        None => known.push(wanted.clone()),
    }
    Ok(Answer::ok(Tree::Bool(true)))
}

fn unsubscribe(known: &mut Vec<Tree>, body: &Tree) -> Result<Answer, Answer> {
    let wanted = body.get("webhook").ok_or_else(|| Answer::required("webhook"))?;
    known.retain(|known| HOOK_NAMES.iter().any(|key| known.get(key) != wanted.get(key)));
    Ok(Answer::ok(Tree::Bool(true)))
}
