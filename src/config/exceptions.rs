//! `[exceptions]`: by when a person should have seen to one.

use std::time::Duration;

use super::read::{Report, Section};
use crate::domain::due::DueTimes;

/// `[exceptions]`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExceptionSettings {
    /// By severity.
    pub due: DueTimes,
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
    section.finish(report);
    settings
}
