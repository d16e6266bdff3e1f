//! POI-2: what one record may come to. More than that parks the record, and its neighbours go on.
//!
//! Time is looked at afterwards, lines and bytes of documents before they are kept. Memory while reading is held by the
//! limits of what may come in (POI-3): a tree costs at most some sixteen times its body.

use crate::domain::defect::{Defect, ExceptionCode};

use super::step::{Outcome, Parked};

/// Lines of one document.
pub const LINES_MAX: usize = 10_000;
/// Bytes of all documents of one record.
pub const DOCUMENTS_BYTES_MAX: usize = 64 << 20;

/// A document with too many lines.
pub fn too_many_lines(destination: &str, lines: usize) -> Parked {
    let message = format!("the document would have {lines} lines; {LINES_MAX} are the most");
    Parked { defect: too_much(&message, "too many lines"), destination: Some(destination.to_owned()) }
}

/// The outcome as it is, or parked because its documents take too much room.
pub fn within(outcome: Outcome) -> Outcome {
    let bytes: usize = outcome.documents.iter().map(|made| made.body.len()).sum();
    if bytes <= DOCUMENTS_BYTES_MAX {
        return outcome;
    }
    let message = format!("the documents would take {} MiB; {} are the most", bytes >> 20, DOCUMENTS_BYTES_MAX >> 20);
    Outcome { facts: outcome.facts, ..Outcome::parked(too_much(&message, "too large")) }
}

fn too_much(message: &str, cause: &str) -> Defect {
    Defect {
        code: ExceptionCode::CrashedWorker,
        path: String::new(),
        value: None,
        message: message.to_owned(),
        remedy:
            "Look at the order: it is larger than any shop's. The record is safe; if it is right, enter it by hand."
                .to_owned(),
        cause: cause.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::processor::step::Made;
    use crate::routing::DocumentKind;

    fn made(bytes: usize) -> Outcome {
        let document = Made {
            kind: DocumentKind::Order,
            schema: "crossdock.sales_order.v1",
            overtakes: false,
            purpose: "order.create",
            destination: "erp".to_owned(),
            body: vec![b' '; bytes],
        };
        Outcome { documents: vec![document.clone(), document], ..Outcome::default() }
    }

    #[test]
    fn poi_2_documents_over_64_mib_park_their_record() {
        assert_eq!(within(made(DOCUMENTS_BYTES_MAX / 2)).documents.len(), 2);
        let parked = within(made(DOCUMENTS_BYTES_MAX / 2 + 1));
        assert!(parked.documents.is_empty());
        assert_eq!(parked.parked[0].defect.code, ExceptionCode::CrashedWorker);
    }

    #[test]
    fn poi_2_too_many_lines_say_how_many() {
        let parked = too_many_lines("erp", 10_001);
        assert!(parked.defect.message.contains("10001 lines"), "{}", parked.defect.message);
    }
}
