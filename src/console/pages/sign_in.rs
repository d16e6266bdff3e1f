//! Signing in and out.

use axum::Form;
use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use serde_json::{Map, Value, json};
use std::convert::Infallible;
use std::net::SocketAddr;

use super::{Asked, asked, member};
use crate::console::acts::{field, is_ours, told};
use crate::console::desk::{Answered, Call, Desk, Fields, Refused};
use crate::console::views::Page;
use crate::console::{Console, PREFIX};

/// `GET /console/sign-in`
pub async fn form(stranger: Stranger, asked_for: Asked) -> Response {
    let fields = asked(asked_for);
    shown(&stranger.0, &fields, member(&fields, "next"), None, StatusCode::OK).await
}

/// `GET /console/sign-in/provider`: off to the identity provider. A link and no form, since a form may lead nowhere but
/// to ourselves.
pub async fn provider(stranger: Stranger, asked_for: Asked) -> Response {
    let fields = asked(asked_for);
    let next = member(&fields, "next").filter(|next| is_ours(next));
    let answered = ask(&stranger.0, "/session/provider", &json!({ "next": next.unwrap_or_default() })).await;
    let body: Value = serde_json::from_slice(&answered.body).unwrap_or(Value::Null);
    match body["location"].as_str().filter(|_| answered.status.is_success()) {
        Some(location) => with_cookies(Redirect::to(location).into_response(), &answered),
        None => shown(&stranger.0, &Fields::new(), next, Some(&body), answered.status).await,
    }
}

/// `GET /console/sign-in/answer`: back from the identity provider. A page of our own leads on: where another site's page
/// led here, the browser would keep the session's cookie to itself.
pub async fn answer(stranger: Stranger, asked_for: Asked) -> Response {
    let fields = asked(asked_for);
    let mut told = Map::new();
    told.insert("state".to_owned(), member(&fields, "state").unwrap_or_default().into());
    for name in ["code", "iss", "error"] {
        if let Some(value) = member(&fields, name) {
            told.insert(name.to_owned(), value.into());
        }
    }
    let answered = ask(&stranger.0, "/session/provider/answer", &Value::Object(told)).await;
    let body: Value = serde_json::from_slice(&answered.body).unwrap_or(Value::Null);
    if !answered.status.is_success() {
        return shown(&stranger.0, &Fields::new(), None, Some(&body), answered.status).await;
    }
    let mut context = Map::new();
    let next = body["next"].as_str().filter(|next| is_ours(next)).unwrap_or(PREFIX);
    context.insert("next".to_owned(), next.into());
    context.insert("name".to_owned(), body["session"]["user"]["name"].clone());
    with_cookies(Page::new("signed-in.html", &Value::Null, context).into_response(), &answered)
}

/// `POST /console/sign-in`
pub async fn sign_in(Stranger(desk): Stranger, Form(fields): Form<Fields>) -> Response {
    let text = |name: &str| fields.get(name).cloned().unwrap_or_default();
    let mut body = json!({ "name": text("name").trim(), "password": text("password") });
    if let Some(code) = field(&fields, "code") {
        body["code"] = code.into();
    }
    let call = Call {
        path: "/session".to_owned(),
        body: Some(("application/json", body.to_string().into_bytes())),
        headers: told(&fields),
    };
    let answered = desk.call(Method::POST, call).await;
    if answered.status.is_success() {
        // Whoever wants no page in particular begins where they said.
        let next = match field(&fields, "next").filter(|next| is_ours(next) && *next != PREFIX) {
            Some(next) => next.to_owned(),
            None => desk.renewed(&answered).begins().await,
        };
        return with_cookies(Redirect::to(&next).into_response(), &answered);
    }
    let problem: Value = serde_json::from_slice(&answered.body).unwrap_or(Value::Null);
    shown(&desk, &fields, field(&fields, "next"), Some(&problem), answered.status).await
}

/// `POST /console/sign-out`
pub async fn sign_out(desk: Desk, Form(fields): Form<Fields>) -> Result<Response, Refused> {
    let call = Call { path: "/session".to_owned(), headers: told(&fields), ..Call::default() };
    let answered = desk.call(Method::DELETE, call).await;
    // Who is still signed in is not told otherwise.
    desk.json(&answered)?;
    Ok(with_cookies(Redirect::to(&format!("{PREFIX}/sign-in?out=1")).into_response(), &answered))
}

/// Asks the API something in JSON.
async fn ask(desk: &Desk, path: &str, body: &Value) -> Answered {
    let body = Some(("application/json", body.to_string().into_bytes()));
    desk.call(Method::POST, Call { path: path.to_owned(), body, ..Call::default() }).await
}

async fn shown(
    desk: &Desk,
    fields: &Fields,
    next: Option<&str>,
    problem: Option<&Value>,
    status: StatusCode,
) -> Response {
    let ways = desk.get("/session/provider").await.unwrap_or_else(|_| json!({ "passwords": true }));
    let mut context = Map::new();
    context.insert("title".to_owned(), "Sign in".into());
    context.insert("next".to_owned(), next.filter(|next| is_ours(next)).unwrap_or_default().into());
    context.insert("name".to_owned(), field(fields, "name").unwrap_or_default().into());
    context.insert("asked".to_owned(), json!(fields.keys().collect::<Vec<_>>()));
    context.insert("problem".to_owned(), problem.cloned().unwrap_or(Value::Null));
    context.insert("ways".to_owned(), ways);
    Page::new("sign-in.html", &Value::Null, context).with_status(status).into_response()
}

/// Whoever has not said yet who they are.
pub struct Stranger(Desk);

impl FromRequestParts<Console> for Stranger {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, console: &Console) -> Result<Self, Infallible> {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().copied();
        Ok(Stranger(Desk::at(console.clone(), &parts.headers, peer, PREFIX.to_owned())))
    }
}

/// The API's own cookies, handed on.
fn with_cookies(mut response: Response, answered: &Answered) -> Response {
    for cookie in answered.headers.get_all(header::SET_COOKIE) {
        response.headers_mut().append(header::SET_COOKIE, HeaderValue::clone(cookie));
    }
    response
}
