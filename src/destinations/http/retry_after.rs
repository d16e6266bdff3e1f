//! `Retry-After` (RET-3): at most ten digits, or an HTTP date. A floor, never more than 24 hours.

use std::time::{Duration, UNIX_EPOCH};

use ::http::{HeaderMap, header};

use crate::clock::Timestamp;

/// No answer may silence us longer.
const FLOOR_MAX: Duration = Duration::from_hours(24);

/// What the header said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryAfter {
    /// There is none.
    Absent,
    /// Past, negative or garbled: counted, not followed.
    Ignored,
    /// Not before this long from now.
    Floor(Duration),
}

/// Reads the header; where it stands twice the first one counts.
pub fn parse(headers: &HeaderMap, now: Timestamp) -> RetryAfter {
    let Some(value) = headers.get(header::RETRY_AFTER) else {
        return RetryAfter::Absent;
    };
    let Some(text) = value.to_str().ok().map(str::trim) else {
        return RetryAfter::Ignored;
    };
    if !text.is_empty() && text.len() <= 10 && text.bytes().all(|byte| byte.is_ascii_digit()) {
        let seconds = text.parse().expect("ten digits fit 64 bits");
        return RetryAfter::Floor(Duration::from_secs(seconds).min(FLOOR_MAX));
    }
    let Ok(at) = httpdate::parse_http_date(text) else {
        return RetryAfter::Ignored;
    };
    let now = UNIX_EPOCH + Duration::from_micros(u64::try_from(now.as_microsecond()).unwrap_or(0));
    match at.duration_since(now) {
        Ok(wait) if !wait.is_zero() => RetryAfter::Floor(wait.min(FLOOR_MAX)),
        Ok(_) | Err(_) => RetryAfter::Ignored,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::from_micros;

    #[test]
    fn ret_3_forms_of_retry_after() {
        // 2026-03-01T00:00:00Z
        let now = from_micros(1_772_323_200_000_000);
        let floor = |seconds| RetryAfter::Floor(Duration::from_secs(seconds));
        for (text, expected) in [
            ("0", floor(0)),
            ("7", floor(7)),
            (" 120 ", floor(120)),
            ("86400", floor(86_400)),
            ("9999999999", floor(86_400)),
            ("99999999999", RetryAfter::Ignored),
            ("-5", RetryAfter::Ignored),
            ("+5", RetryAfter::Ignored),
            ("1.5", RetryAfter::Ignored),
            ("1e3", RetryAfter::Ignored),
            ("soon", RetryAfter::Ignored),
            ("", RetryAfter::Ignored),
            ("Sun, 01 Mar 2026 00:00:30 GMT", floor(30)),
            ("Sunday, 01-Mar-26 00:01:00 GMT", floor(60)),
            ("Sun Mar  1 00:00:30 2026", floor(30)),
            ("Fri, 06 Mar 2026 00:00:00 GMT", floor(86_400)),
            ("Sun, 01 Mar 2026 00:00:00 GMT", RetryAfter::Ignored),
            ("Sat, 28 Feb 2026 23:59:59 GMT", RetryAfter::Ignored),
            ("Sun, 99 Mar 2026 00:00:30 GMT", RetryAfter::Ignored),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::RETRY_AFTER, text.parse().unwrap());
            assert_eq!(parse(&headers, now), expected, "{text:?}");
        }
        assert_eq!(parse(&HeaderMap::new(), now), RetryAfter::Absent);
        let mut headers = HeaderMap::new();
        headers.insert(header::RETRY_AFTER, ::http::HeaderValue::from_bytes(b"\xff").unwrap());
        assert_eq!(parse(&headers, now), RetryAfter::Ignored);
    }
}
