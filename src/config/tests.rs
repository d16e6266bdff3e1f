//! Whole files: the example of the design, and a table of broken ones.

mod batches;
mod oidc;
mod said;
mod shape;

use std::path::Path;
use std::time::Duration;

use super::*;
use crate::intake::signature::sign::CommerceSigner;
use crate::routing::LanePolicy;

fn environment(name: &str) -> Option<String> {
    match name {
        "LONG" => Some("0123456789abcdef0123456789abcdef".to_owned()),
        "KEY" => Some("00112233445566778899aabbccddeeff".repeat(2)),
        "SHORT" => Some("hunter2".to_owned()),
        _ => None,
    }
}

fn read(text: &str) -> Result<Loaded, Vec<Problem>> {
    Config::read(text, Path::new("/nowhere"), &environment)
}

fn lines(problems: &[Problem]) -> String {
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

fn problems(text: &str) -> String {
    let problems = read(text).expect_err("this file is broken");
    lines(&problems)
}

fn warnings(text: &str) -> String {
    let loaded = read(text).unwrap_or_else(|problems| panic!("{problems:#?}"));
    lines(&loaded.warnings)
}

const SMALL: &str = r#"
[commerce.acme]
[origins.flows]
type = "patchworks"
commerce = "acme"
auth = { type = "bearer", token = "env:LONG" }
[destinations.erp]
profile = "http"
url = "https://erp.example.com/sales-orders"
guard = "key"
key_window = "24h"
[[routes]]
name = "orders"
accepts = ["order"]
to = ["erp"]
"#;

#[test]
fn a_small_file_gets_every_default() {
    let loaded = read(SMALL).unwrap();
    let config = loaded.config;
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.server.hook_timeout, Duration::from_secs(2));
    assert_eq!(config.server.body_bytes_max, 1 << 20);
    assert!(matches!(&config.store.url, StoreUrl::Sqlite(path) if path == Path::new("/nowhere/crossdock.db")));
    let acme = &config.commerce["acme"];
    assert_eq!((acme.read_back, acme.sweep, acme.edition), (ReadBack::Never, None, Edition::Paas));
    assert_eq!(acme.catalogue, None, "without a base_url there is nothing to ask");
    let flows = &config.origins["flows"];
    assert_eq!((flows.direction, flows.kind), (Direction::FromCommerce, OriginType::Patchworks));
    let erp = &config.destinations["erp"];
    assert_eq!(erp.guard, Guard::Key { window: Duration::from_hours(24) });
    assert_eq!((erp.retry_schedule.len(), erp.concurrency), (13, 8));
    assert_eq!(erp.idempotency_header, "idempotency-key");
    assert_eq!(config.routes[0].name, "orders");
    assert_eq!(config.policies, Policies::default());
    let warned: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warned,
        [
            "store.encryption_key: is not set: payloads are stored unencrypted; keep the file on an encrypted disk, or \
             make a key: crossdock keys new FILE",
            "store.backup: is not set: the service makes no copies of its store; write backup = { dir = \"backups\" }, on \
             another disk where there is one",
        ]
    );
}

/// The file of the design, with the profiles that are there.
#[test]
fn the_design_example_loads() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("keys")).unwrap();
    std::fs::write(folder.path().join("keys/commerce.pem"), CommerceSigner::generate().public_key_pem()).unwrap();
    std::fs::write(folder.path().join("token"), "0123456789abcdef0123456789abcdef\n").unwrap();
    let text = r#"
[server]
listen = "127.0.0.1:8080"
admin_listen = "127.0.0.1:8081"
body_bytes_max = "2MiB"

[store]
url = "sqlite:crossdock.db"
encryption_key = "env:KEY"

[commerce.acme]
edition = "paas"
base_url = "https://shop.example.com/rest/"
auth = { type = "oauth1", consumer_key = "ck", consumer_secret = "env:LONG", access_token = "at", access_token_secret = "file:token" }
read_back = "when-needed"
sweep = { every = "5m", overlap = "10m" }
catalogue = { wait = "1s", refresh = "6h", products_max = 2000 }

[commerce.cloud]
edition = "saas"
base_url = "https://na1.api.commerce.example.com/tenant"
auth = { type = "ims", client_id = "id", client_secret = "env:LONG", scopes = ["openid"], org_id = "X@AdobeOrg" }
sweep = "off"

[origins.hooks]
type = "commerce-webhook"
commerce = "acme"
auth = [{ type = "rsa-signature", public_keys = ["file:keys/commerce.pem"], signed = "raw-body" }]
default_store_id = 1
on_refused = "exception"
grace = true

[origins.flows]
type = "patchworks"
commerce = "acme"
event_id_header = "X-Event-Id"
rate = "120/m"
auth = [
  { type = "header", name = "X-Api-Key", value = ["env:LONG", { value = "file:token", until = 2026-03-01T00:00:00Z }] },
  { all = [
    { type = "hmac", header = "X-HMAC-HASH", secret = "env:LONG" },
    { type = "basic", user = "me", password = "env:LONG" },
  ] },
  { type = "standard-webhooks", secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" },
]

[origins.erp-out]
type = "backoffice"
commerce = "acme"
auth = [{ type = "bearer", token = "env:LONG" }]

[destinations.erp]
profile = "http"
url = "http://127.0.0.1:9000/sales-orders"
guard = "key"
key_window = "24h"
auth = { type = "bearer", token = "env:LONG" }
allow_private = ["127.0.0.0/8"]
retry_schedule = ["1s", "10s"]
age_limit = "3d"
policies = { bundles = "kit", bundles_by_sku = { "24-WG080" = "components" } }

[[routes]]
name = "orders"
accepts = ["order", "order_change"]
when = "order.store_id in [1, 2]"
to = ["erp"]

[policies]
bundles = "components"
unmapped_sku = "warn"
rounding_tolerance = 2
"#;
    let path = folder.path().join("crossdock.toml");
    std::fs::write(&path, text).unwrap();
    let loaded = Config::load(&path, &environment).unwrap_or_else(|problems| panic!("{problems:#?}"));
    let config = &loaded.config;
    assert_eq!(config.commerce["acme"].base_url.as_ref().unwrap().as_str(), "https://shop.example.com/rest");
    assert!(matches!(config.commerce["cloud"].auth, CommerceAuth::Ims { .. }));
    let kept = |name: &str| {
        let cache = config.commerce[name].catalogue.unwrap();
        (cache.wait, cache.refresh, cache.products_max)
    };
    assert_eq!(kept("acme"), (Duration::from_secs(1), Duration::from_hours(6), 2_000));
    assert_eq!(kept("cloud"), (Duration::from_secs(2), Duration::from_hours(24), 50_000), "the default");
    assert_eq!(config.origins["hooks"].on_refused, OnRefused::Exception);
    assert_eq!(config.origins["erp-out"].direction, Direction::ToCommerce);
    let flows = &config.origins["flows"];
    assert_eq!(flows.auth.len(), 3);
    assert!(matches!(&flows.auth[1], AuthSetting::All(members) if members.len() == 2));
    let erp = &config.destinations["erp"];
    assert!(matches!(erp.guard, Guard::Key { window } if window == Duration::from_hours(24)));
    assert_eq!(format!("{:?}", erp.policies.bundles), "Kit");
    assert_eq!(format!("{:?}", erp.policies.unmapped_sku), "Warn");
    assert_eq!((erp.policies.rounding_tolerance, config.policies.bundles_by_sku.len()), (2, 0));
    assert_eq!(loaded.version.as_str().len(), 12);
    let printed = format!("{loaded:?}");
    for secret in ["0123456789abcdef0123456789abcdef\"", "MfKQ9r8GKYq"] {
        assert!(!printed.contains(secret), "a secret is printed");
    }
    let warned = lines(&loaded.warnings);
    insta::assert_snapshot!(warned, @r##"
line 7: store.backup: is not set: the service makes no copies of its store; write backup = { dir = "backups" }, on another disk where there is one
line 25: origins.hooks.grace: answers success to unverified payloads and parks them; switch it off as soon as the new key stands in public_keys
line 44: origins.flows.auth[2].secret: is a secret written into the file; use env:NAME or file:PATH
"##);
}

#[test]
fn every_problem_is_shown_at_once_with_its_line() {
    let text = r#"[server]
lisen = "127.0.0.1:8080"
body_bytes_max = "11MiB"
handler_timeout = "8 seconds"

[stores]

[commerce.acme]
base_url = "http://shop.example.com/rest"
auth = { type = "oauth1", consumer_key = "a", consumer_secret = "env:MISSING" }

[commerce.Bad_Name]
read_back = "always"

[origins.hooks]
type = "commerce-webhook"
commerce = "acne"
client_id = "x"
auth = [{ type = "rsa-signature", public_keys = ["file:nowhere.pem", "not a key"] }, { type = "hmac", secret = "env:SHORT" }]

[origins.open]
type = "patchworks"
commerce = "acme"

[destinations.erp]
profile = "htpp"

[destinations.wms]
profile = "http"
url = "https://me:pw@wms.example.com/#x"
guard = "key"

[destinations.shop]
profile = "commerce"
commerce = "acme"

[destinations.odd]
profile = "http"
url = "http://10.1.1.1/orders"
guard = "find"
retry_schedule = ["1s", 5]

[[routes]]
name = "orders"
accepts = ["orders"]
when = "order.store_id in ["
to = ["erp", "emp"]

[[routes]]
accepts = []
to = "wms"

[policies]
bundles = "split"
unmaped_sku = "park"
"#;
    insta::assert_snapshot!(problems(text), @r##"
line 2: server.lisen: is not a key of [server]; did you mean "listen"?
line 3: server.body_bytes_max: 11534336 bytes are out of bounds; write 1024 to 10485760 bytes
line 4: server.handler_timeout: "8 seconds" is not a duration; write a whole number and a unit: 500ms, 5s, 10m, 24h or 7d
line 6: stores: is not a key of the file; did you mean "store"?
line 9: commerce.acme.base_url: uses plain http; use https; plain http is for loopback
line 10: commerce.acme.auth.consumer_secret: the environment variable MISSING is not set or empty; set it before starting
line 10: commerce.acme.auth.access_token: is missing; name it
line 10: commerce.acme.auth.access_token_secret: is missing; name the secret value
line 12: commerce.Bad_Name: is not a name; names are 1 to 64 of a-z, 0-9, - and _, and begin with a letter or digit
line 13: commerce.Bad_Name.read_back: needs a base_url to read from; add base_url, or write read_back = "never"
line 17: origins.hooks.commerce: "acne" is no Commerce instance of this file; did you mean "acme"?
line 18: origins.hooks.client_id: is not a key of an origin of type commerce-webhook; known keys: auth, body_bytes_max, commerce, default_store_id, direction, grace, on_refused, rate, type
line 19: origins.hooks.auth[0].public_keys[0]: the file /nowhere/nowhere.pem cannot be read: No such file or directory (os error 2); paths are relative to the configuration file
line 19: origins.hooks.auth[0].public_keys[1]: is not a PEM public key (-----BEGIN PUBLIC KEY-----); copy the public key again: Stores > Configuration > Adobe Services > Webhooks
line 19: origins.hooks.auth[1].secret: is a secret of 7 bytes; signing secrets have 24 to 64 bytes: openssl rand -hex 24
line 21: origins.open.auth: is missing; nothing is taken unverified: add { type = "rsa-signature" | "header" | "bearer" | "basic" | "hmac" | "standard-webhooks", … }
line 26: destinations.erp.profile: "htpp" is not known here; did you mean "http"?
line 28: destinations.wms.key_window: is missing for guard = "key"; write how long the destination remembers keys, such as "24h"; without that use another guard
line 30: destinations.wms.url: carries a user or password; put credentials into auth
line 34: destinations.shop.profile: profile commerce is not available in this version; use another, or write a recipe and use profile = "recipe"
line 37: destinations.odd.find: is missing: guards find and unique must be able to look; write find = { method = "GET", url = "https://…?ref={{ order.increment_id }}", reference = "/items/0/reference", id = "/items/0/id" }
line 39: destinations.odd.url: uses plain http; use https; plain http is for loopback and addresses named in allow_private
line 41: destinations.odd.retry_schedule[1]: is of type integer; write a string in quotes
line 45: routes[0].accepts[0]: "orders" is not known here; did you mean "order"?
line 46: routes[0].when: is not a condition: syntax error: unexpected end of input, expected expression; write an expression over the document, such as order.store_id in [1, 2]
line 47: routes[0].to[1]: "emp" is no destination of this file; did you mean "erp"?
line 49: routes[1].name: is missing; give the route a name, it is shown where it decided
line 50: routes[1].accepts: is an empty list; name the document kinds, such as ["order"]
line 54: policies.bundles: is not a policy: unknown variant `split`; known: components, kit
line 55: policies.unmaped_sku: is not a policy: unknown field `unmaped_sku`; did you mean "unmapped_sku"?
"##);
}

#[test]
fn what_is_not_toml_is_shown_with_its_lines() {
    insta::assert_snapshot!(problems("[server]\nlisten = \n\n[store\nurl = \"x\"\n"), @r##"
line 2: is not TOML: string values must be quoted, expected literal string; put the syntax right
line 4: is not TOML: unclosed table, expected `]`; put the syntax right
"##);
    insta::assert_snapshot!(problems("[server]\nlisten = \"a\"\nlisten = \"b\"\n"), @r##"line 3: is not TOML: duplicate key; put the syntax right"##);
}

#[test]
fn a_missing_file_is_one_problem() {
    let problems = Config::load(Path::new("/nowhere/crossdock.toml"), &environment).unwrap_err();
    assert_eq!(problems.len(), 1);
    assert!(problems[0].to_string().contains("/nowhere/crossdock.toml cannot be read"));
}

#[test]
fn ret_7_guard_key_needs_a_window() {
    for window in ["", "key_window = \"0s\"", "key_window = 0"] {
        let text = SMALL.replace("key_window = \"24h\"", window);
        assert!(problems(&text).contains("destinations.erp.key_window"), "{window}");
    }
}

#[test]
fn sig_5_signing_secrets_have_24_to_64_bytes() {
    for (length, fits) in [(23, false), (24, true), (64, true), (65, false)] {
        let auth = format!("auth = {{ type = \"hmac\", secret = \"{}\" }}", "s".repeat(length));
        let text = SMALL.replace("auth = { type = \"bearer\", token = \"env:LONG\" }", &auth);
        assert_eq!(read(&text).is_ok(), fits, "{length}");
    }
}

#[test]
fn an_origin_without_credentials_is_refused_in_every_spelling() {
    for auth in ["", "auth = []", "auth = [{ all = [] }]", "auth = [{ all = [{ all = [] }] }]", "auth = {}"] {
        let text = SMALL.replace("auth = { type = \"bearer\", token = \"env:LONG\" }", auth);
        assert!(problems(&text).contains("origins.flows.auth"), "{auth}");
    }
}

#[test]
fn what_works_but_should_be_looked_at_is_a_warning() {
    let text = SMALL.replace("\"env:LONG\"", "\"hunter2\"")
        + "[destinations.idle]\nprofile = \"http\"\nurl = \"https://x.example.com/\"\n";
    insta::assert_snapshot!(warnings(&text), @r##"
store.encryption_key: is not set: payloads are stored unencrypted; keep the file on an encrypted disk, or make a key: crossdock keys new FILE
store.backup: is not set: the service makes no copies of its store; write backup = { dir = "backups" }, on another disk where there is one
destinations.idle: is named by no route: nothing is sent to it; add a route, or remove it
line 6: origins.flows.auth.token: is a secret written into the file; use env:NAME or file:PATH
line 6: origins.flows.auth.token: is shorter than 16 characters; use a long random value: openssl rand -hex 24
"##);
    let shown = format!("{:?}", read(&text).unwrap());
    assert!(!shown.contains("hunter2"));
}

#[test]
fn later_work_is_named_as_such_and_an_events_origin_is_read_strictly() {
    let text = SMALL.replace("profile = \"http\"", "profile = \"commerce\"\ncommerce = \"acme\"")
        + "[store]\nurl = \"postgres://me@db/x\"\n[origins.events]\ntype = \"commerce-events\"\ncommerce = \"acme\"\nclient_id = \"x\"\nkey_base_url = \"https://keys.example.com\"\n";
    insta::assert_snapshot!(problems(&text), @r##"
line 8: destinations.erp.profile: profile commerce is not available in this version; use another, or write a recipe and use profile = "recipe"
line 18: store.url: the PostgreSQL store is not available in this version; use url = "sqlite:crossdock.db"
line 22: origins.events.client_id: is not a client id; copy it from the credential of the project: 8 to 128 letters, digits, hyphens and underscores
line 23: origins.events.key_base_url: is not on loopback; remove it: signing keys are read from Adobe's host
"##);
}

#[test]
fn the_journal_of_an_events_origin_takes_its_address_a_secret_and_an_organisation() {
    let events = "[origins.events]\ntype = \"commerce-events\"\ncommerce = \"acme\"\n\
                  client_id = \"0123456789abcdef0123456789abcdef\"\n";
    let with = |journal: &str| format!("{SMALL}{events}journal = {{ {journal} }}\n");
    let whole = r#"url = "https://events-va6.adobe.io/events/organizations/1/integrations/2/3", client_secret = "0123456789abcdef0123", org_id = "1@AdobeOrg""#;
    let journal = read(&with(whole)).unwrap().config.origins["events"].journal.clone().unwrap();
    assert_eq!((journal.every.as_secs(), journal.token_url, journal.scopes.len()), (60, None, 5));
    insta::assert_snapshot!(problems(&with(
        "url = \"https://a.example/j?latest=true\", every = \"1ms\", token_url = \"https://a.example\", colour = 1"
    )));
}

#[test]
fn sig_6_an_events_origin_names_its_client_and_needs_no_credential() {
    let events = "[origins.events]\ntype = \"commerce-events\"\ncommerce = \"acme\"\n";
    let whole = format!("{SMALL}{events}client_id = \"0123456789abcdef0123456789abcdef\"\n");
    let origin = read(&whole).unwrap().config.origins["events"].clone();
    assert_eq!(origin.client_id.as_deref(), Some("0123456789abcdef0123456789abcdef"));
    assert!(origin.auth.is_empty() && origin.key_base_url.is_none());
    let tested = format!("{whole}key_base_url = \"http://127.0.0.1:9999\"\n");
    assert!(read(&tested).unwrap().config.origins["events"].key_base_url.is_some());
    let nobody = problems(&format!("{SMALL}{events}"));
    assert!(nobody.contains("client_id: is missing"), "{nobody}");
    let own = problems(&format!("{whole}auth = [{{ type = \"bearer\", token = \"0123456789abcdef\" }}]\n"));
    assert!(own.contains("is not used by an origin of type commerce-events"), "{own}");
}

fn environment_of_the_manual(name: &str) -> Option<String> {
    (!name.is_empty()).then(|| "0123456789abcdef0123456789abcdef".to_owned())
}

/// A folder with every file that the manual and the deployment name.
fn folder_with_keys() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in ["keys", "secrets"] {
        std::fs::create_dir(folder.path().join(name)).unwrap();
    }
    std::fs::write(folder.path().join("keys/commerce.pem"), CommerceSigner::generate().public_key_pem()).unwrap();
    for name in ["hook_key", "flows_key", "flows_hmac", "erp_token"] {
        std::fs::write(folder.path().join("secrets").join(name), "0123456789abcdef0123456789abcdef\n").unwrap();
    }
    folder
}

#[test]
fn the_manual_and_the_deployment_are_valid_files() {
    let folder = folder_with_keys();
    for text in [include_str!("../../crossdock.example.toml"), include_str!("../../deploy/crossdock.toml")] {
        let loaded = Config::read(text, folder.path(), &environment_of_the_manual);
        assert!(loaded.is_ok(), "{}", lines(&loaded.unwrap_err()));
    }
}

/// A destination whose guard looks, with these keys instead of the usual `find`.
fn looking(guard: &str, keys: &str) -> String {
    SMALL.replace("guard = \"key\"\nkey_window = \"24h\"", &format!("guard = \"{guard}\"\n{keys}"))
}

const FIND: &str =
    "find = { url = \"https://erp.example.com/o?ref={{ order.increment_id }}\", reference = \"/items/0/reference\"";

#[test]
fn unc_4_a_destination_says_how_to_look_and_gets_the_usual_rest() {
    let of =
        |text: &str| read(text).unwrap_or_else(|found| panic!("{}", lines(&found))).config.destinations["erp"].clone();
    let erp = of(&looking("find", &format!("{FIND} }}")));
    assert_eq!(erp.guard, Guard::Find);
    let find = erp.find.unwrap();
    assert_eq!((find.method.as_str(), find.first, find.settle_after), ("GET", true, Duration::from_mins(1)));
    assert_eq!((find.value.as_str(), &find.purposes), ("{{ order.increment_id }}", &vec!["order.create".to_owned()]));
    assert!(find.absent_status.is_empty() && erp.already_exists.is_none());
    let slow = format!("request_timeout = \"45s\"\n{FIND}, id = \"/items/0/id\" }}");
    let find = of(&looking("unique", &slow)).find.unwrap();
    assert_eq!((find.first, find.settle_after), (false, Duration::from_secs(90)), "twice the time-out");
    let own = format!(
        "{FIND}, settle_after = \"5s\", first = true, total = \"/items/0/total\", absent_status = [204], value = \"x{{{{ key }}}}\" }}\n\
         already_exists = {{ status = [400, 422], pointer = \"/code\", text = \"duplicate\" }}"
    );
    let erp = of(&looking("unique", &own));
    let (find, exists) = (erp.find.unwrap(), erp.already_exists.unwrap());
    assert_eq!((find.first, find.settle_after, find.absent_status), (true, Duration::from_secs(5), vec![204]));
    assert_eq!(
        (exists.status, exists.pointer.as_deref(), exists.text.as_deref()),
        (vec![400, 422], Some("/code"), Some("duplicate"))
    );
    // Optional beside a key, useless without a guard but no mistake.
    assert!(of(&SMALL.replace("key_window = \"24h\"", &format!("key_window = \"24h\"\n{FIND} }}"))).find.is_some());
}

#[test]
fn unc_4_what_cannot_be_asked_is_refused_by_name() {
    for (keys, told) in [
        ("", "destinations.erp.find: is missing"),
        ("find = { url = \"https://erp.example.com/o\", reference = \"/0/r\" }", "asks the same for every record"),
        ("find = { url = \"https://{{ order.host }}/o\", reference = \"/0/r\" }", "template in its host"),
        ("find = { url = \"https://10.0.0.1/{{ key }}\", reference = \"/0/r\" }", "find.url"),
        ("find = { url = \"https://erp.example.com/{{ key\", reference = \"/0/r\" }", "is not a template"),
        ("find = { url = \"https://erp.example.com/{{ key }}\" }", "find.reference: is missing"),
        ("find = { url = \"https://erp.example.com/{{ key }}\", reference = \"r\" }", "is not a JSON pointer"),
        ("find = { url = \"https://erp.example.com/{{ key }}\", reference = \"/0/r\", id = \"/id\" }", "same list"),
        (
            "find = { url = \"https://erp.example.com/{{ key }}\", reference = \"/r\", purposes = [\"resend\"] }",
            "resend",
        ),
        (
            "find = { url = \"https://erp.example.com/{{ key }}\", reference = \"/r\" }\nalready_exists = { pointer = \"/c\" }",
            "already_exists.text",
        ),
    ] {
        let problems = problems(&looking("find", keys));
        assert!(problems.contains(told), "{keys}: {problems}");
    }
}

/// The names that a section knows, as its own error message lists them.
fn known_keys(section: &str) -> Vec<String> {
    let problems = problems(section);
    let list = problems.lines().find_map(|line| line.split_once("known keys: ")).expect("an unknown key was given").1;
    list.split(", ").map(str::to_owned).collect()
}

#[test]
fn the_manual_names_every_key() {
    let manual = include_str!("../../crossdock.example.toml");
    let sections = [
        "zzzzzzzzzz = 1",
        "[server]\nzzzzzzzzzz = 1",
        "[store]\nzzzzzzzzzz = 1",
        "[store]\nbackup = { zzzzzzzzzz = 1 }",
        "[access]\nzzzzzzzzzz = 1",
        "[access.oidc]\nzzzzzzzzzz = 1",
        "[access.oidc]\nroles = { zzzzzzzzzz = 1 }",
        "[retention]\nzzzzzzzzzz = 1",
        "[exceptions]\nzzzzzzzzzz = 1",
        "[commerce.a]\nzzzzzzzzzz = 1",
        "[origins.a]\ntype = \"commerce-webhook\"\nzzzzzzzzzz = 1",
        "[origins.a]\ntype = \"commerce-events\"\nzzzzzzzzzz = 1",
        "[origins.a]\ntype = \"patchworks\"\nzzzzzzzzzz = 1",
        "[origins.a]\ntype = \"backoffice\"\nzzzzzzzzzz = 1",
        "[origins.a]\ntype = \"backoffice\"\npoll = { zzzzzzzzzz = 1 }",
        "[accounts.a]\nzzzzzzzzzz = 1",
        "[destinations.a]\nprofile = \"http\"\nzzzzzzzzzz = 1",
        "[destinations.a]\nprofile = \"http\"\nfind = { zzzzzzzzzz = 1 }",
        "[destinations.a]\nprofile = \"http\"\nalready_exists = { zzzzzzzzzz = 1 }",
        "[destinations.a]\nprofile = \"http\"\nshape = { zzzzzzzzzz = 1 }",
        "[[routes]]\nzzzzzzzzzz = 1",
        "[alerts]\nzzzzzzzzzz = 1",
        "[alerts]\ndead_man = { zzzzzzzzzz = 1 }",
        "[alerts.contacts.a]\ntype = \"webhook\"\nquiet = { zzzzzzzzzz = 1 }",
        "[alerts.contacts.a]\ntype = \"email\"\nzzzzzzzzzz = 1",
        "[alerts.contacts.a]\ntype = \"patchworks\"\nzzzzzzzzzz = 1",
        "[[alerts.rules]]\nwatch = \"age\"\nzzzzzzzzzz = 1",
    ];
    for section in sections {
        for key in known_keys(section) {
            assert!(manual.contains(&key), "{key} of {section}");
        }
    }
}

#[test]
fn limits_and_deadlines_follow_the_kind_of_sender() {
    let config =
        read(&SMALL.replace("[commerce.acme]", "[server]\nbody_bytes_max = \"2MiB\"\n[commerce.acme]")).unwrap().config;
    let mut origin = config.origins["flows"].clone();
    assert_eq!(config.body_bytes_max(&origin), 2 << 20);
    assert_eq!(config.handler_timeout(&origin), Duration::from_secs(8));
    origin.kind = OriginType::CommerceEvents;
    assert_eq!(config.body_bytes_max(&origin), 4 << 20);
    let mut patient = config.clone();
    patient.server.handler_timeout = Duration::from_secs(30);
    assert_eq!(patient.handler_timeout(&origin), Duration::from_secs(9), "Adobe waits for ten");
    origin.kind = OriginType::CommerceWebhook;
    assert_eq!(config.handler_timeout(&origin), Duration::from_secs(2));
    origin.body_bytes_max = Some(4096);
    assert_eq!(config.body_bytes_max(&origin), 4096);
}

#[test]
fn a_route_says_what_its_documents_do_in_a_closed_lane_and_follows_orders_only_where_they_go() {
    let small = SMALL.replace("[commerce.acme]", "[commerce.acme]\nwait_for_order = \"20m\"");
    let loaded = read(&small).unwrap();
    assert_eq!(loaded.config.commerce["acme"].wait_for_order, Duration::from_mins(20));
    assert_eq!(read(SMALL).unwrap().config.commerce["acme"].wait_for_order, Duration::from_mins(15));
    assert_eq!(loaded.config.routes[0].lane, LanePolicy::Hold);
    let overtakes = SMALL.replace("name = \"orders\"", "name = \"orders\"\nlane = \"overtake\"");
    assert_eq!(read(&overtakes).unwrap().config.routes[0].lane, LanePolicy::Overtake);
    let alone = SMALL.replace("accepts = [\"order\"]", "accepts = [\"order_change\"]");
    let warned = read(&alone).unwrap().warnings;
    assert!(warned.iter().any(|problem| problem.to_string().contains("nothing follows there")), "{warned:?}");
}

#[test]
fn bak_1_dat_2_copies_are_off_until_named_and_retention_has_defaults() {
    let config = read(SMALL).unwrap().config;
    assert!(config.store.backup.is_none());
    let days = |days: u64| Duration::from_hours(24 * days);
    assert_eq!(config.retention, RetentionSettings { payloads: days(30), attempts: days(90) });
    assert_eq!(config.store.erased_lists, [Path::new("/nowhere/crossdock.db.erased")]);
    let text = SMALL.replace(
        "[commerce.acme]",
        "[store]\nbackup = { dir = \"copies\", keep = \"7d\" }\nencryption_key = [\"env:KEY\", \"env:KEY\"]\n\
         [retention]\npayloads = \"10d\"\n[commerce.acme]",
    );
    let config = read(&text).unwrap().config;
    let backup = config.store.backup.unwrap();
    assert_eq!((backup.dir.as_path(), backup.every), (Path::new("/nowhere/copies"), Duration::from_mins(15)));
    assert_eq!((backup.keep, config.retention.payloads), (days(7), days(10)));
    assert_eq!(config.store.encryption_keys.len(), 2);
    assert!(problems(&text.replace("dir = ", "folder = ")).contains("store.backup.folder: is not a key"));
    assert!(problems(&text.replace("10d", "1h")).contains("retention.payloads: 1h is out of bounds"));
}

#[test]
fn a_commerce_address_that_is_hardly_meant_is_doubted() {
    for (edition, url, told) in [
        ("paas", "https://shop.example.com/rest", ""),
        ("paas", "https://shop.example.com/shop/rest/", ""),
        ("paas", "https://shop.example.com", "has no /rest at its end"),
        ("paas", "https://shop.example.com/rest/default/V1", "has more behind /rest"),
        ("saas", "https://na1.api.example.com/tenant", ""),
        ("saas", "https://na1.api.example.com", "has no tenant"),
        ("saas", "https://na1.api.example.com/tenant/V1", "has /rest or /V1 in it"),
    ] {
        let text = format!("{SMALL}\n[commerce.other]\nedition = \"{edition}\"\nbase_url = \"{url}\"\n");
        let warned = warnings(&text);
        let doubts = warned.lines().filter(|line| line.contains("commerce.other.base_url")).count();
        assert_eq!((doubts, warned.contains(told)), (usize::from(!told.is_empty()), true), "{url}: {warned}");
    }
}
