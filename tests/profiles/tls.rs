//! Doors behind TLS: a certificate authority that only this system has, and a certificate that it asks us for.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use crate::contract::{one, send};
use crate::support::{TestApp, until};

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority(name: &str) -> Authority {
    let mut params = CertificateParams::new([]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Certificate and key, PEM.
fn issue(authority: &Authority, name: &str, purpose: ExtendedKeyUsagePurpose) -> (String, String) {
    let mut params = CertificateParams::new([name.to_owned()]).unwrap();
    params.extended_key_usages = vec![purpose];
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, authority).unwrap();
    (certificate.pem(), key.serialize_pem())
}

/// An ERP behind TLS that takes any order; with `clients` only from whom that authority has certified.
async fn erp(server: &Authority, clients: Option<&Authority>) -> SocketAddr {
    let (certificate, key) = issue(server, "localhost", ExtendedKeyUsagePurpose::ServerAuth);
    let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
    let builder =
        ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions().unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(clients) => {
            let mut roots = RootCertStore::empty();
            roots.add(clients.der().clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
            builder.with_client_cert_verifier(verifier)
        }
    };
    let acceptor = TlsAcceptor::from(Arc::new(builder.with_single_cert(chain, key).unwrap()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let (mut read, mut buffer) = (Vec::new(), [0; 4096]);
                while let Ok(count @ 1..) = stream.read(&mut buffer).await {
                    read.extend_from_slice(&buffer[..count]);
                    let text = String::from_utf8_lossy(&read);
                    let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
                    if body.len() < length.map_or(0, |length| length.parse().unwrap()) {
                        continue;
                    }
                    let answer =
                        "HTTP/1.1 201 Created\r\ncontent-length: 12\r\nconnection: close\r\n\r\n{\"id\":\"T-1\"}";
                    let _ = stream.write_all(answer.as_bytes()).await;
                    let _ = stream.shutdown().await;
                    return;
                }
            });
        }
    });
    address
}

async fn service(folder: &Path, address: SocketAddr, settings: &str) -> TestApp {
    let erp = format!(
        "[destinations.erp]\nprofile = \"http\"\nurl = \"https://localhost:{}/orders\"\nguard = \"key\"\nkey_window = \"24h\"\n\
         allow_private = [\"127.0.0.0/8\", \"::1/128\"]\nretry_schedule = [\"100ms\", \"100ms\", \"1h\"]\n{}\n",
        address.port(),
        settings.replace("FOLDER", &folder.display().to_string())
    );
    TestApp::with(|text| {
        let start = text.find("[destinations.erp]").unwrap();
        let end = text.find("[[routes]]").unwrap();
        format!("{}{erp}{}", &text[..start], &text[end..])
    })
    .await
}

/// What the last attempt says.
async fn attempt(app: &TestApp, number: &str) -> String {
    until("an attempt failed", async || {
        let order = app.order(number).await;
        let id = order["deliveries"][0]["id"].as_str()?.to_owned();
        let delivery = app.sees(&format!("/api/v1/deliveries/{id}")).await;
        let detail = delivery["attempts_made"].as_array()?.last()?["detail"].as_str()?.to_owned();
        (!detail.is_empty()).then_some(detail)
    })
    .await
}

#[tokio::test]
async fn a_private_authority_is_believed_where_it_is_named_and_nowhere_else() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, other) = (authority("Merchant internal CA"), authority("Somebody else"));
    std::fs::write(folder.path().join("ca.pem"), ours.pem()).unwrap();
    std::fs::write(folder.path().join("other.pem"), other.pem()).unwrap();
    let (number, order) = one();
    let address = erp(&ours, None).await;

    let app = service(folder.path(), address, "ca = \"file:FOLDER/ca.pem\"").await;
    send(&app, &order).await;
    app.order_is(number, "delivered").await;
    app.stop().await;

    for stranger in ["", "ca = \"file:FOLDER/other.pem\""] {
        let app = service(folder.path(), address, stranger).await;
        send(&app, &order).await;
        let detail = attempt(&app, number).await;
        assert!(detail.contains("not sent") && detail.contains("UnknownIssuer"), "{detail}");
        assert!(app.exceptions_of(number).await.is_empty(), "it waits, since nothing is wrong with the order");
        app.stop().await;
    }
}

#[tokio::test]
async fn a_destination_that_asks_who_we_are_is_shown_our_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let (server, clients) = (authority("Server CA"), authority("Client CA"));
    std::fs::write(folder.path().join("ca.pem"), server.pem()).unwrap();
    let (certificate, key) = issue(&clients, "crossdock", ExtendedKeyUsagePurpose::ClientAuth);
    std::fs::write(folder.path().join("client.pem"), certificate).unwrap();
    std::fs::write(folder.path().join("client.key"), key).unwrap();
    let (number, order) = one();
    let address = erp(&server, Some(&clients)).await;

    let app = service(
        folder.path(),
        address,
        "ca = \"file:FOLDER/ca.pem\"\nclient_certificate = { certificate = \"file:FOLDER/client.pem\", private_key = \"file:FOLDER/client.key\" }",
    )
    .await;
    send(&app, &order).await;
    app.order_is(number, "delivered").await;
    app.stop().await;

    let app = service(folder.path(), address, "ca = \"file:FOLDER/ca.pem\"").await;
    send(&app, &order).await;
    let detail = attempt(&app, number).await;
    assert!(detail.to_lowercase().contains("certificate"), "{detail}");
    app.stop().await;
}

#[test]
fn files_that_do_not_fit_are_told_before_anything_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let ours = authority("CA");
    let (certificate, key) = issue(&ours, "crossdock", ExtendedKeyUsagePurpose::ClientAuth);
    let (_, other_key) = issue(&ours, "other", ExtendedKeyUsagePurpose::ClientAuth);
    for (name, text) in [
        ("ca.pem", ours.pem()),
        ("client.pem", certificate),
        ("client.key", key.clone()),
        ("other.key", other_key),
        ("locked.key", key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY")),
        ("words.txt", "no certificate at all".to_owned()),
    ] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let pair = |certificate: &str, key: &str| {
        format!("client_certificate = {{ certificate = \"file:{certificate}\", private_key = \"file:{key}\" }}")
    };
    for (settings, told) in [
        ("ca = \"file:words.txt\"".to_owned(), "holds no certificate in PEM"),
        ("ca = \"file:nothing.pem\"".to_owned(), "nothing.pem"),
        (pair("client.pem", "other.key"), "not that of the certificate"),
        (pair("client.pem", "locked.key"), "encrypted"),
        (pair("words.txt", "client.key"), "certificate holds none"),
        (pair("client.pem", "words.txt"), "private_key holds none"),
        ("client_certificate = { certificate = \"file:client.pem\" }".to_owned(), "private_key"),
    ] {
        let text = format!(
            "[destinations.erp]\nprofile = \"http\"\nurl = \"https://erp.example.com\"\nguard = \"none\"\nauth = {{ type = \"none\" }}\n{settings}\n"
        );
        let problems = crossdock::config::Config::read(&text, folder.path(), &|_| None).unwrap_err();
        let member = settings.split(' ').next().unwrap();
        let about = format!("destinations.erp.{member}");
        let said =
            problems.iter().any(|problem| problem.path.starts_with(&about) && problem.to_string().contains(told));
        assert!(said, "{settings}: {problems:?}");
    }
    let fine = format!(
        "[destinations.erp]\nprofile = \"http\"\nurl = \"https://erp.example.com\"\nguard = \"none\"\nca = \"file:ca.pem\"\n{}\n",
        pair("client.pem", "client.key")
    );
    assert!(crossdock::config::Config::read(&fine, folder.path(), &|_| None).is_ok());
}
