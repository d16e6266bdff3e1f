//! An exception, as far as it matters for noticing many of one kind (POI-4).

/// An exception opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Its cause.
    pub fingerprint: String,
    /// From the catalogue.
    pub code: String,
    /// For whom the record was, if that was known.
    pub destination: Option<String>,
}
