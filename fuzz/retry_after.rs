//! `Retry-After` in any spelling: at most a day, never in the past.

use std::time::Duration;

use bolero::TypeGenerator;
use crossdock::clock::from_micros;
use crossdock::destinations::http::retry_after::{RetryAfter, parse};
use http::{HeaderMap, HeaderValue, header};

const DAY: Duration = Duration::from_hours(24);

/// The header and the clock.
#[derive(Clone, Debug, TypeGenerator)]
struct Answer {
    value: Vec<u8>,
    /// Present: the value is a date this far from now instead.
    date: Option<i32>,
    seconds: u32,
}

fn target(answer: &Answer) {
    let now = from_micros(i64::from(answer.seconds) * 1_000_000);
    let date = answer.date.and_then(|by| {
        let at = u64::try_from(i64::from(answer.seconds) + i64::from(by)).ok()?;
        Some(httpdate::fmt_http_date(std::time::UNIX_EPOCH + Duration::from_secs(at)).into_bytes())
    });
    let Ok(value) = HeaderValue::from_bytes(date.as_deref().unwrap_or(&answer.value)) else { return };
    let mut headers = HeaderMap::new();
    headers.insert(header::RETRY_AFTER, value);
    match (parse(&headers, now), answer.date, date) {
        (RetryAfter::Absent, ..) => panic!("the header is there"),
        (RetryAfter::Floor(floor), by, date) => {
            assert!(floor <= DAY);
            if date.is_some() {
                let by = u64::try_from(by.unwrap_or_default()).expect("a date in the past is not a floor");
                assert_eq!(floor, Duration::from_secs(by).min(DAY));
            }
        }
        (RetryAfter::Ignored, by, Some(_)) => assert!(by.unwrap_or_default() <= 0, "a date to come was not followed"),
        (RetryAfter::Ignored, _, None) => {
            let digits = answer.value.trim_ascii();
            let plain = (1..=10).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
            assert!(!plain, "plain digits were not followed: {digits:?}");
        }
    }
}

#[test]
fn ret_3_any_retry_after_is_a_floor_of_at_most_a_day_or_nothing() {
    for value in super::kept("retry_after") {
        target(&Answer { value, date: None, seconds: 1_772_359_200 });
    }
    run!(Answer, target);
}
