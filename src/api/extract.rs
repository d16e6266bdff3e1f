//! Extractors whose refusals are our problems, and the one that lets callers in.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::error::{ApiError, Kind, ProblemLine};
use super::state::Api;
use crate::access::roles::{Needs, Operator, Permission};
use crate::json;
use crate::store::books::Ticket;

/// The address of whoever sends a request.
pub fn address(parts: &Parts, api: &Api) -> String {
    let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip());
    api.access.address(&parts.headers, peer)
}

impl<P: Permission> FromRequestParts<Api> for Operator<P> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        let caller = api.access.caller(&parts.method, &parts.headers).await?;
        let operator = Operator::admit(caller).ok_or_else(|| ApiError::forbidden(Needs::of::<P>()))?;
        Ok(operator.calling(address(parts, api), parts.extensions.get::<Ticket>().cloned()))
    }
}

/// A path parameter: an id of ours, or any text.
#[derive(Debug)]
pub struct FromPath<T>(pub T);

impl<T: std::str::FromStr<Err: std::fmt::Display> + Send> FromRequestParts<Api> for FromPath<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        let Path(text) = Path::<String>::from_request_parts(parts, api)
            .await
            .map_err(|_| ApiError::bad_request("the path is not UTF-8 after percent-decoding"))?;
        text.parse().map(FromPath).map_err(|error: T::Err| ApiError::bad_request(error.to_string()))
    }
}

/// Query parameters; an unknown or malformed one is a 400 that names it.
#[derive(Debug)]
pub struct FromQuery<T>(pub T);

impl<T: DeserializeOwned> FromRequestParts<Api> for FromQuery<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        Query::from_request_parts(parts, api).await.map(|Query(query)| FromQuery(query)).map_err(|rejection| {
            let text = rejection.body_text();
            let text = text.rsplit_once("query string: ").map_or(text.as_str(), |(_, why)| why);
            ApiError::bad_request(format!("query: {text}"))
        })
    }
}

/// A JSON body read into `T`; findings name the path.
#[derive(Debug)]
pub struct FromJson<T>(pub T);

impl<T: DeserializeOwned> FromRequest<Api> for FromJson<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, api: &Api) -> Result<Self, ApiError> {
        let kind = content_type(request.headers());
        if !kind.is_empty() && !is_json(&kind) {
            return Err(ApiError::new(Kind::UnsupportedMediaType, "send application/json"));
        }
        let body = body(request, api).await?;
        read_json(&body).map(FromJson)
    }
}

/// The whole body, within the limit of the route.
pub async fn body(request: Request, api: &Api) -> Result<Bytes, ApiError> {
    Bytes::from_request(request, api).await.map_err(|rejection| {
        if rejection.status() == http::StatusCode::PAYLOAD_TOO_LARGE {
            ApiError::new(Kind::TooLarge, "the body exceeds the limit")
        } else {
            ApiError::bad_request("the body did not arrive whole")
        }
    })
}

/// Media type without parameters, in lower case; empty when there is none.
pub fn content_type(headers: &HeaderMap) -> String {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Whether a media type is JSON.
pub fn is_json(kind: &str) -> bool {
    kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
}

/// Reads a body; what is not JSON is a 400, JSON of another form a 422, both with the place.
pub fn read_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| refuse_json(&error))?;
    reader.end().map_err(|error| syntax(&error))?;
    Ok(value)
}

fn refuse_json(error: &serde_path_to_error::Error<serde_json::Error>) -> ApiError {
    let inner = error.inner();
    if !inner.is_data() {
        return syntax(inner);
    }
    let path = json::pointer_of(error.path());
    ApiError::unprocessable(
        "the JSON does not have the form that is needed here",
        vec![ProblemLine::new(path, json::without_values(&inner.to_string()))],
    )
}

fn syntax(error: &serde_json::Error) -> ApiError {
    if error.is_eof() && error.line() <= 1 && error.column() == 0 {
        return ApiError::bad_request("a JSON body is needed");
    }
    let place = format!("line {}, column {}", error.line(), error.column());
    let finding = ProblemLine::new(place.clone(), "not valid JSON from here on");
    ApiError::bad_request(format!("the body is not valid JSON at {place}")).with_problems(vec![finding])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Item {
        #[allow(dead_code)]
        key: String,
    }

    fn finding(text: &str) -> String {
        format!("{:?}", read_json::<Vec<Item>>(text.as_bytes()).unwrap_err())
    }

    #[test]
    fn ans_1_findings_name_the_place_and_never_the_value() {
        let seen = finding(r#"[{"key":"a"},{"key":4711}]"#);
        assert!(seen.contains("/1/key") && seen.contains("expected a string") && !seen.contains("4711"), "{seen}");
        assert!(finding("[{}]").contains("missing field \\\"key\\\""), "{}", finding("[{}]"));
        assert!(finding("[{").contains("BadRequest"));
        assert!(finding("[] x").contains("BadRequest"));
        assert!(finding("").contains("a JSON body is needed"));
    }
}
