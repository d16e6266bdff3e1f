//! `traceparent` (ATT-4): the sender's goes on if it is well-formed; else one of ours, the same on every attempt.

use crate::envelope::ids::DeliveryId;

/// What to send: the sender's, or one made from the delivery's id, so that every attempt belongs to one trace.
pub fn traceparent(given: Option<&str>, delivery: &DeliveryId, attempt: u32) -> String {
    if let Some(given) = given.filter(|text| is_well_formed(text)) {
        return given.to_owned();
    }
    let id = u128::from_be_bytes(*delivery.as_bytes());
    // The low half of the id is random; a span a attempt, never zero.
    let low = u64::try_from(id & u128::from(u64::MAX)).expect("masked to 64 bits");
    let span = (low ^ u64::from(attempt).rotate_right(8)).max(1);
    format!("00-{:032x}-{span:016x}-01", id.max(1))
}

/// W3C Trace Context, version 00: lower-case hex, ids not zero. Later versions may be longer, `ff` is none.
pub fn is_well_formed(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let [version, trace, span, flags, ..] = parts.as_slice() else {
        return false;
    };
    let hex = |part: &str, length: usize| {
        part.len() == length && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let not_zero = |part: &str| part.bytes().any(|byte| byte != b'0');
    hex(version, 2)
        && *version != "ff"
        && (parts.len() == 4 || *version != "00")
        && text.len() <= 128
        && text.bytes().all(|byte| byte.is_ascii_graphic())
        && hex(trace, 32)
        && not_zero(trace)
        && hex(span, 16)
        && not_zero(span)
        && hex(flags, 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{SeededEntropy, from_micros};

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn att_4_well_formed_ones_go_on_and_others_are_replaced() {
        let id = DeliveryId::new(from_micros(1_772_323_200_000_000), &SeededEntropy::new(1));
        assert_eq!(traceparent(Some(GOOD), &id, 1), GOOD);
        for bad in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-a\r\nb",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
        ] {
            let fresh = traceparent(Some(bad), &id, 1);
            assert!(fresh != bad && is_well_formed(&fresh), "{bad:?} became {fresh}");
        }
        assert!(is_well_formed("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more"));
    }

    #[test]
    fn att_4_a_resend_keeps_the_trace_and_has_a_span_of_its_own() {
        let id = DeliveryId::new(from_micros(1_772_323_200_000_000), &SeededEntropy::new(1));
        let (one, two) = (traceparent(None, &id, 1), traceparent(None, &id, 2));
        assert_eq!(one[..36], two[..36]);
        assert_ne!(one, two);
    }
}
