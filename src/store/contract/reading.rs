//! Promises about reading and closing.

use super::build::{Maker, again, at, delivered, settle, start};
use crate::envelope::ids::{DeliveryId, DocumentId, EnvelopeId};
use crate::store::view::{Page, Paging};
use crate::store::write::Conclusion;
use crate::store::{DeliveryFilter, EventFilter, ExceptionFilter, OrderFilter, SharedStore, StoreError};

fn paging(limit: u32, cursor: Option<String>) -> Paging {
    Paging { limit, cursor }
}

fn numbers(page: &Page<crate::store::view::OrderRow>) -> Vec<&str> {
    page.items.iter().map(|order| order.increment_id.as_str()).collect()
}

pub async fn api_3_cursors_show_every_row_once_newest_first(store: &SharedStore) {
    let maker = Maker::default();
    for number in 0..23 {
        maker.waiting(store, &number.to_string()).await;
    }
    let mut shown = Vec::new();
    let mut cursor = None;
    loop {
        let page = store.orders(OrderFilter::default(), paging(5, cursor.take())).await.unwrap();
        assert!(page.items.len() <= 5);
        shown.extend(numbers(&page).iter().map(|number| (*number).to_owned()));
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(shown, (0..23).rev().map(|number| number.to_string()).collect::<Vec<_>>());
    let waiting = DeliveryFilter { state: Some("waiting".into()), ..DeliveryFilter::default() };
    let page = store.deliveries(waiting.clone(), paging(20, None)).await.unwrap();
    let rest = store.deliveries(waiting, paging(20, page.next_cursor)).await.unwrap();
    assert_eq!((page.items.len(), rest.items.len(), rest.next_cursor), (20, 3, None));
    let events = store.events(EventFilter::default(), paging(23, None)).await.unwrap();
    assert_eq!((events.items.len(), events.next_cursor), (23, None));
}

pub async fn api_3_foreign_cursors_are_refused(store: &SharedStore) {
    let maker = Maker::default();
    for number in ["1", "2"] {
        maker.waiting(store, number).await;
    }
    let cursor = store.orders(OrderFilter::default(), paging(1, None)).await.unwrap().next_cursor.unwrap();
    let elsewhere = store.events(EventFilter::default(), paging(1, Some(cursor))).await;
    assert!(matches!(elsewhere, Err(StoreError::BadCursor)));
    let invented = store.orders(OrderFilter::default(), paging(1, Some("17".into()))).await;
    assert!(matches!(invented, Err(StoreError::BadCursor)));
}

pub async fn orders_are_found_by_what_they_wait_for(store: &SharedStore) {
    let maker = Maker::default();
    maker.parked(store, "parked").await;
    let complained = maker.arrive(store, "complained", "c").await;
    store.conclude(complained, maker.complain("complained", None, "x"), at(1)).await.unwrap();
    maker.waiting(store, "due").await;
    maker.arrive(store, "unconcluded", "u").await;
    let (_, delivery) = maker.waiting(store, "delivered").await;
    let started = start(store, delivery).await.unwrap();
    settle(store, started, delivered()).await;
    let ignored = maker.arrive(store, "ignored", "i").await;
    let conclusion = Conclusion { ignored: Some("no route".into()), ..Conclusion::default() };
    store.conclude(ignored, conclusion, at(1)).await.unwrap();
    for (state, wanted) in [
        ("parked", &["complained", "parked"][..]),
        ("due", &["unconcluded", "due"]),
        ("delivered", &["delivered"]),
        ("ignored", &["ignored"]),
        ("nonsense", &[]),
    ] {
        let filter = OrderFilter { state: Some(state.into()), ..OrderFilter::default() };
        let page = store.orders(filter.clone(), Paging::default()).await.unwrap();
        assert_eq!((numbers(&page).as_slice(), page.next_cursor.as_ref()), (wanted, None), "{state}");
        let elsewhere = OrderFilter { system: Some("other".into()), ..filter };
        assert!(store.orders(elsewhere, Paging::default()).await.unwrap().items.is_empty());
    }
    let one = OrderFilter { increment_id: Some("due".into()), ..OrderFilter::default() };
    assert_eq!(numbers(&store.orders(one, Paging::default()).await.unwrap()), ["due"]);
}

pub async fn events_and_deliveries_are_found_by_state(store: &SharedStore) {
    let maker = Maker::default();
    maker.parked(store, "1").await;
    let (_, second) = maker.waiting(store, "2").await;
    let started = start(store, second).await.unwrap();
    maker.waiting(store, "3").await;
    let ids = |page: Page<crate::store::view::EventRow>| {
        page.items.into_iter().map(|event| event.subject_id).collect::<Vec<_>>().join(" ")
    };
    for (state, wanted) in [("received", "3 2"), ("exception", "1"), ("done", ""), ("ignored", "")] {
        let filter = EventFilter { state: Some(state.into()), ..EventFilter::default() };
        assert_eq!(ids(store.events(filter, Paging::default()).await.unwrap()), wanted, "{state}");
    }
    let by_origin = EventFilter { origin: Some("hooks".into()), ..EventFilter::default() };
    assert_eq!(ids(store.events(by_origin, Paging::default()).await.unwrap()), "3 2 1");
    let by_subject =
        EventFilter { subject_id: Some("1".into()), state: Some("exception".into()), ..EventFilter::default() };
    assert_eq!(ids(store.events(by_subject, Paging::default()).await.unwrap()), "1");
    for (state, wanted) in [("parked", "1"), ("in_flight", "2"), ("waiting", "3"), ("delivered", ""), ("abandoned", "")]
    {
        for destination in [None, Some("erp".to_owned())] {
            let filter = DeliveryFilter { state: Some(state.into()), destination, ..DeliveryFilter::default() };
            let page = store.deliveries(filter, Paging::default()).await.unwrap();
            let found: Vec<_> = page.items.iter().map(|delivery| delivery.subject_id.as_str()).collect();
            assert_eq!(found.join(" "), wanted, "{state}");
        }
    }
    settle(store, started, again()).await;
    let by_subject = DeliveryFilter { subject_id: Some("2".into()), ..DeliveryFilter::default() };
    let row = store.deliveries(by_subject, Paging::default()).await.unwrap().items.remove(0);
    assert_eq!(row.last_detail.as_deref(), Some("the destination said unavailable"));
    assert_eq!((row.due_at, row.uncertain), (Some(at(10)), true));
}

pub async fn exceptions_are_grouped_by_cause(store: &SharedStore) {
    let maker = Maker::default();
    for (number, cause) in [("1", "sku-a"), ("2", "sku-b"), ("3", "sku-a")] {
        let envelope = maker.arrive(store, number, number).await;
        store.conclude(envelope, maker.complain(number, Some("erp"), cause), at(1)).await.unwrap();
    }
    let groups = store.exception_groups(ExceptionFilter::default()).await.unwrap();
    assert_eq!(
        groups.iter().map(|group| (group.fingerprint.as_str(), group.open)).collect::<Vec<_>>(),
        [("sku-a", 2), ("sku-b", 1)]
    );
    let example = store.exception(groups[0].example).await.unwrap().unwrap();
    assert_eq!((example.subject.store_id.as_str(), example.fingerprint.as_str()), ("1", "sku-a"));
    for filter in [
        ExceptionFilter { fingerprint: Some("sku-a".into()), ..ExceptionFilter::default() },
        ExceptionFilter { fingerprint: Some("sku-a".into()), state: Some("all".into()), ..ExceptionFilter::default() },
    ] {
        assert_eq!(store.exceptions(filter, Paging::default()).await.unwrap().items.len(), 2);
    }
    let by_code = ExceptionFilter { code: Some("unmapped_sku".into()), ..ExceptionFilter::default() };
    assert_eq!(store.exceptions(by_code, Paging::default()).await.unwrap().items.len(), 3);
    let by_subject = ExceptionFilter { subject_id: Some("2".into()), ..ExceptionFilter::default() };
    assert_eq!(store.exceptions(by_subject, Paging::default()).await.unwrap().items.len(), 1);
    let resolved = ExceptionFilter { state: Some("resolved".into()), ..ExceptionFilter::default() };
    assert!(store.exceptions(resolved, Paging::default()).await.unwrap().items.is_empty());
    assert_eq!(store.figures().await.unwrap().open_exceptions, [("unmapped_sku".to_owned(), 3)]);
}

pub async fn an_order_tells_its_whole_story(store: &SharedStore) {
    let maker = Maker::default();
    let (envelope, delivery) = maker.parked(store, "42").await;
    let mut found = store.order("42".into()).await.unwrap();
    assert_eq!(found.len(), 1);
    let told = found.remove(0);
    assert_eq!(told.order.state, "parked");
    assert_eq!(told.events.iter().map(|event| event.id).collect::<Vec<_>>(), [envelope]);
    assert_eq!(told.deliveries[0].delivery.id, delivery);
    assert_eq!(told.deliveries[0].attempts_made[0].outcome.as_deref(), Some("rejected"));
    assert_eq!(told.exceptions[0].delivery_id, Some(delivery));
    assert!(told.documents[0].body.is_none());
    let document = store.document(told.documents[0].id).await.unwrap().unwrap();
    assert_eq!(document.body.unwrap()["document"], document.id.to_string());
    assert!(store.order("43".into()).await.unwrap().is_empty());
}

pub async fn figures_count_the_backlog(store: &SharedStore) {
    let maker = Maker::default();
    let (_, first) = maker.waiting(store, "1").await;
    maker.waiting(store, "2").await;
    let figures = store.figures().await.unwrap();
    assert_eq!(figures.backlog, [("erp".to_owned(), 2, Some(at(1)))]);
    assert!(figures.store_bytes > 0);
    start(store, first).await.unwrap();
    assert_eq!(store.figures().await.unwrap().backlog[0].1, 1);
}

pub async fn what_does_not_exist_is_not_found(store: &SharedStore) {
    let none = [0_u8; 16];
    assert!(store.event(EnvelopeId::from_bytes(none)).await.unwrap().is_none());
    assert!(store.envelope(EnvelopeId::from_bytes(none)).await.unwrap().is_none());
    assert!(store.delivery(DeliveryId::from_bytes(none)).await.unwrap().is_none());
    assert!(store.delivery_origin(DeliveryId::from_bytes(none)).await.unwrap().is_none());
    assert!(store.document(DocumentId::from_bytes(none)).await.unwrap().is_none());
    let concluded = store.conclude(EnvelopeId::from_bytes(none), Conclusion::default(), at(0)).await;
    assert!(matches!(concluded, Err(StoreError::NotFound(_))));
}

pub async fn after_closing_everything_is_stopped(store: &SharedStore) {
    let maker = Maker::default();
    let queued: Vec<_> = (0..20)
        .map(|number| store.append(maker.arrival(vec![maker.record("42", &format!("e{number}"), "x")])))
        .collect();
    store.close().await.unwrap();
    for answer in queued {
        answer.await.expect("what was queued is finished");
    }
    store.close().await.unwrap();
    let late = store.append(maker.arrival(vec![maker.record("42", "late", "x")])).await;
    assert!(matches!(late, Err(StoreError::Stopped)));
    assert!(matches!(store.ledger().await, Err(StoreError::Stopped)));
}
