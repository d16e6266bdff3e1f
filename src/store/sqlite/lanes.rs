//! A report of an order at a destination that may know the order already: whether it is newer, and what follows (LANE-3,
//! LANE-5). The first report of an order never comes here.
//!
//! | The lane's create                     | an older report | the same  | a newer one               | a newer one that cancels all |
//! |---------------------------------------|-----------------|-----------|---------------------------|------------------------------|
//! | is not there                          | –               | –         | the create                | the create, then cancellation|
//! | was not sealed                        | superseded      | superseded| the create takes it       | the create is never sent     |
//! | was tried, and not applied for certain| superseded      | superseded| a change waits behind it  | the create is never sent     |
//! | was sent, or may have been            | superseded      | superseded| a change waits behind it  | a cancellation behind it     |
//! | was given up                          | superseded      | superseded| superseded                | superseded                   |
//!
//! Changes that were not sealed give way to a newer one; where no route takes a change the report is ignored, with the
//! reason. Cancelled quantities travel as a cancellation where a route takes one, in the same lane.

use rusqlite::Row;

use super::conclude::{Applied, Target};
use super::delivery::{self, Row as Open};
use super::effects::{self, Circumstances, Intended, Known};
use super::exceptions::{self, Ending};
use super::fault::Outcome;
use super::state;
use super::tx::Tx;
use crate::clock::{Timestamp, from_micros};
use crate::envelope::ids::DeliveryId;
use crate::envelope::revision::{Revision, Standing};
use crate::store::write::{NewDelivery, NewDocument, OrderReport};

const CREATE: &str = "order.create";
const CHANGE: &str = "order.change";
const CANCEL: &str = "order.cancel";

/// Deliveries of a lane that say something of its order, oldest first.
pub(super) const LINKS: &str = "SELECT seq, id, envelope, state, head, sealed, uncertain, epoch, attempts, purpose, \
     revision, reported_at, version, content, cancelled, destination, rung IN ('fresh', 'cleared'), is_there \
     FROM deliveries INDEXED BY deliveries_effect WHERE subject = ?1 AND destination = ?2 AND purpose IN ('order.create', 'order.change', 'order.cancel') ORDER BY seq";

/// Whether anything was made for any destination of a subject.
pub(super) const ANY: &str = "SELECT 1 FROM deliveries INDEXED BY deliveries_effect WHERE subject = ?1 LIMIT 1";

/// Whether a report of this subject may meet an earlier one: then it is the processor's, which makes what follows.
pub(super) fn is_known(tx: &Tx<'_>, subject: i64) -> Outcome<bool> {
    Ok(tx.row(ANY, [subject], |_| Ok(()))?.is_some())
}

/// A delivery of the lane.
struct Link {
    open: Open,
    id: DeliveryId,
    purpose: String,
    revision: String,
    reported: Option<Revision>,
    cancelled: Option<[u8; 16]>,
    /// Nothing has to be found out about it.
    clear: bool,
    /// Its record is at the destination, or a job there makes it: what is left to do is not whether.
    is_there: bool,
}

impl Link {
    /// Waiting or parked, with nothing sealed: as good as never made. One that may have been sent before a restore is not.
    fn is_unsealed(&self) -> bool {
        self.is_open() && !self.open.sealed && !self.open.uncertain
    }

    /// Not applied for certain, and not on its way.
    fn was_never_applied(&self) -> bool {
        self.is_open() && !self.open.uncertain && self.clear && !self.is_there
    }

    /// Something that follows the create, and that something newer was sent instead of.
    fn gave_way(&self) -> bool {
        self.purpose != CREATE && self.open.state == "superseded"
    }

    fn is_open(&self) -> bool {
        self.open.state == "waiting" || self.open.state == "parked"
    }

    fn known(&self) -> Known {
        let Open { seq, envelope, sealed, .. } = self.open;
        Known { seq, id: self.id, envelope, state: self.open.state.clone(), sealed }
    }
}

fn links(tx: &Tx<'_>, subject: i64, destination: &str) -> Outcome<Vec<Link>> {
    tx.rows(LINKS, (subject, destination), |row| link(row, subject))
}

fn link(row: &Row<'_>, subject: i64) -> rusqlite::Result<Link> {
    let content: Option<[u8; 16]> = row.get(13)?;
    let reported_at: Option<i64> = row.get(11)?;
    let version: Option<i64> = row.get(12)?;
    Ok(Link {
        open: Open {
            seq: row.get(0)?,
            destination: row.get(15)?,
            subject,
            envelope: row.get(2)?,
            state: row.get(3)?,
            head: row.get(4)?,
            sealed: row.get(5)?,
            uncertain: row.get(6)?,
            epoch: row.get(7)?,
            attempts: row.get(8)?,
            received_at: None,
        },
        id: DeliveryId::from_bytes(row.get(1)?),
        purpose: row.get(9)?,
        revision: row.get(10)?,
        reported: content.map(|content| Revision {
            updated_at: reported_at.map(from_micros),
            version: version.map(super::tx::count),
            content,
        }),
        cancelled: row.get(14)?,
        clear: row.get(16)?,
        is_there: row.get(17)?,
    })
}

/// One report at one destination, while it is decided.
struct Case<'a> {
    target: Target,
    report: &'a OrderReport,
    create: Option<&'a NewDelivery>,
    documents: &'a [NewDocument],
    circumstances: Circumstances<'a>,
    links: Vec<Link>,
}

/// What a report comes to at a destination that may know its order.
pub(super) fn report(
    tx: &mut Tx<'_>,
    target: Target,
    report: &OrderReport,
    create: Option<&NewDelivery>,
    documents: &[NewDocument],
    circumstances: Circumstances<'_>,
    applied: &mut Applied,
) -> Outcome<()> {
    let links = links(tx, target.subject, &report.destination)?;
    let case = Case { target, report, create, documents, circumstances, links };
    let Some(made) = case.links.iter().rposition(|link| link.purpose == CREATE) else {
        return case.first(tx, applied);
    };
    if case.links.iter().any(|link| link.open.envelope == target.seq) {
        return case.own(tx, applied);
    }
    let made = &case.links[made];
    let Some(newest) = case.newest() else {
        // Made before reports were told apart: nothing is known of its age, so nothing follows it.
        return case.without_age(tx, made, applied);
    };
    match report.revision.standing(&newest) {
        Standing::Older => {
            applied.note(Intended::Known(format!("older than what is {}", made.known().in_words())));
            Ok(())
        }
        Standing::Same => case.same(tx, made, &newest, applied),
        Standing::Newer => case.newer(tx, made, applied),
    }
}

/// The first report of an order at a destination: what is cancelled already follows in the same lane.
pub(super) fn follow_first(
    tx: &mut Tx<'_>,
    target: Target,
    report: &OrderReport,
    documents: &[NewDocument],
    circumstances: Circumstances<'_>,
    applied: &mut Applied,
) -> Outcome<()> {
    let Some(cancellation) = &report.cancellation else { return Ok(()) };
    applied.note(effects::intend(
        tx,
        target,
        cancellation,
        documents,
        Circumstances { unmet: false, ..circumstances },
    )?);
    Ok(())
}

impl Case<'_> {
    /// The newest that any delivery of the lane says. What gave way counts no more: something newer took its place, which
    /// may stand earlier in the lane (a create that was not sent yet), and of one second the later place is the newer.
    fn newest(&self) -> Option<Revision> {
        let said = self.links.iter().filter(|link| !link.gave_way()).filter_map(|link| link.reported);
        said.reduce(|newest, next| next.newer_of(newest))
    }

    fn first(&self, tx: &mut Tx<'_>, applied: &mut Applied) -> Outcome<()> {
        let Some(create) = self.create else { return Ok(()) };
        applied.note(effects::intend(tx, self.target, create, self.documents, self.circumstances)?);
        follow_first(tx, self.target, self.report, self.documents, self.circumstances, applied)
    }

    /// The envelope processed again on a person's word: what it made and was not sealed takes the document of now.
    fn own(&self, tx: &mut Tx<'_>, applied: &mut Applied) -> Outcome<()> {
        let report = self.report;
        for link in self.links.iter().filter(|link| link.open.envelope == self.target.seq) {
            let new = match link.purpose.as_str() {
                CREATE => self.create,
                CHANGE => report.change.as_ref(),
                _ => report.cancellation.as_ref(),
            };
            match new {
                Some(new) if link.is_unsealed() => self.retake(tx, link, new, applied)?,
                _ => applied.note(Intended::Kept),
            }
        }
        Ok(())
    }

    fn without_age(&self, tx: &mut Tx<'_>, made: &Link, applied: &mut Applied) -> Outcome<()> {
        match self.create {
            Some(create) if made.is_unsealed() => self.retake(tx, made, create, applied),
            _ => {
                applied.note(Intended::Known(made.known().in_words()));
                Ok(())
            }
        }
    }

    fn same(&self, tx: &mut Tx<'_>, made: &Link, newest: &Revision, applied: &mut Applied) -> Outcome<()> {
        match self.create {
            Some(create) if made.is_unsealed() && made.open.state == "parked" => {
                self.clear_changes(tx)?;
                return self.retake(tx, made, create, applied);
            }
            _ => {}
        }
        self.confirm(tx, newest)?;
        let before = applied.count();
        if made.open.state != "abandoned" && made.open.state != "superseded" {
            self.cancellation(tx, applied)?;
        }
        if applied.count() == before {
            applied.note(Intended::Known(made.known().in_words()));
        }
        Ok(())
    }

    /// What was known is as new as this report that says the same: whatever is older than this is older than that.
    fn confirm(&self, tx: &Tx<'_>, newest: &Revision) -> Outcome<()> {
        let (Some(at), Some(link)) =
            (self.report.revision.updated_at, self.links.iter().find(|link| link.reported == Some(*newest)))
        else {
            return Ok(());
        };
        tx.run(
            "UPDATE deliveries SET reported_at = ?2 WHERE seq = ?1 AND (reported_at IS NULL OR reported_at < ?2)",
            (link.open.seq, at.as_microsecond()),
        )?;
        Ok(())
    }

    fn newer(&self, tx: &mut Tx<'_>, made: &Link, applied: &mut Applied) -> Outcome<()> {
        if self.report.cancels && made.was_never_applied() {
            return self.withdraw(tx, made, applied);
        }
        match (made.open.state.as_str(), self.create) {
            ("waiting" | "parked", Some(create)) if made.is_unsealed() => {
                self.clear_changes(tx)?;
                self.retake(tx, made, create, applied)?;
                self.cancellation(tx, applied)
            }
            ("superseded", Some(create)) if !made.open.sealed && !self.report.cancels => {
                revive(tx, made)?;
                self.retake(tx, made, create, applied)
            }
            // Given up is what was left to do with it; it is there all the same, and is changed and cancelled there.
            ("abandoned", _) if made.is_there => self.follow(tx, made, applied),
            ("abandoned" | "superseded", _) => {
                applied.note(Intended::Known(made.known().in_words()));
                Ok(())
            }
            _ => self.follow(tx, made, applied),
        }
    }

    /// A create that takes this report says all that was to follow it: a change from while the create was looked for, and
    /// may have been there, would come after it and say something older.
    fn clear_changes(&self, tx: &mut Tx<'_>) -> Outcome<()> {
        let words = format!("overtaken by {}", self.target.id);
        for link in self.links.iter().filter(|link| link.purpose == CHANGE && link.is_unsealed()) {
            self.end(tx, link, &words)?;
        }
        Ok(())
    }

    /// The create was sent, or may have been.
    fn follow(&self, tx: &mut Tx<'_>, made: &Link, applied: &mut Applied) -> Outcome<()> {
        let before = applied.count();
        let instead = self.report.cancels && self.report.cancellation.is_some();
        if let Some(change) = self.report.change.as_ref().filter(|_| !instead) {
            self.enqueue(tx, change, made, applied)?;
        }
        self.cancellation(tx, applied)?;
        if applied.count() == before {
            applied.note(Intended::Unwanted(format!("{}, {}", made.known().in_words(), self.report.unwanted)));
        }
        Ok(())
    }

    /// What is cancelled follows, unless the last cancellation says the same.
    fn cancellation(&self, tx: &mut Tx<'_>, applied: &mut Applied) -> Outcome<()> {
        let Some(cancellation) = &self.report.cancellation else { return Ok(()) };
        let cancelled = cancellation.report.and_then(|report| report.cancelled);
        let last = self.links.iter().rfind(|link| link.purpose == CANCEL);
        if last.is_some_and(|last| last.cancelled == cancelled) {
            return Ok(());
        }
        let made = self.links.iter().rfind(|link| link.purpose == CREATE).expect("nothing follows before a create");
        self.enqueue(tx, cancellation, made, applied)
    }

    /// A place at the end of the lane; what was not sealed of the same purpose gives way.
    fn enqueue(&self, tx: &mut Tx<'_>, new: &NewDelivery, made: &Link, applied: &mut Applied) -> Outcome<()> {
        // The very same report by another origin, after something else of the same second: it was sent, and is no newer.
        let same = |link: &&Link| link.purpose == new.purpose && link.revision == new.revision;
        if let Some(link) = self.links.iter().find(same) {
            applied.note(Intended::Known(link.known().in_words()));
            return Ok(());
        }
        let gives_way = |link: &&Link| {
            let moot = link.purpose == new.purpose || (self.report.cancels && link.purpose == CHANGE);
            link.is_unsealed() && moot && link.purpose != CREATE
        };
        let words = format!("overtaken by {}", self.target.id);
        for link in self.links.iter().filter(gives_way) {
            self.end(tx, link, &words)?;
        }
        // What was between is never sent, so what was sent is what is wanted again.
        if let Some(link) = self.sent().filter(|_| new.purpose == CHANGE)
            && link.reported.is_some_and(|sent| sent.content == self.report.revision.content)
        {
            self.learn(tx, link)?;
            applied.note(Intended::Known(link.known().in_words()));
            return Ok(());
        }
        let words = format!("{} follows what is {}", new.purpose, made.known().in_words());
        match effects::intend(tx, self.target, new, self.documents, self.circumstances)? {
            Intended::Taken | Intended::Started(_) => applied.note(Intended::Follows(words)),
            other => applied.note(other),
        }
        Ok(())
    }

    /// The last that was sent, or will be because it is sealed.
    fn sent(&self) -> Option<&Link> {
        let gone = |link: &Link| link.open.state == "superseded" || link.open.state == "abandoned";
        self.links.iter().rfind(|link| !(gone(link) || link.is_unsealed() && link.purpose == CHANGE))
    }

    /// LANE-5: a create that was never applied is never sent, and nothing that waits behind it either.
    fn withdraw(&self, tx: &mut Tx<'_>, made: &Link, applied: &mut Applied) -> Outcome<()> {
        let words = format!("{} cancels the order before {} was sent, so it is never sent", self.target.id, made.id);
        self.learn(tx, made)?;
        for link in self.links.iter().filter(|link| link.open.seq == made.open.seq || link.is_unsealed()) {
            self.end(tx, link, &words)?;
        }
        applied.note(Intended::Known(format!("the order was cancelled before {} was sent: neither is sent", made.id)));
        Ok(())
    }

    /// Writes down what this report says as what the delivery says.
    fn learn(&self, tx: &Tx<'_>, link: &Link) -> Outcome<()> {
        let Revision { updated_at, version, content } = self.report.revision;
        tx.run(
            "UPDATE deliveries SET reported_at = ?2, version = ?3, content = ?4 WHERE seq = ?1",
            (link.open.seq, updated_at.map(Timestamp::as_microsecond), version.map(u64::cast_signed), content),
        )?;
        Ok(())
    }

    fn retake(&self, tx: &mut Tx<'_>, link: &Link, new: &NewDelivery, applied: &mut Applied) -> Outcome<()> {
        let (known, at) = (link.known(), self.circumstances.at);
        applied.note(effects::retake(tx, self.target, new, self.documents, &known, at)?);
        Ok(())
    }

    /// Ends an open delivery as superseded, with what stopped it and what is left of its envelope.
    fn end(&self, tx: &mut Tx<'_>, link: &Link, words: &str) -> Outcome<()> {
        end(tx, &link.open, words, self.circumstances.at)?;
        if link.open.envelope != self.target.seq {
            state::overtake(tx, link.open.envelope, words)?;
        }
        Ok(())
    }
}

/// The order is wanted after all, and nothing of its create was ever sent: it takes a place again.
fn revive(tx: &mut Tx<'_>, made: &Link) -> Outcome<()> {
    let head = effects::lane_is_free(tx, made.open.subject, &made.open.destination)?;
    tx.run(
        "UPDATE deliveries SET state = 'waiting', head = ?2, settled_at = NULL WHERE seq = ?1",
        (made.open.seq, head),
    )?;
    tx.tally.waiting(&made.open.destination, 1);
    Ok(())
}

/// Ends an open delivery as superseded; the next of its lane gets its turn.
pub(super) fn end(tx: &mut Tx<'_>, open: &Open, words: &str, at: Timestamp) -> Outcome<()> {
    if open.state == "waiting" {
        tx.tally.waiting(&open.destination, -1);
    }
    let stopped_by = exceptions::of_delivery(tx, open.seq)?;
    exceptions::close(tx, &stopped_by, Ending { state: "superseded", resolution: words, at })?;
    delivery::end(tx, open, "superseded", at)?;
    delivery::next_in_lane(tx, open)
}

/// A create that was not applied is given up: what waits behind it and says something of the order would change, or worse
/// make, an order that is not there. One whose create may be there goes its way, for a cancellation may be needed.
pub(super) fn nothing_follows(tx: &mut Tx<'_>, given_up: &Open, at: Timestamp) -> Outcome<()> {
    let links = links(tx, given_up.subject, &given_up.destination)?;
    let Some(create) = links.iter().find(|link| link.open.seq == given_up.seq && link.purpose == CREATE) else {
        return Ok(());
    };
    if given_up.uncertain || create.is_there {
        return Ok(());
    }
    let words = format!("{} was given up, so nothing follows it", create.id);
    for link in links.iter().filter(|link| link.purpose != CREATE && link.reported.is_some() && link.is_unsealed()) {
        end(tx, &link.open, &words, at)?;
        if link.open.envelope != given_up.envelope {
            state::overtake(tx, link.open.envelope, &words)?;
        }
    }
    Ok(())
}
