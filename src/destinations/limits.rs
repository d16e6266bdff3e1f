//! How much a destination may be asked: so often in a time, so many at once, and at which hours.
//!
//! A system counts what all of its callers do together. Destinations of one account therefore share what the account
//! allows ([`Account`]), whatever each of them allows itself beside that.

use jiff::ToSpan;
use jiff::civil::{Time, Weekday};
use jiff::tz::TimeZone;

use crate::clock::{Rate, Timestamp};

/// What one destination, or one account, allows.
#[derive(Clone, Debug, Default)]
pub struct Limits {
    /// Requests in a time; all of them hold.
    pub rates: Vec<Rate>,
    /// When nothing is asked.
    pub closed: Vec<ClosedHours>,
}

/// What several destinations share, since the other side counts them together.
#[derive(Clone, Debug)]
pub struct Account {
    /// Its name in the configuration.
    pub name: String,
    /// Requests at once, of all of them; `None`: each has its own alone.
    pub concurrency: Option<u32>,
    /// In a time, and at which hours.
    pub limits: Limits,
}

/// A time of day when nothing is asked: a nightly backup, a month's end that is being booked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClosedHours {
    /// On that day alone; `None`: every day.
    pub day: Option<Weekday>,
    /// Its beginning, of that day.
    pub from: Time,
    /// Its end; where it is no later than the beginning, of the day after.
    pub to: Time,
    /// Whose clock.
    pub zone: TimeZone,
}

impl ClosedHours {
    /// When it ends, if it is that time. On a day when clocks are set a time that does not exist is taken as the one an hour
    /// later, and of one that comes twice the first.
    pub fn until(&self, now: Timestamp) -> Option<Timestamp> {
        let today = self.zone.to_datetime(now).date();
        // What began yesterday may go on.
        [-1, 0].into_iter().find_map(|days: i64| {
            let date = today.checked_add(days.days()).ok()?;
            if self.day.is_some_and(|day| day != date.weekday()) {
                return None;
            }
            let begin = self.zone.to_timestamp(date.to_datetime(self.from)).ok()?;
            let last = if self.to <= self.from { date.checked_add(1.days()).ok()? } else { date };
            let end = self.zone.to_timestamp(last.to_datetime(self.to)).ok()?;
            (begin <= now && now < end).then_some(end)
        })
    }
}

impl Limits {
    /// Until when nothing is asked, if it is such a time.
    pub fn closed_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.closed.iter().filter_map(|hours| hours.until(now)).max()
    }

    /// Whether there is nothing to keep to.
    pub fn is_empty(&self) -> bool {
        self.rates.is_empty() && self.closed.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::time;

    use super::*;

    fn hours(day: Option<Weekday>, from: (i8, i8), to: (i8, i8)) -> ClosedHours {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        ClosedHours { day, from: time(from.0, from.1, 0, 0), to: time(to.0, to.1, 0, 0), zone }
    }

    fn until(hours: &ClosedHours, now: &str) -> Option<String> {
        hours.until(now.parse().unwrap()).map(|end| end.to_string())
    }

    #[test]
    fn closed_hours_are_those_of_the_destinations_clock_in_summer_and_winter() {
        let night = hours(None, (1, 0), (3, 30));
        assert_eq!(until(&night, "2026-01-10T00:00:00Z").as_deref(), Some("2026-01-10T02:30:00Z"));
        assert_eq!(until(&night, "2026-07-10T00:00:00Z").as_deref(), Some("2026-07-10T01:30:00Z"));
        assert_eq!(until(&night, "2026-07-09T23:00:00Z").as_deref(), Some("2026-07-10T01:30:00Z"), "its first moment");
        for open in ["2026-01-09T23:59:59Z", "2026-01-10T02:30:00Z", "2026-01-10T12:00:00Z"] {
            assert_eq!(until(&night, open), None, "{open}");
        }
    }

    #[test]
    fn closed_hours_over_midnight_and_of_one_weekday_belong_to_the_day_they_begin_on() {
        let weekend = hours(Some(Weekday::Saturday), (22, 0), (4, 0));
        assert_eq!(until(&weekend, "2026-01-10T21:30:00Z").as_deref(), Some("2026-01-11T03:00:00Z"), "Saturday night");
        assert_eq!(until(&weekend, "2026-01-11T02:59:59Z").as_deref(), Some("2026-01-11T03:00:00Z"), "Sunday morning");
        assert_eq!(until(&weekend, "2026-01-11T21:30:00Z"), None, "Sunday night");
        let sunday = hours(Some(Weekday::Sunday), (0, 0), (0, 0));
        assert_eq!(until(&sunday, "2026-01-11T12:00:00Z").as_deref(), Some("2026-01-11T23:00:00Z"), "the whole day");
    }

    #[test]
    fn hours_that_the_clock_change_swallows_or_doubles_end_once() {
        let night = hours(None, (2, 0), (3, 0));
        assert_eq!(until(&night, "2026-03-29T01:00:00Z"), None, "2:00 to 3:00 does not exist that night");
        assert_eq!(until(&night, "2026-10-25T00:30:00Z").as_deref(), Some("2026-10-25T02:00:00Z"));
        assert_eq!(until(&night, "2026-10-25T01:30:00Z").as_deref(), Some("2026-10-25T02:00:00Z"));
    }
}
