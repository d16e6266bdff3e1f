//! `[commerce.NAME]`: a Commerce instance, the system of record.

use std::time::Duration;

use reqwest::Url;

use super::net::{Network, PlainHttp, outbound_url};
use super::read::{Field, Place, Report, Section};
use super::secret::Secret;

const SECOND: Duration = Duration::from_secs(1);
const HOURS_24: Duration = Duration::from_hours(24);

/// One Commerce instance.
#[derive(Clone, Debug)]
pub struct CommerceSettings {
    /// The configured name, part of every idempotency key.
    pub name: String,
    /// Which product it is.
    pub edition: Edition,
    /// REST root, `https://shop.example.com/rest`. Always there unless nothing is ever read.
    pub base_url: Option<Url>,
    /// How we prove who we are to it.
    pub auth: CommerceAuth,
    /// When an order is read again before it is processed.
    pub read_back: ReadBack,
    /// How long a change of an order waits for the order itself (LANE-4).
    pub wait_for_order: Duration,
    /// Regular search for orders that push lost.
    pub sweep: Option<Sweep>,
    /// What is kept of its catalogue, so that orders come out readable.
    pub catalogue: Option<CatalogueCache>,
    /// Private networks it may live in.
    pub allow_private: Vec<Network>,
    /// Requests at once.
    pub concurrency: u32,
    /// Until connected.
    pub connect_timeout: Duration,
    /// Until answered in full.
    pub request_timeout: Duration,
}

/// Adobe's two editions spell plugin names and log in differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edition {
    /// Cloud infrastructure, on-premises, and Magento Open Source.
    Paas,
    /// Adobe Commerce as a Cloud Service.
    Saas,
}

/// When an order is read from Commerce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadBack {
    /// Before every processing.
    Always,
    /// When the payload is a hint or incomplete.
    WhenNeeded,
    /// Never: payloads are taken as they stand.
    Never,
}

/// The regular search on `updated_at`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sweep {
    /// Between two searches.
    pub every: Duration,
    /// How far each reaches back behind the last one.
    pub overlap: Duration,
    /// Numbers that are missing so long between two others are asked for; `None`: they are not.
    pub gaps: Option<Duration>,
}

/// The catalogue cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CatalogueCache {
    /// An order waits this long for what is not known, and no longer.
    pub wait: Duration,
    /// Older than this is asked for again.
    pub refresh: Duration,
    /// Products kept.
    pub products_max: u32,
}

/// Credentials for Commerce's REST.
#[derive(Clone, Debug)]
pub enum CommerceAuth {
    /// None: a stand-in, or a proxy that adds them.
    None,
    /// An integration's four values, HMAC-SHA256 signed requests.
    Oauth1 {
        /// Consumer key.
        consumer_key: Secret<String>,
        /// Consumer secret.
        consumer_secret: Secret<String>,
        /// Access token.
        access_token: Secret<String>,
        /// Access token secret.
        access_token_secret: Secret<String>,
    },
    /// A fixed bearer token.
    Bearer {
        /// The token.
        token: Secret<String>,
    },
    /// Adobe IMS client credentials (for `saas`).
    Ims {
        /// Client id of the Developer Console project.
        client_id: String,
        /// Its secret.
        client_secret: Secret<String>,
        /// Scopes asked for.
        scopes: Vec<String>,
        /// Adobe organisation, sent as a header.
        org_id: Option<String>,
    },
}

pub(super) fn commerce(name: String, mut section: Section<'_>, report: &mut Report<'_>) -> CommerceSettings {
    let editions = [("paas", Edition::Paas), ("saas", Edition::Saas)];
    let edition = section.field("edition").and_then(|field| field.choice(&editions, report));
    let base_field = section.field("base_url");
    if let Some(field) = &base_field
        && let Some(url) = field.value.as_str()
    {
        doubt_base(url, edition.unwrap_or(Edition::Paas), &field.place, report);
    }
    let base_url =
        base_field.map(|field| field.parse(report, |text| outbound_url(text, PlainHttp::Loopback)).map(without_slash));
    let auth = section.field("auth").and_then(|field| auth(&field, report)).unwrap_or(CommerceAuth::None);
    let read_back = read_back(&mut section, base_url.is_some(), report);
    let sweep = sweep(&mut section, base_url.is_some(), report);
    let catalogue = catalogue(&mut section, base_url.is_some(), report);
    let settings = CommerceSettings {
        name,
        edition: edition.unwrap_or(Edition::Paas),
        base_url: base_url.flatten(),
        auth,
        read_back,
        wait_for_order: section.duration_or("wait_for_order", SECOND * 900, (Duration::ZERO, HOURS_24), report),
        sweep,
        catalogue,
        allow_private: networks(&mut section, report),
        concurrency: section.count_or("concurrency", 4, (1, 64), report),
        connect_timeout: section.duration_or("connect_timeout", SECOND * 5, (SECOND / 10, SECOND * 60), report),
        request_timeout: section.duration_or("request_timeout", SECOND * 30, (SECOND / 10, SECOND * 300), report),
    };
    section.finish(report);
    settings
}

/// Paths are appended; one slash between is enough.
fn without_slash(mut url: Url) -> Url {
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    url
}

/// Addresses that are well formed and hardly meant.
fn doubt_base(url: &str, edition: Edition, place: &Place, report: &mut Report<'_>) {
    let path = url.trim_end_matches('/').splitn(4, '/').nth(3).unwrap_or_default();
    let doubt = match edition {
        Edition::Paas if path.ends_with("rest") => None,
        Edition::Paas if path.contains("rest/") => {
            Some(("has more behind /rest", "end it with /rest: store and version are put there by each call"))
        }
        Edition::Paas => Some(("has no /rest at its end", "write it as https://shop.example.com/rest")),
        Edition::Saas if path.is_empty() => Some((
            "has no tenant behind the host",
            "write it as https://host.example.com/TENANT, as the project's page shows it",
        )),
        Edition::Saas if path.split('/').any(|part| part == "rest" || part == "V1") => {
            Some(("has /rest or /V1 in it", "the cloud service has neither: end it with the tenant"))
        }
        Edition::Saas => None,
    };
    if let Some((message, remedy)) = doubt {
        report.warn(place, message, remedy);
    }
}

/// Without a `base_url` nothing can be read, which then must not be asked for.
fn read_back(section: &mut Section<'_>, readable: bool, report: &mut Report<'_>) -> ReadBack {
    let words = [("always", ReadBack::Always), ("when-needed", ReadBack::WhenNeeded), ("never", ReadBack::Never)];
    let Some(field) = section.field("read_back") else {
        return if readable { ReadBack::WhenNeeded } else { ReadBack::Never };
    };
    let found = field.choice(&words, report).unwrap_or(ReadBack::Never);
    if found != ReadBack::Never && !readable {
        report.error(&field.place, "needs a base_url to read from", "add base_url, or write read_back = \"never\"");
    }
    found
}

fn sweep(section: &mut Section<'_>, readable: bool, report: &mut Report<'_>) -> Option<Sweep> {
    let minute = SECOND * 60;
    let default = Sweep { every: minute * 5, overlap: minute * 10, gaps: Some(minute * 10) };
    let Some(field) = section.field("sweep") else { return readable.then_some(default) };
    if field.value.as_str() == Some("off") {
        return None;
    }
    let mut table = field.section("sweep (or \"off\")", report)?;
    let sweep = Sweep {
        every: table.duration_or("every", default.every, (SECOND, minute * 1440), report),
        overlap: table.duration_or("overlap", default.overlap, (Duration::ZERO, minute * 1440), report),
        gaps: match table.field("gaps") {
            Some(field) if field.value.as_str() == Some("off") => None,
            Some(field) => field.duration((SECOND, minute * 1440), report),
            None => default.gaps,
        },
    };
    table.finish(report);
    if !readable {
        report.error(&field.place, "needs a base_url to read from", "add base_url, or write sweep = \"off\"");
    }
    Some(sweep)
}

fn catalogue(section: &mut Section<'_>, readable: bool, report: &mut Report<'_>) -> Option<CatalogueCache> {
    let default = CatalogueCache { wait: SECOND * 2, refresh: HOURS_24, products_max: 50_000 };
    let Some(field) = section.field("catalogue") else { return readable.then_some(default) };
    if field.value.as_str() == Some("off") {
        return None;
    }
    let mut table = field.section("catalogue (or \"off\")", report)?;
    let catalogue = CatalogueCache {
        wait: table.duration_or("wait", default.wait, (SECOND / 10, SECOND * 30), report),
        refresh: table.duration_or("refresh", default.refresh, (SECOND * 60, HOURS_24 * 365), report),
        products_max: table.count_or("products_max", default.products_max, (1_000, 1_000_000), report),
    };
    table.finish(report);
    if !readable {
        report.error(&field.place, "needs a base_url to read from", "add base_url, or write catalogue = \"off\"");
    }
    Some(catalogue)
}

/// Reads `allow_private`.
pub(super) fn networks(section: &mut Section<'_>, report: &mut Report<'_>) -> Vec<Network> {
    let Some(field) = section.field("allow_private") else { return Vec::new() };
    let items = field.list(false, report);
    items.iter().filter_map(|item| item.parse(report, str::parse)).collect()
}

#[derive(Clone, Copy)]
enum Kind {
    Oauth1,
    Bearer,
    Ims,
    None,
}

fn auth(field: &Field<'_>, report: &mut Report<'_>) -> Option<CommerceAuth> {
    let kinds = [("oauth1", Kind::Oauth1), ("bearer", Kind::Bearer), ("ims", Kind::Ims), ("none", Kind::None)];
    let mut section = field.section("the auth of a Commerce instance", report)?;
    let kind = section.required("type", "write oauth1, bearer, ims or none", report)?;
    let kind = kind.choice(&kinds, report)?;
    let auth = match kind {
        Kind::None => Some(CommerceAuth::None),
        Kind::Bearer => one_secret(&mut section, "token", report).map(|token| CommerceAuth::Bearer { token }),
        Kind::Oauth1 => oauth1(&mut section, report),
        Kind::Ims => ims(&mut section, report),
    };
    section.finish(report);
    auth
}

fn oauth1(section: &mut Section<'_>, report: &mut Report<'_>) -> Option<CommerceAuth> {
    // Key and token are identifiers; only the two secrets must stay out of the file.
    let consumer_key = identifier(section, "consumer_key", report);
    let consumer_secret = one_secret(section, "consumer_secret", report);
    let access_token = identifier(section, "access_token", report);
    let access_token_secret = one_secret(section, "access_token_secret", report);
    Some(CommerceAuth::Oauth1 {
        consumer_key: consumer_key?,
        consumer_secret: consumer_secret?,
        access_token: access_token?,
        access_token_secret: access_token_secret?,
    })
}

fn ims(section: &mut Section<'_>, report: &mut Report<'_>) -> Option<CommerceAuth> {
    let client_id = section.required("client_id", "name the client id", report);
    let client_id = client_id.and_then(|field| field.text(report)).map(str::to_owned);
    let client_secret = one_secret(section, "client_secret", report);
    let org_id = section.field("org_id").and_then(|field| field.text(report)).map(str::to_owned);
    let scopes = section.field("scopes").map(|field| field.list(true, report)).unwrap_or_default();
    let scopes = scopes.iter().filter_map(|scope| scope.text(report)).map(str::to_owned).collect();
    Some(CommerceAuth::Ims { client_id: client_id?, client_secret: client_secret?, scopes, org_id })
}

fn identifier(section: &mut Section<'_>, name: &'static str, report: &mut Report<'_>) -> Option<Secret<String>> {
    let mut texts = section.required(name, "name it", report)?.public_texts(report);
    texts.pop().map(|text| Secret::new(text.value.0))
}

/// A secret we send: exactly one.
pub(super) fn one_secret(
    section: &mut Section<'_>,
    name: &'static str,
    report: &mut Report<'_>,
) -> Option<Secret<String>> {
    section.required(name, "name the secret value", report)?.secret(report)
}
