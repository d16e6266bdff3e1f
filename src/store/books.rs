//! What the books hold beside the records themselves: answers kept for repeats (API-2), the chain of what people did
//! (API-5), the ledger in money (P2), and envelopes that nobody would look at again (P6).

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::bulk::BulkRow;
use super::view::{DeliveryDetail, ExceptionRow};
use crate::clock::Timestamp;
use crate::envelope::ids::EnvelopeId;
use crate::envelope::keys::Digest;

/// How long an answer is kept for repeats of its call (API-2).
pub const ANSWERS_KEPT_HOURS: i64 = 72;

/// An answer of the API, as a repeat of its call gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptAnswer {
    /// HTTP status.
    pub status: u16,
    /// `content-type`, `etag` and the like; names in lower case.
    pub headers: Vec<(String, String)>,
    /// Body bytes; never with a secret.
    pub body: Bytes,
}

impl KeptAnswer {
    /// 200 with this document.
    ///
    /// # Panics
    /// Never: our own documents are plain data.
    pub fn json(document: &impl Serialize) -> Self {
        KeptAnswer {
            status: 200,
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: serde_json::to_vec(document).expect("an answer is plain data").into(),
        }
    }
}

/// The name of a call, by which a repeat is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallName {
    /// Digest of principal, method, route and key.
    pub scope: Digest,
    /// Digest of method, path, query, content type and body: another one under the same scope is another call.
    pub fingerprint: Digest,
}

/// What an act came to, as far as answers tell it; seen inside its transaction, after the effect.
#[derive(Clone, Copy, Debug)]
pub enum Done<'a> {
    /// A delivery was decided about: as it stands now.
    Delivery(&'a DeliveryDetail),
    /// An exception was seen to: as it stands now.
    Exception(&'a ExceptionRow),
    /// An act on many records was asked for or ruled about: as it stands now.
    Bulk(&'a BulkRow),
    /// A mapping table was replaced: the version of all mappings.
    Mappings(u64),
    /// Anything else; the answer does not depend on it.
    Otherwise,
}

/// Makes the answer of an act. May run twice, as everything inside a transaction may.
pub type Tell = Arc<dyn Fn(Done<'_>) -> KeptAnswer + Send + Sync>;

/// The answer to write down in the transaction of an act.
#[derive(Clone)]
pub struct Keep {
    /// Which call it answers.
    pub call: CallName,
    tell: Tell,
    told: Arc<Mutex<Option<KeptAnswer>>>,
}

impl Keep {
    /// The answer that `tell` makes once the effect is there.
    pub fn new(call: CallName, tell: Tell) -> Self {
        Keep { call, tell, told: Arc::default() }
    }

    /// For the store: makes the answer, inside the transaction.
    pub fn tell(&self, done: Done<'_>) -> KeptAnswer {
        let answer = (self.tell)(done);
        *self.told.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer.clone());
        answer
    }

    /// What was written down. Means something only once the act succeeded: until then its transaction may fail.
    pub fn told(&self) -> Option<KeptAnswer> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl fmt::Debug for Keep {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Keep").field("call", &self.call).finish_non_exhaustive()
    }
}

/// One row of the chain of what people did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRow {
    /// From 1, without holes.
    pub number: u64,
    /// When.
    pub at: Timestamp,
    /// `user:NAME`, `token:NAME`, `cli:USER`, `anonymous`, `system`.
    pub actor: String,
    /// From where: the caller's address, or how the command line was reached; empty where it was not recorded.
    pub from: String,
    /// `exception.replay`, …
    pub action: String,
    /// What was acted on.
    pub target: String,
    /// JSON text, or empty.
    pub before: String,
    /// JSON text, or empty.
    pub after: String,
    /// Given by the person, or empty.
    pub reason: String,
    /// Digest of the row before, in hex; 64 zeros for the first.
    pub previous: String,
    /// Over this row and the one before it, in hex.
    pub digest: String,
}

/// The end of the chain: whoever keeps a copy of it elsewhere notices when the chain is rewritten.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AuditHead {
    /// Rows.
    pub rows: u64,
    /// Digest of the last row in hex; 64 zeros for an empty chain.
    pub digest: String,
}

/// The first row of the chain that does not follow from the one before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AuditBreak {
    /// Its number.
    pub number: u64,
    /// What is wrong with it.
    pub what: String,
}

/// P2 in money: the orders of one system, in one currency and one state.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct MoneyRow {
    /// The Commerce instance.
    pub system: String,
    /// ISO code; empty for orders whose currency is not known.
    pub currency: String,
    /// `delivered`, `due`, `parked`, `ignored`.
    pub state: String,
    /// How many orders.
    pub orders: u64,
    /// Sum of their grand totals, exact digits.
    pub total: String,
    /// Of them: orders whose grand total is not known or no amount, and not in the sum.
    pub without_total: u64,
}

/// A stretch of unfinished envelopes, looked through for those that nobody would look at again (P6).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SilentSlice {
    /// Envelopes looked at.
    pub looked_at: u64,
    /// Those with neither a due time nor an exception, nor anything before them that has one.
    pub silent: Vec<EnvelopeId>,
    /// Where to go on; `None` at the end.
    pub next: Option<i64>,
}

/// What a handler gets of a call that carries an `Idempotency-Key`: the right to have its answer kept.
#[derive(Clone, Debug)]
pub struct Ticket {
    call: CallName,
    kept: Arc<Mutex<Option<(Keep, Shown)>>>,
}

/// What the caller of the first call is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// The answer that is kept, byte for byte.
    Kept,
    /// An answer with a secret, which the kept one does not hold.
    Secret,
}

impl Ticket {
    /// For this call.
    pub fn new(call: CallName) -> Self {
        Ticket { call, kept: Arc::default() }
    }

    /// What to put into [`super::write::Act::keep`]: `tell` makes the answer once the effect is there.
    pub fn keep(&self, shown: Shown, tell: Tell) -> Keep {
        let keep = Keep::new(self.call, tell);
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some((keep.clone(), shown));
        keep
    }

    /// What was kept with the effect, if anything was. Ask only after the act succeeded.
    pub fn kept(&self) -> Option<(KeptAnswer, Shown)> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let (keep, shown) = kept.as_ref()?;
        Some((keep.told()?, *shown))
    }
}
