//! The operator console over real sockets, and in a real Chromium: what each person sees, may do, and never sees.

use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

use crate::support::browser::{Browser, DARK, LIGHT, Look, PHONE, WIDE};
use crate::support::process::user;
use crate::support::{Answer, TestApp, orders};

const PASSWORD: &str = "otter mills fourteen";
const TABLE: &str = "key,value,destination\n24-WG085,ITEM-1,\n";

/// Every page that needs no id.
const PAGES: [&str; 19] = [
    "/console",
    "/console/search?q=000000001",
    "/console/orders",
    "/console/exceptions",
    "/console/exceptions/list",
    "/console/deliveries",
    "/console/destinations",
    "/console/destinations/erp",
    "/console/incidents",
    "/console/alerts",
    "/console/bulk",
    "/console/bulk/new",
    "/console/bulk/new?what=resend",
    "/console/origins",
    "/console/mappings",
    "/console/mappings/skus",
    "/console/audit",
    "/console/settings",
    "/console/account",
];

/// A service with one delivered order and one that waits for its SKU, and Anna who may do everything.
async fn site() -> TestApp {
    let app = TestApp::start().await;
    app.maps("skus", TABLE).await;
    app.commerce_sends(orders::observed("000000001", "24-WG085", 2)).await;
    app.commerce_sends(orders::observed("000000002", "NEW-SKU", 1)).await;
    app.order_is("000000001", "delivered").await;
    app.order_is("000000002", "parked").await;
    tokio::task::block_in_place(|| user(&app.site, "anna", "admin", PASSWORD));
    app
}

fn client() -> Client {
    Client::builder().redirect(Policy::none()).build().unwrap()
}

/// A page as a token's caller gets it.
async fn page(app: &TestApp, token: &str, path: &str) -> Answer {
    Answer::of(client().get(app.url(path)).bearer_auth(token).send().await.unwrap()).await
}

/// The pages of one order: itself, its exceptions, its deliveries, its documents.
async fn pages_of(app: &TestApp, number: &str) -> Vec<String> {
    let order = app.order(number).await;
    let ids = |name: &str, room: &str| -> Vec<String> {
        let all = order[name].as_array().into_iter().flatten();
        all.map(|one| format!("/console/{room}/{}", one["id"].as_str().unwrap())).collect()
    };
    let mut pages = vec![format!("/console/orders/{number}")];
    pages.extend(ids("events", "events"));
    pages.extend(ids("documents", "documents"));
    pages.extend(ids("deliveries", "deliveries"));
    pages.extend(ids("exceptions", "exceptions"));
    let groups = order["exceptions"].as_array().into_iter().flatten();
    pages.extend(groups.map(|one| format!("/console/exceptions/groups/{}", one["fingerprint"].as_str().unwrap())));
    pages
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_is_whole_guarded_and_names_no_buyer() {
    let app = site().await;
    let mut paths: Vec<String> = PAGES.iter().map(|path| (*path).to_owned()).collect();
    paths.extend(pages_of(&app, "000000001").await);
    paths.extend(pages_of(&app, "000000002").await);
    for path in &paths {
        let shown = page(&app, &app.token, path).await;
        assert_eq!(shown.status, 200, "{path}: {}", shown.text);
        assert!(shown.text.contains("<h1>") && shown.text.trim_end().ends_with("</html>"), "{path}");
        for hidden in ["anna@example.com", "Weiß", "1 High Street", "N1 9GU", "020 7946"] {
            assert!(!shown.text.contains(hidden), "{path} names the buyer: {hidden}");
        }
        let policy = shown.headers["content-security-policy"].to_str().unwrap();
        assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{path}");
        assert_eq!(shown.headers["cache-control"], "no-store", "{path}");
        let nobody = Answer::of(client().get(app.url(path)).send().await.unwrap()).await;
        assert_eq!(nobody.status, 303, "{path}: nobody is led to the door");
        assert!(nobody.headers["location"].to_str().unwrap().starts_with("/console/sign-in?next=%2Fconsole"), "{path}");
    }
    for path in ["/console/nowhere", "/console/orders/999999999", "/console/exceptions/exc_00000000000000000000000000"]
    {
        assert_eq!(page(&app, &app.token, path).await.status, 404, "{path}");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn api_4_who_may_only_read_sees_no_buttons_and_is_refused_behind_them() {
    let app = site().await;
    let viewer = tokio::task::block_in_place(|| crate::support::process::token(&app.site, "viewer"));
    for path in PAGES.iter().map(|path| (*path).to_owned()).chain(pages_of(&app, "000000002").await) {
        let shown = page(&app, &viewer, &path).await;
        if ["/console/audit", "/console/bulk/new"].contains(&path.as_str()) {
            assert_eq!(shown.status, 403);
            continue;
        }
        assert_eq!(shown.status, 200, "{path}: {}", shown.text);
        assert!(!shown.text.contains("action=\"/console/acts/"), "{path} offers an act to a reader");
    }
    let exception = app.exceptions_of("000000002").await.remove(0);
    let (id, group) = (exception["id"].as_str().unwrap(), exception["fingerprint"].as_str().unwrap());
    for (act, form) in [
        ("replay", format!("id={id}&key=a")),
        ("release-group", format!("fingerprint={group}&key=b")),
        ("release-destination", "name=erp&key=c".to_owned()),
        ("hold-destination", "name=erp&key=d&reason=x".to_owned()),
        ("check-origin", "name=flows&key=g".to_owned()),
        ("create-token", "name=x&role=admin&key=e".to_owned()),
        ("import-mappings", "table=skus&csv=key,value,destination&key=f".to_owned()),
    ] {
        let sent = client().post(app.url(&format!("/console/acts/{act}"))).bearer_auth(&viewer);
        let sent = sent.header("content-type", "application/x-www-form-urlencoded").body(form).send();
        assert_eq!(sent.await.unwrap().status(), StatusCode::FORBIDDEN, "{act}");
    }
    assert_eq!(app.sees("/api/v1/destinations").await["items"][0]["state"], "open");
    app.stop().await;
}

/// What a form of another site would send: with the cookie, without the session's own word.
#[tokio::test(flavor = "multi_thread")]
async fn api_4_a_form_of_another_site_does_nothing() {
    let app = site().await;
    let door = client().post(app.url("/console/sign-in")).header("content-type", "application/x-www-form-urlencoded");
    let own = app.url("").trim_end_matches('/').to_owned();
    let signed = door.header("origin", &own).body(format!("name=anna&password={}", PASSWORD.replace(' ', "+")));
    let signed = signed.send().await.unwrap();
    assert_eq!(signed.status(), StatusCode::SEE_OTHER);
    assert_eq!(signed.headers()["location"], "/console");
    let cookie = signed.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    let form = |origin: &str, body: &'static str| {
        let sent = client().post(app.url("/console/acts/hold-destination")).header("cookie", &cookie);
        sent.header("origin", origin).header("content-type", "application/x-www-form-urlencoded").body(body).send()
    };
    let body = "name=erp&reason=stocktaking&key=one";
    for origin in ["https://evil.example", own.as_str()] {
        assert_eq!(form(origin, body).await.unwrap().status(), StatusCode::FORBIDDEN, "{origin}: without its word");
    }
    assert_eq!(app.sees("/api/v1/destinations").await["items"][0]["state"], "open");
    app.stop().await;
}

/// Script, markup, formulas, letters that turn round or have no width, and far too much of them, in every text of an order.
#[tokio::test(flavor = "multi_thread")]
async fn what_buyers_write_is_text_on_every_page() {
    let app = TestApp::start().await;
    let nasty =
        "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{ 7*7 }}{% include 'x' %}=1+1\u{202e}\u{200b}";
    let long = "W".repeat(100_000);
    let mut order = orders::rest("000000007", "24-WG085", 1);
    for place in ["/items/0/name", "/shipping_description", "/billing_address/firstname", "/payment/method"] {
        *order.pointer_mut(place).unwrap() = nasty.into();
    }
    order["items"][0]["name"] = format!("{nasty}{long}").into();
    let sent = json!({ "subject": [], "eventName": "sales_order_save_commit_after", "data": { "order": order } });
    app.commerce_sends(sent.to_string()).await;
    let mut parked = orders::rest("000000008", nasty, 1);
    parked["items"][0]["name"] = nasty.into();
    app.maps("skus", TABLE).await;
    let sent = json!({ "subject": [], "eventName": "sales_order_save_commit_after", "data": { "order": parked } });
    app.commerce_sends(sent.to_string()).await;
    app.order_is("000000008", "parked").await;
    let mut paths: Vec<String> = PAGES.iter().map(|path| (*path).to_owned()).collect();
    paths.extend(pages_of(&app, "000000007").await);
    paths.extend(pages_of(&app, "000000008").await);
    paths.push(format!("/console/search?q={}", "%3Cscript%3Ealert(1)%3C%2Fscript%3E"));
    for path in &paths {
        let shown = page(&app, &app.token, path).await;
        assert_eq!(shown.status, 200, "{path}: {}", shown.text.chars().take(2_000).collect::<String>());
        for raw in ["<script>alert", "<img src=x", "'><img", "\u{202e}", "\u{200b}"] {
            assert!(!shown.text.contains(raw), "{path} has {raw:?}");
        }
        assert!(!shown.text.contains("49=1+1"), "{path}: it was taken for a template");
        assert!(shown.text.len() < 1_500_000, "{path} has {} bytes", shown.text.len());
    }
    tokio::task::block_in_place(|| user(&app.site, "anna", "admin", PASSWORD));
    if let Some(mut browser) = Browser::open(app.url("").trim_end_matches('/'), LIGHT) {
        browser.goes("/console/sign-in");
        browser.signs_in("anna", PASSWORD);
        for path in &paths {
            browser.goes(path);
            assert_eq!(browser.does(&json!({ "do": "wide" })), json!(false), "{path}: the layout holds");
        }
        browser.close();
    }
    app.stop().await;
}

async fn looked_at_as(look: Look) {
    let app = site().await;
    let Some(mut browser) = Browser::open(app.url("").trim_end_matches('/'), look) else { return app.stop().await };
    browser.goes("/console");
    browser.looks_at("sign-in");
    browser.signs_in("anna", PASSWORD);
    let mut paths: Vec<String> = PAGES.iter().map(|path| (*path).to_owned()).collect();
    paths.extend(pages_of(&app, "000000001").await);
    paths.extend(pages_of(&app, "000000002").await);
    for path in &paths {
        assert_eq!(browser.goes(path), 200, "{path}");
        let room = path.trim_start_matches("/console").trim_start_matches('/');
        let name: String = room.split(['/', '?']).take(2).collect::<Vec<_>>().join("-");
        let name = name.split("_0").next().unwrap_or_default().to_owned();
        browser.looks_at(if name.is_empty() { "overview" } else { &name });
    }
    browser.close();
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_browser_every_page_is_accessible_in_the_light() {
    looked_at_as(LIGHT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_browser_every_page_is_accessible_in_the_dark() {
    looked_at_as(DARK).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_browser_every_page_fits_a_phone() {
    looked_at_as(PHONE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_browser_every_page_fits_a_wall() {
    looked_at_as(WIDE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_browser_a_person_signs_in_is_told_what_is_wrong_and_comes_back_where_they_were() {
    let app = site().await;
    let Some(mut browser) = Browser::open(app.url("").trim_end_matches('/'), LIGHT) else { return app.stop().await };
    browser.goes("/console/orders/000000001");
    browser.sees("Sign in to see that page.");
    browser.signs_in("anna", "otter mills fifteen");
    browser.sees("the name, the password or the code is not right");
    assert_eq!(browser.is_at(), "/console/sign-in");
    browser.signs_in("anna", PASSWORD);
    assert_eq!(browser.is_at(), "/console/orders/000000001");
    browser.sees("Order 000000001 is in erp as");
    // The session ends while a form is open: nothing is done, and the person is told so.
    browser.goes("/console/destinations");
    browser.does(&json!({ "do": "forget" }));
    browser.fills("Why", "stocktaking");
    browser.presses("Hold");
    browser.sees("Your session has ended. What you sent was not done");
    assert_eq!(app.sees("/api/v1/destinations").await["items"][0]["state"], "open");
    browser.signs_in("anna", PASSWORD);
    browser.presses("Sign out");
    browser.sees("You are signed out.");
    browser.goes("/console");
    assert!(browser.is_at().starts_with("/console/sign-in"));
    browser.close();
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_browser_a_destination_is_held_and_sends_again() {
    let app = site().await;
    let Some(mut browser) = Browser::open(app.url("").trim_end_matches('/'), LIGHT) else { return app.stop().await };
    browser.goes("/console");
    browser.signs_in("anna", PASSWORD);
    browser.follows("Destinations");
    browser.fills("Why", "stocktaking until six");
    browser.presses("Hold");
    browser.sees("Now");
    app.destination_is("held").await;
    app.commerce_sends(orders::observed("000000003", "24-WG085", 1)).await;
    browser.goes("/console/destinations");
    browser.sees("held by anna: stocktaking until six");
    assert_eq!(browser.buttons("Hold"), 0);
    assert_eq!(app.order("000000003").await["state"], "due", "taken in, and waiting");
    browser.presses("Send again");
    app.order_is("000000003", "delivered").await;
    let last = app.sees("/api/v1/audit").await["items"][0].clone();
    assert_eq!((&last["actor"], &last["action"]), (&json!("user:anna"), &json!("destination.release")), "{last}");
    browser.close();
    app.stop().await;
}

/// One's own password and second factor, from the page; the code is what an app would show.
#[tokio::test(flavor = "multi_thread")]
async fn in_a_browser_a_person_changes_their_password_and_adds_a_second_factor() {
    let app = site().await;
    let Some(mut browser) = Browser::open(app.url("").trim_end_matches('/'), LIGHT) else { return app.stop().await };
    browser.goes("/console/account");
    browser.signs_in("anna", PASSWORD);
    browser.sees("Change your password");
    browser.fills("Password now", PASSWORD);
    browser.fills("New password, 12 characters or more", "heron weaves nineteen");
    browser.presses("Change it");
    browser.sees("Your password is changed");
    browser.goes("/console/account");
    browser.fills("Password", "heron weaves nineteen");
    browser.presses("Begin");
    browser.sees("Type it into your app");
    let text = browser.text();
    let secret = text.split("secret=").nth(1).unwrap().split(['&', '\n', ' ']).next().unwrap().to_owned();
    let secret = data_encoding::BASE32_NOPAD.decode(secret.as_bytes()).expect("base32");
    let seconds = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let code = crossdock::access::totp::code_at(&secret, i64::try_from(seconds / 30).unwrap());
    browser.fills("The code that the app shows now", &code);
    browser.presses("Confirm");
    browser.sees("A second factor is asked for from now on");
    browser.goes("/console/account");
    browser.sees("recovery codes left");
    browser.presses("Sign out everywhere");
    browser.sees("Signed out everywhere");
    browser.goes("/console");
    browser.signs_in("anna", "heron weaves nineteen");
    browser.sees("the name, the password or the code is not right");
    browser.close();
    app.stop().await;
}

/// The page is open, and within a second or two it shows what happened meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn in_a_browser_an_open_page_shows_what_happens() {
    let app = site().await;
    let Some(mut browser) = Browser::open(app.url("").trim_end_matches('/'), LIGHT) else { return app.stop().await };
    browser.goes("/console");
    browser.signs_in("anna", PASSWORD);
    browser.sees("000000001");
    app.commerce_sends(orders::observed("000000004", "24-WG085", 1)).await;
    browser.sees("000000004");
    // And by keys alone: to the box, and to the answer.
    browser.does(&json!({ "do": "key", "key": "/" }));
    assert_eq!(browser.does(&json!({ "do": "focused" })), json!("q"));
    browser.close();
    app.stop().await;
}

/// Forty-two orders with one unknown SKU: the row is added and all are released, from one page.
#[tokio::test(flavor = "multi_thread")]
async fn in_a_browser_an_unknown_sku_of_forty_two_orders_is_put_right_once() {
    let app = TestApp::start().await;
    app.maps("skus", TABLE).await;
    for number in 1..=42 {
        app.commerce_sends(orders::observed(&format!("{number:09}"), "24-WG086", 1)).await;
    }
    app.order_is("000000042", "parked").await;
    tokio::task::block_in_place(|| user(&app.site, "olga", "operator", PASSWORD));
    let Some(mut browser) = Browser::open(app.url("").trim_end_matches('/'), LIGHT) else { return app.stop().await };
    browser.goes("/console");
    browser.signs_in("olga", PASSWORD);
    browser.sees("42");
    browser.follows("Exceptions");
    browser.follows("unmapped sku");
    browser.sees("42 records wait");
    browser.fills("The destination wants", "ITEM-2");
    browser.presses("Show what would change");
    browser.sees("Nothing was changed.");
    assert_eq!(app.erp.counts().requests, 0);
    browser.follows("Back");
    browser.fills("The destination wants", "ITEM-2");
    browser.presses("Add it and release all");
    browser.sees("42 released");
    app.settled().await;
    for number in 1..=42 {
        app.order_is(&format!("{number:09}"), "delivered").await;
    }
    assert_eq!(app.erp.counts().requests, 42, "each once");
    browser.goes("/console/exceptions");
    browser.sees("Nothing waits for a person.");
    browser.close();
    app.stop().await;
}

/// From an empty store: the screen's own words say what to do.
#[tokio::test(flavor = "multi_thread")]
async fn in_a_browser_an_empty_service_says_what_comes_next() {
    let app = TestApp::start().await;
    tokio::task::block_in_place(|| user(&app.site, "anna", "admin", PASSWORD));
    let Some(mut browser) = Browser::open(app.url("").trim_end_matches('/'), PHONE) else { return app.stop().await };
    browser.goes("/console");
    browser.signs_in("anna", PASSWORD);
    browser.sees("Nothing has arrived yet");
    for path in PAGES {
        assert_eq!(browser.goes(path), 200, "{path}");
        assert!(browser.text().lines().count() > 1, "{path}: an empty page says so");
    }
    browser.close();
    app.stop().await;
}

/// What an act answers stands on the page; the secret of a token once.
#[tokio::test(flavor = "multi_thread")]
async fn a_form_that_is_sent_twice_acts_once() {
    let app = site().await;
    let form = "name=flows-two&role=viewer&expires_at=2099-01-01T10%3A00&key=one-key";
    let send = async || {
        let sent = client().post(app.url("/console/acts/create-token")).bearer_auth(&app.token);
        Answer::of(sent.header("content-type", "application/x-www-form-urlencoded").body(form).send().await.unwrap())
            .await
    };
    let (first, again) = (send().await, send().await);
    assert_eq!((first.status, again.status), (200, 200), "{}", again.text);
    assert!(first.text.contains("cdk_") && !again.text.contains("cdk_"), "the secret is shown once");
    let tokens = app.sees("/api/v1/tokens").await;
    let named = tokens["items"].as_array().unwrap().iter().filter(|token| token["name"] == "flows-two").count();
    assert_eq!((named, tokens["items"][0]["secret"].clone()), (1, Value::Null));
    assert!(tokens.to_string().contains("\"expires_at\":\"2099-01-01T10:00:00Z\""), "{tokens}");
    app.stop().await;
}

/// A warehouse that is spoken to by templates, beside the ERP.
async fn warehouse() -> TestApp {
    let app = TestApp::with(|text| {
        let url = text.split("url = \"").nth(3).unwrap_or_default().split('"').next().unwrap_or_default().to_owned();
        format!(
            "{text}\n[destinations.warehouse]\nprofile = \"pick-list\"\nurl = \"{url}\"\nkey_window = \"24h\"\n\
             auth = {{ type = \"none\" }}\nallow_private = [\"127.0.0.0/8\"]\n"
        )
    })
    .await;
    app.maps("skus", TABLE).await;
    app.commerce_sends(orders::observed("000000001", "24-WG085", 2)).await;
    app.order_is("000000001", "delivered").await;
    tokio::task::block_in_place(|| user(&app.site, "anna", "admin", PASSWORD));
    app
}

/// Without scripts a button shows what would be sent, by configured words and by others, and nothing leaves.
#[tokio::test(flavor = "multi_thread")]
async fn a_template_is_tried_on_an_order_and_nothing_is_sent() {
    let app = warehouse().await;
    let sent = app.erp.counts().requests;
    let tries = async |form: &[(&str, &str)]| {
        let form: Vec<String> =
            form.iter().map(|(name, value)| format!("{name}={}", crossdock::templates::segment(value))).collect();
        let sent = client().post(app.url("/console/destinations/warehouse")).bearer_auth(&app.token);
        let sent = sent.header("content-type", "application/x-www-form-urlencoded").body(form.join("&")).send();
        Answer::of(sent.await.unwrap()).await
    };
    let shown = tries(&[("order", "000000001")]).await;
    assert_eq!(shown.status, 200, "{}", shown.text);
    assert!(
        shown.text.contains("crossdock.pick_list.v1") && shown.text.contains("buyer's details are hidden"),
        "{}",
        shown.text
    );
    assert!(!shown.text.contains("anna@example.com") && !shown.text.contains("1 High Street"));
    let body = [("order", "000000001"), ("step", "create"), ("part", "body")];
    let other = tries(&[&body[..], &[("text", "{\r\n\"<b>\": \"{{ order.increment_id }}\"}")]].concat()).await;
    assert!(other.text.contains("&lt;b&gt;") && !other.text.contains("<b>&quot;"), "{}", other.text);
    let broken = tries(&[&body[..], &[("text", "{\r\n\r\n{% if %}}")]].concat()).await;
    assert!(broken.text.contains("create.body line 3"), "{}", broken.text);
    assert!(tries(&[("order", "999")]).await.text.contains("no order of that number"));
    assert_eq!(app.erp.counts().requests, sent);
    app.stop().await;
}

/// With the script the answer stands beside the words while they are typed.
#[tokio::test(flavor = "multi_thread")]
async fn in_a_browser_a_template_shows_what_it_would_send_while_it_is_typed() {
    let app = warehouse().await;
    let Some(mut browser) = Browser::open(app.url("").trim_end_matches('/'), LIGHT) else { return app.stop().await };
    browser.goes("/console/destinations/warehouse");
    browser.signs_in("anna", PASSWORD);
    browser.fills("Order number", "000000001");
    browser.presses("Preview");
    browser.sees("crossdock.pick_list.v1");
    browser.looks_at("destination-preview");
    browser.opens("What if create body said something else?");
    browser.fills("create body, in other words", "{\"mine\": \"typed {{ order.increment_id }}\"}");
    browser.sees("typed 000000001");
    browser.fills("create body, in other words", "{\n\n{{ nothing.there }}}");
    browser.sees("create.body line 3");
    browser.looks_at("destination-tried");
    browser.goes("/console/origins");
    browser.presses("Check now: flows");
    browser.sees("As far as can be told from here");
    browser.looks_at("origin-checked");
    browser.close();
    app.stop().await;
}
