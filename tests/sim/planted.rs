//! Known bugs, planted on purpose: switches that exist in test builds only. Each must be found.

use std::cell::Cell;

/// A bug that can be switched on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// A request is answered before its commit (ACK-1).
    AckBeforeCommit,
    /// The key that tells duplicates is forgotten (DED-1).
    DedupKeyNotWritten,
    /// The same event id with other content counts as a duplicate (DED-1).
    ConflictTakenForDuplicate,
    /// The request leaves while its attempt is still being written (ATT-1).
    SendBeforeStart,
    /// A late settlement overrules a newer attempt (REP-4, ATT-2).
    SettleWithoutEpoch,
    /// A retry is made up anew from today's mappings and URL instead of the sealed bytes (KEY-5).
    ResendRendersAgain,
    /// A retry has a key of its own (KEY-4).
    ResendUnderNewKey,
    /// What may have been applied counts as not applied (UNC-5).
    UncertainTakenForUnavailable,
    /// What the last process left under way is sent again as if it had never been (ATT-1).
    InterruptedTakenForFresh,
    /// The next of a lane goes out while the head is in doubt or under way (LANE-1).
    LaneNotHeld,
    /// What a dead process had claimed is never handed out again (P6).
    ClaimNotGivenBack,
    /// The log is not flushed at a commit (ACK-2).
    CommitNotFlushed,
    /// A replay does not meet the delivery that exists (KEY-2).
    ReplayMakesAnother,
    /// A failed flush is shrugged off (ACK-6).
    FlushFailureIgnored,
    /// An outcome that could not be written is forgotten (P6).
    SettlementLost,
    /// The counts of the ledger forget what a failed group undid (P2).
    TallyKeptAfterRollback,
}

impl Bug {
    /// All of them.
    pub const ALL: [Bug; 16] = [
        Bug::AckBeforeCommit,
        Bug::DedupKeyNotWritten,
        Bug::ConflictTakenForDuplicate,
        Bug::SendBeforeStart,
        Bug::SettleWithoutEpoch,
        Bug::ResendRendersAgain,
        Bug::ResendUnderNewKey,
        Bug::UncertainTakenForUnavailable,
        Bug::InterruptedTakenForFresh,
        Bug::LaneNotHeld,
        Bug::ClaimNotGivenBack,
        Bug::CommitNotFlushed,
        Bug::ReplayMakesAnother,
        Bug::FlushFailureIgnored,
        Bug::SettlementLost,
        Bug::TallyKeptAfterRollback,
    ];
}

thread_local! {
    static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
}

/// Whether this bug is switched on, on this thread.
pub fn is(bug: Bug) -> bool {
    PLANTED.get() == Some(bug)
}

/// Switches one on, or all off.
pub fn plant(bug: Option<Bug>) {
    PLANTED.set(bug);
}
