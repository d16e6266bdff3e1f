//! No orders for a while: is that unusual at this hour of the week? Pure.
//!
//! What is usual for an hour of the week is the lower median of that hour in the last weeks, by the clock of the shop's
//! zone: one bad or one golden week does not move it. The silence since the newest order is laid over those hours, and
//! the orders that usually come in that time are added up. If orders come by chance, as they do, a time in which so many
//! are usual stays empty with a probability of *e* to the minus that many: at the default of 8, once in three thousand.
//! So a busy shop is missed after minutes, and one with two orders a night after a night without any, never within it.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;

use crate::clock::{Timestamp, from_micros};
use crate::store::alerts::OrderHour;

/// Weeks looked back.
pub const WEEKS: usize = 6;
/// With fewer weeks of an hour nothing is known of it.
const WEEKS_MIN: usize = 3;
const HOUR_MICROS: i64 = 3_600_000_000;
const WEEK_HOURS: i64 = 24 * 7;
/// A longer silence says nothing more.
const HOURS_MAX: i64 = WEEK_HOURS;

/// The silence of one Commerce instance.
#[derive(Clone, Debug, PartialEq)]
pub struct Silence {
    /// The instance.
    pub system: String,
    /// When its newest order came, or when we began to listen, if that was later.
    pub since: Timestamp,
    /// Orders that usually come in that time, in thousandths.
    pub missed_thousandths: u64,
}

/// The silence of every instance with a history. `listening_since`: nobody can hear an order before.
pub fn silences(hours: &[OrderHour], zone: &TimeZone, listening_since: Timestamp, now: Timestamp) -> Vec<Silence> {
    let mut systems: BTreeMap<&str, Vec<&OrderHour>> = BTreeMap::new();
    for hour in hours {
        systems.entry(&hour.system).or_default().push(hour);
    }
    let of = |(system, hours): (&str, Vec<&OrderHour>)| {
        let newest = hours.iter().map(|hour| hour.last_at).max()?;
        let since = newest.max(listening_since).min(now);
        let missed_thousandths = usual_between(&hours, zone, since, now);
        Some(Silence { system: system.to_owned(), since, missed_thousandths })
    };
    systems.into_iter().filter_map(of).collect()
}

/// Orders that usually come between two instants, in thousandths.
fn usual_between(hours: &[&OrderHour], zone: &TimeZone, from: Timestamp, to: Timestamp) -> u64 {
    let counts: BTreeMap<i64, u64> = hours.iter().map(|hour| (index(hour.hour), hour.orders)).collect();
    let Some(first) = counts.keys().next().copied() else { return 0 };
    let (from, to) = (from.as_microsecond(), to.as_microsecond());
    let last_hour = to.div_euclid(HOUR_MICROS);
    let mut sum: i128 = 0;
    for hour in (last_hour - HOURS_MAX).max(from.div_euclid(HOUR_MICROS))..=last_hour {
        let begins = (hour * HOUR_MICROS).max(from);
        let ends = ((hour + 1) * HOUR_MICROS).min(to);
        let share = i128::from((ends - begins).max(0));
        sum += i128::from(usual(&counts, first, hour, zone)) * share;
    }
    u64::try_from(sum * 1_000 / i128::from(HOUR_MICROS)).unwrap_or(u64::MAX)
}

/// The lower median of the same hour in the weeks before; 0 while too few of them are known. The first hour is not counted:
/// we may have begun in the middle of it.
fn usual(counts: &BTreeMap<i64, u64>, first: i64, hour: i64, zone: &TimeZone) -> u64 {
    let mut known: Vec<u64> = (1..=WEEKS)
        .map(|week| same_hour_before(hour, i64::try_from(week).unwrap_or(i64::MAX), zone))
        .filter(|before| *before > first)
        .map(|before| counts.get(&before).copied().unwrap_or(0))
        .collect();
    if known.len() < WEEKS_MIN {
        return 0;
    }
    known.sort_unstable();
    known[(known.len() - 1) / 2]
}

/// Weeks before, at the same hour of the clock on the wall: people order by that, also when it was put forward or back.
fn same_hour_before(hour: i64, weeks: i64, zone: &TimeZone) -> i64 {
    let offset = |hour: i64| i64::from(zone.to_offset(from_micros(hour * HOUR_MICROS)).seconds());
    let before = hour - weeks * WEEK_HOURS;
    before + (offset(hour) - offset(before)).div_euclid(3_600)
}

fn index(hour: Timestamp) -> i64 {
    hour.as_microsecond().div_euclid(HOUR_MICROS)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Monday, 2026-03-02, noon UTC, in hours since the epoch.
    fn noon() -> i64 {
        "2026-03-02T12:00:00Z".parse::<Timestamp>().unwrap().as_second() / 3_600
    }

    fn at(hour: i64, minute: i64) -> Timestamp {
        from_micros(hour * HOUR_MICROS + minute * 60_000_000)
    }

    /// Weeks of a shop that gets `by_day` orders an hour from 8 to 20 and `by_night` otherwise, until `until`.
    fn history(weeks: i64, by_day: u64, by_night: u64, until: i64) -> Vec<OrderHour> {
        let from = until - weeks * WEEK_HOURS;
        let orders = |hour: i64| if (8..20).contains(&(hour % 24)) { by_day } else { by_night };
        (from..until)
            .filter(|hour| orders(*hour) > 0)
            .map(|hour| OrderHour {
                system: "acme".to_owned(),
                hour: at(hour, 0),
                orders: orders(hour),
                last_at: at(hour, 59),
            })
            .collect()
    }

    fn missed(hours: &[OrderHour], now: Timestamp) -> u64 {
        silences(hours, &TimeZone::UTC, from_micros(0), now).first().map_or(0, |silence| silence.missed_thousandths)
    }

    #[test]
    fn without_history_nothing_is_unusual() {
        assert_eq!(silences(&[], &TimeZone::UTC, from_micros(0), at(noon(), 0)), []);
        for weeks in 1..3 {
            assert_eq!(missed(&history(weeks, 60, 60, noon()), at(noon(), 50)), 0, "{weeks} weeks");
        }
        assert!(missed(&history(4, 60, 60, noon()), at(noon(), 50)) > 40_000);
    }

    #[test]
    fn a_busy_shop_is_missed_within_minutes() {
        let hours = history(7, 60, 0, noon());
        assert_eq!(missed(&hours, at(noon(), 0)), 1_000, "the minute since 11:59");
        assert_eq!(missed(&hours, at(noon(), 15)), 16_000);
    }

    #[test]
    fn a_quiet_night_of_a_small_shop_wakes_nobody() {
        // Two orders an hour by day, none by night: the newest came at 19:59.
        let midnight = noon() + 12;
        let hours = history(7, 2, 0, midnight);
        assert_eq!(missed(&hours, at(midnight + 7, 59)), 33, "a minute of the day before");
        assert!(missed(&hours, at(midnight + 10, 0)) < 8_000, "two hours of the day");
        assert!(missed(&hours, at(midnight + 12, 30)) > 8_000, "half a day without an order is worth a call");
    }

    #[test]
    fn one_golden_week_does_not_make_the_others_poor() {
        let mut hours = history(7, 4, 4, noon());
        for hour in hours.iter_mut().filter(|hour| index(hour.hour) > noon() - 2 * WEEK_HOURS) {
            hour.orders = 400;
        }
        assert_eq!(missed(&hours, at(noon(), 59)), 4 * 1_000, "2 of 6 weeks");
    }

    #[test]
    fn what_could_not_be_heard_is_not_missed() {
        let hours = history(7, 60, 60, noon() - 10);
        let silence = &silences(&hours, &TimeZone::UTC, at(noon(), 0), at(noon(), 3))[0];
        assert_eq!((silence.since, silence.missed_thousandths), (at(noon(), 0), 3_000), "we began to listen at noon");
    }

    #[test]
    fn an_hour_of_the_week_stays_the_same_when_the_clocks_change() {
        let zone = TimeZone::get("Europe/London").unwrap();
        // 2026-03-29: clocks go forward. Noon in London is 12:00 UTC before and 11:00 UTC after.
        let after = "2026-04-06T11:00:00Z".parse::<Timestamp>().unwrap().as_second() / 3_600;
        let before = "2026-03-23T12:00:00Z".parse::<Timestamp>().unwrap().as_second() / 3_600;
        assert_eq!(same_hour_before(after, 2, &zone), before);
        assert_eq!(same_hour_before(after, 1, &zone), after - WEEK_HOURS, "summer time both");
    }

    #[test]
    fn the_sums_never_overflow() {
        let hours =
            vec![OrderHour { system: "acme".into(), hour: from_micros(0), orders: u64::MAX, last_at: Timestamp::MAX }];
        assert_eq!(silences(&hours, &TimeZone::UTC, from_micros(0), at(noon(), 0))[0].since, at(noon(), 0));
    }
}
