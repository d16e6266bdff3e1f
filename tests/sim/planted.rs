//! Known bugs, planted on purpose: switches that exist in test builds only. Each must be found.

use std::cell::Cell;

/// A bug that can be switched on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// A request is answered before its commit (ACK-1).
    AckBeforeCommit,
    /// The key that tells duplicates is not written (DED-1).
    DedupKeyNotWritten,
    /// The same event id with other content counts as a duplicate (DED-1).
    ConflictTakenForDuplicate,
    /// A forged request is taken unread (SIG-1).
    ForgeryTaken,
    /// The records of a batch are told each other's results (ACK-7).
    BatchAnswersSwapped,
    /// The request leaves while its attempt is still being written (ATT-1).
    SendBeforeStart,
    /// The request leaves and no attempt is written down (ATT-1).
    AttemptNotWritten,
    /// A retry is rendered from today's configuration instead of taking the sealed bytes (KEY-5).
    ResendRendersAgain,
    /// A retry has a key of its own (KEY-4).
    ResendUnderNewKey,
    /// What may have been applied counts as not applied (UNC-5).
    UncertainTakenForUnavailable,
    /// What the last process left under way is sent again as if it had never been (ATT-1).
    InterruptedTakenForFresh,
    /// What is in doubt goes out again after the destination forgot its key (UNC-2).
    KeyWindowIgnored,
    /// What a dead process had claimed is never handed out again (P6).
    ClaimNotGivenBack,
    /// What was claimed and could not be concluded is forgotten (P6).
    GiveBackForgotten,
    /// The log is not flushed at a commit (ACK-2).
    CommitNotFlushed,
    /// The file is not flushed before its log is used again (ACK-2).
    CheckpointNotFlushed,
}

impl Bug {
    /// All of them.
    pub const ALL: [Bug; 16] = [
        Bug::AckBeforeCommit,
        Bug::DedupKeyNotWritten,
        Bug::ConflictTakenForDuplicate,
        Bug::ForgeryTaken,
        Bug::BatchAnswersSwapped,
        Bug::SendBeforeStart,
        Bug::AttemptNotWritten,
        Bug::ResendRendersAgain,
        Bug::ResendUnderNewKey,
        Bug::UncertainTakenForUnavailable,
        Bug::InterruptedTakenForFresh,
        Bug::KeyWindowIgnored,
        Bug::ClaimNotGivenBack,
        Bug::GiveBackForgotten,
        Bug::CommitNotFlushed,
        Bug::CheckpointNotFlushed,
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
