//! Views: filters of a list that somebody keeps under a name, for themselves or for everybody; and the port to them.
//!
//! Who keeps one is the person or the token by id, so that a view goes with its keeper, in the transaction that takes the
//! keeper out. What a filter means is the list's business; here it is names and texts.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Answer;
use super::write::Act;
use crate::clock::Timestamp;
use crate::envelope::ids::ViewId;

/// Most views of one keeper.
pub const VIEWS_MAX: u32 = 50;

/// Most views that are shared, whoever keeps them: all of them stand above the list.
pub const SHARED_MAX: u32 = 100;

/// What a filter asks for: a member of the list's query and its value.
pub type Filter = BTreeMap<String, String>;

/// A view as one person sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SavedView {
    /// Its id.
    pub id: ViewId,
    /// `exceptions`, `groups`, `orders`, `deliveries`.
    pub list: String,
    /// As written.
    pub name: String,
    /// What it asks for.
    pub filter: Filter,
    /// Everybody sees it.
    pub shared: bool,
    /// Whoever asks keeps it.
    pub mine: bool,
    /// Whoever asks begins with it.
    pub start: bool,
    /// Who keeps it, as audit rows say it.
    pub kept_by: String,
    /// When.
    pub created_at: Timestamp,
}

/// A new view.
#[derive(Clone, Debug)]
pub struct NewView {
    /// Its id.
    pub id: ViewId,
    /// Of which list.
    pub list: String,
    /// As written.
    pub name: String,
    /// What tells it from others: one keeper's views of a list have different ones, and so have the shared ones.
    pub name_key: String,
    /// What it asks for.
    pub filter: Filter,
    /// Everybody sees it.
    pub shared: bool,
    /// The keeper's id.
    pub owner: String,
    /// The keeper, as audit rows say it.
    pub kept_by: String,
    /// When.
    pub created_at: Timestamp,
}

/// What of a view changes; what is `None` stays.
#[derive(Clone, Debug, Default)]
pub struct ViewChange {
    /// Another name, with its key.
    pub name: Option<(String, String)>,
    /// Another filter.
    pub filter: Option<Filter>,
    /// Shared from now on, or no longer.
    pub shared: Option<bool>,
}

/// The part of the store that is about views; every method is one transaction.
pub trait Views: Send + Sync + 'static {
    /// Keeps a view. A name that is taken, and one view too many, are `NotAllowed`.
    fn keep_view(&self, view: NewView, act: Act) -> Answer<'_, ()>;

    /// Changes a view; as [`Views::keep_view`].
    fn change_view(&self, id: ViewId, change: ViewChange, act: Act) -> Answer<'_, ()>;

    /// Takes a view away, from whoever begins with it too.
    fn drop_view(&self, id: ViewId, act: Act) -> Answer<'_, ()>;

    /// Whoever has this id begins with a view, or with none.
    fn start_with(&self, owner: String, view: Option<ViewId>, act: Act) -> Answer<'_, ()>;

    /// What somebody sees: their own and the shared ones, by list and name.
    fn views(&self, owner: String) -> Answer<'_, Vec<SavedView>>;
}
