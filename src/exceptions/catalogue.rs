//! The catalogue as people read it: every code with its page, taken apart into what it tells. Pure.

use serde::Serialize;

use crate::domain::defect::{ExceptionCode, Owner, Severity};

/// A code of the catalogue and its page.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    /// As exceptions carry it.
    pub code: ExceptionCode,
    /// In a few words.
    pub title: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// Whose desk it is.
    pub owner: Owner,
    /// The first step of the fix.
    pub remedy: String,
    /// What it means.
    pub meaning: &'static str,
    /// How it comes about, as a list in Markdown.
    pub arises: &'static str,
    /// How to fix it, step by step, as a list in Markdown.
    pub fix: &'static str,
    /// What happens if nobody does anything.
    pub if_ignored: &'static str,
    /// The whole page in Markdown.
    pub page: &'static str,
}

impl From<ExceptionCode> for Entry {
    fn from(code: ExceptionCode) -> Self {
        Entry {
            code,
            title: code.title(),
            severity: code.severity(),
            owner: code.owner(),
            remedy: code.remedy(),
            meaning: code.meaning(),
            arises: code.arises(),
            fix: code.fix(),
            if_ignored: code.if_ignored(),
            page: code.page(),
        }
    }
}

/// Every code, in the order of the catalogue.
pub fn entries() -> Vec<Entry> {
    ExceptionCode::ALL.iter().copied().map(Entry::from).collect()
}
