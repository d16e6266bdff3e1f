//! Named events: what may happen, and what each says in the log.

mod told;

use std::time::Duration;

use crate::clock::Timestamp;
use crate::envelope::ids::{DeliveryId, EnvelopeId, ExceptionId};
use crate::store::write::NewException;
pub(super) use told::log;

/// Why a request was refused at the door; the caller is told less (ANS-1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Signature or credential missing or wrong.
    Unauthenticated,
    /// The signature could not be checked (key host down).
    Unverifiable,
    /// Body over the limit.
    TooLarge,
    /// Too fast.
    TooFast,
    /// Queue full, store down, disk low.
    Overload,
    /// The service is stopping or starting.
    NotReady,
    /// The body did not arrive in time.
    TimedOut,
    /// No record could be read out of the body.
    Unreadable,
    /// No origin of that name, or not that kind of record.
    Unknown,
    /// Our bug.
    Internal,
}

impl Refusal {
    /// The label's value.
    pub fn as_str(self) -> &'static str {
        match self {
            Refusal::Unauthenticated => "unauthenticated",
            Refusal::Unverifiable => "unverifiable",
            Refusal::TooLarge => "too_large",
            Refusal::TooFast => "too_fast",
            Refusal::Overload => "overload",
            Refusal::NotReady => "not_ready",
            Refusal::TimedOut => "timed_out",
            Refusal::Unreadable => "unreadable",
            Refusal::Unknown => "unknown",
            Refusal::Internal => "internal",
        }
    }
}

/// What happened. Names of origins and destinations are configured names, never text of a request.
#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// A request reached an origin.
    RequestReceived {
        /// Origin.
        origin: &'a str,
    },
    /// A request was written down and acknowledged.
    RequestStored {
        /// Origin.
        origin: &'a str,
        /// From the first byte to the answer.
        elapsed: Duration,
    },
    /// A request was refused whole.
    RequestRefused {
        /// Origin; empty when there is none of that name.
        origin: &'a str,
        /// Why.
        reason: Refusal,
        /// For the log only.
        detail: &'a str,
    },
    /// ANS-2: Adobe I/O was refused for good, so what it pushed is on its journal only.
    PushMissed {
        /// Origin.
        origin: &'a str,
        /// What it was answered.
        status: u16,
    },
    /// Adobe I/O asks to validate a registration by an address, which is never called.
    ValidationAsked {
        /// Origin.
        origin: &'a str,
        /// The address's host.
        host: &'a str,
    },
    /// A signing key of Adobe I/O could not be read (SIG-6).
    SigningKeyUnread {
        /// Origin.
        origin: &'a str,
        /// Of the documented pattern.
        path: &'a str,
        /// In words.
        reason: &'a str,
    },
    /// A commit was waited for.
    Committed {
        /// How long.
        elapsed: Duration,
    },
    /// A record was written down for the first time.
    EnvelopeAccepted {
        /// Origin.
        origin: &'a str,
        /// Its envelope.
        envelope: EnvelopeId,
    },
    /// A record is known with the same content.
    DuplicateSeen {
        /// Origin.
        origin: &'a str,
        /// The envelope that stands.
        first: EnvelopeId,
    },
    /// A record is known with other content.
    ConflictSeen {
        /// Origin.
        origin: &'a str,
        /// The envelope that stands.
        first: EnvelopeId,
    },
    /// A record of a batch could not be taken.
    RecordRejected {
        /// Origin.
        origin: &'a str,
        /// Where in the body.
        path: &'a str,
    },
    /// An attempt is durable and about to leave.
    AttemptStarted {
        /// Destination.
        destination: &'a str,
        /// Delivery.
        delivery: DeliveryId,
        /// From 1.
        number: u32,
    },
    /// An attempt came to an outcome.
    AttemptFinished {
        /// Destination.
        destination: &'a str,
        /// Delivery.
        delivery: DeliveryId,
        /// From 1.
        number: u32,
        /// `accepted`, `already_applied`, `rejected`, …
        outcome: &'a str,
        /// One sentence.
        detail: &'a str,
        /// Time on the wire.
        elapsed: Duration,
    },
    /// A delivery is applied at its destination.
    DeliverySettled {
        /// Destination.
        destination: &'a str,
        /// Delivery.
        delivery: DeliveryId,
        /// From making the delivery (the event's arrival on the express lane) to its confirmation.
        age: Duration,
    },
    /// A record needs a person.
    ExceptionOpened {
        /// Its id.
        exception: ExceptionId,
        /// From the catalogue.
        code: &'a str,
        /// Its cause.
        fingerprint: &'a str,
        /// For whom the record was, if that was known.
        destination: Option<&'a str>,
        /// Of an order, or any other id.
        increment_id: &'a str,
        /// In a sentence.
        message: &'a str,
    },
    /// A destination opened, broke, paused or was held.
    DestinationStateChanged {
        /// Destination.
        destination: &'a str,
        /// `open`, `half_open`, `broken`, `paused`, `closed`, `held`.
        state: &'a str,
        /// Why.
        reason: &'a str,
    },
    /// POI-4: many exceptions with one cause in a short time.
    ExceptionStorm {
        /// From the catalogue.
        code: &'a str,
        /// Their cause.
        fingerprint: &'a str,
        /// For whom; empty when that was not known.
        destination: &'a str,
        /// The destination is held for it.
        paused: bool,
    },
    /// PRS-3: intake is refused because commits take too long, or no longer.
    CommitsTooSlow {
        /// It is refused.
        refusing: bool,
    },
    /// RUN-4: the store's disk has less or more room than before, by levels.
    DiskChanged {
        /// `plenty`, `low`, `scarce`, `full`.
        level: &'a str,
        /// 0 to 3.
        rank: u8,
        /// Bytes free.
        free: u64,
    },
    /// A destination is in trouble; told once, until it is over.
    IncidentOpened {
        /// Destination.
        destination: &'a str,
        /// `backlog`, `paused`, `broken`, `held`.
        kind: &'a str,
        /// In words.
        why: &'a str,
        /// Deliveries that wait.
        waiting: u64,
    },
    /// A destination takes deliveries again and its backlog has gone.
    IncidentEnded {
        /// Destination.
        destination: &'a str,
        /// The worst of it.
        kind: &'a str,
        /// From the beginning until the backlog had gone.
        lasted: Duration,
    },
    /// People are to be told of something; told here once, until it is over.
    AlertRaised {
        /// The rule.
        rule: &'a str,
        /// How bad.
        severity: &'a str,
        /// In a sentence.
        what: &'a str,
        /// Records that wait because of it.
        waiting: u64,
    },
    /// What people were told of is over.
    AlertEnded {
        /// The rule.
        rule: &'a str,
        /// In a sentence.
        what: &'a str,
        /// From its beginning.
        lasted: Duration,
    },
    /// A message about an alert was tried.
    AlertMessage {
        /// The contact.
        contact: &'a str,
        /// `sent`, `put_off`, `failed`.
        outcome: &'static str,
        /// What the channel said.
        detail: &'a str,
        /// Since the message was written.
        took: Duration,
    },
    /// The outside monitor was told that we are well, or not.
    DeadManPinged {
        /// `sent`, `failed`, `withheld`.
        outcome: &'static str,
        /// Why, or what it said.
        detail: &'a str,
    },
    /// The catalogue was asked for what an order needs.
    CatalogueRead {
        /// Everything was known.
        found: bool,
    },
    /// Commerce was asked for products.
    CatalogueFetched {
        /// Commerce instance.
        system: &'a str,
        /// Products known now, all instances together.
        known: usize,
        /// Why it failed.
        failed: Option<&'a str>,
    },
    /// Mapping tables were read anew.
    MappingsReloaded {
        /// Their version.
        version: u64,
    },
    /// A person did something.
    OperatorActed {
        /// `token:NAME`, `cli:USER`.
        actor: &'a str,
        /// `exception.replay`, …
        action: &'a str,
        /// What was acted on.
        target: &'a str,
    },
    /// The ledger does not add up (P2).
    LedgerDiffers {
        /// Accepted minus everything that became of it.
        by: i128,
    },
    /// Unfinished envelopes that nobody would look at again (P6).
    EnvelopesSilent {
        /// How many.
        count: u64,
        /// One of them.
        example: EnvelopeId,
    },
    /// A payload leads to a read of its order from Commerce.
    ReadWanted {
        /// The Commerce instance.
        system: &'a str,
    },
    /// An order was read from Commerce, or not.
    ReadEnded {
        /// The Commerce instance.
        system: &'a str,
        /// `read`, `absent`, `unauthorized`, `refused`, `limited`, `unavailable`, `unreachable`, `too_large`, `other`.
        outcome: &'static str,
        /// For the log only.
        detail: &'a str,
    },
    /// Reading from a Commerce instance rests until it takes our credentials again, or does so again.
    ReadsHeld {
        /// The Commerce instance.
        system: &'a str,
        /// Whether it rests.
        held: bool,
        /// What to look at.
        why: &'a str,
    },
    /// Commerce was searched for orders that push lost.
    SweepEnded {
        /// The Commerce instance.
        system: &'a str,
        /// `done`, `partly`, or as of a read.
        outcome: &'static str,
        /// What it found missing or older here, and took in.
        taken: u64,
        /// The newest change there, if it was seen.
        newest: Option<Timestamp>,
        /// How long ago everything was here.
        lag: Duration,
        /// For the log only.
        detail: &'a str,
    },
    /// Adobe's journal was read to its end, or not.
    JournalRead {
        /// The origin whose events it holds.
        origin: &'a str,
        /// `done`, `gap`, or why not.
        outcome: &'static str,
        /// Events taken in, those known already among them.
        taken: u64,
        /// For the log only.
        detail: String,
    },
    /// Stock or shipments were read out of a back office to the end of what is there, or not.
    PollEnded {
        /// The origin that they enter by.
        origin: &'a str,
        /// Whom we asked.
        destination: &'a str,
        /// The recipe's poll.
        poll: &'a str,
        /// `done`, `shut` (the destination takes nothing now), or why not.
        outcome: &'static str,
        /// Records that were not here.
        new: u64,
        /// Records that were.
        known: u64,
        /// New ones that nothing can be made of.
        unreadable: u64,
        /// For the log only.
        detail: &'a str,
    },
    /// The store was copied, and the copy proved (BAK-1).
    BackupMade {
        /// Where it is.
        path: &'a str,
        /// When it was begun: what it holds.
        made_at: Timestamp,
        /// How large.
        bytes: u64,
        /// How long it took, the proof included.
        took: Duration,
    },
    /// The store could not be copied, or the copy is not sound.
    BackupFailed {
        /// Why.
        reason: &'a str,
    },
    /// The slow look at everything found something (BAK-4, BAK-2).
    CheckFailed {
        /// How many findings.
        findings: u64,
        /// One of them.
        first: &'a str,
    },
    /// A restored store is taken over: what was open in it is settled or handed to its guard (BAK-3).
    Restored {
        /// When the copy was made.
        copied_at: Timestamp,
        /// Deliveries whose outcome nobody knew.
        in_doubt: u64,
    },
    /// What is no longer needed was removed (DAT-2).
    Retired {
        /// Bodies.
        bodies: u64,
        /// Attempts.
        attempts: u64,
    },
    /// The wall clock jumped (RUN-5).
    ClockJumped {
        /// By how much.
        by: Duration,
    },
}

impl<'a> Event<'a> {
    /// An exception is durable, whoever opened it: intake, the processor or delivery.
    pub fn opened(exception: &'a NewException) -> Self {
        Event::ExceptionOpened {
            exception: exception.id,
            code: &exception.code,
            fingerprint: &exception.fingerprint,
            destination: exception.destination.as_deref(),
            increment_id: &exception.subject.id,
            message: &exception.message,
        }
    }
}
