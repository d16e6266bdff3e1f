//! The way to the journal: a token of Adobe's identity service, one GET, no redirect.

use std::time::Duration;

use http::{HeaderValue, header};
use reqwest::{Client, Response, Url, redirect, retry};

use super::rules::Answer;
use super::{Fetch, Soon};
use crate::clock::SharedClock;
use crate::commerce::ims::{Ims, NoToken, Tokens};
use crate::destinations::Network;
use crate::destinations::http::retry_after::{self, RetryAfter};
use crate::destinations::private::{AddressGuard, CheckedResolver};

/// A page has at most 1.5 MB; room for journals that do not count as Adobe's documentation does.
const PAGE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Until answered in full.
const PATIENCE: Duration = Duration::from_secs(30);

/// Asks one journal.
pub struct Wire {
    http: Client,
    tokens: Tokens,
    clock: SharedClock,
}

impl Wire {
    /// Builds it; nothing is called yet. Only public addresses are called, or loopback where the journal itself is
    /// configured to be there, for tests.
    ///
    /// # Errors
    /// When no HTTP client can be made, or an address is one that may not be called.
    pub fn new(home: &Url, ims: Ims, clock: SharedClock) -> Result<Self, String> {
        let plain = home.scheme() == "http";
        let named: &[&str] = if plain { &["127.0.0.0/8", "::1/128"] } else { &[] };
        let loopback: Vec<Network> = named.iter().filter_map(|network| network.parse().ok()).collect();
        let guard = AddressGuard::new(&loopback, plain);
        for (name, url) in [("journal.url", home), ("journal.token_url", &ims.token_url)] {
            guard.check_host(url).map_err(|refusal| format!("{name}: {refusal}"))?;
        }
        let http = Client::builder()
            .http1_only()
            .no_proxy()
            .referer(false)
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .dns_resolver(CheckedResolver::new(guard))
            .timeout(PATIENCE)
            .pool_max_idle_per_host(1)
            .user_agent(concat!("crossdock/", env!("CARGO_PKG_VERSION")));
        let http = http.build().map_err(|error| format!("no HTTP client can be made: {error}"))?;
        Ok(Wire { http, tokens: Tokens::new(ims, clock.clone()), clock })
    }

    async fn asked(&self, url: &Url) -> Result<Answer, String> {
        let (answer, token) = self.once(url).await?;
        if answer.status != 401 {
            return Ok(answer);
        }
        // Only our token may have ended: another one, once.
        self.tokens.forget(&token).await;
        Ok(self.once(url).await?.0)
    }

    async fn once(&self, url: &Url) -> Result<(Answer, String), String> {
        let token = self.tokens.in_force(&self.http).await;
        let token = match token {
            Ok(token) => token,
            // As the journal itself would say it.
            Err(NoToken::Refused(_)) => return Ok((Answer { status: 403, ..Answer::default() }, String::new())),
            Err(NoToken::Unavailable(message)) => return Err(message),
            Err(NoToken::Unreached(error)) => return Err(unreached("Adobe's identity service", &error)),
        };
        let credentials = self.tokens.credentials();
        let mut request = self.http.get(url.clone()).header(header::ACCEPT, "application/json");
        let mut bearer = sendable(&format!("Bearer {token}"))?;
        bearer.set_sensitive(true);
        request = request.header(header::AUTHORIZATION, bearer);
        request = request.header("x-api-key", sendable(&credentials.client_id)?);
        if let Some(org_id) = &credentials.org_id {
            request = request.header("x-ims-org-id", sendable(org_id)?);
        }
        let response = request.send().await.map_err(|error| unreached("the journal", &error))?;
        Ok((answer_of(response, &self.clock).await?, token))
    }
}

impl Fetch for Wire {
    fn get<'a>(&'a self, url: &'a Url) -> Soon<'a, Answer, String> {
        Box::pin(self.asked(url))
    }
}

async fn answer_of(mut response: Response, clock: &SharedClock) -> Result<Answer, String> {
    let links = response.headers().get_all(header::LINK).iter();
    let links = links.filter_map(|link| link.to_str().ok()).map(str::to_owned).collect();
    let retry_after = match retry_after::parse(response.headers(), clock.now()) {
        RetryAfter::Floor(wait) => Some(wait),
        RetryAfter::Absent | RetryAfter::Ignored => None,
    };
    let status = response.status().as_u16();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| unreached("the journal", &error))? {
        if body.len() + chunk.len() > PAGE_BYTES_MAX {
            return Err(format!("its page has more than {PAGE_BYTES_MAX} bytes"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer { status, links, retry_after, body })
}

fn sendable(text: &str) -> Result<HeaderValue, String> {
    HeaderValue::from_str(text).map_err(|_| "a credential cannot be sent in a header".to_owned())
}

fn unreached(what: &str, error: &reqwest::Error) -> String {
    // The address is ours to know; what is in it stays out of the log.
    format!("{what} was not reached ({})", if error.is_timeout() { "time ran out" } else { "no whole answer came" })
}
