//! Answers kept for repeats of calls that act (API-2).

use rusqlite::Connection;
use serde_json::Value;

use super::fault::{Fault, Outcome};
use super::tx::{self, Tx};
use crate::clock::Timestamp;
use crate::envelope::keys::Digest;
use crate::store::StoreError;
use crate::store::books::{ANSWERS_KEPT_HOURS, CallName, Done, KeptAnswer};
use crate::store::write::Act;

/// Most outdated answers that one writing of an answer, or one sweep, takes out.
const SWEPT_MAX: i64 = 500;

/// Answers that are outdated, oldest first.
pub(super) const OUTDATED: &str =
    "SELECT scope FROM kept_answers INDEXED BY kept_answers_by_age WHERE kept_at < ?1 ORDER BY kept_at LIMIT ?2";

/// Writes the answer of an act down, in the transaction of its effect.
pub(super) fn of_act(tx: &Tx<'_>, act: &Act, done: Done<'_>) -> Outcome<()> {
    match &act.keep {
        None => Ok(()),
        Some(keep) => write(tx, &keep.call, &keep.tell(done), act.at),
    }
}

/// Writes an answer down. One that is there already stands, unless it is outdated.
pub(super) fn write(tx: &Tx<'_>, call: &CallName, answer: &KeptAnswer, at: Timestamp) -> Outcome<()> {
    sweep(tx, at)?;
    let headers = serde_json::to_string(&answer.headers).expect("pairs of text are JSON");
    tx.run(
        "INSERT INTO kept_answers (scope, fingerprint, status, headers, kept_at, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
         ON CONFLICT (scope) DO UPDATE SET fingerprint = excluded.fingerprint, status = excluded.status, \
         headers = excluded.headers, kept_at = excluded.kept_at, body = excluded.body WHERE kept_at < ?7",
        rusqlite::params![
            call.scope.0,
            call.fingerprint.0,
            answer.status,
            headers,
            at.as_microsecond(),
            answer.body.as_ref(),
            kept_since(at),
        ],
    )?;
    Ok(())
}

/// Takes outdated answers out, some at a time; how many.
pub(super) fn sweep(tx: &Tx<'_>, now: Timestamp) -> Outcome<u64> {
    let swept =
        tx.run(&format!("DELETE FROM kept_answers WHERE scope IN ({OUTDATED})"), (kept_since(now), SWEPT_MAX))?;
    Ok(u64::try_from(swept).unwrap_or(u64::MAX))
}

/// The answer under a scope, with the fingerprint of the call it answered.
pub(super) fn find(conn: &Connection, scope: Digest, now: Timestamp) -> Outcome<Option<(Digest, KeptAnswer)>> {
    let found = tx::row(
        conn,
        "SELECT fingerprint, status, headers, body FROM kept_answers WHERE scope = ?1 AND kept_at >= ?2",
        (scope.0, kept_since(now)),
        |row| Ok((row.get(0)?, row.get::<_, u16>(1)?, row.get::<_, String>(2)?, row.get::<_, Vec<u8>>(3)?)),
    )?;
    let Some((fingerprint, status, headers, body)) = found else { return Ok(None) };
    let headers = serde_json::from_str(&headers)
        .map_err(|reason| Fault::Answer(StoreError::Corrupt(format!("headers of a kept answer: {reason}"))))?;
    Ok(Some((Digest(fingerprint), KeptAnswer { status, headers, body: body.into() })))
}

/// What a person's words, or a buyer's, may stand under in an answer.
const WORDY: [&str; 6] = ["message", "detail", "value", "explanation", "response", "resolution"];

/// Takes the words out of every kept answer that names one of these ids; how many answers.
pub(super) fn erase(tx: &Tx<'_>, names: &dyn Fn(&str) -> bool, instead: &str) -> Outcome<u64> {
    let kept = tx.rows("SELECT scope, body FROM kept_answers", [], |row| {
        Ok((row.get::<_, [u8; 32]>(0)?, row.get::<_, Vec<u8>>(1)?))
    })?;
    let mut erased = 0;
    for (scope, body) in kept {
        let Ok(mut answer) = serde_json::from_slice::<Value>(&body) else { continue };
        if names_one(&answer, names) && take_words(&mut answer, instead) {
            let body = answer.to_string().into_bytes();
            tx.run("UPDATE kept_answers SET body = ?2 WHERE scope = ?1", (scope, body))?;
            erased += 1;
        }
    }
    Ok(erased)
}

fn names_one(value: &Value, names: &dyn Fn(&str) -> bool) -> bool {
    match value {
        Value::String(text) => names(text),
        Value::Array(items) => items.iter().any(|item| names_one(item, names)),
        Value::Object(members) => members.values().any(|member| names_one(member, names)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Whether there were any.
fn take_words(value: &mut Value, instead: &str) -> bool {
    let mut taken = false;
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| taken |= take_words(item, instead)),
        Value::Object(members) => {
            for (name, member) in members {
                if member.is_string() && WORDY.contains(&name.as_str()) {
                    *member = Value::from(instead);
                    taken = true;
                } else {
                    taken |= take_words(member, instead);
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    taken
}

fn kept_since(now: Timestamp) -> i64 {
    now.as_microsecond().saturating_sub(ANSWERS_KEPT_HOURS * 3_600_000_000)
}
