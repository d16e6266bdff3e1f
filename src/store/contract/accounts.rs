//! Promises about people who sign in (API-4).

use super::build::{act, at};
use crate::envelope::ids::UserId;
use crate::envelope::keys::Digest;
use crate::store::accounts::{Factor, NewSession, NewUser, SESSIONS_MAX, Subject, UserChange};
use crate::store::{SharedStore, StoreError};

pub fn user(name: &str, role: &str) -> NewUser {
    NewUser {
        id: UserId::new(at(0), &crate::clock::SystemEntropy),
        name: name.to_owned(),
        name_key: name.to_lowercase(),
        email: String::new(),
        role: role.to_owned(),
        password: Some(format!("hash of {name}")),
        vouched: None,
        created_at: at(0),
    }
}

pub fn session(user: UserId, secret: &str, seconds: u64) -> NewSession {
    NewSession {
        secret: Digest::of(secret.as_bytes()),
        user,
        password: None,
        factor: Factor::Before,
        created_at: at(seconds),
        expires_at: at(seconds + 3600),
        from: "192.0.2.1".to_owned(),
        replaces: None,
    }
}

async fn is_in(store: &SharedStore, secret: &str) -> bool {
    store.session(Digest::of(secret.as_bytes())).await.unwrap().is_some()
}

pub async fn api_4_a_name_is_one_persons_whatever_its_case(store: &SharedStore) {
    let anna = user("Anna", "viewer");
    store.create_user(anna.clone(), act("user.create")).await.unwrap();
    let again = store.create_user(user("ANNA", "admin"), act("user.create")).await;
    assert!(matches!(again, Err(StoreError::NotAllowed(_))));
    let known = store.credentials("anna".into()).await.unwrap().unwrap();
    assert_eq!((known.user.id, known.password.as_deref()), (anna.id, Some("hash of Anna")));
    assert!(store.credentials("ben".into()).await.unwrap().is_none());
    assert_eq!(store.users().await.unwrap(), [known.user]);
}

pub async fn api_4_what_was_proved_must_still_be_true_when_a_session_begins(store: &SharedStore) {
    let anna = user("anna", "viewer");
    let id = anna.id;
    store.create_user(anna, act("user.create")).await.unwrap();
    let begin = async |secret: &str, password: Option<&str>, factor| {
        let password = password.map(str::to_owned);
        let new = NewSession { password, factor, ..session(id, secret, 0) };
        store.begin_session(new, act("session.begin")).await.is_ok()
    };
    assert!(begin("a", Some("hash of anna"), Factor::None).await);
    assert!(!begin("b", Some("another"), Factor::None).await, "the password changed meanwhile");
    assert!(!begin("c", None, Factor::Totp(5)).await, "no code is asked for");
    let enrolled = vec![UserChange::TotpEnrol(vec![7; 20])];
    store.change_user(id, enrolled.clone(), act("user.second_factor")).await.unwrap();
    let totp = store.credentials_of(id).await.unwrap().unwrap().totp.unwrap();
    assert_eq!((totp.secret, totp.confirmed), (vec![7; 20], false));
    let code = Digest::of(b"code");
    let confirm = vec![UserChange::TotpConfirm(9, vec![code])];
    store.change_user(id, confirm.clone(), act("user.second_factor")).await.unwrap();
    for again in [enrolled, confirm] {
        assert!(store.change_user(id, again, act("user.second_factor")).await.is_err());
    }
    assert!(!begin("d", None, Factor::None).await, "a code is asked for");
    assert!(!begin("e", None, Factor::Totp(9)).await, "used");
    assert!(begin("f", None, Factor::Totp(10)).await);
    assert!(!begin("g", None, Factor::Totp(10)).await, "used");
    assert!(begin("h", None, Factor::Recovery(code)).await);
    assert!(!begin("i", None, Factor::Recovery(code)).await, "used");
    for (secret, known) in [("a", true), ("b", false), ("d", false), ("f", true), ("g", false), ("h", true)] {
        assert_eq!(is_in(store, secret).await, known, "{secret}");
    }
}

pub async fn api_4_what_takes_something_from_a_person_ends_their_sessions(store: &SharedStore) {
    let (anna, boss) = (user("anna", "operator"), user("boss", "admin"));
    let (id, boss_id) = (anna.id, boss.id);
    store.create_user(anna, act("user.create")).await.unwrap();
    store.create_user(boss, act("user.create")).await.unwrap();
    store.begin_session(session(boss_id, "boss", 0), act("session.begin")).await.unwrap();
    for (change, ends) in [
        (UserChange::Email("a@b".into()), false),
        (UserChange::Role("viewer".into()), true),
        (UserChange::Password("other".into()), true),
        (UserChange::TotpRemove, true),
        (UserChange::SignOut, true),
        (UserChange::Disabled(true), true),
    ] {
        store.begin_session(session(id, "anna", 0), act("session.begin")).await.unwrap();
        store.change_user(id, vec![change.clone()], act("user.change")).await.unwrap();
        assert_eq!(is_in(store, "anna").await, !ends, "{change:?}");
        drop(store.end_session(Digest::of(b"anna"), act("session.end")).await);
    }
    assert!(store.begin_session(session(id, "anna", 0), act("session.begin")).await.is_err(), "shut out");
    assert!(is_in(store, "boss").await, "nobody else's end");
    for change in [UserChange::Role("viewer".into()), UserChange::Disabled(true)] {
        let refused = store.change_user(boss_id, vec![change], act("user.change")).await;
        assert!(matches!(refused, Err(StoreError::NotAllowed(_))), "the last admin");
    }
    assert!(store.remove_user(boss_id, act("user.remove")).await.is_err());
    assert!(is_in(store, "boss").await, "what was refused changed nothing");
    store.remove_user(id, act("user.remove")).await.unwrap();
    assert!(matches!(store.remove_user(id, act("user.remove")).await, Err(StoreError::NotFound(_))));
    assert!(store.audit_break().await.unwrap().is_none());
}

pub async fn api_4_sessions_are_bounded_swept_and_replaced(store: &SharedStore) {
    let anna = user("anna", "viewer");
    let id = anna.id;
    store.create_user(anna, act("user.create")).await.unwrap();
    for number in 0..=u64::from(SESSIONS_MAX) {
        store.begin_session(session(id, &number.to_string(), number), act("session.begin")).await.unwrap();
    }
    assert!(!is_in(store, "0").await && is_in(store, "1").await && is_in(store, "20").await);
    let next = NewSession { replaces: Some(Digest::of(b"20")), ..session(id, "next", 30) };
    store.begin_session(next, act("session.begin")).await.unwrap();
    assert!(!is_in(store, "20").await && is_in(store, "next").await);
    store.touch_session(Digest::of(b"next"), at(90)).await.unwrap();
    store.touch_session(Digest::of(b"next"), at(40)).await.unwrap();
    assert_eq!(store.session(Digest::of(b"next")).await.unwrap().unwrap().seen_at, at(90));
    store.begin_session(session(id, "late", 4000), act("session.begin")).await.unwrap();
    assert!(!is_in(store, "next").await && is_in(store, "late").await, "what is over is swept");
    assert!(store.end_session(Digest::of(b"late"), act("session.end")).await.unwrap());
    assert!(!store.end_session(Digest::of(b"late"), act("session.end")).await.unwrap());
}

pub async fn api_4_a_subject_is_one_person_and_the_provider_s(store: &SharedStore) {
    let subject = |subject: &str| Subject { issuer: "https://id.example".to_owned(), subject: subject.to_owned() };
    let vouched = |name: &str, of: &str| NewUser { password: None, vouched: Some(subject(of)), ..user(name, "admin") };
    let anna = vouched("anna", "1");
    let id = anna.id;
    store.create_user(anna, act("user.create")).await.unwrap();
    let twice = store.create_user(vouched("anna2", "1"), act("user.create")).await;
    assert!(matches!(twice, Err(StoreError::NotAllowed(_))), "{twice:?}");
    store.create_user(vouched("ben", "1 "), act("user.create")).await.unwrap();
    store.create_user(user("boss", "admin"), act("user.create")).await.unwrap();
    let found = store.user_of(subject("1")).await.unwrap().unwrap();
    assert_eq!((found.id, found.vouched_for, found.issuer.as_deref()), (id, true, Some("https://id.example")));
    assert!(store.user_of(subject("2")).await.unwrap().is_none());
    let elsewhere = Subject { issuer: "https://id.example/".to_owned(), ..subject("1") };
    assert!(store.user_of(elsewhere).await.unwrap().is_none(), "another issuer");
    for theirs in
        [UserChange::Role("viewer".to_owned()), UserChange::Password("hash".to_owned()), UserChange::TotpEnrol(vec![1])]
    {
        let refused = store.change_user(id, vec![theirs], act("user.change")).await;
        assert!(matches!(refused, Err(StoreError::NotAllowed(_))), "{refused:?}");
    }
    store.begin_session(session(id, "anna", 0), act("session.begin")).await.unwrap();
    let granted = || vec![UserChange::Granted("viewer".to_owned())];
    store.change_user(id, granted(), act("user.change")).await.unwrap();
    assert!(!is_in(store, "anna").await, "another role ends the sessions");
    let boss = store.users().await.unwrap().into_iter().find(|user| user.name == "boss").unwrap();
    assert!(boss.issuer.is_none());
    assert!(store.change_user(boss.id, granted(), act("user.change")).await.is_err(), "no provider says that");
    let last = store.remove_user(boss.id, act("user.remove")).await;
    assert!(matches!(last, Err(StoreError::NotAllowed(_))), "a provider's admin is no admin of our own: {last:?}");
}
