//! Views: filters that somebody keeps under a name.

use rusqlite::Connection;

use super::SqliteStore;
use super::acts::recorded;
use super::fault::{Fault, Outcome};
use super::tx::{self, Tx};
use super::writer::Urgency::Now;
use crate::clock::from_micros;
use crate::envelope::ids::{UserId, ViewId};
use crate::store::books::Done;
use crate::store::saved::{Filter, NewView, SHARED_MAX, SavedView, VIEWS_MAX, ViewChange, Views};
use crate::store::write::Act;
use crate::store::{Answer, StoreError};

fn all(conn: &Connection, owner: &str) -> Outcome<Vec<SavedView>> {
    let rows = tx::rows(
        conn,
        "SELECT v.id, v.list, v.name, v.filter, v.shared, v.owner = ?1, v.kept_by, v.created_at, \
         EXISTS (SELECT 1 FROM start_views AS s WHERE s.owner = ?1 AND s.view = v.id) \
         FROM views AS v WHERE v.owner = ?1 OR v.shared = 1 ORDER BY v.list, v.shared, v.name_key, v.id",
        [owner],
        |row| {
            let view = SavedView {
                id: ViewId::from_bytes(row.get(0)?),
                list: row.get(1)?,
                name: row.get(2)?,
                filter: Filter::new(),
                shared: row.get(4)?,
                mine: row.get(5)?,
                start: row.get(8)?,
                kept_by: row.get(6)?,
                created_at: from_micros(row.get(7)?),
            };
            Ok((view, row.get::<_, String>(3)?))
        },
    )?;
    rows.into_iter().map(|(view, filter)| Ok(SavedView { filter: read(view.id, &filter)?, ..view })).collect()
}

fn read(id: ViewId, filter: &str) -> Result<Filter, StoreError> {
    serde_json::from_str(filter).map_err(|reason| StoreError::Corrupt(format!("{id} is no filter: {reason}")))
}

fn written(filter: &Filter) -> String {
    serde_json::to_string(filter).expect("pairs of text are JSON")
}

fn keep(tx: &Tx<'_>, new: &NewView, act: &Act) -> Outcome<()> {
    // Nobody's view is left behind by a keeper who went while it was asked for.
    if let Ok(user) = new.owner.parse::<UserId>() {
        let known = tx.row("SELECT 1 FROM users WHERE id = ?1", [user.as_bytes()], |_| Ok(()))?;
        known.ok_or_else(|| Fault::not_found(user.to_string()))?;
    }
    let own = tx.row("SELECT COUNT(*) FROM views WHERE owner = ?1", [&new.owner], |row| row.get::<_, u32>(0))?;
    if own.unwrap_or(0) >= VIEWS_MAX {
        return Err(Fault::not_allowed(format!("you keep {VIEWS_MAX} views already: delete one first")));
    }
    tx.run(
        "INSERT INTO views (id, list, name, name_key, filter, shared, owner, kept_by, created_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, 0, ?6, ?7, ?8)",
        (
            new.id.as_bytes(),
            &new.list,
            &new.name,
            // Under a key of its own until it is known to be free.
            new.id.to_string(),
            written(&new.filter),
            &new.owner,
            &new.kept_by,
            new.created_at.as_microsecond(),
        ),
    )?;
    let name = Some((new.name.clone(), new.name_key.clone()));
    apply(tx, new.id, &ViewChange { name, filter: None, shared: Some(new.shared) })?;
    recorded(tx, act, Done::Otherwise)
}

fn change(tx: &Tx<'_>, id: ViewId, change: &ViewChange, act: &Act) -> Outcome<()> {
    apply(tx, id, change)?;
    recorded(tx, act, Done::Otherwise)
}

fn apply(tx: &Tx<'_>, id: ViewId, change: &ViewChange) -> Outcome<()> {
    let known =
        tx.row("SELECT list, owner, name, name_key, shared FROM views WHERE id = ?1", [id.as_bytes()], |row| {
            Ok((
                row.get::<_, String>(0)?,
                row.get::<_, String>(1)?,
                (row.get::<_, String>(2)?, row.get::<_, String>(3)?),
                row.get::<_, bool>(4)?,
            ))
        })?;
    let (list, owner, named, was_shared) = known.ok_or_else(|| Fault::not_found(id.to_string()))?;
    let (name, name_key) = change.name.clone().unwrap_or(named);
    let shared = change.shared.unwrap_or(was_shared);
    let taken = tx.row(
        "SELECT 1 FROM views WHERE list = ?1 AND name_key = ?2 AND shared = ?3 AND (shared = 1 OR owner = ?4) AND id <> ?5",
        (&list, &name_key, shared, &owner, id.as_bytes()),
        |_| Ok(()),
    )?;
    if taken.is_some() {
        let whose = if shared { "a shared view" } else { "a view of yours" };
        return Err(Fault::not_allowed(format!("{whose} of this list has that name already: choose another")));
    }
    if shared && !was_shared {
        let all = tx.row("SELECT COUNT(*) FROM views WHERE shared = 1", [], |row| row.get::<_, u32>(0))?;
        if all.unwrap_or(0) >= SHARED_MAX {
            return Err(Fault::not_allowed(format!("{SHARED_MAX} views are shared already: delete one first")));
        }
    }
    tx.run(
        "UPDATE views SET name = ?2, name_key = ?3, shared = ?4, filter = COALESCE(?5, filter) WHERE id = ?1",
        (id.as_bytes(), &name, &name_key, shared, change.filter.as_ref().map(written)),
    )?;
    // Whoever begins with a view that they no longer see begins with none.
    if was_shared && !shared {
        tx.run("DELETE FROM start_views WHERE view = ?1 AND owner <> ?2", (id.as_bytes(), &owner))?;
    }
    Ok(())
}

fn take_away(tx: &Tx<'_>, id: ViewId, act: &Act) -> Outcome<()> {
    if tx.run("DELETE FROM views WHERE id = ?1", [id.as_bytes()])? == 0 {
        return Err(Fault::not_found(id.to_string()));
    }
    recorded(tx, act, Done::Otherwise)
}

fn start(tx: &Tx<'_>, owner: &str, view: Option<ViewId>, act: &Act) -> Outcome<()> {
    tx.run("DELETE FROM start_views WHERE owner = ?1", [owner])?;
    if let Some(view) = view {
        let seen = tx.run(
            "INSERT INTO start_views (owner, view) SELECT ?1, id FROM views WHERE id = ?2 AND (owner = ?1 OR shared = 1)",
            (owner, view.as_bytes()),
        )?;
        if seen == 0 {
            return Err(Fault::not_found(view.to_string()));
        }
    }
    recorded(tx, act, Done::Otherwise)
}

/// What a keeper who goes leaves behind.
pub(super) fn forget(tx: &Tx<'_>, owner: &str) -> Outcome<()> {
    tx.run("DELETE FROM start_views WHERE owner = ?1", [owner])?;
    tx.run("DELETE FROM views WHERE owner = ?1", [owner])?;
    Ok(())
}

impl Views for SqliteStore {
    fn keep_view(&self, view: NewView, act: Act) -> Answer<'_, ()> {
        Box::pin(self.write(Now, move |tx| keep(tx, &view, &act)))
    }

    fn change_view(&self, id: ViewId, changed: ViewChange, act: Act) -> Answer<'_, ()> {
        Box::pin(self.write(Now, move |tx| change(tx, id, &changed, &act)))
    }

    fn drop_view(&self, id: ViewId, act: Act) -> Answer<'_, ()> {
        Box::pin(self.write(Now, move |tx| take_away(tx, id, &act)))
    }

    fn start_with(&self, owner: String, view: Option<ViewId>, act: Act) -> Answer<'_, ()> {
        Box::pin(self.write(Now, move |tx| start(tx, &owner, view, &act)))
    }

    fn views(&self, owner: String) -> Answer<'_, Vec<SavedView>> {
        Box::pin(self.read(move |conn| all(conn, &owner)))
    }
}
