//! From a configuration to what the rooms are made of.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64};
use std::time::Duration;

use tokio::sync::Notify;

use anyhow::Context as _;

use super::Doors;
use crate::access::session::Lifetime;
use crate::access::{self, Access};
use crate::alerting::Contacts;
use crate::api::state::Door;
use crate::api::{self, Api};
use crate::catalogue::{self, Catalogues};
use crate::clock::{SharedClock, SharedEntropy};
use crate::commerce::ims::{self, Ims};
use crate::commerce::rest::{self, SharedRest};
use crate::config::{self, CommerceSettings, Config, ConfigVersion, DestinationSettings, OriginSettings};
use crate::console::live::Live;
use crate::console::{self, Console};
use crate::delivery::Delivery;
use crate::destinations::signing::{Signing, SigningKey};
use crate::destinations::{self, Destination};
use crate::exceptions::replay::Render;
use crate::intake::adobe::{EVENT_ID, MissedPushes};
use crate::intake::answer::Dialect;
use crate::intake::heard::Heard;
use crate::intake::load::Load;
use crate::intake::pressure::{Pace, Room};
use crate::intake::signature::adobe::AdobeVerifier;
use crate::intake::signature::{Verifier, standard_webhooks_key};
use crate::intake::{self, Intake, Origin};
use crate::journal::Reader;
use crate::journal::serve::{At, Journal, Journals, Kept};
use crate::journal::wire::Wire;
use crate::observe::Observer;
use crate::oidc::{self, Provider};
use crate::polling::{Poller, Reading};
use crate::processor::Processor;
use crate::processor::rules::{OriginRules, ReadBack, Rules};
use crate::store::SharedStore;

/// Who is let in.
pub(super) fn access_of(config: &Config, store: &SharedStore, doors: &Doors) -> Access {
    let proxies = config.access.trusted_proxies.clone();
    let settings = access::Settings {
        public_origin: config.access.public_origin.clone(),
        is_proxy: Arc::new(move |address| proxies.iter().any(|network| network.contains(address))),
        lifetime: Lifetime { idle: config.access.session_idle, absolute: config.access.session_absolute },
        passwords: config.access.oidc.as_ref().is_none_or(|oidc| oidc.local_passwords),
        vouched: config.access.oidc.as_ref().map(vouched).unwrap_or_default(),
    };
    Access::new(store.clone(), doors.clock.clone(), doors.entropy.clone(), settings)
}

fn vouched(oidc: &config::OidcSettings) -> access::vouched::Rules {
    access::vouched::Rules {
        claim: oidc.role_claim.clone(),
        map: oidc.role_map.clone(),
        default: oidc.role_default,
        email_domains: oidc.email_domains.clone(),
    }
}

/// The identity provider that people sign in with, where one is configured.
pub(super) fn provider_of(config: &Config, doors: &Doors) -> anyhow::Result<Option<Provider>> {
    let Some(oidc) = &config.access.oidc else { return Ok(None) };
    let networks = oidc.allow_private.iter().map(|network| network.to_string().parse());
    let allow_private = networks.collect::<Result<_, _>>().context("access.oidc: allow_private")?;
    let settings = oidc::Settings {
        name: oidc.name.clone(),
        issuer: oidc.issuer.clone(),
        client_id: oidc.client_id.clone(),
        client_secret: oidc.client_secret.expose().clone(),
        scopes: oidc.scopes.clone(),
        allow_private,
    };
    let provider = Provider::new(settings, doors.clock.clone(), doors.entropy.clone());
    provider.map(Some).map_err(|problem| anyhow::anyhow!("access.oidc: {problem}"))
}

/// The rules of a configuration, with no mappings yet.
pub fn rules(config: &Config, version: &ConfigVersion) -> Rules {
    let origins = config.origins.iter().map(|(name, origin)| (name.clone(), origin_rules(config, origin)));
    let read = config.commerce.values().map(|commerce| (intake::read::origin_of(&commerce.name), read_rules(commerce)));
    let origins = origins.chain(read).collect();
    let policies =
        config.destinations.iter().map(|(name, destination)| (name.clone(), destination.policies.clone())).collect();
    Rules {
        config_version: version.as_str().to_owned(),
        origins,
        routes: Arc::new(config.routes.clone()),
        policies: config.policies.clone(),
        destination_policies: policies,
        mappings: Arc::default(),
    }
}

fn origin_rules(config: &Config, origin: &OriginSettings) -> OriginRules {
    let read_back = match config.commerce.get(&origin.commerce).map(|commerce| commerce.read_back) {
        Some(config::ReadBack::Always) => ReadBack::Always,
        Some(config::ReadBack::WhenNeeded) => ReadBack::WhenNeeded,
        Some(config::ReadBack::Never) | None => ReadBack::Never,
    };
    OriginRules {
        readable: false,
        system: origin.commerce.clone(),
        default_store_id: origin.default_store_id.map(|id| id.to_string()),
        read_back,
        wait_for_order: config
            .commerce
            .get(&origin.commerce)
            .map_or(Duration::ZERO, |commerce| commerce.wait_for_order),
        to_commerce: origin.direction == config::Direction::ToCommerce,
    }
}

/// Orders that we read ourselves are taken as they stand.
fn read_rules(commerce: &CommerceSettings) -> OriginRules {
    OriginRules {
        system: commerce.name.clone(),
        default_store_id: None,
        read_back: ReadBack::Never,
        readable: false,
        wait_for_order: commerce.wait_for_order,
        to_commerce: false,
    }
}

/// The instances that are searched for orders that push lost.
pub(super) fn swept(
    config: &Config,
    instances: &BTreeMap<String, SharedRest>,
) -> BTreeMap<String, (SharedRest, config::Sweep)> {
    let each = |(name, rest): (&String, &SharedRest)| {
        let sweep = config.commerce.get(name)?.sweep?;
        Some((name.clone(), (rest.clone(), sweep)))
    };
    instances.iter().filter_map(each).collect()
}

/// What reads Adobe's journals and hears of lost pushes; nothing without an origin of that kind.
pub(super) fn journals_of(
    config: &Config,
    doors: &Doors,
    store: &SharedStore,
    intake: &Arc<Intake>,
    search: &Arc<Notify>,
) -> anyhow::Result<Option<Journals>> {
    let mut events = config.origins.values().filter(|origin| origin.kind == config::OriginType::CommerceEvents);
    let journals = events.clone().filter_map(|origin| Some((origin, origin.journal.as_ref()?)));
    let journals = journals.map(|(origin, settings)| {
        let ims = Ims {
            client_id: origin.client_id.clone().unwrap_or_default(),
            client_secret: settings.client_secret.expose().clone(),
            scopes: settings.scopes.clone(),
            org_id: Some(settings.org_id.clone()),
            token_url: settings.token_url.clone().unwrap_or_else(token_url),
        };
        let wire = Wire::new(&settings.url, ims, doors.clock.clone())
            .map_err(|problem| anyhow::anyhow!("origin {}: {problem}", origin.name))?;
        let kept = Kept {
            store: store.clone(),
            clock: doors.clock.clone(),
            system: origin.commerce.clone(),
            origin: origin.name.clone(),
        };
        let reader = Reader {
            home: settings.url.clone(),
            fetch: Arc::new(wire),
            take: Arc::new(At { intake: intake.clone(), origin: origin.name.clone() }),
            positions: Arc::new(kept),
            missed: search.clone(),
        };
        Ok(Journal { origin: origin.name.clone(), reader, every: settings.every })
    });
    let journals = Journals {
        journals: journals.collect::<anyhow::Result<_>>()?,
        intake: intake.clone(),
        search: search.clone(),
        entropy: doors.entropy.clone(),
        observer: intake.observer.clone(),
    };
    Ok(events.next().is_some().then_some(journals))
}

/// What reads stock and shipments out of back offices; nothing where no origin says so.
pub(super) fn poller_of(config: &Config, store: &SharedStore, doors: &Doors, intake: &Arc<Intake>) -> Option<Poller> {
    let readings = config.origins.values().filter_map(|origin| {
        let poll = origin.poll.as_ref()?;
        Some(Reading {
            origin: origin.name.clone(),
            system: origin.commerce.clone(),
            destination: poll.destination.clone(),
            every: poll.every,
            overlap: poll.overlap,
            from: poll.from,
            entities: poll.read.clone(),
        })
    });
    let poller = Poller {
        store: store.clone(),
        clock: doors.clock.clone(),
        entropy: doors.entropy.clone(),
        intake: intake.clone(),
        delivery: intake.delivery.clone(),
        observer: intake.observer.clone(),
        readings: readings.collect(),
    };
    (!poller.readings.is_empty()).then_some(poller)
}

fn token_url() -> reqwest::Url {
    reqwest::Url::parse(ims::TOKEN_URL).expect("a constant address")
}

/// The catalogues of the instances that can be asked and whose cache is not switched off.
pub(super) async fn catalogues_of(
    config: &Config,
    instances: &BTreeMap<String, SharedRest>,
    store: &SharedStore,
    doors: &Doors,
    observer: &Arc<Observer>,
) -> anyhow::Result<Arc<Catalogues>> {
    let of = |(name, rest): (&String, &SharedRest)| {
        let settings = cached(config.commerce.get(name)?)?;
        Some((name.clone(), (rest.clone(), settings)))
    };
    let cached = instances.iter().filter_map(of).collect();
    Catalogues::open(cached, store.clone(), doors.clock.clone(), observer.clone())
        .await
        .context("what is known of the catalogues cannot be read")
}

fn cached(commerce: &CommerceSettings) -> Option<catalogue::Settings> {
    let cache = commerce.catalogue?;
    let products_max = usize::try_from(cache.products_max).unwrap_or(usize::MAX);
    let bounds = catalogue::Bounds { refresh: cache.refresh, products_max };
    Some(catalogue::Settings { wait: cache.wait, bounds })
}

/// What the store keeps of the catalogues, for a verb beside the service: nobody is asked.
///
/// # Errors
/// When the store cannot be read.
pub async fn catalogues_kept(
    config: &Config,
    store: &SharedStore,
    clock: SharedClock,
) -> anyhow::Result<Arc<Catalogues>> {
    let of = |commerce: &CommerceSettings| Some((commerce.name.clone(), cached(commerce)?));
    let instances = config.commerce.values().filter_map(of).collect();
    Catalogues::kept(instances, store.clone(), clock).await.context("what is known of the catalogues cannot be read")
}

pub(super) fn intake_of(
    config: &Config,
    version: &ConfigVersion,
    store: &SharedStore,
    doors: &Doors,
    processor: &Arc<Processor>,
    delivery: &Arc<Delivery>,
    (observer, heard): (&Arc<Observer>, Heard),
) -> anyhow::Result<Intake> {
    let origins: BTreeMap<String, Origin> = config
        .origins
        .values()
        .map(|settings| Ok((settings.name.clone(), origin(config, settings, doors, observer)?)))
        .collect::<anyhow::Result<_>>()?;
    let in_hand = usize::try_from(config.server.bodies_bytes_max).unwrap_or(usize::MAX);
    Ok(Intake {
        origins,
        store: store.clone(),
        clock: doors.clock.clone(),
        entropy: doors.entropy.clone(),
        processor: processor.clone(),
        delivery: delivery.clone(),
        observer: observer.clone(),
        heard: Arc::new(heard),
        load: Arc::new(Load::new(
            Room::new(config.server.requests_max as usize, in_hand),
            config.server.commit_queue_max,
        )),
        body_timeout: config.server.body_timeout,
        open: AtomicBool::new(true),
        missed_pushes: Arc::new(MissedPushes::new(doors.clock.clone())),
        config_version: version.as_str().to_owned(),
        express_from: AtomicI64::new(0),
    })
}

fn origin(
    config: &Config,
    settings: &OriginSettings,
    doors: &Doors,
    observer: &Arc<Observer>,
) -> anyhow::Result<Origin> {
    let verifier = Verifier::new(&settings.auth)
        .map_err(|problems| anyhow::anyhow!("origin {}: {}", settings.name, problems.join("; ")))?;
    let adobe =
        adobe(settings, doors, observer).map_err(|problem| anyhow::anyhow!("origin {}: {problem}", settings.name))?;
    Ok(Origin {
        name: settings.name.clone(),
        dialect: Dialect::from(settings.kind),
        verifier,
        event_id_header: adobe.as_ref().map(|_| EVENT_ID.clone()).or(settings.event_id_header.clone()),
        adobe,
        refuse_with_exception: settings.on_refused == config::OnRefused::Exception,
        grace: settings.grace,
        body_bytes_max: usize::try_from(config.body_bytes_max(settings)).unwrap_or(usize::MAX),
        handler_timeout: config.handler_timeout(settings),
        pace: settings.rate.as_ref().map(|rate| Pace::new(rate.count, rate.per)),
    })
}

/// Adobe's signature, for an origin that Adobe I/O sends to.
fn adobe(settings: &OriginSettings, doors: &Doors, observer: &Arc<Observer>) -> Result<Option<AdobeVerifier>, String> {
    if settings.kind != config::OriginType::CommerceEvents {
        return Ok(None);
    }
    let client_id = settings.client_id.as_deref().ok_or("client_id is missing")?;
    let host = settings.key_base_url.as_ref();
    AdobeVerifier::new(&settings.name, client_id, host, doors.clock.clone(), observer.clone()).map(Some)
}

/// Every destination as it is configured.
///
/// # Errors
/// When one cannot be used.
pub fn destinations_of(config: &Config) -> anyhow::Result<Vec<Destination>> {
    config.destinations.values().map(destination_of).collect()
}

/// One destination as it is configured, for a verb beside the service.
///
/// # Errors
/// When it cannot be used.
pub fn destination_of(settings: &DestinationSettings) -> anyhow::Result<Destination> {
    destination(settings)
        .and_then(Destination::new)
        .map_err(|problems| anyhow::anyhow!("destination {}: {}", settings.name, problems.join("; ")))
}

/// Renders deliveries without sending them; for the replay desk.
pub fn renderer(destinations: &Arc<Vec<Destination>>) -> Render {
    let destinations = destinations.clone();
    Arc::new(move |due| {
        let destination = destinations.iter().find(|destination| destination.name() == due.destination)?;
        destination.render(&due.purpose, &due.document, &due.key, &due.progress.found).ok()
    })
}

fn destination(settings: &DestinationSettings) -> Result<destinations::Settings, Vec<String>> {
    let url = settings.url.as_ref().ok_or_else(|| vec!["url is missing".to_owned()])?;
    let networks = settings.allow_private.iter().map(|network| network.to_string().parse());
    let allow_private =
        networks.collect::<Result<_, _>>().map_err(|invalid| vec![format!("allow_private: {invalid}")])?;
    Ok(destinations::Settings {
        guard: match settings.guard {
            config::Guard::Key { window } => destinations::Guard::Key { window },
            config::Guard::Unique => destinations::Guard::Unique,
            config::Guard::Find => destinations::Guard::Find,
            config::Guard::None => destinations::Guard::None,
        },
        auth: match &settings.auth {
            config::OutboundAuth::None => destinations::OutboundAuth::None,
            config::OutboundAuth::Bearer { token } => destinations::OutboundAuth::Bearer(token.expose().clone()),
            config::OutboundAuth::Basic { user, password } => {
                destinations::OutboundAuth::Basic { user: user.clone(), password: password.expose().clone() }
            }
            config::OutboundAuth::Header { name, value } => {
                destinations::OutboundAuth::Header { name: name.to_string(), value: value.expose().clone() }
            }
            config::OutboundAuth::Headers { all } => {
                let all = all.iter().map(|(name, value)| (name.to_string(), value.expose().clone()));
                destinations::OutboundAuth::Headers(all.collect())
            }
            config::OutboundAuth::Query { name, value } => {
                destinations::OutboundAuth::Query { name: name.clone(), value: value.expose().clone() }
            }
            config::OutboundAuth::OAuth1 { credentials, realm } => {
                destinations::OutboundAuth::OAuth1 { credentials: credentials.clone(), realm: realm.clone() }
            }
            config::OutboundAuth::Fetched(exchange) => destinations::OutboundAuth::Fetched(exchange.clone()),
        },
        signing: settings.signature.as_ref().map(signing),
        tls: settings.tls.clone(),
        connect_timeout: settings.connect_timeout,
        request_timeout: settings.request_timeout,
        concurrency: settings.concurrency,
        limits: settings.limits.clone(),
        account: settings.account.clone(),
        after: settings.after.clone(),
        batch: settings.batch,
        retry_delays: settings.retry_schedule.clone(),
        age_limit: settings.age_limit,
        allow_private,
        key_header: settings.idempotency_header.to_string(),
        find: settings.find.clone(),
        recipe: settings.recipe.clone(),
        already_exists: settings.already_exists.clone(),
        ..destinations::Settings::new(&settings.name, url.as_str())
    })
}

/// Who is told when something is wrong.
///
/// # Errors
/// When a contact cannot be used.
pub fn contacts(config: &Config) -> anyhow::Result<Contacts> {
    Contacts::new(config.alerts.clone()).map_err(|problems| anyhow::anyhow!("alerts: {}", problems.join("; ")))
}

fn signing(signature: &config::OutboundSignature) -> Signing {
    let keys = |secrets: &config::Secrets, read: &dyn Fn(&str) -> Option<Vec<u8>>| -> Vec<SigningKey> {
        let key = |secret: &config::Dated<config::Secret<String>>| {
            Some(SigningKey { key: read(secret.value.expose())?, until: secret.until })
        };
        secrets.iter().filter_map(key).collect()
    };
    match signature {
        config::OutboundSignature::StandardWebhooks { secrets } => {
            Signing::StandardWebhooks(keys(secrets, &standard_webhooks_key))
        }
        config::OutboundSignature::Hmac { header, secrets } => {
            Signing::Hmac { header: header.clone(), keys: keys(secrets, &|secret| Some(secret.as_bytes().to_vec())) }
        }
    }
}

/// The Commerce instances that can be asked: those with a `base_url`, by their names.
///
/// # Errors
/// When one cannot be used as it is configured.
pub fn commerce_of(
    config: &Config,
    clock: &SharedClock,
    entropy: &SharedEntropy,
) -> anyhow::Result<BTreeMap<String, SharedRest>> {
    let mut made = BTreeMap::new();
    for settings in config.commerce.values() {
        let Some(base_url) = &settings.base_url else { continue };
        let client = commerce(settings, base_url)
            .and_then(|settings| rest::Client::new(settings, clock.clone(), entropy.clone()))
            .map_err(|problem| anyhow::anyhow!("commerce {}: {problem}", settings.name))?;
        made.insert(settings.name.clone(), Arc::new(client) as SharedRest);
    }
    Ok(made)
}

fn commerce(settings: &CommerceSettings, base_url: &reqwest::Url) -> Result<rest::Settings, String> {
    let networks = settings.allow_private.iter().map(|network| network.to_string().parse());
    let mut allow_private: Vec<destinations::Network> =
        networks.collect::<Result<_, _>>().map_err(|invalid| format!("allow_private: {invalid}"))?;
    if base_url.scheme() == "http" {
        // The configuration lets plain http only to loopback, which needs no naming there.
        for loopback in ["127.0.0.0/8", "::1/128"] {
            allow_private.push(loopback.parse().expect("a constant network"));
        }
    }
    Ok(rest::Settings {
        system: settings.name.clone(),
        saas: settings.edition == config::Edition::Saas,
        base_url: base_url.clone(),
        auth: commerce_auth(&settings.auth),
        allow_private,
        concurrency: settings.concurrency,
        connect_timeout: settings.connect_timeout,
        request_timeout: settings.request_timeout,
    })
}

fn commerce_auth(auth: &config::CommerceAuth) -> rest::Auth {
    match auth {
        config::CommerceAuth::None => rest::Auth::None,
        config::CommerceAuth::Bearer { token } => rest::Auth::Bearer(token.expose().clone()),
        config::CommerceAuth::Oauth1 { consumer_key, consumer_secret, access_token, access_token_secret } => {
            rest::Auth::OAuth1(rest::oauth::Credentials {
                consumer_key: consumer_key.expose().clone(),
                consumer_secret: consumer_secret.expose().clone(),
                access_token: access_token.expose().clone(),
                access_token_secret: access_token_secret.expose().clone(),
            })
        }
        config::CommerceAuth::Ims { client_id, client_secret, scopes, org_id } => rest::Auth::Ims(Ims {
            client_id: client_id.clone(),
            client_secret: client_secret.expose().clone(),
            scopes: scopes.clone(),
            org_id: org_id.clone(),
            token_url: token_url(),
        }),
    }
}

/// The console over an API.
pub(super) fn console_of(api: &Api) -> Console {
    Console::new(console::Parts { routes: api::api_router(api.clone()), api: api.clone(), live: Live::default() })
}

/// Every origin as people see it.
pub fn doors_of(config: &Config) -> Vec<Door> {
    let base = config.server.public_url.as_deref().unwrap_or_default().trim_end_matches('/');
    let origins = config.origins.values().map(|origin| Door {
        name: origin.name.clone(),
        kind: origin.kind.as_str().to_owned(),
        commerce: origin.commerce.clone(),
        address: format!("{base}/in/{}", origin.name),
        verified_by: origin.auth.iter().map(verified_by).collect(),
        headers: origin.auth.iter().map(|auth| headers_of(auth).join(", ")).collect(),
    });
    origins.collect()
}

/// What a sender puts into its headers, without a secret.
fn headers_of(auth: &config::AuthSetting) -> Vec<String> {
    match auth {
        config::AuthSetting::RsaSignature { .. } => Vec::new(),
        config::AuthSetting::Header { name, .. } => vec![format!("{name}: the value in the configuration")],
        config::AuthSetting::Bearer { .. } => {
            vec!["Authorization: Bearer, and the token in the configuration".to_owned()]
        }
        config::AuthSetting::Basic { user, .. } => {
            vec![format!("Authorization: Basic, for {user} and the password in the configuration")]
        }
        config::AuthSetting::Hmac { header, .. } => {
            vec![format!("{header}: HMAC-SHA256 of the body, as hex, with the secret in the configuration")]
        }
        config::AuthSetting::StandardWebhooks { .. } => {
            vec!["webhook-id, webhook-timestamp and webhook-signature, with the secret in the configuration".to_owned()]
        }
        config::AuthSetting::All(all) => all.iter().flat_map(headers_of).collect(),
    }
}

fn verified_by(auth: &config::AuthSetting) -> String {
    match auth {
        config::AuthSetting::RsaSignature { .. } => "RSA signature".to_owned(),
        config::AuthSetting::Header { name, .. } => format!("header {name}"),
        config::AuthSetting::Bearer { .. } => "bearer token".to_owned(),
        config::AuthSetting::Basic { user, .. } => format!("password of {user}"),
        config::AuthSetting::Hmac { header, .. } => format!("HMAC in {header}"),
        config::AuthSetting::StandardWebhooks { .. } => "Standard Webhooks signature".to_owned(),
        config::AuthSetting::All(all) => all.iter().map(verified_by).collect::<Vec<_>>().join(" and "),
    }
}
