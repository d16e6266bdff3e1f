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
