//! A site: the routers, a store in a temporary directory, engines that remember what they were asked.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use bytes::Bytes;
use crossdock::access::roles::{Role, Scopes};
use crossdock::access::tokens::mint;
use crossdock::access::{self, Access, Actor};
use crossdock::api::error::ProblemLine;
use crossdock::api::expander::Expander;
use crossdock::api::idempotency::RunningCalls;
use crossdock::api::rooms::shown;
use crossdock::api::state::{Checked, DestinationView, Door, Editing, Expansions, OriginView, Replayed};
use crossdock::api::{Api, Engines, PREFIX, Parts, api_router, finish, health_router, metrics_router};
use crossdock::clock::{Clock as _, ManualClock, SeededEntropy, SharedClock, SharedEntropy};
use crossdock::destinations::recipe::rehearse::Rehearsed;
use crossdock::destinations::recipe::said::{RecipeSaid, SettingSaid};
use crossdock::destinations::recipe::tried::{NotTried, Speech, Tried};
use crossdock::destinations::{Destination, Guard, RecipeSettings, Settings, profiles};
use crossdock::domain::defect::Defect;
use crossdock::domain::mapping::{MappingRow, Mappings, Table};
use crossdock::domain::policy::Policies;
use crossdock::envelope::ids::{DeliveryId, DocumentId, EnvelopeId, ExceptionId, RequestId};
use crossdock::envelope::keys::{Digest, EventKey, IdempotencyKey, KeyParts};
use crossdock::exceptions::edit::{EditError, Wanted};
use crossdock::intake::heard::OfOrigin;
use crossdock::observe::{Health, Metrics, Observer};
use crossdock::oidc::{self, Provider};
use crossdock::store::books::Ticket;
use crossdock::store::pack::pack;
use crossdock::store::sqlite::{Options, SqliteStore};
use crossdock::store::write::{
    Act, Arrival, ArrivedRecord, AttemptPurpose, AttemptSeen, AttemptStart, Conclusion, Ladder, NewDelivery,
    NewDocument, NewException, NextState, Receipt, Settlement, Subject, SubjectFacts,
};
use crossdock::store::{Answer, SharedStore, StoreError};
use serde_json::Value;
use tower::ServiceExt as _;

use crate::contract::Contract;

/// Rooms that do nothing but remember.
#[derive(Default)]
pub struct Doubles {
    /// Exceptions replayed, and whether it was a dry run.
    pub replays: Mutex<Vec<(ExceptionId, bool, String)>>,
    /// The next replay waits for this.
    pub hold: Mutex<Option<tokio::sync::oneshot::Receiver<()>>>,
    /// Destinations held, with the reason.
    pub held: Mutex<Vec<(String, String)>>,
    /// Destinations released.
    pub released: Mutex<Vec<String>>,
    /// The mapping row that a preview supposed.
    pub supposed: Mutex<Option<(String, String, String)>>,
    /// How often the mappings were said to have changed.
    pub reloads: Mutex<u32>,
}

/// A warehouse whose recipe is shipped, with a setting that its recipe does not have.
fn warehouse() -> Destination {
    let shipped = profiles::shipped("pick-list").unwrap();
    let mut settings = Settings::new("erp", "https://warehouse.example.com/picks");
    settings.guard = Guard::Key { window: std::time::Duration::from_hours(24) };
    let mut said: RecipeSaid = toml::from_str(shipped.recipe).unwrap();
    let secret = SettingSaid { about: String::new(), default: None, one_of: Vec::new() };
    said.settings.insert("partner_key".to_owned(), secret);
    settings.recipe = Some(RecipeSettings {
        said,
        with: [("partner_key".to_owned(), "hush-hush".into())].into(),
        settle_after: std::time::Duration::from_mins(1),
        accepts_differences: false,
    });
    Destination::new(settings).unwrap()
}

impl Engines for Doubles {
    fn expand(&self, body: &Bytes, destination: Option<&str>) -> Result<Expansions, ProblemLine> {
        let (mappings, policies) = (Mappings::default(), Policies::default());
        let destination = destination.unwrap_or_default();
        let now = crossdock::clock::from_micros(0);
        Expander { system: "acme", mappings: &mappings, policies: &policies, destination, shelf: None, now }
            .expand(body)
    }

    fn shelf(&self) -> Option<&crossdock::catalogue::Shelf> {
        None
    }

    fn replay(&self, exception: ExceptionId, dry_run: bool, act: Act, _ticket: Option<Ticket>) -> Answer<'_, Replayed> {
        self.replays.lock().unwrap().push((exception, dry_run, act.actor));
        let hold = self.hold.lock().unwrap().take();
        Box::pin(async move {
            if let Some(hold) = hold {
                hold.await.unwrap();
            }
            Ok(Replayed {
                exception_id: exception,
                envelope_id: None,
                delivery_id: None,
                dry_run,
                result: "released".to_owned(),
                explanation: "to erp".to_owned(),
                problems: Vec::new(),
                documents: Vec::new(),
            })
        })
    }

    fn edit(
        &self,
        delivery: DeliveryId,
        _wanted: Wanted,
        _dry_run: bool,
        _act: Act,
        _ticket: Option<Ticket>,
    ) -> Editing<'_> {
        Box::pin(async move { Err(EditError::NotFound(delivery)) })
    }

    fn previews(
        &self,
        exceptions: Vec<ExceptionId>,
        supposing: Option<(Table, MappingRow)>,
    ) -> Answer<'_, Vec<(ExceptionId, Result<Replayed, String>)>> {
        *self.supposed.lock().unwrap() = supposing.map(|(table, row)| (table.to_string(), row.key, row.value));
        Box::pin(async move {
            let shown = |id| Replayed {
                exception_id: id,
                envelope_id: None,
                delivery_id: None,
                dry_run: true,
                result: "released".to_owned(),
                explanation: "to erp".to_owned(),
                problems: Vec::new(),
                documents: Vec::new(),
            };
            Ok(exceptions.into_iter().map(|id| (id, Ok(shown(id)))).collect())
        })
    }

    fn destinations(&self) -> Vec<DestinationView> {
        let view = DestinationView {
            account: None,
            after: None,
            name: "erp".to_owned(),
            profile: "http".to_owned(),
            state: "held".to_owned(),
            reason: Some("the credential was refused".to_owned()),
            until: None,
            in_flight: 0,
            concurrency: 8,
        };
        vec![view]
    }

    fn speech(&self, destination: &str) -> Option<Speech> {
        (destination == "erp").then(|| warehouse().speech()).flatten()
    }

    fn try_out(&self, _destination: &str, document: &[u8], tried: Option<&Tried>) -> Result<Vec<Rehearsed>, NotTried> {
        warehouse().try_out(document, tried)
    }

    fn origins(&self) -> Vec<OriginView> {
        let door = Door {
            name: "hooks".to_owned(),
            kind: "commerce-webhook".to_owned(),
            commerce: "acme".to_owned(),
            address: "/in/hooks".to_owned(),
            verified_by: vec!["RSA signature".to_owned()],
            headers: Vec::new(),
        };
        vec![shown(door, crossdock::clock::from_micros(0), OfOrigin::default())]
    }

    fn check_origin(&self, name: String) -> Answer<'_, Option<Vec<Checked>>> {
        let detail = format!("{name} answers");
        Box::pin(async { Ok(Some(vec![Checked { verdict: "ok", what: "guarded", detail }])) })
    }

    fn hold_destination(&self, name: &str, reason: &str) -> bool {
        self.held.lock().unwrap().push((name.to_owned(), reason.to_owned()));
        name == "erp"
    }

    fn release_destination(&self, name: &str) -> bool {
        self.released.lock().unwrap().push(name.to_owned());
        name == "erp"
    }

    fn mappings_changed(&self) -> Answer<'_, ()> {
        *self.reloads.lock().unwrap() += 1;
        Box::pin(async { Ok::<(), StoreError>(()) })
    }

    fn wake(&self) {}
}

/// An answer.
pub struct Answered {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answered {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// A header's text, empty when it is not there.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// The routers and what stands behind them.
pub struct Site {
    pub store: SharedStore,
    pub engines: Arc<Doubles>,
    pub clock: Arc<ManualClock>,
    pub health: Arc<Health>,
    pub tokens: [(Role, String); 5],
    pub entropy: SharedEntropy,
    router: Router,
    contract: Contract,
    _dir: tempfile::TempDir,
}

impl Site {
    pub async fn open() -> Site {
        Site::vouched_for_by(None, access::Settings::default()).await
    }

    /// Beside an identity provider.
    pub async fn vouched_for_by(provider: Option<oidc::Settings>, settings: access::Settings) -> Site {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new("2026-03-01T10:00:00Z".parse().unwrap()));
        let shared: SharedClock = clock.clone();
        let entropy: SharedEntropy = Arc::new(SeededEntropy::new(42));
        let path = dir.path().join("crossdock.db");
        let store: SharedStore = Arc::new(SqliteStore::open(Options::new(&path, true), shared.clone()).unwrap());
        let engines = Arc::new(Doubles::default());
        let health = Arc::new(Health::new());
        health.clear("recovering");
        let api = Api::new(Parts {
            store: store.clone(),
            clock: shared.clone(),
            entropy: entropy.clone(),
            access: Arc::new(Access::new(store.clone(), shared.clone(), entropy.clone(), settings)),
            provider: provider.map(|settings| Provider::new(settings, shared, entropy.clone()).unwrap()),
            engines: engines.clone(),
            observer: Arc::new(Observer::new(Metrics::new())),
            health: health.clone(),
            config_version: "c0ffee".to_owned(),
            store_path: Some(path),
            due: crossdock::domain::due::DueTimes::default(),
            bulk: crossdock::exceptions::bulk::Settings::default(),
            running: RunningCalls::default(),
        });
        let router = api_router(api.clone()).merge(health_router(api.clone())).merge(metrics_router(api.clone()));
        let router = finish(router, api);
        let mut tokens = Vec::new();
        for role in Role::ALL {
            let (secret, token) =
                mint(role.as_str(), (role, &Scopes::default()), None, clock.now(), &*entropy).unwrap();
            store.create_token(token, Actor::System.act("token.create", role, clock.now())).await.unwrap();
            tokens.push((role, secret.reveal().to_owned()));
        }
        let tokens = tokens.try_into().unwrap();
        Site { store, engines, clock, health, tokens, entropy, router, contract: Contract::read(), _dir: dir }
    }

    pub fn token(&self, role: Role) -> &str {
        &self.tokens.iter().find(|(known, _)| *known == role).unwrap().1
    }

    /// Sends a request as it is; a JSON answer must be what the contract says.
    pub async fn send(&self, request: Request<Body>) -> Answered {
        let (method, path) = (request.method().as_str().to_lowercase(), request.uri().path().to_owned());
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let answered = Answered { status: parts.status, headers: parts.headers, text };
        self.hold_to_the_contract(&method, &path, &answered);
        answered
    }

    fn hold_to_the_contract(&self, method: &str, path: &str, answered: &Answered) {
        let kind = answered.header("content-type").to_owned();
        if kind == "application/problem+json" {
            let findings = self.contract.findings("Problem", &answered.json());
            assert!(findings.is_empty(), "{method} {path}: {findings:?}");
            assert_eq!(answered.json()["status"], answered.status.as_u16());
        }
        let Some(operation) = self.operation(path).and_then(|item| item.get(method)) else { return };
        let status = answered.status.as_u16().to_string();
        let described = operation["responses"].get(&status);
        let described = described.unwrap_or_else(|| panic!("{method} {path}: {status} is not in the contract"));
        let content = &self.contract.resolve(described)["content"];
        if kind == "application/json" {
            let mut findings = Vec::new();
            self.contract.check(&content["application/json"]["schema"], &answered.json(), "", &mut findings);
            assert!(findings.is_empty(), "{method} {path}: {findings:#?}\n{}", answered.text);
        }
    }

    /// The path item that a path belongs to; one without parameters wins.
    fn operation(&self, path: &str) -> Option<&Value> {
        let parts: Vec<&str> = path.split('/').collect();
        let fits = |template: &str| {
            let names: Vec<&str> = template.split('/').collect();
            names.len() == parts.len()
                && names.iter().zip(&parts).all(|(name, part)| name.starts_with('{') || name == part)
        };
        let paths = self.contract.0["paths"].as_object().unwrap();
        paths.get(path).or_else(|| paths.iter().find(|(template, _)| fits(template)).map(|(_, item)| item))
    }

    /// A call with a role's token, headers as `name: value`, and a body.
    pub async fn call(&self, role: Role, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answered {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{PREFIX}{path}"))
            .header("authorization", format!("Bearer {}", self.token(role)));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(Body::from(body.to_owned())).unwrap()).await
    }

    /// A reading call as a viewer.
    pub async fn get(&self, path: &str) -> Answered {
        self.call(Role::Viewer, "GET", path, &[], "").await
    }

    /// A JSON call as an operator, with a key of its own.
    pub async fn post(&self, path: &str, key: &str, body: &str) -> Answered {
        let headers = [("content-type", "application/json"), ("idempotency-key", key)];
        self.call(Role::Operator, "POST", path, &headers, body).await
    }

    fn subject(increment_id: &str) -> Subject {
        Subject { kind: "order".into(), system: "acme".into(), scope: "1".into(), id: increment_id.into() }
    }

    /// Writes one order down with this conclusion.
    async fn append(&self, increment_id: &str, conclusion: Conclusion) -> (EnvelopeId, Receipt) {
        let now = self.clock.now();
        let id = EnvelopeId::new(now, &*self.entropy);
        let body = format!("{{\"increment_id\":\"{increment_id}\"}}");
        let record = ArrivedRecord {
            id,
            path: String::new(),
            kind: "order".into(),
            event_name: Some("sales_order_save_commit_after".into()),
            event_key: EventKey::explicit("hooks", &id.to_string()),
            content: Digest::of(body.as_bytes()),
            subject: Self::subject(increment_id),
            conclusion: Some(conclusion),
            on_conflict: None,
        };
        let arrival = Arrival {
            origin: "hooks".into(),
            body: pack(body.as_bytes()),
            headers: "{}".into(),
            verification: "rsa-signature".into(),
            config_version: "c0ffee".into(),
            request_id: RequestId::new(now, &*self.entropy),
            traceparent: None,
            received_at: now,
            records: vec![record],
        };
        let receipt = self.store.append(arrival).await.unwrap().remove(0);
        (id, receipt)
    }

    fn facts(&self) -> SubjectFacts {
        SubjectFacts {
            entity_id: Some("42".into()),
            state: Some("new".into()),
            status: Some("pending".into()),
            placed_at: Some(self.clock.now()),
            updated_at: Some(self.clock.now()),
            currency: Some("GBP".into()),
            grand_total: Some("30.0000".into()),
        }
    }

    /// An order that waits for a person.
    pub async fn parked(&self, increment_id: &str, sku: &str) -> ExceptionId {
        let now = self.clock.now();
        let id = ExceptionId::new(now, &*self.entropy);
        let exception = self.exception(id, increment_id, "unmapped_sku", sku);
        let conclusion = Conclusion { facts: self.facts(), exceptions: vec![exception], ..Conclusion::default() };
        self.append(increment_id, conclusion).await;
        id
    }

    fn exception(&self, id: ExceptionId, increment_id: &str, code: &str, cause: &str) -> NewException {
        NewException {
            id,
            code: code.into(),
            severity: "error".into(),
            owner: "operations".into(),
            subject: Self::subject(increment_id),
            destination: Some("erp".into()),
            delivery: None,
            path: "items/0/sku".into(),
            value: Some(cause.into()),
            message: format!("The SKU table has no row for \"{cause}\"."),
            remedy: "Add the SKU to the table skus.".into(),
            fingerprint: Defect::new(code.parse().unwrap(), "", "").with_cause(cause).fingerprint(),
            opened_at: self.clock.now(),
        }
    }

    /// An order whose first attempt is on the wire: the delivery, and what a settlement needs.
    async fn started(&self, increment_id: &str) -> (DeliveryId, DocumentId, i64) {
        let now = self.clock.now();
        let (document, delivery) = (DocumentId::new(now, &*self.entropy), DeliveryId::new(now, &*self.entropy));
        let body =
            serde_json::json!({ "schema": "crossdock.sales_order.v1", "purpose": "order.create", "increment_id": increment_id, "order": { "customer": { "email": "anna@example.com" } } }).to_string();
        let parts = KeyParts {
            installation: self.store.installation_id(),
            destination: "erp",
            system: "acme",
            subject_kind: "order",
            subject_scope: "1",
            subject_id: increment_id,
            purpose: "order.create",
            revision: "",
            generation: 0,
        };
        let sealed = crossdock::store::write::SealedRequest {
            method: "POST".into(),
            url: "https://erp.example.com/sales-orders?secret=1".into(),
            headers: vec![("content-type".into(), "application/json".into())],
            body: body.clone().into(),
            digest: Digest::of(body.as_bytes()),
            body_is_document: true,
        };
        let start = AttemptStart {
            delivery,
            number: 1,
            document,
            seal: Some(sealed),
            purpose: AttemptPurpose::Send,
            started_at: now,
            deadline: now,
            config_version: "c0ffee".into(),
        };
        let conclusion = Conclusion {
            facts: self.facts(),
            documents: vec![NewDocument {
                id: document,
                kind: "order".into(),
                schema: "crossdock.sales_order.v1".into(),
                destination: "erp".into(),
                body: pack(body.as_bytes()),
                mappings_version: 0,
                edit: None,
            }],
            deliveries: vec![NewDelivery {
                id: delivery,
                key: IdempotencyKey::derive(&parts),
                destination: "erp".into(),
                document,
                purpose: "order.create".into(),
                revision: String::new(),
                generation: 0,
                due_at: now,
                overtakes: false,
                report: None,
                express: Some(start),
            }],
            explanation: "route \"orders\" accepts it: to erp".into(),
            ..Conclusion::default()
        };
        let (_, receipt) = self.append(increment_id, conclusion).await;
        let Receipt::First { started, .. } = receipt else { panic!("the order is new") };
        (delivery, document, started[0].epoch)
    }

    async fn settle(&self, delivery: DeliveryId, epoch: i64, outcome: &str, status: u16, next: NextState) {
        let seen = AttemptSeen {
            outcome: outcome.into(),
            status: Some(status),
            detail: format!("answered {status}"),
            response: Some("{\"id\":\"SO-1\"}".into()),
            duration_us: Some(5_000),
            steps: None,
        };
        let settlement = Settlement { delivery, number: 1, epoch, seen, next, progress: None, at: self.clock.now() };
        assert!(self.store.settle(settlement).await.unwrap());
    }

    /// An order that is in the ERP.
    pub async fn delivered(&self, increment_id: &str) -> (DeliveryId, DocumentId) {
        let (delivery, document, epoch) = self.started(increment_id).await;
        let receipt = Some("SO-000001".to_owned());
        self.settle(delivery, epoch, "accepted", 201, NextState::Delivered { receipt }).await;
        (delivery, document)
    }

    /// An order that the ERP refused.
    pub async fn refused(&self, increment_id: &str) -> (DeliveryId, ExceptionId) {
        let (delivery, _, epoch) = self.started(increment_id).await;
        let id = ExceptionId::new(self.clock.now(), &*self.entropy);
        let exception = NewException {
            delivery: Some(delivery),
            ..self.exception(id, increment_id, "rejected_by_destination", "422")
        };
        let next = NextState::Parked { exception: Box::new(exception), uncertain: false };
        self.settle(delivery, epoch, "rejected", 422, next).await;
        (delivery, id)
    }

    /// An order on its way: refused once, to be tried again.
    pub async fn waiting(&self, increment_id: &str) -> DeliveryId {
        let (delivery, _, epoch) = self.started(increment_id).await;
        let next =
            NextState::Waiting { due_at: self.clock.now(), uncertain: false, counts: true, ladder: Ladder::default() };
        self.settle(delivery, epoch, "unavailable", 503, next).await;
        delivery
    }
}
