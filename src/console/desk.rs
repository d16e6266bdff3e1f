//! One person's view of the service: the API's own routes, asked in process with that person's own credential.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use axum::body::Body;
use axum::extract::{ConnectInfo, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use bytes::Bytes;
use serde_json::Value;
use tower::ServiceExt as _;

use super::live;
use super::views::{self, Page};
use super::{Console, PREFIX, pages};
use crate::access::session::WATCHING;
use crate::api;
pub use crate::templates::segment;

/// Largest answer of the API that a page is made of.
const ANSWER_BYTES_MAX: usize = 32 * 1024 * 1024;
/// What of a request proves who sends it, and from where.
const CREDENTIALS: [HeaderName; 7] = [
    HeaderName::from_static("x-forwarded-for"),
    header::COOKIE,
    header::AUTHORIZATION,
    header::ORIGIN,
    header::HOST,
    HeaderName::from_static("sec-fetch-site"),
    WATCHING,
];

/// One person at the console.
pub struct Desk {
    console: Console,
    credentials: HeaderMap,
    peer: Option<ConnectInfo<SocketAddr>>,
    /// Who it is, as the API tells: `name`, `role`, `permissions`, `csrf_token`.
    pub who: Value,
    /// Where this page is, to come back to.
    pub here: String,
}

/// The API refused, or could not.
#[derive(Debug)]
pub struct Refused {
    /// Its status.
    pub status: StatusCode,
    /// Its problem document.
    pub problem: Value,
    /// For whom the page about it is made.
    pub who: Value,
}

/// An answer of the API.
pub struct Answered {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

/// A call of the API.
#[derive(Default)]
pub struct Call {
    /// Below `/api/v1`.
    pub path: String,
    /// What is sent, and as what.
    pub body: Option<(&'static str, Vec<u8>)>,
    /// Further headers.
    pub headers: Vec<(HeaderName, String)>,
}

impl Desk {
    /// Who may ask nothing yet.
    pub fn at(console: Console, headers: &HeaderMap, peer: Option<ConnectInfo<SocketAddr>>, here: String) -> Self {
        let credentials = CREDENTIALS.into_iter().flat_map(|name| {
            let values = headers.get_all(&name).iter().cloned();
            values.map(move |value| (name.clone(), value))
        });
        let credentials = credentials.collect();
        Desk { console, credentials, peer, who: Value::Null, here }
    }

    /// What is behind the console.
    pub fn console(&self) -> &Console {
        &self.console
    }

    /// What the API answers to `GET`, as JSON.
    ///
    /// # Errors
    /// [`Refused`] with the problem that it answered.
    pub async fn get(&self, path: &str) -> Result<Value, Refused> {
        let answered = self.call(Method::GET, Call { path: path.to_owned(), ..Call::default() }).await;
        self.json(&answered)
    }

    /// The same; nothing where that is not to be had: no such thing, not for this role, or not of this kind.
    ///
    /// # Errors
    /// Any other refusal.
    pub async fn get_if(&self, path: &str) -> Result<Option<Value>, Refused> {
        match self.get(path).await {
            Err(Refused { status: StatusCode::NOT_FOUND | StatusCode::FORBIDDEN | StatusCode::CONFLICT, .. }) => {
                Ok(None)
            }
            found => found.map(Some),
        }
    }

    /// An answer as JSON.
    ///
    /// # Errors
    /// [`Refused`] where it is a problem.
    pub fn json(&self, answered: &Answered) -> Result<Value, Refused> {
        let body = serde_json::from_slice(&answered.body).unwrap_or(Value::Null);
        if answered.status.is_success() {
            return Ok(body);
        }
        Err(Refused { status: answered.status, problem: body, who: self.who.clone() })
    }

    /// Calls the API.
    pub async fn call(&self, method: Method, call: Call) -> Answered {
        let (kind, body) = call.body.map_or((None, Vec::new()), |(kind, body)| (Some(kind), body));
        let mut request = Request::new(Body::from(body));
        *request.method_mut() = method;
        *request.uri_mut() = match format!("{}{}", api::PREFIX, call.path).parse() {
            Ok(uri) => uri,
            Err(_) => {
                return Answered { status: StatusCode::BAD_REQUEST, headers: HeaderMap::new(), body: Bytes::new() };
            }
        };
        *request.headers_mut() = self.credentials.clone();
        let headers = request.headers_mut();
        if let Some(kind) = kind {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        }
        for (name, value) in call.headers {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(name, value);
            }
        }
        if let Some(peer) = &self.peer {
            request.extensions_mut().insert(*peer);
        }
        let response = match self.console.routes.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
        let (parts, body) = response.into_parts();
        match axum::body::to_bytes(body, ANSWER_BYTES_MAX).await {
            Ok(body) => Answered { status: parts.status, headers: parts.headers, body },
            // Half an answer, or none, must not read as "there is nothing".
            Err(_) => too_much(),
        }
    }

    /// The same desk for whoever has just signed in: with the cookies that they were answered with.
    #[must_use]
    pub fn renewed(mut self, answered: &Answered) -> Self {
        let pairs = answered.headers.get_all(header::SET_COOKIE).iter().filter_map(|cookie| cookie.to_str().ok());
        let pairs: Vec<&str> = pairs.filter_map(|cookie| cookie.split(';').next()).collect();
        if let Ok(cookies) = HeaderValue::from_str(&pairs.join("; ")) {
            self.credentials.insert(header::COOKIE, cookies);
        }
        self
    }

    /// The page that this person begins with.
    pub async fn begins(&self) -> String {
        let views = self.get("/views").await.unwrap_or_default();
        let start = views["items"].as_array().into_iter().flatten().find(|view| view["start"] == true);
        start.map_or_else(|| PREFIX.to_owned(), pages::saved::address)
    }

    /// A page for this person.
    pub fn page(&self, template: &'static str, context: Value) -> Page {
        let mut context = match context {
            Value::Object(context) => context,
            _ => serde_json::Map::new(),
        };
        context.insert("here".to_owned(), self.here.clone().into());
        context.insert("now".to_owned(), self.console.api.clock.now().to_string().into());
        Page::new(template, &self.who, context)
    }
}

fn too_much() -> Answered {
    let problem = serde_json::json!({
        "title": "There is too much to show",
        "detail": "The answer is larger than a page can hold. Narrow it down, or ask the API.",
    });
    let body = Bytes::from(problem.to_string());
    Answered { status: StatusCode::BAD_GATEWAY, headers: HeaderMap::new(), body }
}

impl FromRequestParts<Console> for Desk {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, console: &Console) -> Result<Self, Response> {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().copied();
        let uri = parts.extensions.get::<axum::extract::OriginalUri>().map_or(&parts.uri, |original| &original.0);
        let here = uri.path_and_query().map_or_else(|| PREFIX.to_owned(), ToString::to_string);
        let mut desk = Desk::at(console.clone(), &parts.headers, peer, here);
        if uri.path() == live::PATH {
            // A browser says nothing of its own with a stream.
            desk.credentials.insert(WATCHING, HeaderValue::from_static("1"));
        }
        match desk.get("/whoami").await {
            Ok(who) => {
                desk.who = who;
                Ok(desk)
            }
            Err(Refused { status: StatusCode::UNAUTHORIZED, .. }) if parts.method == Method::GET => {
                let next = segment(&desk.here);
                Err(Redirect::to(&format!("{PREFIX}/sign-in?next={next}")).into_response())
            }
            Err(Refused { status: StatusCode::UNAUTHORIZED, .. }) => {
                Err(Redirect::to(&format!("{PREFIX}/sign-in?ended=1")).into_response())
            }
            Err(refused) => Err(refused.into_response()),
        }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        views::refused(self.status, &self.problem, &self.who)
    }
}

/// A query of what is there.
pub fn query(members: &[(&str, Option<&str>)]) -> String {
    let members = members.iter().filter_map(|(name, value)| Some((*name, value.filter(|value| !value.is_empty())?)));
    let all: Vec<String> = members.map(|(name, value)| format!("{name}={}", segment(value))).collect();
    if all.is_empty() { String::new() } else { format!("?{}", all.join("&")) }
}

/// A form's fields, or a query's members; the last of a name counts.
pub type Fields = BTreeMap<String, String>;
