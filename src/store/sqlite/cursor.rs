//! Cursors: where a list goes on. Opaque outside, and only ours are taken back.

use crate::envelope::keys::Digest;
use crate::store::StoreError;
use crate::store::view::Paging;

const LIMIT_DEFAULT: u32 = 50;
const LIMIT_MAX: u32 = 200;

/// A page asked for: rows with `seq` below `before`, at most `limit`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Range {
    pub(super) before: i64,
    pub(super) limit: usize,
}

/// Reads what a caller handed back for the list of this name.
pub(super) fn range(list: &str, paging: &Paging) -> Result<Range, StoreError> {
    let limit = match paging.limit {
        0 => LIMIT_DEFAULT,
        limit => limit.min(LIMIT_MAX),
    };
    let before = match &paging.cursor {
        None => i64::MAX,
        Some(cursor) => decode(list, cursor).ok_or(StoreError::BadCursor)?,
    };
    Ok(Range { before, limit: limit as usize })
}

/// A cursor that goes on below `seq`.
pub(super) fn encode(list: &str, seq: i64) -> String {
    let mut bytes = seq.to_be_bytes().to_vec();
    bytes.extend_from_slice(&check(list, seq));
    data_encoding::HEXLOWER.encode(&bytes)
}

fn decode(list: &str, cursor: &str) -> Option<i64> {
    let bytes: [u8; 12] = data_encoding::HEXLOWER.decode(cursor.as_bytes()).ok()?.try_into().ok()?;
    let seq = i64::from_be_bytes(*bytes.first_chunk()?);
    (bytes[8..] == check(list, seq)).then_some(seq)
}

fn check(list: &str, seq: i64) -> [u8; 4] {
    *Digest::of_fields(&["cursor", list, &seq.to_string()]).0.first_chunk().expect("a digest has 32 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn api_3_only_our_own_cursors_are_taken_back() {
        let cursor = encode("orders", 42);
        let paging = |cursor: &str| Paging { limit: 0, cursor: Some(cursor.to_owned()) };
        assert_eq!(range("orders", &paging(&cursor)).unwrap().before, 42);
        for bad in ["", "x", "000000000000002a00000000", &cursor[1..], &cursor.to_uppercase(), &encode("events", 42)] {
            assert!(matches!(range("orders", &paging(bad)), Err(StoreError::BadCursor)), "{bad}");
        }
    }
}
