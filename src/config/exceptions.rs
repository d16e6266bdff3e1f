//! `[exceptions]`: by when a person should have seen to one, and how acts on many go.

use std::time::Duration;

use super::read::{Report, Section};
use crate::domain::due::DueTimes;
use crate::exceptions::bulk;

/// `[exceptions]`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExceptionSettings {
    /// By severity.
    pub due: DueTimes,
    /// Acts on many at once.
    pub bulk: bulk::Settings,
}

pub(super) fn exceptions(mut section: Section<'_>, report: &mut Report<'_>) -> ExceptionSettings {
    let mut settings = ExceptionSettings::default();
    if let Some(mut due) = section.field("due").and_then(|field| field.section("due times", report)) {
        let bounds = (Duration::from_mins(1), Duration::from_hours(24 * 365));
        let usual = settings.due;
        settings.due = DueTimes {
            critical: due.duration_or("critical", usual.critical, bounds, report),
            error: due.duration_or("error", usual.error, bounds, report),
            warning: due.duration_or("warning", usual.warning, bounds, report),
            info: due.duration_or("info", usual.info, bounds, report),
        };
        due.finish(report);
    }
    let usual = settings.bulk;
    settings.bulk = bulk::Settings {
        undo: section.duration_or("undo", usual.undo, (Duration::ZERO, Duration::from_hours(24)), report),
        approve_above: section.count_or("approve_above", usual.approve_above, (0, 10_000), report),
        per_minute: section.count_or("per_minute", usual.per_minute, (1, bulk::PER_MINUTE_MAX), report),
    };
    section.finish(report);
    settings
}
