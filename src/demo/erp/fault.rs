//! What can go wrong at an ERP, as a script a test writes in advance.

use std::collections::VecDeque;
use std::time::Duration;

/// One misbehaviour, spent on one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Answers this status; nothing is applied.
    Status(u16),
    /// Applies, then answers this status: the 500 that did its work.
    StatusAfterApply(u16),
    /// Reads the request and closes the connection; nothing is applied.
    DropBeforeApply,
    /// Applies and closes the connection without an answer.
    DropAfterApply,
    /// Holds the request this long, then closes the connection; nothing is applied.
    Hang(Duration),
    /// Applies, then holds the answer back this long.
    HangAfterApply(Duration),
    /// Closes the connection at once and applies this much later, after the caller has looked and found nothing.
    ApplyLate(Duration),
    /// Answers a status with this `Retry-After`, which may be seconds, a date or nonsense; nothing is applied.
    RetryAfter {
        /// 429 or 503.
        status: u16,
        /// The header's value.
        value: String,
    },
    /// Answers 200 with an error inside; nothing is applied.
    ErrorIn200,
    /// Answers 200 with bytes that are not JSON; nothing is applied.
    Garbage,
    /// Applies and answers 201 with bytes that are not JSON.
    GarbageAfterApply,
    /// Applies and breaks off in the middle of the answer's body.
    CutOffAfterApply,
    /// Answers 307 to another address; nothing is applied.
    Redirect,
    /// Answers this status and applies this much later: the failure that was none.
    StatusThenApply {
        /// Usually a 5xx.
        status: u16,
        /// How long it goes on working unseen.
        wait: Duration,
    },
    /// Applies, then hands the answer's body out byte by byte over this long.
    DribbleAfterApply(Duration),
    /// Answers this status, and the same to this key for ever: a failure that is stored. Nothing is applied.
    FailForGood(u16),
}

impl Fault {
    /// A status with `Retry-After` in seconds.
    pub fn retry_after(status: u16, seconds: u64) -> Self {
        Fault::RetryAfter { status, value: seconds.to_string() }
    }

    /// Whether the order comes to exist before the caller hears anything.
    pub(super) fn applies_first(&self) -> bool {
        match self {
            Fault::StatusAfterApply(_)
            | Fault::DropAfterApply
            | Fault::HangAfterApply(_)
            | Fault::GarbageAfterApply
            | Fault::CutOffAfterApply
            | Fault::DribbleAfterApply(_) => true,
            Fault::Status(_)
            | Fault::DropBeforeApply
            | Fault::Hang(_)
            | Fault::ApplyLate(_)
            | Fault::RetryAfter { .. }
            | Fault::ErrorIn200
            | Fault::Garbage
            | Fault::Redirect
            | Fault::StatusThenApply { .. }
            | Fault::FailForGood(_) => false,
        }
    }

    /// The name it has in the log.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Fault::Status(_) => "status",
            Fault::StatusAfterApply(_) => "status_after_apply",
            Fault::DropBeforeApply => "drop_before_apply",
            Fault::DropAfterApply => "drop_after_apply",
            Fault::Hang(_) => "hang",
            Fault::HangAfterApply(_) => "hang_after_apply",
            Fault::ApplyLate(_) => "apply_late",
            Fault::RetryAfter { .. } => "retry_after",
            Fault::ErrorIn200 => "error_in_200",
            Fault::Garbage => "garbage",
            Fault::GarbageAfterApply => "garbage_after_apply",
            Fault::CutOffAfterApply => "cut_off_after_apply",
            Fault::Redirect => "redirect",
            Fault::StatusThenApply { .. } => "status_then_apply",
            Fault::DribbleAfterApply(_) => "dribble_after_apply",
            Fault::FailForGood(_) => "fail_for_good",
        }
    }
}

/// Decides the fault of the n-th request, counted from 1.
pub type Plan = Box<dyn Fn(u64) -> Option<Fault> + Send>;

/// The faults to come: first the ones queued, then what always happens, then what the plan says.
#[derive(Default)]
pub(super) struct Script {
    next: VecDeque<Option<Fault>>,
    always: Option<Fault>,
    plan: Option<Plan>,
    taken: u64,
}

impl Script {
    pub(super) fn queue(&mut self, faults: impl IntoIterator<Item = Option<Fault>>) {
        self.next.extend(faults);
    }

    pub(super) fn always(&mut self, fault: Option<Fault>) {
        self.always = fault;
    }

    pub(super) fn plan(&mut self, plan: Option<Plan>) {
        self.plan = plan;
    }

    /// The fault of the next request, where nobody else counts them.
    pub(super) fn take_next(&mut self) -> Option<Fault> {
        self.taken += 1;
        self.take(self.taken)
    }

    /// The fault of request `number`.
    pub(super) fn take(&mut self, number: u64) -> Option<Fault> {
        if let Some(queued) = self.next.pop_front() {
            return queued;
        }
        self.always.clone().or_else(|| self.plan.as_ref().and_then(|plan| plan(number)))
    }
}
