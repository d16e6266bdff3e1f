//! Due times of exceptions: told beside each, and asked for in lists.

use crate::clock::{Timestamp, earlier, later};
use crate::domain::due::DueTimes;
use crate::store::cases::Overdue;
use crate::store::view::{ExceptionGroup, ExceptionRow};

/// Tells when the exception is due and whether that is past. One that rests is due when it wakes, at the earliest; one that is
/// closed never is.
pub fn tell(times: &DueTimes, row: &mut ExceptionRow, now: Timestamp) {
    let due = later(row.opened_at, times.of(&row.severity));
    let due = row.snoozed_until.map_or(due, |until| due.max(until));
    row.due_at = row.is_waiting().then_some(due);
    row.overdue = row.due_at.is_some_and(|due| due < now);
}

/// The same for a group, by its oldest member.
pub fn tell_group(times: &DueTimes, group: &mut ExceptionGroup, now: Timestamp) {
    let due = later(group.first_opened_at, times.of(&group.severity));
    group.due_at = Some(due);
    group.overdue = due < now && group.snoozed < group.open;
}

/// What is overdue now.
pub fn overdue(times: &DueTimes, now: Timestamp) -> Overdue {
    Overdue {
        critical: earlier(now, times.critical),
        error: earlier(now, times.error),
        warning: earlier(now, times.warning),
        info: earlier(now, times.info),
    }
}
