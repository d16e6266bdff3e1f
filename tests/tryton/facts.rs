//! What the profile relies on, asked of the real thing.

use serde_json::json;

use crate::server::{Tryton, home};

#[tokio::test(flavor = "multi_thread")]
async fn a_web_id_is_unique_and_the_second_answer_is_a_400_in_words() {
    let Some(home) = home() else { return };
    let tryton = Tryton::start(home).await;
    let sale = json!({ "company": 1, "party": 2, "currency": 1, "web_shop": tryton.keys.shop, "web_id": "000000001",
        "shipment_cost_method": null });
    let creates = (0..8).map(|_| tryton.post("sale.sale?f=id", &sale));
    let answers = futures(creates).await;
    let made = answers.iter().filter(|(status, _)| *status == 200).count();
    assert_eq!(made, 1, "{answers:?}");
    assert_eq!(tryton.sales().await.len(), 1);
    let (status, answer) = tryton.post("sale.sale?f=id", &sale).await;
    assert_eq!(status, 400);
    assert!(answer["message"].as_str().unwrap().to_lowercase().contains("web id"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_it_did_not_expect_is_a_400_for_people() {
    let Some(home) = home() else { return };
    let tryton = Tryton::start(home).await;
    let (status, answer) = tryton.post("sale.sale", &json!({ "no_such_field": 1 })).await;
    assert!(status == 400 && answer.is_string(), "{status} {answer}");
    let (status, answer) = tryton.post("sale.sale", &json!({ "company": 999 })).await;
    assert!(status == 400, "{status} {answer}");
    let (status, answer) = tryton.get("sale.sale", &json!([["web_id", "=", "nobody"]]), &["web_id"]).await;
    assert_eq!((status, answer), (200, json!([])));
}

async fn futures<T>(all: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut waiting: Vec<_> = all.map(Box::pin).collect();
    let mut done: Vec<Option<T>> = waiting.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (place, future) in waiting.iter_mut().enumerate() {
            if done[place].is_none()
                && let std::task::Poll::Ready(value) = future.as_mut().poll(context)
            {
                done[place] = Some(value);
            }
        }
        if done.iter().all(Option::is_some) { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    done.into_iter().flatten().collect()
}
