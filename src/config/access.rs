//! `[access]`: how people come in.

use std::time::Duration;

use super::net::{Network, PlainHttp, outbound_url};
use super::problem::Complaint;
use super::read::{Report, Section};

const MINUTE: Duration = Duration::from_mins(1);

/// How people come in (API-4).
#[derive(Clone, Debug)]
pub struct AccessSettings {
    /// `https://console.example.com`: what stands in people's browsers; `None`: the host that they call.
    pub public_origin: Option<String>,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<Network>,
    /// Unused for so long, a session ends.
    pub session_idle: Duration,
    /// It ends then in any case.
    pub session_absolute: Duration,
}

pub(super) fn access(mut section: Section<'_>, report: &mut Report<'_>) -> AccessSettings {
    let settings = AccessSettings {
        public_origin: section.field("public_url").and_then(|field| field.parse(report, origin)),
        trusted_proxies: match section.field("trusted_proxies") {
            None => Vec::new(),
            Some(field) => {
                let networks = field.list(true, report);
                networks.iter().filter_map(|field| field.parse(report, str::parse)).collect()
            }
        },
        session_idle: section.duration_or("session_idle", MINUTE * 30, (MINUTE, MINUTE * 60), report),
        session_absolute: section.duration_or("session_absolute", MINUTE * 480, (MINUTE * 5, MINUTE * 720), report),
    };
    if settings.session_idle > settings.session_absolute {
        let place = section.place.below("session_idle");
        report.error(&place, "is longer than session_absolute", "a session ends then in any case: shorten it");
    }
    section.finish(report);
    settings
}

/// The origin of a page's address.
fn origin(text: &str) -> Result<String, Complaint> {
    let url = outbound_url(text, PlainHttp::Loopback)?;
    if url.path() != "/" || url.query().is_some() {
        return Err(Complaint::new("has a path", "write scheme and host alone, such as https://console.example.com"));
    }
    Ok(url.origin().ascii_serialization())
}
