//! The port, method by method: what goes to the writer, what to the readers.

use std::sync::atomic::Ordering;

use super::fault::Gravity;
use super::holds;
use super::writer::Urgency;
use super::{
    SqliteStore, acts, again, alerts, answers, append, audit, bodies, cases, checkpoint, claim, conclude, delivery,
    due, erase, file_bytes, finding, gaps, held, index, known, lists, mapping, money, open, orders, positions, reads,
    restore, retention, running, sealing, silent, tally, traffic, wanted,
};
use crate::clock::Timestamp;
use crate::envelope::ids::{AlertId, DeliveryId, DocumentId, EnvelopeId, ExceptionId, MessageId, TokenId};
use crate::envelope::keys::Digest;
use crate::store::alerts::{Alert, AlertChange, DueMessage, MessageEnd, OpenCauses, OrderHour};
use crate::store::books::{AuditBreak, AuditHead, AuditRow, CallName, Done, KeptAnswer, MoneyRow, SilentSlice};
use crate::store::cases::{Handling, MappingChange, MappingEdit, Note};
use crate::store::finding::{Found, IndexSlice, Indexed, Question, Term, TermKind};
use crate::store::known::{KnownKey, KnownRow};
use crate::store::running::{Gap, Hold, Incident, Position, Standing};
use crate::store::traffic::Traffic;
use crate::store::view::{
    DeliveryDetail, DeliveryRow, DocumentRow, DueDelivery, Erased, EventRow, ExceptionGroup, ExceptionRow, Interrupted,
    Ledger, MappingRecord, MappingTableRow, OrderDetail, OrderRow, Page, Paging, Restoration, Retired, StoreFigures,
    StoreReport, StoredEnvelope, TokenRow, Upkeep,
};
use crate::store::write::{
    Act, Arrival, AttemptStart, Conclusion, Decision, Erasure, NewException, NewToken, ReadSettled, Receipt, Replay,
    Resend, Retire, Settlement, StartedAttempt, Subject, WantedRead,
};
use crate::store::{Answer, DeliveryFilter, EventFilter, ExceptionFilter, OrderFilter, Slots, Store, StoreError};
use Urgency::{Now, Soon};
use claim::Complaint;
use std::sync::Arc;

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
        let arrival = sealing::arrival(arrival, &self.seals());
        let packs = sealing::packs(append::packs(&arrival), &self.seals());
        Box::pin(self.write(Now, move |tx| append::append(tx, &arrival, &packs)))
    }

    fn claim_envelopes(&self, limit: u32) -> Answer<'_, Vec<StoredEnvelope>> {
        let now = self.clock.now();
        let claimed = self.write(Now, move |tx| {
            held::release(tx, now)?;
            claim::claim(tx, limit)
        });
        Box::pin(async move {
            let mut envelopes = Vec::new();
            for packed in claimed.await? {
                let seq = packed.seq;
                match packed.open(&self.keys) {
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
        let (conclusion, packs) = sealing::conclusion(conclusion, &self.seals());
        Box::pin(self.write(Now, move |tx| conclude::conclude(tx, envelope, &conclusion, &packs, at)))
    }

    fn due_reads(&self, system: String, now: Timestamp, limit: u32) -> Answer<'_, Vec<WantedRead>> {
        Box::pin(self.read(move |conn| wanted::due(conn, &system, now, limit)))
    }

    fn settle_read(&self, settled: ReadSettled) -> Answer<'_, bool> {
        Box::pin(self.write(Now, move |tx| wanted::settle(tx, &settled)))
    }

    fn due_deliveries(&self, now: Timestamp, slots: Vec<Slots>) -> Answer<'_, Vec<DueDelivery>> {
        let keys = Arc::clone(&self.keys);
        let found = self.read(move |conn| {
            let due = due::due(conn, now, &slots)?;
            Ok(due.into_iter().map(|packed| (packed.id(), packed.open(&keys))).collect::<Vec<_>>())
        });
        Box::pin(self.sound(found))
    }

    fn next_due_at(&self) -> Answer<'_, Option<Timestamp>> {
        Box::pin(self.read(due::next_due_at))
    }

    fn start_attempts(&self, starts: Vec<AttemptStart>) -> Answer<'_, Vec<StartedAttempt>> {
        let packs = sealing::packs(super::effects::pack_seals(&starts), &self.seals());
        Box::pin(self.write(Now, move |tx| delivery::start(tx, &starts, &packs)))
    }

    fn settle(&self, settlement: Settlement) -> Answer<'_, bool> {
        let settlement = sealing::settlement(settlement, &self.seals());
        Box::pin(self.write(Soon, move |tx| delivery::settle(tx, &settlement)))
    }

    fn interrupted_attempts(&self) -> Answer<'_, Vec<Interrupted>> {
        let keys = Arc::clone(&self.keys);
        Box::pin(self.read(move |conn| {
            let found = due::interrupted(conn)?;
            Ok(found
                .into_iter()
                .map(|found| due::open_interrupted(found, &keys))
                .collect::<Result<Vec<_>, StoreError>>()?)
        }))
    }

    fn overdue_attempts(&self, now: Timestamp) -> Answer<'_, Vec<Interrupted>> {
        let keys = Arc::clone(&self.keys);
        Box::pin(self.read(move |conn| {
            let found = due::overdue(conn, now)?;
            Ok(found
                .into_iter()
                .map(|found| due::open_interrupted(found, &keys))
                .collect::<Result<Vec<_>, StoreError>>()?)
        }))
    }

    fn stranded_deliveries(&self, known: Vec<String>) -> Answer<'_, Vec<DueDelivery>> {
        let keys = Arc::clone(&self.keys);
        let found = self.read(move |conn| {
            let stranded = due::stranded(conn, &known)?;
            Ok(stranded.into_iter().map(|packed| (packed.id(), packed.open(&keys))).collect::<Vec<_>>())
        });
        Box::pin(self.sound(found))
    }

    fn park(&self, delivery: DeliveryId, exception: NewException) -> Answer<'_, bool> {
        Box::pin(self.write(Now, move |tx| delivery::park_waiting(tx, delivery, &exception)))
    }

    fn write_incident(&self, incident: Incident) -> Answer<'_, ()> {
        Box::pin(self.write(Soon, move |tx| running::write_incident(tx, &incident)))
    }

    fn write_alerts(&self, changes: Vec<AlertChange>) -> Answer<'_, ()> {
        Box::pin(self.write(Now, move |tx| alerts::write(tx, &changes)))
    }

    fn open_alerts(&self) -> Answer<'_, Vec<Alert>> {
        Box::pin(self.read(alerts::open))
    }

    fn recent_alerts(&self, limit: u32) -> Answer<'_, Vec<Alert>> {
        Box::pin(self.read(move |conn| alerts::recent(conn, limit)))
    }

    fn alert(&self, id: AlertId) -> Answer<'_, Option<Alert>> {
        Box::pin(self.read(move |conn| alerts::find(conn, id)))
    }

    fn acknowledge_alert(&self, id: AlertId, act: Act) -> Answer<'_, ()> {
        Box::pin(self.write(Now, move |tx| alerts::acknowledge(tx, id, &act)))
    }

    fn take_message(&self, contact: String, now: Timestamp) -> Answer<'_, Option<DueMessage>> {
        // Most looks find nothing: those cost no commit.
        let asked = contact.clone();
        let due = self.read(move |conn| alerts::is_due(conn, &asked, now));
        Box::pin(async move {
            if !due.await? {
                return Ok(None);
            }
            self.write(Now, move |tx| alerts::take(tx, &contact, now)).await
        })
    }

    fn settle_message(&self, id: MessageId, end: MessageEnd, at: Timestamp) -> Answer<'_, ()> {
        Box::pin(self.write(Soon, move |tx| alerts::settle(tx, id, &end, at)))
    }

    fn give_up_messages(&self, known: Vec<String>, at: Timestamp) -> Answer<'_, u64> {
        Box::pin(self.write(Soon, move |tx| alerts::give_up(tx, &known, at)))
    }

    fn open_causes(&self, since: Vec<Timestamp>) -> Answer<'_, OpenCauses> {
        Box::pin(self.read(move |conn| alerts::causes(conn, &since)))
    }

    fn count_orders(&self, keep_from: Timestamp) -> Answer<'_, bool> {
        Box::pin(self.write(Soon, move |tx| alerts::count_orders(tx, keep_from)))
    }

    fn mark_alive(&self, at: Timestamp) -> Answer<'_, ()> {
        Box::pin(self.write(Soon, move |tx| alerts::mark_alive(tx, at)))
    }

    fn order_hours(&self) -> Answer<'_, Vec<OrderHour>> {
        Box::pin(self.read(alerts::order_hours))
    }

    fn incidents(&self) -> Answer<'_, Vec<Incident>> {
        Box::pin(self.read(running::incidents))
    }

    fn standing(&self, destination: String) -> Answer<'_, Standing> {
        Box::pin(self.read(move |conn| running::standing(conn, &destination)))
    }

    fn keep_known(&self, rows: Vec<KnownRow>, gone: Vec<KnownKey>) -> Answer<'_, ()> {
        Box::pin(self.write(Soon, move |tx| known::keep(tx, &rows, &gone)))
    }

    fn known(&self) -> Answer<'_, Vec<KnownRow>> {
        Box::pin(self.read(known::all))
    }

    fn shift_due(&self, later_than: Timestamp, by_micros: i64) -> Answer<'_, ()> {
        Box::pin(async move {
            let mut after = 0;
            loop {
                let moved = self.write(Soon, move |tx| running::shift_due(tx, after, later_than, by_micros));
                match moved.await? {
                    Some(last) => after = last,
                    None => return Ok(()),
                }
            }
        })
    }

    fn position(&self, system: String, kind: String) -> Answer<'_, Option<Position>> {
        Box::pin(self.read(move |conn| positions::find(conn, &system, &kind)))
    }

    fn positions(&self) -> Answer<'_, Vec<Position>> {
        Box::pin(self.read(positions::all))
    }

    fn newest_numbers(&self, system: String, limit: u32) -> Answer<'_, Vec<(String, String, Timestamp)>> {
        Box::pin(self.read(move |conn| gaps::newest(conn, &system, limit)))
    }

    fn gaps(&self, limit: u32) -> Answer<'_, Vec<Gap>> {
        Box::pin(self.read(move |conn| gaps::all(conn, limit)))
    }

    fn gaps_asked(&self, system: String, numbers: Vec<(String, String)>) -> Answer<'_, Vec<bool>> {
        Box::pin(self.read(move |conn| gaps::asked(conn, &system, &numbers)))
    }

    fn keep_gap(&self, gap: Gap) -> Answer<'_, ()> {
        Box::pin(self.write(Now, move |tx| gaps::keep(tx, &gap)))
    }

    fn keep_position(&self, position: Position) -> Answer<'_, ()> {
        Box::pin(self.write(Now, move |tx| positions::keep(tx, &position)))
    }

    fn known_updates(&self, subjects: Vec<Subject>) -> Answer<'_, Vec<Option<Timestamp>>> {
        Box::pin(self.read(move |conn| positions::known(conn, &subjects)))
    }

    fn replay(&self, replay: Replay) -> Answer<'_, ()> {
        let (conclusion, packs) = sealing::conclusion(replay.conclusion, &self.seals());
        let replay = Replay { conclusion, ..replay };
        Box::pin(self.write(Now, move |tx| acts::replay(tx, &replay, &packs)))
    }

    fn decide(&self, decision: Decision) -> Answer<'_, ()> {
        let decision = sealing::decision(decision, &self.seals());
        Box::pin(self.write(Now, move |tx| acts::decide(tx, &decision)))
    }

    fn resend(&self, resend: Resend) -> Answer<'_, ()> {
        Box::pin(self.write(Now, move |tx| again::resend(tx, &resend)))
    }

    fn handle(&self, handling: Handling) -> Answer<'_, ExceptionRow> {
        Box::pin(self.write(Now, move |tx| cases::handle(tx, &handling)))
    }

    fn edit_mappings(&self, table: String, edit: MappingEdit, act: Act) -> Answer<'_, u64> {
        Box::pin(self.write(Now, move |tx| mapping::edit(tx, &table, &edit, &act)))
    }

    fn import_mappings(&self, table: String, rows: Vec<MappingRecord>, act: Act) -> Answer<'_, u64> {
        Box::pin(self.write(Now, move |tx| mapping::import(tx, &table, &rows, &act)))
    }

    fn create_token(&self, token: NewToken, act: Act) -> Answer<'_, ()> {
        Box::pin(self.write(Now, move |tx| acts::create_token(tx, &token, &act)))
    }

    fn revoke_token(&self, id: TokenId, act: Act) -> Answer<'_, ()> {
        Box::pin(self.write(Now, move |tx| acts::revoke_token(tx, id, &act)))
    }

    fn hold_destination(&self, hold: Hold, act: Act) -> Answer<'_, ()> {
        Box::pin(self.write(Now, move |tx| holds::hold(tx, &hold, &act)))
    }

    fn release_destination(&self, destination: String, act: Act) -> Answer<'_, ()> {
        Box::pin(self.write(Now, move |tx| holds::release(tx, &destination, &act)))
    }

    fn holds(&self) -> Answer<'_, Vec<Hold>> {
        Box::pin(self.read(holds::all))
    }

    fn record(&self, act: Act) -> Answer<'_, ()> {
        Box::pin(self.write(Now, move |tx| acts::recorded(tx, &act, Done::Otherwise)))
    }

    fn kept_answer(&self, scope: Digest, now: Timestamp) -> Answer<'_, Option<(Digest, KeptAnswer)>> {
        Box::pin(self.read(move |conn| answers::find(conn, scope, now)))
    }

    fn keep_answer(&self, call: CallName, answer: KeptAnswer, at: Timestamp) -> Answer<'_, ()> {
        Box::pin(self.write(Now, move |tx| answers::write(tx, &call, &answer, at)))
    }

    fn sweep_answers(&self, now: Timestamp) -> Answer<'_, u64> {
        Box::pin(self.write(Now, move |tx| answers::sweep(tx, now)))
    }

    fn mappings_version(&self) -> Answer<'_, u64> {
        Box::pin(self.read(|conn| Ok(super::tx::count(mapping::version(conn)?))))
    }

    fn mapping_tables(&self) -> Answer<'_, Vec<MappingTableRow>> {
        Box::pin(self.read(reads::mapping_tables))
    }

    fn mapping_rows(&self, table: String) -> Answer<'_, Vec<MappingRecord>> {
        Box::pin(self.read(move |conn| reads::mapping_rows(conn, &table)))
    }

    fn mapping_changes(&self, table: String, key: Option<String>, paging: Paging) -> Answer<'_, Page<MappingChange>> {
        Box::pin(self.read(move |conn| mapping::changes(conn, &table, key.as_deref(), &paging)))
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
        Box::pin({
            let keys = Arc::clone(&self.keys);
            let now = self.clock.now();
            self.read(move |conn| orders::story(conn, &increment_id, &keys, now))
        })
    }

    fn events(&self, filter: EventFilter, paging: Paging) -> Answer<'_, Page<EventRow>> {
        Box::pin(self.read(move |conn| lists::events(conn, &filter, &paging)))
    }

    fn event(&self, id: EnvelopeId) -> Answer<'_, Option<EventRow>> {
        Box::pin(self.read(move |conn| reads::event(conn, id)))
    }

    fn envelope(&self, id: EnvelopeId) -> Answer<'_, Option<StoredEnvelope>> {
        Box::pin({
            let keys = Arc::clone(&self.keys);
            self.read(move |conn| Ok(claim::one(conn, id)?.map(|packed| packed.open(&keys)).transpose()?))
        })
    }

    fn deliveries(&self, filter: DeliveryFilter, paging: Paging) -> Answer<'_, Page<DeliveryRow>> {
        Box::pin(self.read(move |conn| lists::deliveries(conn, &filter, &paging)))
    }

    fn delivery(&self, id: DeliveryId) -> Answer<'_, Option<DeliveryDetail>> {
        Box::pin({
            let keys = Arc::clone(&self.keys);
            self.read(move |conn| reads::delivery(conn, id, &keys))
        })
    }

    fn delivery_origin(&self, id: DeliveryId) -> Answer<'_, Option<(EnvelopeId, DueDelivery)>> {
        Box::pin({
            let keys = Arc::clone(&self.keys);
            self.read(move |conn| Ok(due::one(conn, id)?.map(|packed| packed.open(&keys)).transpose()?))
        })
    }

    fn document(&self, id: DocumentId) -> Answer<'_, Option<DocumentRow>> {
        Box::pin({
            let keys = Arc::clone(&self.keys);
            self.read(move |conn| reads::document(conn, id, &keys))
        })
    }

    fn exceptions(&self, filter: ExceptionFilter, paging: Paging) -> Answer<'_, Page<ExceptionRow>> {
        let now = self.clock.now();
        Box::pin(self.read(move |conn| lists::exceptions(conn, &filter, now, &paging)))
    }

    fn exception(&self, id: ExceptionId) -> Answer<'_, Option<ExceptionRow>> {
        let now = self.clock.now();
        Box::pin(self.read(move |conn| reads::exception(conn, id, now)))
    }

    fn notes(&self, id: ExceptionId) -> Answer<'_, Vec<Note>> {
        Box::pin(self.read(move |conn| cases::notes(conn, id)))
    }

    fn exception_groups(&self, filter: ExceptionFilter) -> Answer<'_, Vec<ExceptionGroup>> {
        let now = self.clock.now();
        Box::pin(self.read(move |conn| reads::groups(conn, &filter, now)))
    }

    fn ledger(&self) -> Answer<'_, Ledger> {
        Box::pin(self.read(tally::ledger))
    }

    fn money(&self) -> Answer<'_, Vec<MoneyRow>> {
        Box::pin(self.read(money::rows))
    }

    fn silent_envelopes(&self, after: i64, limit: u32) -> Answer<'_, SilentSlice> {
        Box::pin(self.read(move |conn| silent::look(conn, after, limit)))
    }

    fn recount(&self) -> Answer<'_, Vec<String>> {
        Box::pin(self.verify())
    }

    fn audit(&self, paging: Paging) -> Answer<'_, Page<AuditRow>> {
        Box::pin(self.read(move |conn| audit::list(conn, &paging)))
    }

    fn audit_after(&self, number: u64) -> Answer<'_, Vec<AuditRow>> {
        Box::pin(self.read(move |conn| audit::after(conn, number)))
    }

    fn audit_head(&self) -> Answer<'_, AuditHead> {
        Box::pin(self.read(audit::head))
    }

    fn audit_break(&self) -> Answer<'_, Option<AuditBreak>> {
        Box::pin(self.read(audit::first_broken))
    }

    fn figures(&self) -> Answer<'_, StoreFigures> {
        let (store_bytes, wal_bytes) = (file_bytes(&self.path), file_bytes(&checkpoint::log_path(&self.path)));
        let commits = self.commits.load(Ordering::Relaxed);
        let figures = self.read(reads::figures);
        Box::pin(async move { Ok(StoreFigures { wal_bytes, store_bytes, commits, ..figures.await? }) })
    }

    fn find(&self, question: Question) -> Answer<'_, Found> {
        let (keys, installation) = (Arc::clone(&self.keys), self.report.installation_id.clone());
        Box::pin(self.read(move |conn| finding::find(conn, &question, &keys, &installation)))
    }

    fn traffic(&self, now: Timestamp) -> Answer<'_, Traffic> {
        Box::pin(self.read(move |conn| traffic::read(conn, now)))
    }

    fn unindexed(&self, rows: u32) -> Answer<'_, IndexSlice> {
        let keys = Arc::clone(&self.keys);
        Box::pin(self.read(move |conn| index::next(conn, rows, &keys)))
    }

    fn index(&self, indexed: Indexed) -> Answer<'_, bool> {
        let Indexed { slice, terms, at } = indexed;
        // Digests are made here, on the caller's thread: the writer holds no text.
        let stored = |term: &Term| index::stored(term, &self.keys, &self.report.installation_id);
        let of_key = |(row, text): (i64, String)| (row, stored(&Term { kind: TermKind::Key, text }));
        let written = index::Written {
            terms: terms.iter().map(|(source, row, term)| (*source, *row, stored(term))).collect(),
            keys: slice.keys.into_iter().map(of_key).collect(),
            endings: slice.numbers.into_iter().map(|(row, id)| (row, index::reversed(&id))).collect(),
            from: slice.from,
            to: slice.to,
            at,
        };
        Box::pin(self.write(Soon, move |tx| index::write(tx, &written)))
    }

    fn restoration(&self) -> Option<Restoration> {
        self.restoration
    }

    fn restored(&self) -> Answer<'_, ()> {
        Box::pin(self.write(Now, restore::done))
    }

    fn retire(&self, retire: Retire) -> Answer<'_, Retired> {
        Box::pin(self.write(Soon, move |tx| retention::retire(tx, &retire)))
    }

    fn erase(&self, erasure: Erasure) -> Answer<'_, Erased> {
        Box::pin(self.write(Now, move |tx| erase::erase(tx, &erasure)))
    }

    fn recode(&self, kind: usize, from: i64, rows: u32) -> Answer<'_, (Option<i64>, u64)> {
        let (keys, entropy) = (Arc::clone(&self.keys), Arc::clone(&self.entropy));
        if kind == bodies::KINDS.len() {
            // Second factors: as many as there are people, so all at once.
            return Box::pin(
                self.write(Soon, move |tx| Ok((None, super::accounts::recode(tx, &keys, entropy.as_ref())?))),
            );
        }
        Box::pin(self.write(Soon, move |tx| bodies::recode(tx, kind, from, rows, &keys, entropy.as_ref())))
    }

    fn upkeep(&self) -> Answer<'_, Upkeep> {
        Box::pin(self.read(bodies::upkeep))
    }

    fn check(&self) -> Answer<'_, Vec<String>> {
        Box::pin(async move {
            let problems = match self.read(|conn| Ok(open::quick_check(conn))).await {
                // Damage that keeps the look from beginning is what was looked for.
                Err(StoreError::Corrupt(found)) => vec![found],
                looked => looked?,
            };
            if !problems.is_empty() {
                self.health.failed(&problems.join("; "), Gravity::Damaged);
            }
            Ok(problems)
        })
    }

    fn health(&self) -> Result<(), String> {
        self.health.check()
    }

    fn is_damaged(&self) -> bool {
        self.health.damage().is_some()
    }

    fn close(&self) -> Answer<'_, ()> {
        Box::pin(async move {
            // The checkpointer and the readers go first, so that the last checkpoint meets nobody.
            self.quiet();
            let Some(closed) = self.inbox.close() else { return Ok(()) };
            #[cfg(test)]
            self.ring();
            let result = closed.await.map_err(|_| StoreError::Stopped)?;
            self.end();
            result
        })
    }
}

impl SqliteStore {
    fn seals(&self) -> sealing::Seals<'_> {
        sealing::Seals { keys: &self.keys, entropy: self.entropy.as_ref() }
    }

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
