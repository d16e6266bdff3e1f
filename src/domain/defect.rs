//! The catalogue of business exceptions, and the defects that cause them.
//!
//! A defect is data about a record: a code, the place in the payload, what stood there and what to do. All of a record's
//! defects are collected, never just the first.

use std::fmt;
use std::str::FromStr;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing; nothing waits.
    Info,
    /// One record waits for a small decision.
    Warning,
    /// A record cannot go through.
    Error,
    /// Money or goods may be wrong somewhere already.
    Critical,
}

/// Whose desk it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Owner {
    /// Orders, goods, mappings.
    Operations,
    /// Amounts and tax.
    Finance,
    /// Systems and the way between them.
    Integration,
}

impl Severity {
    /// Every one, the least first.
    pub const ALL: [Severity; 4] = [Severity::Info, Severity::Warning, Severity::Error, Severity::Critical];
    /// Their words.
    pub const WORDS: [&'static str; 4] = {
        let [info, warning, error, critical] = Severity::ALL;
        [info.as_str(), warning.as_str(), error.as_str(), critical.as_str()]
    };

    /// The word used by the API and the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Error => "error",
            Severity::Critical => "critical",
        }
    }
}

impl Owner {
    /// The word used by the API and the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Owner::Operations => "operations",
            Owner::Finance => "finance",
            Owner::Integration => "integration",
        }
    }
}

/// A text that is no exception code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not an exception code")]
pub struct UnknownCode(String);

macro_rules! catalogue {
    ($($(#[$doc:meta])* $variant:ident = $code:literal, $severity:ident, $owner:ident;)+) => {
        /// Every reason for which a record may wait for a person.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum ExceptionCode {
            $($(#[$doc])* $variant,)+
        }

        impl ExceptionCode {
            /// The whole catalogue.
            pub const ALL: &'static [ExceptionCode] = &[$(ExceptionCode::$variant),+];

            /// The code as the API, the store and the pages spell it.
            pub fn as_str(self) -> &'static str {
                match self { $(ExceptionCode::$variant => $code,)+ }
            }

            /// How bad it is.
            pub fn severity(self) -> Severity {
                match self { $(ExceptionCode::$variant => Severity::$severity,)+ }
            }

            /// Whose desk it is.
            pub fn owner(self) -> Owner {
                match self { $(ExceptionCode::$variant => Owner::$owner,)+ }
            }

            /// A page in Markdown: what it means, how it arises, how to fix it, what happens if it is ignored.
            pub fn page(self) -> &'static str {
                match self {
                    $(ExceptionCode::$variant => include_str!(concat!("exception_codes/", $code, ".md")),)+
                }
            }
        }
    };
}

catalogue! {
    /// The payload cannot be read as what it claims to be.
    UnreadablePayload = "unreadable_payload", Error, Integration;
    /// One event id with two contents.
    EventIdConflict = "event_id_conflict", Error, Integration;
    /// A hint named an order that Commerce does not know.
    OrderNotFound = "order_not_found", Warning, Integration;
    /// A SKU is not in its table.
    UnmappedSku = "unmapped_sku", Error, Operations;
    /// A tax rate is not in its table.
    UnmappedTaxCode = "unmapped_tax_code", Error, Finance;
    /// A custom option is not in its table.
    UnmappedOption = "unmapped_option", Warning, Operations;
    /// A payment method is not in its table.
    UnmappedPaymentMethod = "unmapped_payment_method", Error, Finance;
    /// A shipping method is not in its table.
    UnmappedShippingMethod = "unmapped_shipping_method", Error, Operations;
    /// A bundle without its components.
    MissingComponent = "missing_component", Error, Operations;
    /// An item whose parent is not in the order.
    OrphanItem = "orphan_item", Error, Integration;
    /// Tax amounts are missing.
    MissingTaxData = "missing_tax_data", Error, Finance;
    /// Base amounts are missing in part.
    MissingBaseAmounts = "missing_base_amounts", Error, Finance;
    /// Rows and totals do not add up.
    TotalsMismatch = "totals_mismatch", Error, Finance;
    /// A product type with unknown behaviour.
    UnsupportedProductType = "unsupported_product_type", Error, Integration;
    /// Stock for a SKU unknown to Commerce.
    StockUnknownSku = "stock_unknown_sku", Warning, Operations;
    /// Stock for a source unknown to Commerce.
    StockUnknownSource = "stock_unknown_source", Error, Operations;
    /// Two stock messages with one sequence number.
    StockSequenceConflict = "stock_sequence_conflict", Error, Integration;
    /// Goods cannot be taken from the source named.
    StockAllocationError = "stock_allocation_error", Error, Operations;
    /// A change from a system that does not own the object.
    NotTheOwner = "not_the_owner", Warning, Integration;
    /// The destination said no.
    RejectedByDestination = "rejected_by_destination", Error, Operations;
    /// The destination reports another total.
    TotalsDifferAtDestination = "totals_differ_at_destination", Critical, Finance;
    /// Nobody knows whether the request arrived.
    OutcomeUncertain = "outcome_uncertain", Critical, Operations;
    /// The record exists at the destination with other content.
    FoundDifferent = "found_different", Error, Operations;
    /// The record exists at the destination more than once.
    FoundMany = "found_many", Critical, Operations;
    /// The retry schedule came to its end.
    RetriesExhausted = "retries_exhausted", Error, Integration;
    /// Too old to repeat without the risk of doubling.
    TooOld = "too_old", Error, Operations;
    /// An assumption of the program did not hold.
    CrashedWorker = "crashed_worker", Critical, Integration;
}

impl ExceptionCode {
    /// The page's headline.
    pub fn title(self) -> &'static str {
        let headline = self.page().lines().next().unwrap_or_default();
        headline.trim_start_matches(['#', ' '])
    }

    /// What it means.
    pub fn meaning(self) -> &'static str {
        self.section("What it means")
    }

    /// How it comes about, as a list.
    pub fn arises(self) -> &'static str {
        self.section("How it arises")
    }

    /// How to fix it, step by step.
    pub fn fix(self) -> &'static str {
        self.section("How to fix it")
    }

    /// What happens if nobody does anything.
    pub fn if_ignored(self) -> &'static str {
        self.section("If it is ignored")
    }

    /// The first step of [`ExceptionCode::fix`], in one line.
    pub fn remedy(self) -> String {
        let first = self.fix().split("\n2. ").next().unwrap_or_default();
        let words: Vec<&str> = first.trim_start_matches("1. ").split_whitespace().collect();
        words.join(" ")
    }

    /// The text below a heading of the page; empty where there is none.
    fn section(self, heading: &str) -> &'static str {
        let mut sections = self.page().split("\n## ").skip(1);
        let found = sections.find_map(|section| section.strip_prefix(heading)?.strip_prefix('\n'));
        found.unwrap_or_default().trim()
    }
}

impl fmt::Display for ExceptionCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for ExceptionCode {
    type Err = UnknownCode;

    fn from_str(text: &str) -> Result<Self, UnknownCode> {
        let known = ExceptionCode::ALL.iter().copied().find(|code| code.as_str() == text);
        known.ok_or_else(|| UnknownCode(text.chars().take(64).collect()))
    }
}

impl Serialize for ExceptionCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for ExceptionCode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// One thing that is wrong with a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Defect {
    /// Which of the catalogue.
    pub code: ExceptionCode,
    /// Where in the payload: a JSON pointer without its leading slash, `items/3/row_total`.
    pub path: String,
    /// What stood there, cut to 200 characters.
    pub value: Option<String>,
    /// What is wrong, in one sentence with the figures.
    pub message: String,
    /// What to do about it.
    pub remedy: String,
    /// What makes two defects alike: the SKU, the method, the member's name.
    pub cause: String,
}

/// Longest value kept in a defect, in characters.
const VALUE_CHARS_MAX: usize = 200;

impl Defect {
    /// A defect whose remedy and cause are the general ones; see the `with_` methods.
    pub fn new(code: ExceptionCode, path: impl Into<String>, message: impl Into<String>) -> Self {
        let path = path.into();
        let cause = path.rsplit('/').next().unwrap_or_default().to_owned();
        let remedy = format!("See the page of {code}: {}.", code.title());
        Defect { code, path, value: None, message: message.into(), remedy, cause }
    }

    /// What stood at the path.
    #[must_use]
    pub fn with_value(mut self, value: &str) -> Self {
        self.value = Some(value.chars().take(VALUE_CHARS_MAX).collect());
        self
    }

    /// What to do.
    #[must_use]
    pub fn with_remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = remedy.into();
        self
    }

    /// What makes it like others.
    #[must_use]
    pub fn with_cause(mut self, cause: impl Into<String>) -> Self {
        self.cause = cause.into();
        self
    }

    /// The same for defects with one cause, so that forty-two orders with one unknown SKU are one group: hexadecimal
    /// digits of SHA-256 over code and cause, each preceded by its length.
    pub fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        for part in [self.code.as_str(), self.cause.as_str()] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        HEXLOWER.encode(&hash.finalize()[..8])
    }
}

impl fmt::Display for Defect {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {} ({})", self.code, self.message, self.path)
    }
}

/// Something worth telling that holds nothing up; it travels in the document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// A code of the catalogue, or one of the small ones used for warnings alone (`not_yet_saved`).
    pub code: String,
    /// One sentence.
    pub message: String,
    /// Where in the document or the payload.
    pub path: String,
}

impl Warning {
    /// A warning.
    pub fn new(code: &str, path: impl Into<String>, message: impl Into<String>) -> Self {
        Warning { code: code.to_owned(), message: message.into(), path: path.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_page_that_says_what_how_the_fix_and_what_comes_of_waiting() {
        assert_eq!(ExceptionCode::ALL.len(), 27);
        for code in ExceptionCode::ALL {
            let page = code.page();
            assert!(!code.title().is_empty() && page.contains(&format!("`{code}`")), "{code}");
            for text in [code.meaning(), code.arises(), code.fix(), code.if_ignored()] {
                assert!(text.len() > 20 && !text.contains('#'), "{code}: {text}");
            }
            assert!(code.arises().starts_with("- ") && code.fix().starts_with("1. "), "{code}");
            let remedy = code.remedy();
            assert!(!remedy.is_empty() && !remedy.starts_with('1') && !remedy.contains('\n'), "{code}: {remedy}");
            let sections: Vec<&str> = page.lines().filter(|line| line.starts_with('#')).skip(1).collect();
            let headings = ["## What it means", "## How it arises", "## How to fix it", "## If it is ignored"];
            assert_eq!(sections, headings, "{code}");
            assert_eq!(code.as_str().parse::<ExceptionCode>(), Ok(*code));
        }
        assert!("no_such_code".parse::<ExceptionCode>().is_err());
    }

    #[test]
    fn alike_defects_share_a_fingerprint_wherever_they_stand() {
        let defect = |path: &str, cause: &str| Defect::new(ExceptionCode::UnmappedSku, path, "m").with_cause(cause);
        assert_eq!(defect("items/0/sku", "A").fingerprint(), defect("items/7/sku", "A").fingerprint());
        assert_ne!(defect("items/0/sku", "A").fingerprint(), defect("items/0/sku", "B").fingerprint());
        assert_eq!(defect("", "A").fingerprint().len(), 16);
    }

    #[test]
    fn long_values_are_cut() {
        let defect = Defect::new(ExceptionCode::UnreadablePayload, "x", "m").with_value(&"é".repeat(300));
        assert_eq!(defect.value.unwrap().chars().count(), 200);
    }
}
