//! The port, method by method: what goes to the writer, what to the readers.

use std::sync::atomic::Ordering;

use super::writer::Urgency;
use super::{
    SqliteStore, acts, append, checkpoint, claim, conclude, delivery, due, effects, file_bytes, lists, orders, reads,
    tally,
};
use crate::clock::Timestamp;
use crate::envelope::ids::{DeliveryId, DocumentId, EnvelopeId, ExceptionId, TokenId};
use crate::envelope::keys::Digest;
use crate::store::view::{
    DeliveryDetail, DeliveryRow, DocumentRow, DueDelivery, EventRow, ExceptionGroup, ExceptionRow, Interrupted, Ledger,
    MappingRecord, MappingTableRow, OrderDetail, OrderRow, Page, Paging, StoreFigures, StoreReport, StoredEnvelope,
    TokenRow,
};
use crate::store::write::{
    Act, Arrival, AttemptStart, Conclusion, Decision, NewException, NewToken, Receipt, Replay, Settlement,
    StartedAttempt,
};
use crate::store::{Answer, DeliveryFilter, EventFilter, ExceptionFilter, OrderFilter, Slots, Store, StoreError};
use Urgency::{Now, Soon};
use claim::Complaint;

/// A delivery with its plain bodies, or why they cannot be used.
type Opened = Result<(EnvelopeId, DueDelivery), StoreError>;

impl Store for SqliteStore {
    fn installation_id(&self) -> &str {
        &self.report.installation_id
    }

    fn report(&self) -> StoreReport {
        self.report.clone()
    }

    fn append(&self, arrival: Arrival) -> Answer<'_, Vec<Receipt>> {
        let packs = append::packs(&arrival);
        Box::pin(self.write(Now, move |tx| append::append(tx, &arrival, &packs)))
    }

    fn claim_envelopes(&self, limit: u32) -> Answer<'_, Vec<StoredEnvelope>> {
        let claimed = self.write(Now, move |tx| claim::claim(tx, limit));
        Box::pin(async move {
            let mut envelopes = Vec::new();
            for packed in claimed.await? {
                let seq = packed.seq;
                match packed.open() {
                    Ok(envelope) => envelopes.push(envelope),
                    Err(error) => self.park_envelope(seq, Complaint::damaged("body", &error)).await?,
                }
            }
            Ok(envelopes)
        })
    }

    fn unclaim_envelopes(&self) -> Answer<'_, u64> {
        Box::pin(self.write(Now, claim::unclaim))
    }

    fn conclude(&self, envelope: EnvelopeId, conclusion: Conclusion, at: Timestamp) -> Answer<'_, Vec<StartedAttempt>> {
        let packs = effects::pack_seals(effects::express(&conclusion));
        Box::pin(self.write(Now, move |tx| conclude::conclude(tx, envelope, &conclusion, &packs, at)))
    }

    fn due_deliveries(&self, now: Timestamp, slots: Vec<Slots>) -> Answer<'_, Vec<DueDelivery>> {
        let found = self.read(move |conn| {
            let due = due::due(conn, now, &slots)?;
            Ok(due.into_iter().map(|packed| (packed.id(), packed.open())).collect::<Vec<_>>())
        });
        Box::pin(self.sound(found))
    }

    fn next_due_at(&self) -> Answer<'_, Option<Timestamp>> {
        Box::pin(self.read(due::next_due_at))
    }

    fn start_attempts(&self, starts: Vec<AttemptStart>) -> Answer<'_, Vec<StartedAttempt>> {
        let packs = effects::pack_seals(&starts);
        Box::pin(self.write(Now, move |tx| delivery::start(tx, &starts, &packs)))
    }

    fn settle(&self, settlement: Settlement) -> Answer<'_, bool> {
        Box::pin(self.write(Soon, move |tx| delivery::settle(tx, &settlement)))
    }

    fn interrupted_attempts(&self) -> Answer<'_, Vec<Interrupted>> {
        Box::pin(self.read(|conn| {
            let found = due::interrupted(conn)?;
            Ok(found.into_iter().map(due::open_interrupted).collect::<Result<Vec<_>, StoreError>>()?)
        }))
    }

    fn overdue_attempts(&self, now: Timestamp) -> Answer<'_, Vec<Interrupted>> {
        Box::pin(self.read(move |conn| {
            let found = due::overdue(conn, now)?;
            Ok(found.into_iter().map(due::open_interrupted).collect::<Result<Vec<_>, StoreError>>()?)
        }))
    }

    fn stranded_deliveries(&self, known: Vec<String>) -> Answer<'_, Vec<DueDelivery>> {
        let found = self.read(move |conn| {
            let stranded = due::stranded(conn, &known)?;
            Ok(stranded.into_iter().map(|packed| (packed.id(), packed.open())).collect::<Vec<_>>())
        });
        Box::pin(self.sound(found))
    }

    fn park(&self, delivery: DeliveryId, exception: NewException) -> Answer<'_, bool> {
        Box::pin(self.write(Now, move |tx| delivery::park_waiting(tx, delivery, &exception)))
    }

    fn replay(&self, replay: Replay) -> Answer<'_, ()> {
        let packs = effects::pack_seals(effects::express(&replay.conclusion));
        Box::pin(self.write(Now, move |tx| acts::replay(tx, &replay, &packs)))
    }

    fn decide(&self, decision: Decision) -> Answer<'_, ()> {
        Box::pin(self.write(Now, move |tx| acts::decide(tx, &decision)))
    }

    fn import_mappings(&self, table: String, rows: Vec<MappingRecord>, act: Act) -> Answer<'_, u64> {
        Box::pin(self.write(Now, move |tx| acts::import_mappings(tx, &table, &rows, &act)))
    }

    fn create_token(&self, token: NewToken, act: Act) -> Answer<'_, ()> {
        Box::pin(self.write(Now, move |tx| acts::create_token(tx, &token, &act)))
    }

    fn revoke_token(&self, id: TokenId, act: Act) -> Answer<'_, ()> {
        Box::pin(self.write(Now, move |tx| acts::revoke_token(tx, id, &act)))
    }

    fn mappings_version(&self) -> Answer<'_, u64> {
        Box::pin(self.read(|conn| Ok(super::tx::count(acts::mappings_version(conn)?))))
    }

    fn mapping_tables(&self) -> Answer<'_, Vec<MappingTableRow>> {
        Box::pin(self.read(reads::mapping_tables))
    }

    fn mapping_rows(&self, table: String) -> Answer<'_, Vec<MappingRecord>> {
        Box::pin(self.read(move |conn| reads::mapping_rows(conn, &table)))
    }

    fn token_by_secret(&self, secret: Digest, now: Timestamp) -> Answer<'_, Option<TokenRow>> {
        Box::pin(self.read(move |conn| reads::token_by_secret(conn, secret, now)))
    }

    fn tokens(&self) -> Answer<'_, Vec<TokenRow>> {
        Box::pin(self.read(reads::tokens))
    }

    fn orders(&self, filter: OrderFilter, paging: Paging) -> Answer<'_, Page<OrderRow>> {
        Box::pin(self.read(move |conn| orders::list(conn, &filter, &paging)))
    }

    fn order(&self, increment_id: String) -> Answer<'_, Vec<OrderDetail>> {
        Box::pin(self.read(move |conn| orders::story(conn, &increment_id)))
    }

    fn events(&self, filter: EventFilter, paging: Paging) -> Answer<'_, Page<EventRow>> {
        Box::pin(self.read(move |conn| lists::events(conn, &filter, &paging)))
    }

    fn event(&self, id: EnvelopeId) -> Answer<'_, Option<EventRow>> {
        Box::pin(self.read(move |conn| reads::event(conn, id)))
    }

    fn envelope(&self, id: EnvelopeId) -> Answer<'_, Option<StoredEnvelope>> {
        Box::pin(self.read(move |conn| Ok(claim::one(conn, id)?.map(claim::PackedEnvelope::open).transpose()?)))
    }

    fn deliveries(&self, filter: DeliveryFilter, paging: Paging) -> Answer<'_, Page<DeliveryRow>> {
        Box::pin(self.read(move |conn| lists::deliveries(conn, &filter, &paging)))
    }

    fn delivery(&self, id: DeliveryId) -> Answer<'_, Option<DeliveryDetail>> {
        Box::pin(self.read(move |conn| reads::delivery(conn, id)))
    }

    fn delivery_origin(&self, id: DeliveryId) -> Answer<'_, Option<(EnvelopeId, DueDelivery)>> {
        Box::pin(self.read(move |conn| Ok(due::one(conn, id)?.map(due::PackedDelivery::open).transpose()?)))
    }

    fn document(&self, id: DocumentId) -> Answer<'_, Option<DocumentRow>> {
        Box::pin(self.read(move |conn| reads::document(conn, id)))
    }

    fn exceptions(&self, filter: ExceptionFilter, paging: Paging) -> Answer<'_, Page<ExceptionRow>> {
        Box::pin(self.read(move |conn| lists::exceptions(conn, &filter, &paging)))
    }

    fn exception(&self, id: ExceptionId) -> Answer<'_, Option<ExceptionRow>> {
        Box::pin(self.read(move |conn| reads::exception(conn, id)))
    }

    fn exception_groups(&self) -> Answer<'_, Vec<ExceptionGroup>> {
        Box::pin(self.read(reads::groups))
    }

    fn ledger(&self) -> Answer<'_, Ledger> {
        Box::pin(self.read(tally::ledger))
    }

    fn figures(&self) -> Answer<'_, StoreFigures> {
        let (store_bytes, wal_bytes) = (file_bytes(&self.path), file_bytes(&checkpoint::log_path(&self.path)));
        let commits = self.commits.load(Ordering::Relaxed);
        let figures = self.read(reads::figures);
        Box::pin(async move { Ok(StoreFigures { wal_bytes, store_bytes, commits, ..figures.await? }) })
    }

    fn health(&self) -> Result<(), String> {
        self.health.check()
    }

    fn close(&self) -> Answer<'_, ()> {
        Box::pin(async move {
            // The checkpointer and the readers go first, so that the last checkpoint meets nobody.
            self.quiet();
            let Some(closed) = self.inbox.close() else { return Ok(()) };
            let result = closed.await.map_err(|_| StoreError::Stopped)?;
            self.end();
            result
        })
    }
}

impl SqliteStore {
    /// Those whose stored bodies can be used; the others are parked (BAK-2).
    async fn sound(
        &self,
        found: impl Future<Output = Result<Vec<(DeliveryId, Opened)>, StoreError>> + Send,
    ) -> Result<Vec<DueDelivery>, StoreError> {
        let mut due = Vec::new();
        for (id, opened) in found.await? {
            match opened {
                Ok((_, delivery)) => due.push(delivery),
                Err(error) => self.park_delivery(id, Complaint::damaged("document", &error)).await?,
            }
        }
        Ok(due)
    }

    async fn park_envelope(&self, seq: i64, complaint: Complaint) -> Result<(), StoreError> {
        let (now, entropy) = (self.clock.now(), self.entropy.clone());
        self.write(Now, move |tx| claim::park_unread(tx, seq, &complaint, now, entropy.as_ref())).await
    }

    async fn park_delivery(&self, id: DeliveryId, complaint: Complaint) -> Result<(), StoreError> {
        let (now, entropy) = (self.clock.now(), self.entropy.clone());
        self.write(Now, move |tx| delivery::park_damaged(tx, id, &complaint, now, entropy.as_ref())).await
    }
}
