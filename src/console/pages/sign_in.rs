//! Signing in and out.

use axum::Form;
use axum::extract::{ConnectInfo, OriginalUri, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use serde_json::{Map, Value, json};
use std::net::SocketAddr;

use super::{Asked, asked, member};
use crate::console::acts::{field, is_ours, told};
use crate::console::desk::{Answered, Call, Desk, Fields, Refused};
use crate::console::views::Page;
use crate::console::{Console, PREFIX};

/// `GET /console/sign-in`
pub async fn form(asked_for: Asked) -> Response {
    let fields = asked(asked_for);
    shown(&fields, member(&fields, "next"), None, StatusCode::OK)
}

/// `POST /console/sign-in`
pub async fn sign_in(
    State(console): State<Console>,
    peer: Option<axum::Extension<ConnectInfo<SocketAddr>>>,
    OriginalUri(_): OriginalUri,
    headers: HeaderMap,
    Form(fields): Form<Fields>,
) -> Response {
    let desk = Desk::at(console, &headers, peer.map(|axum::Extension(peer)| peer), PREFIX.to_owned());
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
    shown(&fields, field(&fields, "next"), Some(&problem), answered.status)
}

/// `POST /console/sign-out`
pub async fn sign_out(desk: Desk, Form(fields): Form<Fields>) -> Result<Response, Refused> {
    let call = Call { path: "/session".to_owned(), headers: told(&fields), ..Call::default() };
    let answered = desk.call(Method::DELETE, call).await;
    // Who is still signed in is not told otherwise.
    desk.json(&answered)?;
    Ok(with_cookies(Redirect::to(&format!("{PREFIX}/sign-in?out=1")).into_response(), &answered))
}

fn shown(fields: &Fields, next: Option<&str>, problem: Option<&Value>, status: StatusCode) -> Response {
    let mut context = Map::new();
    context.insert("title".to_owned(), "Sign in".into());
    context.insert("next".to_owned(), next.filter(|next| is_ours(next)).unwrap_or_default().into());
    context.insert("name".to_owned(), field(fields, "name").unwrap_or_default().into());
    context.insert("asked".to_owned(), json!(fields.keys().collect::<Vec<_>>()));
    context.insert("problem".to_owned(), problem.cloned().unwrap_or(Value::Null));
    Page::new("sign-in.html", &Value::Null, context).with_status(status).into_response()
}

/// The API's own cookies, handed on.
fn with_cookies(mut response: Response, answered: &Answered) -> Response {
    for cookie in answered.headers.get_all(header::SET_COOKIE) {
        response.headers_mut().append(header::SET_COOKIE, HeaderValue::clone(cookie));
    }
    response
}
