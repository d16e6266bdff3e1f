//! What people decide, and what is asked of the store about itself: acts, replays, verdicts, tokens, erasing, retiring.

use super::{Conclusion, NewDelivery, NewDocument};
use crate::clock::Timestamp;
use crate::envelope::ids::{DeliveryId, EnvelopeId, TokenId};
use crate::envelope::keys::Digest;
use crate::store::books::Keep;
use crate::store::bulk::Mark;

/// Who did something, and from where; written with the effect in one transaction (API-5).
#[derive(Clone, Debug)]
pub struct Act {
    /// `token:NAME`, `cli:USER`, `system`.
    pub actor: String,
    /// `exception.replay`, `mappings.import`, `token.create`, …
    pub action: String,
    /// What was acted on.
    pub target: String,
    /// JSON text, or empty.
    pub before: String,
    /// JSON text, or empty.
    pub after: String,
    /// Given by the person, or empty.
    pub reason: String,
    /// From where: the caller's address, or how the command line was reached.
    pub from: String,
    /// When.
    pub at: Timestamp,
    /// The answer to write down with the effect, for repeats of the call (API-2).
    pub keep: Option<Keep>,
    /// The mark of the member of a bulk act that this is about: written with the effect, and where it cannot be, neither
    /// is the effect.
    pub member: Option<Mark>,
}

/// A person's replay of one envelope: its open exceptions close, what was concluded anew is written (one transaction).
#[derive(Debug)]
pub struct Replay {
    /// The envelope processed again.
    pub envelope: EnvelopeId,
    /// The new conclusion.
    pub conclusion: Conclusion,
    /// Who asked.
    pub act: Act,
}

/// A person's decision about a parked delivery (one transaction; its open exceptions close).
#[derive(Debug)]
pub struct Decision {
    /// The delivery, which must be parked.
    pub delivery: DeliveryId,
    /// What was decided.
    pub verdict: Verdict,
    /// Who decided.
    pub act: Act,
}

/// What a person decided about a parked delivery.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "made once a decision, never kept in numbers")]
pub enum Verdict {
    /// Send the sealed bytes with the same key again (KEY-4); where the guard can ask, it is looked for once more first.
    Retry {
        /// Not before.
        due_at: Timestamp,
    },
    /// The content changed after a definite *not applied* (KEY-3 a): this delivery ends as superseded, the successor
    /// (next generation) takes its place in the lane.
    Replace {
        /// The new document.
        document: NewDocument,
        /// The new delivery.
        delivery: NewDelivery,
    },
    /// The person looked: the destination has it.
    Applied {
        /// Its number there.
        receipt: Option<String>,
    },
    /// It shall not be sent.
    Abandon {
        /// Why, shown in the timeline.
        reason: String,
    },
}

/// A deliberate second effect (KEY-3 c): a person wants the destination to do it again although it was done, or given up.
#[derive(Debug)]
pub struct Resend {
    /// The delivery it repeats; it must be delivered or abandoned, with nothing open that repeats it already.
    pub original: DeliveryId,
    /// The new one, of purpose `resend`, for the same document.
    pub delivery: NewDelivery,
    /// Who ordered it, and why.
    pub act: Act,
}

/// A new API token; only the digest of its secret is kept.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// Its id.
    pub id: TokenId,
    /// Unique among tokens that are not revoked.
    pub name: String,
    /// `viewer`, `operator`, `mapper`, `finance`, `admin`.
    pub role: String,
    /// The permissions it is narrowed to; empty: everything the role has.
    pub scopes: Vec<String>,
    /// SHA-256 of the secret.
    pub secret: Digest,
    /// When.
    pub created_at: Timestamp,
    /// No longer valid after.
    pub expires_at: Option<Timestamp>,
}

/// What may leave by now (DAT-2).
#[derive(Clone, Copy, Debug)]
pub struct Retire {
    /// Now.
    pub now: Timestamp,
    /// Bodies of what was final before this go.
    pub bodies_before: Timestamp,
    /// Attempts of what was final before this go.
    pub attempts_before: Timestamp,
    /// How many rows to look at in one transaction.
    pub rows: u32,
}

/// Whose data leaves on request (DAT-1).
#[derive(Clone, Debug)]
pub struct Erasure {
    /// `order`, …
    pub kind: String,
    /// Its number.
    pub id: String,
    /// One Commerce instance; `None`: whichever has the number.
    pub system: Option<String>,
    /// One store; `None`: whichever has the number.
    pub scope: Option<String>,
    /// What came later stays.
    pub until: Timestamp,
    /// Gives up what is still open instead of refusing.
    pub even_if_open: bool,
    /// Now.
    pub now: Timestamp,
    /// For the audit trail; `None` when an erasure of before is applied again.
    pub act: Option<Act>,
}
