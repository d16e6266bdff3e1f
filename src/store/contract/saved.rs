//! Promises about views.

use super::accounts::user;
use super::build::{act, at};
use crate::envelope::ids::{UserId, ViewId};
use crate::store::saved::{Filter, NewView, SHARED_MAX, SavedView, VIEWS_MAX, ViewChange};
use crate::store::{SharedStore, StoreError};

fn view(owner: &str, name: &str, shared: bool) -> NewView {
    NewView {
        id: ViewId::new(at(0), &crate::clock::SystemEntropy),
        list: "exceptions".to_owned(),
        name: name.to_owned(),
        name_key: name.to_lowercase(),
        filter: Filter::from([("code".to_owned(), "unmapped_sku".to_owned())]),
        shared,
        owner: owner.to_owned(),
        kept_by: format!("user:{owner}"),
        created_at: at(0),
    }
}

async fn keep(store: &SharedStore, view: NewView) -> Result<ViewId, StoreError> {
    let id = view.id;
    store.keep_view(view, act("view.keep")).await.map(|()| id)
}

async fn names(store: &SharedStore, owner: &str) -> Vec<String> {
    store.views(owner.to_owned()).await.unwrap().into_iter().map(|view| view.name).collect()
}

async fn one(store: &SharedStore, owner: &str, id: ViewId) -> SavedView {
    store.views(owner.to_owned()).await.unwrap().into_iter().find(|view| view.id == id).unwrap()
}

pub async fn everybody_sees_their_own_views_and_the_shared_ones(store: &SharedStore) {
    let own = keep(store, view("tok_a", "Mine", false)).await.unwrap();
    let shared = keep(store, view("tok_a", "Ours", true)).await.unwrap();
    keep(store, view("tok_b", "mine", false)).await.unwrap();
    assert_eq!(
        (names(store, "tok_a").await, names(store, "tok_b").await),
        (vec!["Mine".into(), "Ours".into()], vec!["mine".into(), "Ours".into()])
    );
    assert_eq!(names(store, "tok_c").await, ["Ours"]);
    let (mine, theirs) = (one(store, "tok_a", shared).await, one(store, "tok_b", shared).await);
    assert!(mine.mine && !theirs.mine && theirs.shared && theirs.kept_by == "user:tok_a");
    for (taken, shared) in [("MINE", false), ("ours", true)] {
        let again = keep(store, view("tok_a", taken, shared)).await;
        assert!(matches!(again, Err(StoreError::NotAllowed(_))), "{taken}");
    }
    let filter = Filter::from([("state".to_owned(), "all".to_owned())]);
    let change =
        ViewChange { name: Some(("Now ours".into(), "now ours".into())), filter: Some(filter), shared: Some(true) };
    store.change_view(own, change, act("view.change")).await.unwrap();
    assert_eq!(
        (one(store, "tok_c", own).await.name, one(store, "tok_c", own).await.filter["state"].as_str()),
        ("Now ours".into(), "all")
    );
    let clash = ViewChange { name: Some(("OURS".into(), "ours".into())), ..ViewChange::default() };
    assert!(matches!(store.change_view(own, clash, act("view.change")).await, Err(StoreError::NotAllowed(_))));
    store.drop_view(own, act("view.drop")).await.unwrap();
    assert!(matches!(store.drop_view(own, act("view.drop")).await, Err(StoreError::NotFound(_))));
    assert!(matches!(
        store.change_view(own, ViewChange::default(), act("view.change")).await,
        Err(StoreError::NotFound(_))
    ));
}

pub async fn somebody_begins_with_one_view_that_they_see(store: &SharedStore) {
    let own = keep(store, view("tok_a", "Mine", false)).await.unwrap();
    let shared = keep(store, view("tok_a", "Ours", true)).await.unwrap();
    let start = async |owner: &str, view| store.start_with(owner.to_owned(), view, act("view.start")).await;
    assert!(matches!(start("tok_b", Some(own)).await, Err(StoreError::NotFound(_))), "nobody else's own");
    start("tok_b", Some(shared)).await.unwrap();
    start("tok_a", Some(own)).await.unwrap();
    start("tok_a", Some(shared)).await.unwrap();
    let begins = async |owner: &str| {
        store
            .views(owner.to_owned())
            .await
            .unwrap()
            .into_iter()
            .filter(|view| view.start)
            .map(|view| view.id)
            .collect::<Vec<_>>()
    };
    assert_eq!((begins("tok_a").await, begins("tok_b").await), (vec![shared], vec![shared]));
    let change = ViewChange { shared: Some(false), ..ViewChange::default() };
    store.change_view(shared, change, act("view.change")).await.unwrap();
    assert_eq!((begins("tok_a").await, begins("tok_b").await), (vec![shared], vec![]), "whoever no longer sees it");
    start("tok_a", None).await.unwrap();
    assert_eq!(begins("tok_a").await, []);
    start("tok_a", Some(own)).await.unwrap();
    store.drop_view(own, act("view.drop")).await.unwrap();
    assert_eq!(begins("tok_a").await, []);
}

pub async fn views_are_bounded(store: &SharedStore) {
    for number in 0..VIEWS_MAX {
        keep(store, view("tok_a", &number.to_string(), false)).await.unwrap();
    }
    assert!(matches!(keep(store, view("tok_a", "more", false)).await, Err(StoreError::NotAllowed(_))));
    for number in 0..SHARED_MAX {
        keep(store, view(&format!("tok_{number}"), &number.to_string(), true)).await.unwrap();
    }
    assert!(matches!(keep(store, view("tok_b", "more", true)).await, Err(StoreError::NotAllowed(_))));
    let own = keep(store, view("tok_b", "own", false)).await.unwrap();
    let change = ViewChange { shared: Some(true), ..ViewChange::default() };
    assert!(matches!(store.change_view(own, change, act("view.change")).await, Err(StoreError::NotAllowed(_))));
}

pub async fn views_go_with_their_keeper(store: &SharedStore) {
    let (anna, ben) = (user("anna", "admin"), user("ben", "admin"));
    let (anna_id, ben_id) = (anna.id, ben.id);
    for person in [anna, ben] {
        store.create_user(person, act("user.create")).await.unwrap();
    }
    keep(store, view(&anna_id.to_string(), "Mine", false)).await.unwrap();
    let shared = keep(store, view(&anna_id.to_string(), "Ours", true)).await.unwrap();
    keep(store, view(&ben_id.to_string(), "Mine", false)).await.unwrap();
    store.start_with(ben_id.to_string(), Some(shared), act("view.start")).await.unwrap();
    store.remove_user(anna_id, act("user.remove")).await.unwrap();
    let left = store.views(ben_id.to_string()).await.unwrap();
    assert_eq!(left.iter().map(|view| (view.name.as_str(), view.start)).collect::<Vec<_>>(), [("Mine", false)]);
    assert_eq!(names(store, &anna_id.to_string()).await, Vec::<String>::new());
    let gone = UserId::new(at(0), &crate::clock::SystemEntropy).to_string();
    assert!(matches!(keep(store, view(&gone, "Late", false)).await, Err(StoreError::NotFound(_))));
}
