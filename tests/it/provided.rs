//! API-4 over real sockets and in a real Chromium: people sign in by the button for their identity provider.

use std::sync::Arc;

use crossdock::clock::SystemClock;
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode};
use serde_json::json;

use crate::provider::{CLIENT_ID, CLIENT_SECRET, IdentityProvider};
use crate::support::browser::{Browser, LIGHT};
use crate::support::process::binary;
use crate::support::{Answer, TestApp};

async fn site() -> (TestApp, IdentityProvider) {
    let provider = IdentityProvider::start().await;
    provider.clock_is(Arc::new(SystemClock));
    provider.person(json!({ "sub": "anna-1", "preferred_username": "anna", "groups": ["repair"] }));
    let issuer = provider.issuer();
    let app = TestApp::with(|text| {
        format!(
            r#"{text}
[access.oidc]
name = "Contoso & Sons"
issuer = "{issuer}"
client_id = "{CLIENT_ID}"
client_secret = "{CLIENT_SECRET}"
roles = {{ claim = "groups", map = {{ repair = "operator" }} }}
"#
        )
    });
    (app.await, provider)
}

/// Another site's page leads back to us, and the browser lets the session's cookie through all the same.
#[tokio::test(flavor = "multi_thread")]
async fn api_4_a_person_signs_in_by_the_button_and_lands_where_she_wanted() {
    let (app, provider) = site().await;
    let base = app.url("").trim_end_matches('/').to_owned();
    let Some(mut browser) = Browser::open_beside(&base, &provider.issuer(), LIGHT) else { return app.stop().await };
    browser.goes("/console/deliveries");
    assert!(browser.is_at().starts_with("/console/sign-in?next="));
    browser.looks_at("sign-in-provider");
    assert_eq!(browser.buttons("Sign in"), 1, "the form stays");
    browser.follows("Sign in with Contoso & Sons");
    browser.follows("Yes, it is me");
    browser.sees("None.");
    assert_eq!(browser.is_at(), "/console/deliveries");
    browser.goes("/console/account");
    assert!(browser.text().contains(&provider.issuer()));
    assert_eq!(browser.buttons("Change it"), 0, "there is no password to change");
    browser.looks_at("account-provider");
    browser.presses("Sign out");
    browser.sees("You are signed out.");
    browser.close();
    let listed = tokio::task::block_in_place(|| {
        binary().args(["user", "list", "--config"]).arg(app.site.config_path()).output().unwrap()
    });
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert!(listed.contains("anna") && listed.contains(&provider.issuer()), "{listed}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn api_4_the_providers_words_stand_on_no_page_and_lead_nowhere() {
    let (app, provider) = site().await;
    let client = Client::builder().redirect(Policy::none()).build().unwrap();
    let gets = async |path: &str, cookie: &str| {
        Answer::of(client.get(app.url(path)).header("cookie", cookie).send().await.unwrap()).await
    };
    let forged = "/console/sign-in/answer?state=x&error=%3Cscript%3E&error_description=%3Cscript%3E&code=a&code=b";
    let refused = gets(forged, "").await;
    assert_eq!(refused.status, 401);
    assert!(!refused.text.contains("<script>"), "{}", refused.text);
    assert!(refused.text.contains("was not begun in this browser"), "{}", refused.text);
    for next in ["https://evil.example", "//evil.example", "/console/../evil", "/console\\evil", "javascript:alert(1)"]
    {
        let path = format!("/console/sign-in/provider?next={}", crossdock::templates::segment(next));
        let begun = gets(&path, "").await;
        assert_eq!(begun.status, StatusCode::SEE_OTHER.as_u16(), "{}", begun.text);
        let cookie = begun.headers["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
        let (code, state) = provider.consents(begun.headers["location"].to_str().unwrap());
        let issuer = crossdock::templates::segment(&provider.issuer());
        let back = gets(&format!("/console/sign-in/answer?code={code}&state={state}&iss={issuer}"), &cookie).await;
        assert_eq!(back.status, 200, "{}", back.text);
        assert!(back.text.contains("content=\"0;url=&#x2f;console\"") && !back.text.contains("evil"), "{}", back.text);
        assert_eq!(back.headers["cache-control"], "no-store");
    }
    app.stop().await;
}
