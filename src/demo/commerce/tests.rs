//! Over the wire.

use super::*;

async fn get(shop: &StandIn, path: &str) -> (u16, String) {
    let answer = reqwest::Client::new()
        .get(format!("{}{path}", shop.rest_url()))
        .bearer_auth(&shop.credentials().token)
        .send()
        .await
        .unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

fn with_bearer() -> Settings {
    Settings { bearer: true, ..Settings::default() }
}

#[tokio::test]
async fn an_order_is_not_there_until_it_is_saved() {
    let shop = StandIn::start(Settings { visible: Visible::WhenSaved, ..with_bearer() }).await.unwrap();
    let (id, number) = shop.place(br#"{"grand_total":12.50}"#).unwrap();
    assert_eq!((id, number.as_str()), (1, "000000001"));
    assert_eq!(get(&shop, "/V1/orders/1").await.0, 404);
    shop.save(id);
    let (status, body) = get(&shop, "/all/V1/orders/1?fields=grand_total,increment_id").await;
    assert_eq!((status, body.as_str()), (200, r#"{"grand_total":12.50,"increment_id":"000000001"}"#));
}

#[tokio::test]
async fn a_bearer_token_is_refused_where_the_setting_is_off() {
    let shop = StandIn::start(Settings::default()).await.unwrap();
    let (status, body) = get(&shop, "/V1/orders/1").await;
    assert_eq!(status, 401);
    assert!(body.contains("Magento_Sales::actions_view"), "{body}");
}

#[tokio::test]
async fn faults_are_spent_one_by_one() {
    let shop = StandIn::start(with_bearer()).await.unwrap();
    shop.place(b"{}").unwrap();
    shop.faults().next([Some(Fault::RateLimited(Some(7))), Some(Fault::Maintenance), Some(Fault::Deadlock)]);
    for expected in [429, 503, 500, 200] {
        assert_eq!(get(&shop, "/V1/orders/1").await.0, expected);
    }
    shop.faults().next([Some(Fault::Drop)]);
    assert!(reqwest::get(format!("{}/V1/orders/1", shop.rest_url())).await.is_err());
    assert_eq!(shop.faults().requests(), 5);
}

/// A receiver that answers the given statuses and then 200; what it was sent.
async fn receiver(
    statuses: Vec<u16>,
) -> (String, tokio::sync::mpsc::UnboundedReceiver<(http::HeaderMap, bytes::Bytes)>) {
    let (sent, received) = tokio::sync::mpsc::unbounded_channel();
    let statuses = Arc::new(Mutex::new(std::collections::VecDeque::from(statuses)));
    let challenge = |query: axum::extract::Query<std::collections::HashMap<String, String>>| async move {
        query.get("challenge").cloned().unwrap_or_default()
    };
    let push = move |headers: http::HeaderMap, body: bytes::Bytes| async move {
        sent.send((headers, body)).unwrap();
        http::StatusCode::from_u16(statuses.lock().unwrap().pop_front().unwrap_or(200)).unwrap()
    };
    let router = axum::Router::new().route("/in", axum::routing::get(challenge).post(push));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = format!("http://{}/in", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let service = hyper_util::service::TowerToHyperService::new(router);
        while let Ok((stream, _)) = listener.accept().await {
            let service = service.clone();
            tokio::spawn(async move {
                let stream = hyper_util::rt::TokioIo::new(stream);
                let _ = hyper::server::conn::http1::Builder::new().serve_connection(stream, service).await;
            });
        }
    });
    (url, received)
}

/// Whether one of the two signatures is that of the public key under its path.
async fn verifies(headers: &http::HeaderMap, body: &[u8], base: &str, which: u8) -> bool {
    use base64::Engine as _;
    let header = |name: String| headers[name.as_str()].to_str().unwrap().to_owned();
    let path = header(format!("x-adobe-public-key{which}-path"));
    let pem = reqwest::get(format!("{base}{path}")).await.unwrap().text().await.unwrap();
    let der: String = pem.lines().filter(|line| !line.starts_with("---")).collect();
    let engine = base64::engine::general_purpose::STANDARD;
    let signature = engine.decode(header(format!("x-adobe-digital-signature-{which}"))).unwrap();
    let key = engine.decode(der).unwrap();
    let algorithm = &aws_lc_rs::signature::RSA_PKCS1_2048_8192_SHA256;
    aws_lc_rs::signature::UnparsedPublicKey::new(algorithm, key).verify(body, &signature).is_ok()
}

fn hasty() -> Settings {
    let gateway = GatewaySettings { minute: Duration::from_millis(20), ..GatewaySettings::default() };
    Settings { gateway, ..with_bearer() }
}

#[tokio::test]
async fn events_are_signed_with_two_keys_of_which_one_is_replaced_at_a_time() {
    let shop = StandIn::start(hasty()).await.unwrap();
    let (url, mut received) = receiver(Vec::new()).await;
    let gateway = shop.gateway();
    gateway.register(&url).await.unwrap();
    let (id, _) = shop.place(br#"{"store_id":1,"status":"pending"}"#).unwrap();
    let event = gateway.order_event(id, true).unwrap();
    assert_eq!(gateway.push(std::slice::from_ref(&event), 0).await, Some(200));
    let (headers, body) = received.recv().await.unwrap();
    assert!(verifies(&headers, &body, gateway.key_base_url(), 1).await);
    assert!(verifies(&headers, &body, gateway.key_base_url(), 2).await);
    assert!(headers.get("x-adobe-retry-count").is_none());
    let envelope = Tree::parse(&body).unwrap();
    let value = envelope.get("data").and_then(|data| data.get("value")).unwrap();
    assert_eq!(value.get("entity_id"), Some(&Tree::text("1")), "numbers are strings in events");
    gateway.rotate_keys();
    gateway.push(&[event], 1).await;
    let (later, body) = received.recv().await.unwrap();
    assert!(verifies(&later, &body, gateway.key_base_url(), 1).await);
    assert_ne!(later["x-adobe-public-key1-path"], headers["x-adobe-public-key1-path"]);
    assert_eq!(later["x-adobe-public-key2-path"], headers["x-adobe-public-key2-path"]);
    assert_eq!(later["x-adobe-retry-count"], "1");
}

#[tokio::test]
async fn a_failed_push_is_tried_again_and_a_refused_one_is_dropped() {
    let shop = StandIn::start(hasty()).await.unwrap();
    let (url, mut received) = receiver(vec![503, 429, 200, 401]).await;
    let gateway = shop.gateway();
    gateway.push_to(&url);
    gateway.publish(&[gateway.event(ORDER_SAVED, &Tree::object([]))]);
    for _ in 0..3 {
        received.recv().await.unwrap();
    }
    gateway.publish(&[gateway.event(ORDER_SAVED, &Tree::object([]))]);
    received.recv().await.unwrap();
    while gateway.pushes().dropped == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let pushes = gateway.pushes();
    assert_eq!((pushes.attempts, pushes.delivered, pushes.dropped), (4, 1, 1));
    gateway.disable();
    gateway.publish(&[gateway.event(ORDER_SAVED, &Tree::object([]))]);
    assert_eq!((gateway.standing(), gateway.pushes().withheld), (Standing::Disabled, 1));
    assert_eq!(gateway.journal_len(), 3);
}

#[tokio::test]
async fn the_journal_is_followed_by_its_links_to_the_end_and_forgets() {
    let shop = StandIn::start(hasty()).await.unwrap();
    let gateway = shop.gateway();
    for _ in 0..3 {
        gateway.lose(&gateway.event(ORDER_SAVED, &Tree::object([])));
    }
    let get = async |url: String, token: &str| {
        let request = reqwest::Client::new().get(url).bearer_auth(token);
        let client = &shop.shared.settings.gateway.client_id;
        request.header("x-api-key", client).header("x-ims-org-id", "acme@AdobeOrg").send().await.unwrap()
    };
    let token = shop.shared.settings.gateway.journal_token.clone();
    let next = |answer: &reqwest::Response| {
        let link = answer.headers()["link"].to_str().unwrap().to_owned();
        link.trim_start_matches('<').split('>').next().unwrap().to_owned()
    };
    assert_eq!(get(shop.journal_url(), "wrong").await.status().as_u16(), 401);
    let first = get(format!("{}?limit=2", shop.journal_url()), &token).await;
    let (link, body) = (next(&first), first.text().await.unwrap());
    assert!(body.contains(r#""count":2"#), "{body}");
    let second = get(link.clone(), &token).await;
    let end = get(next(&second), &token).await;
    assert_eq!((end.status().as_u16(), &end.headers()["retry-after"]), (204, &http::HeaderValue::from_static("10")));
    let sought = get(format!("{}?seek=-PT2H", shop.journal_url()), &token).await;
    assert!(sought.text().await.unwrap().contains(r#""count":3"#));
    assert_eq!(get(format!("{}?latest=true", shop.journal_url()), &token).await.status().as_u16(), 204);
    gateway.expire_journal();
    assert_eq!(get(link, &token).await.status().as_u16(), 410);
    assert_eq!(get(shop.journal_url(), &token).await.status().as_u16(), 204);
}
