//! Quiet hours: when a contact is not to be told, and by when it is. Pure.

use crate::clock::Timestamp;
use crate::destinations::ClosedHours;
use crate::domain::defect::Severity;

/// Hours that follow one another closely end with the last of them; a week of single hours has fewer.
const SPANS_MAX: usize = 200;

/// The hours in which a contact is told nothing but what breaks through.
#[derive(Clone, Debug)]
pub struct QuietHours {
    /// When.
    pub hours: Vec<ClosedHours>,
    /// This severity and worse is told at once; `None`: nothing is.
    pub breaks_through: Option<Severity>,
}

impl QuietHours {
    /// When something of that severity may be told.
    pub fn due(&self, severity: Severity, now: Timestamp) -> Timestamp {
        if self.breaks_through.is_some_and(|least| severity >= least) {
            return now;
        }
        let mut due = now;
        for _ in 0..SPANS_MAX {
            match self.hours.iter().filter_map(|hours| hours.until(due)).max() {
                Some(end) => due = end,
                None => break,
            }
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::{Time, Weekday, time};
    use jiff::tz::TimeZone;

    use super::*;

    fn hours(day: Option<Weekday>, from: Time, to: Time) -> ClosedHours {
        ClosedHours { day, from, to, zone: TimeZone::get("Europe/London").unwrap() }
    }

    fn due(severity: Severity, now: &str) -> String {
        let night = hours(None, time(22, 0, 0, 0), time(7, 0, 0, 0));
        let sunday = hours(Some(Weekday::Sunday), Time::midnight(), Time::midnight());
        let quiet = QuietHours { hours: vec![night, sunday], breaks_through: Some(Severity::Critical) };
        quiet.due(severity, now.parse().unwrap()).to_string()
    }

    #[test]
    fn what_comes_at_night_waits_for_the_morning_unless_it_breaks_through() {
        for (now, expected) in [
            ("2026-01-13T21:59:59Z", "2026-01-13T21:59:59Z"),
            ("2026-01-13T22:00:00Z", "2026-01-14T07:00:00Z"),
            ("2026-01-14T06:59:59Z", "2026-01-14T07:00:00Z"),
            ("2026-01-14T07:00:00Z", "2026-01-14T07:00:00Z"),
            // Summer time: 22:00 in London is 21:00 UTC.
            ("2026-07-14T21:00:00Z", "2026-07-15T06:00:00Z"),
        ] {
            assert_eq!(due(Severity::Error, now), expected, "{now}");
        }
        assert_eq!(due(Severity::Critical, "2026-01-13T23:00:00Z"), "2026-01-13T23:00:00Z");
    }

    #[test]
    fn quiet_hours_that_follow_one_another_are_one() {
        // Saturday night, the whole Sunday, Sunday night.
        assert_eq!(due(Severity::Error, "2026-01-10T22:30:00Z"), "2026-01-12T07:00:00Z");
    }
}
