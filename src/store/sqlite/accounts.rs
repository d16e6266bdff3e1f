//! People and their sessions (API-4).

use rusqlite::{Connection, Row};

use super::SqliteStore;
use super::acts::recorded;
use super::fault::{Fault, Outcome};
use super::saved;
use super::tx::{self, Tx, count};
use super::writer::Urgency::{Now, Soon};
use crate::clock::{Entropy, Timestamp, from_micros};
use crate::envelope::ids::UserId;
use crate::envelope::keys::Digest;
use crate::store::accounts::{
    Accounts, Credentials, Factor, KeptTotp, NewSession, NewUser, SESSIONS_MAX, SessionRow, Subject, UserChange,
    UserRow,
};
use crate::store::books::Done;
use crate::store::seal::{Keys, MARK};
use crate::store::write::Act;
use crate::store::{Answer, StoreError};
use std::sync::Arc;

/// What a secret of the second factor is called where it is sealed.
const TOTP: &str = "second factor";

/// How a secret begins that no key seals, so that it is never taken for a sealed one.
const PLAIN: u8 = b'S';

/// Somebody at an identity provider.
const VOUCHED: &str = "u.issuer = ?1 AND u.issuer_subject = ?2";

/// A person; `secret` and what follows it are for [`Credentials`] alone.
const USER: &str = "SELECT u.id, u.name, u.email, u.role, u.password IS NOT NULL, u.totp_since IS NOT NULL, \
     (SELECT COUNT(*) FROM recovery_codes AS r WHERE r.user = u.id), IIF(u.issuer_subject IS NULL, NULL, u.issuer), u.created_at, \
     u.disabled_at, u.last_login_at, u.password, u.totp_secret, u.totp_step";

fn user(row: &Row<'_>) -> rusqlite::Result<UserRow> {
    let issuer: Option<String> = row.get(7)?;
    Ok(UserRow {
        id: UserId::from_bytes(row.get(0)?),
        name: row.get(1)?,
        email: row.get(2)?,
        role: row.get(3)?,
        password: row.get(4)?,
        totp: row.get(5)?,
        recovery_codes: count(row.get(6)?),
        vouched_for: issuer.is_some(),
        issuer,
        created_at: from_micros(row.get(8)?),
        disabled_at: row.get::<_, Option<i64>>(9)?.map(from_micros),
        last_login_at: row.get::<_, Option<i64>>(10)?.map(from_micros),
    })
}

fn users(conn: &Connection) -> Outcome<Vec<UserRow>> {
    tx::rows(conn, &format!("{USER} FROM users AS u ORDER BY u.name_key"), [], user)
}

fn credentials(
    conn: &Connection,
    condition: &str,
    params: impl rusqlite::Params,
    keys: &Keys,
) -> Outcome<Option<Credentials>> {
    let sql = format!("{USER} FROM users AS u WHERE {condition}");
    let found = tx::row(conn, &sql, params, |row| {
        Ok((user(row)?, row.get(11)?, row.get::<_, Option<Vec<u8>>>(12)?, row.get(13)?))
    })?;
    let Some((user, password, sealed, step)) = found else { return Ok(None) };
    let totp = match sealed {
        None => None,
        Some(sealed) => {
            let opened = keys.open(&sealed, TOTP, user.id.as_bytes())?;
            let secret = opened.strip_prefix(&[PLAIN]).ok_or_else(damaged)?.to_vec();
            Some(KeptTotp { secret, confirmed: user.totp, step })
        }
    };
    Ok(Some(Credentials { user, password, totp }))
}

fn damaged() -> StoreError {
    StoreError::Corrupt(format!("a {TOTP} is not what was written"))
}

/// Brings every secret of a second factor under the key of now; how many changed.
pub(super) fn recode(tx: &Tx<'_>, keys: &Keys, entropy: &dyn Entropy) -> Outcome<u64> {
    let met = tx.rows("SELECT id, totp_secret FROM users WHERE totp_secret IS NOT NULL", [], |row| {
        Ok((row.get::<_, [u8; 16]>(0)?, row.get::<_, Vec<u8>>(1)?))
    })?;
    let mut changed = 0;
    for (id, stored) in met {
        let recoded = if stored.starts_with(&MARK) {
            keys.rewrap(&stored, TOTP, entropy)?
        } else {
            Some(keys.seal(stored.into(), TOTP, &id, entropy).to_vec())
        };
        if let Some(recoded) = recoded {
            tx.run("UPDATE users SET totp_secret = ?2 WHERE id = ?1", (id, recoded))?;
            changed += 1;
        }
    }
    Ok(changed)
}

fn create(tx: &Tx<'_>, new: &NewUser, act: &Act) -> Outcome<()> {
    let taken = tx.row("SELECT 1 FROM users WHERE name_key = ?1", [&new.name_key], |_| Ok(()))?;
    if taken.is_some() {
        return Err(Fault::not_allowed(format!("a user named \"{}\" is there already: choose another name", new.name)));
    }
    if let Some(vouched) = &new.vouched
        && tx
            .row(&format!("SELECT 1 FROM users AS u WHERE {VOUCHED}"), [&vouched.issuer, &vouched.subject], |_| Ok(()))?
            .is_some()
    {
        return Err(Fault::not_allowed("this person of the identity provider is there already"));
    }
    tx.run(
        "INSERT INTO users (id, name, name_key, email, role, password, created_at, issuer, issuer_subject) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        (
            new.id.as_bytes(),
            &new.name,
            &new.name_key,
            &new.email,
            &new.role,
            &new.password,
            new.created_at.as_microsecond(),
            new.vouched.as_ref().map_or("", |vouched| &vouched.issuer),
            new.vouched.as_ref().map(|vouched| &vouched.subject),
        ),
    )?;
    recorded(tx, act, Done::Otherwise)
}

/// Admins of our own who may sign in; one whom an identity provider made may be none tomorrow, by its word alone.
fn admins(tx: &Tx<'_>) -> Outcome<i64> {
    let sql = "SELECT COUNT(*) FROM users WHERE role = 'admin' AND disabled_at IS NULL AND issuer_subject IS NULL";
    Ok(tx.row(sql, [], |row| row.get(0))?.unwrap_or(0))
}

/// Refuses what took the last admin away; inside the transaction, so that two at once cannot do it either.
fn still_led(tx: &Tx<'_>, before: i64) -> Outcome<()> {
    if before > 0 && admins(tx)? == 0 {
        return Err(Fault::not_allowed("nobody would be left who may let others in: make another user an admin first"));
    }
    Ok(())
}

/// Whether an identity provider vouches for a person whom we know.
fn known(tx: &Tx<'_>, id: UserId) -> Outcome<bool> {
    let sql = "SELECT issuer_subject IS NOT NULL FROM users WHERE id = ?1";
    tx.row(sql, [id.as_bytes()], |row| row.get(0))?.ok_or_else(|| Fault::not_found(id.to_string()))
}

/// Refuses what is not ours to say of somebody, or the provider's of somebody who is ours.
fn is_ours_to_say(vouched_for: bool, change: &UserChange) -> Outcome<()> {
    match change {
        UserChange::Role(_) | UserChange::Password(_) | UserChange::TotpEnrol(_) if vouched_for => {
            Err(Fault::not_allowed("the identity provider says their role and how they sign in: change it there"))
        }
        UserChange::Granted(_) if !vouched_for => Err(Fault::not_allowed("no identity provider vouches for them")),
        _ => Ok(()),
    }
}

fn change(tx: &Tx<'_>, id: UserId, changes: &[UserChange], sealed: Option<&[u8]>, act: &Act) -> Outcome<()> {
    let vouched_for = known(tx, id)?;
    let before = admins(tx)?;
    let mut ends = false;
    for change in changes {
        is_ours_to_say(vouched_for, change)?;
        ends |= !matches!(change, UserChange::Email(_) | UserChange::TotpEnrol(_) | UserChange::TotpConfirm(..));
        one_change(tx, id, change, sealed, act)?;
    }
    still_led(tx, before)?;
    if ends {
        tx.run("DELETE FROM sessions WHERE user = ?1", [id.as_bytes()])?;
    }
    recorded(tx, act, Done::Otherwise)
}

fn one_change(tx: &Tx<'_>, id: UserId, change: &UserChange, sealed: Option<&[u8]>, act: &Act) -> Outcome<()> {
    let (id, at) = (id.as_bytes(), act.at.as_microsecond());
    match change {
        UserChange::Role(role) | UserChange::Granted(role) => {
            tx.run("UPDATE users SET role = ?2 WHERE id = ?1", (id, role))
        }
        UserChange::Email(email) => tx.run("UPDATE users SET email = ?2 WHERE id = ?1", (id, email)),
        UserChange::Password(phc) => tx.run("UPDATE users SET password = ?2 WHERE id = ?1", (id, phc)),
        UserChange::Disabled(true) => {
            tx.run("UPDATE users SET disabled_at = COALESCE(disabled_at, ?2) WHERE id = ?1", (id, at))
        }
        UserChange::Disabled(false) => tx.run("UPDATE users SET disabled_at = NULL WHERE id = ?1", [id]),
        UserChange::TotpEnrol(_) => {
            let enrolled = tx.run(
                "UPDATE users SET totp_secret = ?2, totp_step = 0 WHERE id = ?1 AND totp_since IS NULL",
                (id, sealed),
            )?;
            if enrolled == 0 {
                return Err(Fault::not_allowed("a second factor is in use already: remove it first"));
            }
            Ok(enrolled)
        }
        UserChange::TotpConfirm(step, codes) => {
            let confirmed = tx.run(
                "UPDATE users SET totp_since = ?2, totp_step = ?3 \
                 WHERE id = ?1 AND totp_secret IS NOT NULL AND totp_since IS NULL",
                (id, at, step),
            )?;
            if confirmed == 0 {
                return Err(Fault::not_allowed("no second factor waits for its first code: enrol one first"));
            }
            tx.run("DELETE FROM recovery_codes WHERE user = ?1", [id])?;
            for code in codes {
                tx.run("INSERT OR IGNORE INTO recovery_codes (user, digest) VALUES (?1, ?2)", (id, code.0))?;
            }
            Ok(confirmed)
        }
        UserChange::TotpRemove => {
            tx.run("DELETE FROM recovery_codes WHERE user = ?1", [id])?;
            tx.run("UPDATE users SET totp_secret = NULL, totp_since = NULL, totp_step = 0 WHERE id = ?1", [id])
        }
        UserChange::SignOut => Ok(0),
    }?;
    Ok(())
}

fn remove(tx: &Tx<'_>, id: UserId, act: &Act) -> Outcome<()> {
    known(tx, id)?;
    let before = admins(tx)?;
    tx.run("DELETE FROM sessions WHERE user = ?1", [id.as_bytes()])?;
    tx.run("DELETE FROM recovery_codes WHERE user = ?1", [id.as_bytes()])?;
    tx.run("DELETE FROM users WHERE id = ?1", [id.as_bytes()])?;
    saved::forget(tx, &id.to_string())?;
    still_led(tx, before)?;
    recorded(tx, act, Done::Otherwise)
}

fn begin(tx: &Tx<'_>, new: &NewSession, act: &Act) -> Outcome<()> {
    let (id, at) = (new.user.as_bytes(), new.created_at.as_microsecond());
    let no_longer = || Fault::not_allowed("what was proved is no longer true");
    let now = tx.row(
        "SELECT password, totp_since IS NOT NULL FROM users WHERE id = ?1 AND disabled_at IS NULL",
        [id],
        |row| Ok((row.get::<_, Option<String>>(0)?, row.get::<_, bool>(1)?)),
    )?;
    let (password, asked) = now.ok_or_else(no_longer)?;
    if new.password.is_some() && new.password != password {
        return Err(no_longer());
    }
    let proved = match new.factor {
        Factor::Before => true,
        Factor::None => !asked,
        Factor::Totp(step) => {
            asked && tx.run("UPDATE users SET totp_step = ?2 WHERE id = ?1 AND totp_step < ?2", (id, step))? == 1
        }
        Factor::Recovery(code) => {
            asked && tx.run("DELETE FROM recovery_codes WHERE user = ?1 AND digest = ?2", (id, code.0))? == 1
        }
    };
    if !proved {
        return Err(no_longer());
    }
    if let Some(replaced) = new.replaces {
        tx.run("DELETE FROM sessions WHERE secret = ?1", [replaced.0])?;
    }
    tx.run("DELETE FROM sessions WHERE expires_at <= ?1", [at])?;
    tx.run(
        "DELETE FROM sessions WHERE user = ?1 AND secret NOT IN \
         (SELECT secret FROM sessions WHERE user = ?1 ORDER BY created_at DESC LIMIT ?2)",
        (id, SESSIONS_MAX - 1),
    )?;
    tx.run(
        "INSERT INTO sessions (secret, user, created_at, seen_at, expires_at, source) VALUES (?1, ?2, ?3, ?3, ?4, ?5)",
        (new.secret.0, id, at, new.expires_at.as_microsecond(), &new.from),
    )?;
    tx.run("UPDATE users SET last_login_at = ?2 WHERE id = ?1", (id, at))?;
    recorded(tx, act, Done::Otherwise)
}

fn session(conn: &Connection, secret: Digest) -> Outcome<Option<SessionRow>> {
    let sql = format!(
        "{USER}, s.created_at, s.seen_at, s.expires_at FROM sessions AS s JOIN users AS u ON u.id = s.user \
         WHERE s.secret = ?1 AND u.disabled_at IS NULL"
    );
    tx::row(conn, &sql, [secret.0], |row| {
        Ok(SessionRow {
            user: user(row)?,
            created_at: from_micros(row.get(14)?),
            seen_at: from_micros(row.get(15)?),
            expires_at: from_micros(row.get(16)?),
        })
    })
}

impl Accounts for SqliteStore {
    fn create_user(&self, user: NewUser, act: Act) -> Answer<'_, ()> {
        Box::pin(self.write(Now, move |tx| create(tx, &user, &act)))
    }

    fn change_user(&self, user: UserId, changes: Vec<UserChange>, act: Act) -> Answer<'_, ()> {
        let secret = changes.iter().find_map(|change| match change {
            UserChange::TotpEnrol(secret) => Some([&[PLAIN], secret.as_slice()].concat()),
            _ => None,
        });
        let sealed = secret.map(|secret| self.keys.seal(secret.into(), TOTP, user.as_bytes(), self.entropy.as_ref()));
        Box::pin(self.write(Now, move |tx| change(tx, user, &changes, sealed.as_deref(), &act)))
    }

    fn remove_user(&self, user: UserId, act: Act) -> Answer<'_, ()> {
        Box::pin(self.write(Now, move |tx| remove(tx, user, &act)))
    }

    fn users(&self) -> Answer<'_, Vec<UserRow>> {
        Box::pin(self.read(users))
    }

    fn credentials(&self, name_key: String) -> Answer<'_, Option<Credentials>> {
        let keys = Arc::clone(&self.keys);
        Box::pin(self.read(move |conn| credentials(conn, "u.name_key = ?1", [&name_key], &keys)))
    }

    fn credentials_of(&self, user: UserId) -> Answer<'_, Option<Credentials>> {
        let keys = Arc::clone(&self.keys);
        Box::pin(self.read(move |conn| credentials(conn, "u.id = ?1", [user.as_bytes()], &keys)))
    }

    fn user_of(&self, subject: Subject) -> Answer<'_, Option<UserRow>> {
        let sql = format!("{USER} FROM users AS u WHERE {VOUCHED}");
        Box::pin(self.read(move |conn| tx::row(conn, &sql, [&subject.issuer, &subject.subject], user)))
    }

    fn begin_session(&self, session: NewSession, act: Act) -> Answer<'_, ()> {
        Box::pin(self.write(Now, move |tx| begin(tx, &session, &act)))
    }

    fn session(&self, secret: Digest) -> Answer<'_, Option<SessionRow>> {
        Box::pin(self.read(move |conn| session(conn, secret)))
    }

    fn touch_session(&self, secret: Digest, at: Timestamp) -> Answer<'_, ()> {
        let sql = "UPDATE sessions SET seen_at = ?2 WHERE secret = ?1 AND seen_at < ?2";
        Box::pin(self.write(Soon, move |tx| tx.run(sql, (secret.0, at.as_microsecond())).map(drop)))
    }

    fn end_session(&self, secret: Digest, act: Act) -> Answer<'_, bool> {
        Box::pin(self.write(Now, move |tx| {
            let ended = tx.run("DELETE FROM sessions WHERE secret = ?1", [secret.0])? == 1;
            if ended {
                recorded(tx, &act, Done::Otherwise)?;
            }
            Ok(ended)
        }))
    }
}
