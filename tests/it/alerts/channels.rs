//! What each channel is told, and trying them out.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crossdock::app::Machine;
use crossdock::observe::disk::DiskSpace;
use hmac::{Hmac, KeyInit as _, Mac as _};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::Sha256;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::{telling, webhook};
use crate::support::inbox::{Inbox, Mail, MailServer, Mood, Told};
use crate::support::process::binary;
use crate::support::{STANDARD_SECRET, TestApp, until};

async fn tests(app: &TestApp, contact: &str) -> Value {
    let answer = app.asks(Method::POST, "/api/v1/alerts/test", Some(&json!({ "contact": contact }))).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()
}

/// By the public rules of Standard Webhooks.
fn is_signed(told: &Told) {
    let key = STANDARD.decode(STANDARD_SECRET.strip_prefix("whsec_").unwrap()).unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
    mac.update(format!("{}.{}.", told.header("webhook-id"), told.header("webhook-timestamp")).as_bytes());
    mac.update(&told.body);
    let expected = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
    assert_eq!(told.header("webhook-signature"), expected);
    let age = crossdock::clock::Timestamp::now().as_second() - told.header("webhook-timestamp").parse::<i64>().unwrap();
    assert!((0..300).contains(&age), "{age}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_web_channel_is_told_in_its_own_words() {
    let inbox = Inbox::start().await;
    let one = |name: &str, kind: &str, more: &str| {
        let url = inbox.url(&format!("/{name}"));
        format!(
            "\n[alerts.contacts.{name}]\ntype = \"{kind}\"\nurl = \"{url}\"\nallow_private = [\"127.0.0.0/8\"]\n{more}\n"
        )
    };
    let alerts = webhook("ops", &inbox.url("/ops"), "")
        + &one("chat", "slack", "")
        + &one("team", "teams", "")
        + &one("flow", "patchworks", "flow = \"F-1\"\nkey = \"patchworks-key\"\nhmac = \"patchworks-hmac-secret\"")
        + &one("trigger", "patchworks", "");
    let alerts = alerts.replace(&inbox.url("/flow"), &inbox.url(""));
    let app = TestApp::with(|text| {
        text.replace("[server]", "[server]\npublic_url = \"https://crossdock.example.com\"") + &alerts
    })
    .await;
    for (contact, path) in [
        ("ops", "/ops"),
        ("chat", "/chat"),
        ("team", "/team"),
        ("flow", "/api/v1/flows/F-1/start/raw"),
        ("trigger", "/trigger"),
    ] {
        let said = tests(&app, contact).await;
        assert_eq!(said["sent"], true, "{said}");
        assert_eq!(inbox.told().last().unwrap().path, path);
    }
    let told = inbox.told();
    is_signed(&told[0]);
    assert_eq!(told[0].json()["kind"], "test");
    assert!(told.iter().all(|one| one.header("idempotency-key").contains("msg_")));
    let slack = told[1].json();
    let text = slack["text"].as_str().unwrap();
    assert!(
        text.starts_with("[Test] This is a test of contact chat")
            && text.contains("<https://crossdock.example.com/console|"),
        "{text}"
    );
    let card = &told[2].json()["attachments"][0];
    assert_eq!(card["contentType"], "application/vnd.microsoft.card.adaptive");
    assert_eq!((&card["content"]["type"], &card["content"]["version"]), (&json!("AdaptiveCard"), &json!("1.4")));
    assert_eq!(card["content"]["actions"][0]["url"], "https://crossdock.example.com/console");
    assert_eq!((told[3].header("authorization"), told[3].header("x-hmac-hash").len()), ("patchworks-key", 64));
    assert_eq!((&told[3].json()["kind"], &told[4].json()["kind"]), (&json!("test"), &json!("test")));

    let views = app.sees("/api/v1/alerts/contacts").await;
    let shown = views.to_string();
    assert!(!shown.contains("/chat") && !shown.contains("patchworks-key"), "DAT-3: {shown}");
    assert_eq!(views["items"][0]["channel"], "slack");
    let audit = app.sees("/api/v1/audit").await.to_string();
    assert_eq!(audit.matches("alert.test").count(), 5, "API-5: {audit}");
    let unknown = app.asks(Method::POST, "/api/v1/alerts/test", Some(&json!({ "contact": "nobody" }))).await;
    assert_eq!(unknown.status, 404, "{}", unknown.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_tells_what_the_channel_answered() {
    let inbox = Inbox::start().await;
    let app = telling(webhook("ops", &inbox.url("/hook"), "")).await;
    inbox.next([Mood::Status(404)]);
    assert_eq!(tests(&app, "ops").await, json!({ "contact": "ops", "sent": false, "answer": "status 404" }));
    let verb = |contact: &str| {
        let mut verb = binary();
        verb.args(["alerts", "test", "--contact", contact, "--config"]).arg(app.site.config_path());
        tokio::task::block_in_place(|| verb.output().expect("the binary runs"))
    };
    let ran = verb("ops");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    assert_eq!(String::from_utf8_lossy(&ran.stdout), "ops took it: status 200: ok\n");
    inbox.next([Mood::Status(500)]);
    let ran = verb("ops");
    assert_eq!(
        (ran.status.code(), String::from_utf8_lossy(&ran.stdout).as_ref()),
        (Some(1), "ops did not take it: status 500\n")
    );
    let ran = verb("oops");
    assert!(String::from_utf8_lossy(&ran.stderr).contains("the file names ops"));
}

fn acceptor() -> (TlsAcceptor, String) {
    let mut params = CertificateParams::new([]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(["localhost".to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
    let chain = vec![CertificateDer::from_pem_slice(certificate.pem().as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
    let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    (TlsAcceptor::from(Arc::new(config)), authority.pem())
}

#[tokio::test(flavor = "multi_thread")]
async fn e_mail_is_written_over_every_kind_of_connection() {
    let (acceptor, authority) = acceptor();
    let plain = MailServer::start(Mail::Plain).await;
    let upgraded = MailServer::start(Mail::StartTls(acceptor.clone())).await;
    let wrapped = MailServer::start(Mail::Tls(acceptor)).await;
    let one = |name: &str, server: &MailServer, security: &str, more: &str| {
        format!(
            "\n[alerts.contacts.{name}]\ntype = \"email\"\nhost = \"localhost\"\nport = {}\nsecurity = \"{security}\"\n\
             from = \"Crossdock <crossdock@example.com>\"\nto = [\"anna@example.com\", \"Bo <bo@example.com>\"]\n\
             allow_private = [\"127.0.0.0/8\", \"::1/128\"]\n{more}\n",
            server.address.port()
        )
    };
    let login = "user = \"me\"\npassword = \"secret-of-mail\"\nca = \"file:mail-ca.pem\"";
    let alerts = one("plain", &plain, "none", "")
        + &one("upgraded", &upgraded, "starttls", login)
        + &one("wrapped", &wrapped, "tls", login)
        + &one("strict", &plain, "starttls", "")
        + &one("stranger", &wrapped, "tls", "");
    // The file must be there before the configuration is read.
    let erp = crossdock::demo::erp::StandInErp::start().await.unwrap();
    let site = crate::support::Site::new(&erp.url(), |text| text + &alerts);
    std::fs::write(site.dir.path().join("mail-ca.pem"), authority).unwrap();
    let verb = |contact: &str| {
        let mut verb = binary();
        verb.args(["alerts", "test", "--contact", contact, "--config"]).arg(site.config_path());
        let ran = tokio::task::block_in_place(|| verb.output().expect("the binary runs"));
        (ran.status.code(), String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr))
    };
    for (contact, server) in [("plain", &plain), ("upgraded", &upgraded), ("wrapped", &wrapped)] {
        let (code, said) = verb(contact);
        assert_eq!((code, said.as_str()), (Some(0), format!("{contact} took it: 250 queued as 1\n").as_str()));
        let letter = server.letters().pop().expect("a letter");
        assert_eq!((letter.encrypted, letter.to.len()), (contact != "plain", 2), "{letter:?}");
        assert_eq!(letter.login.is_empty(), contact == "plain");
        let line = |start: &str| letter.data.iter().find(|line| line.starts_with(start)).cloned().unwrap_or_default();
        assert_eq!(line("Subject:"), format!("Subject: [Test] This is a test of contact {contact}: nothing is wrong"));
        assert!(line("Message-ID:").contains("msg_") && line("From:").contains("crossdock@example.com"), "{letter:?}");
    }
    let (code, said) = verb("strict");
    assert!(code == Some(1) && said.contains("did not take it"), "no TLS, no mail: {said}");
    let (code, said) = verb("stranger");
    assert!(code == Some(1) && said.contains("did not take it"), "a certificate that nobody vouches for: {said}");
    assert_eq!((plain.letters().len(), wrapped.letters().len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dead_mans_switch_is_pinged_only_while_the_service_is_well() {
    let monitor = Inbox::start().await;
    let room = Arc::new(std::sync::atomic::AtomicU64::new(50 << 30));
    let asked = room.clone();
    let machine = Machine {
        disk: Some(Arc::new(move || {
            let free_bytes = asked.load(std::sync::atomic::Ordering::SeqCst);
            Some(DiskSpace { free_bytes, total_bytes: 100 << 30 })
        })),
        ..Machine::default()
    };
    let url = monitor.url("/ping");
    let app = TestApp::on(machine, |text| {
        text + &format!("\n[alerts.dead_man]\nurl = \"{url}\"\nevery = \"200ms\"\nallow_private = [\"127.0.0.0/8\"]\n")
    })
    .await;
    monitor.hears(3).await;
    let withheld = "dead_man_pings_total{outcome=\"withheld\"}";
    // It is not well either until it is ready.
    let before = app.metric(withheld).await;
    room.store(0, std::sync::atomic::Ordering::SeqCst);
    until("it is withheld", async || (app.metric(withheld).await > before).then_some(())).await;
    let silent = monitor.told().len();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(monitor.told().len(), silent, "the monitor alarms now");
    room.store(50 << 30, std::sync::atomic::Ordering::SeqCst);
    monitor.hears(silent + 2).await;
}
