//! The way to the provider: addresses that were checked (DAT-5), no redirect, answers of a bounded size in a bounded time.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use reqwest::{Client, RequestBuilder, Url, redirect, retry};

use crate::destinations::http::render;
use crate::destinations::private::{AddressGuard, CheckedResolver, Network};

/// For one question, from the first byte to the last. A person waits.
const PATIENCE: Duration = Duration::from_secs(10);

/// A document, a set of keys or a token is a few kilobytes.
const BODY_BYTES_MAX: usize = 256 * 1024;

/// An answer of the provider.
pub(super) struct Said {
    pub(super) status: u16,
    pub(super) body: Bytes,
}

/// Asks one provider.
pub(super) struct Asking {
    client: Client,
    guard: AddressGuard,
    plain: bool,
}

impl Asking {
    /// A provider whose issuer is on plain HTTP, on this very machine, publishes everything so.
    pub(super) fn new(issuer: &Url, allow_private: &[Network]) -> Result<Self, String> {
        let plain = issuer.scheme() == "http";
        let mut allowed = allow_private.to_vec();
        if plain {
            // The configuration lets plain http only to loopback, which needs no naming there.
            allowed.extend(["127.0.0.0/8", "::1/128"].iter().filter_map(|text| text.parse::<Network>().ok()));
        }
        let guard = AddressGuard::new(&allowed, plain);
        let mut builder = Client::builder()
            .http1_only()
            .no_proxy()
            .referer(false)
            .https_only(!plain)
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .dns_resolver(CheckedResolver::new(guard.clone()))
            .timeout(PATIENCE)
            .pool_max_idle_per_host(1);
        if plain {
            builder = builder.tls_certs_only([]);
        }
        let client = builder.build().map_err(|error| format!("no HTTP client can be made: {error}"))?;
        Ok(Asking { client, guard, plain })
    }

    /// An address that the provider names; a person's browser may be sent there as well.
    pub(super) fn address(&self, what: &str, text: &str) -> Result<Url, String> {
        let url = Url::parse(text).map_err(|_| format!("the provider's {what} is no address"))?;
        let known = url.scheme() == "https" || (self.plain && url.scheme() == "http");
        if !known || url.host_str().is_none_or(str::is_empty) {
            return Err(format!("the provider's {what} is not on https"));
        }
        if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
            return Err(format!("the provider's {what} holds a user or a fragment"));
        }
        Ok(url)
    }

    pub(super) async fn get(&self, url: &Url) -> Result<Said, String> {
        self.send(url, self.client.get(url.clone())).await
    }

    /// Posts a form.
    pub(super) async fn post(&self, url: &Url, form: String, authorization: Option<String>) -> Result<Said, String> {
        let mut request = self.client.post(url.clone()).header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        self.send(url, request.body(form)).await
    }

    async fn send(&self, url: &Url, request: RequestBuilder) -> Result<Said, String> {
        self.guard.check_host(url).map_err(|refusal| refusal.to_string())?;
        let host = url.host_str().unwrap_or_default();
        let request = request.header(ACCEPT, "application/json").header(USER_AGENT, render::USER_AGENT);
        let lost = |error: reqwest::Error| {
            let how = if error.is_timeout() { "does not answer in time" } else { "cannot be reached" };
            format!("{host} {how}")
        };
        let mut response = request.send().await.map_err(lost)?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(lost)? {
            if body.len() + chunk.len() > BODY_BYTES_MAX {
                return Err(format!("{host} answers more than {} KiB", BODY_BYTES_MAX / 1024));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Said { status: response.status().as_u16(), body: body.into() })
    }
}
