//! New keys for the same content: a key that is spent (KEY-3 b), and a deliberate second effect (KEY-3 c).

use super::acts;
use super::delivery::{self, Row};
use super::effects::{self, Place};
use super::fault::{Fault, Outcome};
use super::state;
use super::tx::Tx;
use crate::clock::Timestamp;
use crate::envelope::ids::DocumentId;
use crate::store::write::{NewDelivery, Resend};

/// The successor takes the place in the lane, with the same document. The caller brings the envelope's state up to date.
pub(super) fn renew(tx: &mut Tx<'_>, row: &Row, new: &NewDelivery, at: Timestamp) -> Outcome<()> {
    let document = sent_by_both(tx, row, new)?;
    is_new(tx, row, new)?;
    delivery::end(tx, row, "superseded", at)?;
    let place = Place { envelope: row.envelope, subject: row.subject, document, head: true };
    let seq = effects::insert_delivery(tx, place, new, None, at)?;
    effects::says_the_same(tx, seq, row.seq)?;
    tx.tally.waiting(&new.destination, 1);
    Ok(())
}

/// A second effect after a final first one. It takes its place at the end of the lane.
pub(super) fn resend(tx: &mut Tx<'_>, resend: &Resend) -> Outcome<()> {
    let (row, new) = (delivery::find(tx, resend.original)?, &resend.delivery);
    if row.state != "delivered" && row.state != "abandoned" {
        return Err(Fault::not_allowed(format!(
            "{} is {}: only what is delivered or abandoned can be sent a second time",
            resend.original, row.state
        )));
    }
    let open = tx.row(
        "SELECT state FROM deliveries INDEXED BY deliveries_effect WHERE subject = ?1 AND destination = ?2 \
         AND purpose = ?3 AND revision = ?4 AND state IN ('waiting', 'in_flight', 'parked') LIMIT 1",
        (row.subject, &row.destination, &new.purpose, &new.revision),
        |row| row.get::<_, String>(0),
    )?;
    if let Some(state) = open {
        return Err(Fault::not_allowed(format!(
            "{} is being sent a second time already: that delivery is {state}",
            resend.original
        )));
    }
    let document = sent_by_both(tx, &row, new)?;
    is_new(tx, &row, new)?;
    let at = resend.act.at;
    let head = effects::lane_is_free(tx, row.subject, &row.destination)?;
    let place = Place { envelope: row.envelope, subject: row.subject, document, head };
    effects::insert_delivery(tx, place, new, None, at)?;
    tx.tally.waiting(&new.destination, 1);
    state::settle_state(tx, row.envelope)?;
    tx.tally.touch(row.subject);
    acts::recorded_about(tx, &resend.act, new.id)
}

/// KEY-2, told in words.
fn is_new(tx: &Tx<'_>, row: &Row, new: &NewDelivery) -> Outcome<()> {
    if effects::is_made(tx, row.subject, new)? {
        return Err(Fault::not_allowed(format!("the key {} is in use: this needs a new one", new.key)));
    }
    Ok(())
}

/// The row of the document that both send.
fn sent_by_both(tx: &Tx<'_>, row: &Row, new: &NewDelivery) -> Outcome<i64> {
    if new.destination != row.destination {
        return Err(Fault::not_allowed(format!("{} is for another destination", new.id)));
    }
    same_document(tx, row, new.document)
}

/// The row of the document that a delivery sends, which must be this one and still be there.
pub(super) fn same_document(tx: &Tx<'_>, row: &Row, wanted: DocumentId) -> Outcome<i64> {
    let known = tx
        .row(
            "SELECT o.seq, o.id, length(o.body) > 1 FROM deliveries AS d JOIN documents AS o ON o.seq = d.document \
             WHERE d.seq = ?1",
            [row.seq],
            |row| Ok((row.get::<_, i64>(0)?, row.get::<_, [u8; 16]>(1)?, row.get::<_, bool>(2)?)),
        )?
        .ok_or_else(|| Fault::not_found("the delivery's document"))?;
    if !known.2 {
        return Err(Fault::not_allowed("its document was erased, or removed by retention: there is nothing to send"));
    }
    if known.1 != *wanted.as_bytes() {
        return Err(Fault::not_allowed(format!("the delivery has another document than {wanted} now: look again")));
    }
    Ok(known.0)
}
