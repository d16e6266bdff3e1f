//! What came and went lately: counted by five minutes in the transaction that changes it, a row a group of commands.

use serde::Serialize;

use crate::clock::Timestamp;

/// Length of one slot.
pub const SLOT_MICROS: i64 = 300_000_000;
/// Slots of an hour.
pub const SLOTS_AN_HOUR: i64 = 12;
/// Hours that are told, the running one last.
pub const HOURS: i64 = 25;
/// How long slots are kept: a week, the hours told of it, and a day to spare.
pub const SLOTS_KEPT: i64 = (9 * 24 + 1) * SLOTS_AN_HOUR;

/// Upper bounds of the classes of lag, in milliseconds; the last class has none.
pub const LAG_BOUNDS_MS: [u64; 15] =
    [20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 30_000, 60_000, 300_000, 900_000, 3_600_000, 14_400_000];
/// How many classes of lag there are.
pub const LAG_CLASSES: usize = LAG_BOUNDS_MS.len() + 1;

/// One hour.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TrafficHour {
    /// Its beginning (UTC).
    pub starts_at: Timestamp,
    /// Events that were accepted.
    pub accepted: u64,
    /// Deliveries that a destination took.
    pub delivered: u64,
    /// Events that came to wait for a person.
    pub parked: u64,
}

/// One destination.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DestinationTraffic {
    /// Configured name.
    pub destination: String,
    /// Deliveries it took within the last hour.
    pub delivered_last_hour: u64,
    /// Deliveries that wait for it.
    pub waiting: u64,
    /// When the oldest that waits was made.
    pub oldest_waiting_at: Option<Timestamp>,
    /// From receipt to delivered, of the last hour's: half were no slower, in milliseconds; `null`: there were none, or it
    /// was longer than the largest class.
    pub lag_p50_ms: Option<u64>,
    /// … 95 of 100 were no slower.
    pub lag_p95_ms: Option<u64>,
}

/// The newest order of one Commerce instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NewestOrder {
    /// The Commerce instance.
    pub system: String,
    /// The newest order here.
    pub here: Option<NewestHere>,
    /// The newest that a search of Commerce saw; `null` where it is not searched.
    pub there: Option<NewestThere>,
}

/// The newest order here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NewestHere {
    /// Its number.
    pub increment_id: String,
    /// Its store.
    pub store_id: String,
    /// When it was placed, if that is known.
    pub placed_at: Option<Timestamp>,
    /// When it came in.
    pub first_seen_at: Timestamp,
}

/// The newest order that catch-up saw in Commerce.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NewestThere {
    /// Its number.
    pub increment_id: String,
    /// When a search saw it first.
    pub seen_at: Timestamp,
    /// Whether it is here.
    pub is_here: bool,
}

/// All of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Traffic {
    /// When it was read.
    pub at: Timestamp,
    /// The last 25 hours, oldest first; the last one is running.
    pub hours: Vec<TrafficHour>,
    /// The same hours one week before.
    pub week_before: Vec<TrafficHour>,
    /// Destinations with something to tell, by name.
    pub destinations: Vec<DestinationTraffic>,
    /// Commerce instances, by name.
    pub newest_orders: Vec<NewestOrder>,
}

/// The slot of a time.
pub fn slot_of(micros: i64) -> i64 {
    micros.div_euclid(SLOT_MICROS)
}

/// The class of a lag.
pub fn lag_class(millis: u64) -> usize {
    LAG_BOUNDS_MS.iter().position(|bound| millis <= *bound).unwrap_or(LAG_BOUNDS_MS.len())
}

/// The upper bound of the class that holds this share, in hundredths, of all.
pub fn lag_quantile(classes: &[u64; LAG_CLASSES], hundredths: u64) -> Option<u64> {
    let all: u64 = classes.iter().sum();
    let wanted = (all * hundredths).div_ceil(100);
    if wanted == 0 {
        return None;
    }
    let mut seen = 0;
    let class = classes.iter().position(|count| {
        seen += count;
        seen >= wanted
    })?;
    LAG_BOUNDS_MS.get(class).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lag_is_told_by_the_bound_of_its_class() {
        let mut classes = [0; LAG_CLASSES];
        assert_eq!(lag_quantile(&classes, 50), None);
        for millis in [1, 20, 21, 400] {
            classes[lag_class(millis)] += 1;
        }
        assert_eq!(lag_quantile(&classes, 50), Some(20));
        assert_eq!(lag_quantile(&classes, 95), Some(500));
        classes[lag_class(u64::MAX)] += 100;
        assert_eq!(lag_quantile(&classes, 95), None, "longer than the largest class");
    }

    #[test]
    fn a_time_has_one_slot_on_either_side_of_the_epoch() {
        assert_eq!([slot_of(-1), slot_of(0), slot_of(SLOT_MICROS - 1), slot_of(SLOT_MICROS)], [-1, 0, 0, 1]);
    }
}
