//! What the stand-in remembers: tables of entities, documents by path, and what is not visible yet.

use std::collections::{BTreeMap, HashSet};

use super::Visible;
use super::search::stamp;
use super::tree::Tree;
use crate::clock::{Timestamp, later};

/// The tables that can be searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Table {
    /// Orders, key `entity_id`.
    Orders,
    /// Products, key `id`.
    Products,
    /// Source items, by SKU and source.
    SourceItems,
    /// Sources, key `source_code`.
    Sources,
    /// Stocks, key `stock_id`.
    Stocks,
    /// Shipments, key `entity_id`.
    Shipments,
    /// Invoices, key `entity_id`.
    Invoices,
    /// Credit memos, key `entity_id`.
    CreditMemos,
    /// Tax classes, key `class_id`.
    TaxClasses,
    /// Tax rates, key `id`.
    TaxRates,
    /// Tax rules, key `id`.
    TaxRules,
}

impl Table {
    /// Members that identify a row.
    pub(super) fn key(self) -> &'static [&'static str] {
        match self {
            Table::Orders | Table::Shipments | Table::Invoices | Table::CreditMemos => &["entity_id"],
            Table::Products | Table::TaxRates | Table::TaxRules => &["id"],
            Table::SourceItems => &["sku", "source_code"],
            Table::Sources => &["source_code"],
            Table::Stocks => &["stock_id"],
            Table::TaxClasses => &["class_id"],
        }
    }
}

/// Everything in memory.
#[derive(Default)]
pub(super) struct Shop {
    tables: BTreeMap<Table, Vec<Tree>>,
    documents: BTreeMap<String, Tree>,
    /// Orders that exist and cannot be read yet, with the time from which they can.
    unsaved: BTreeMap<u64, Option<Timestamp>>,
    pub(super) nonces: HashSet<String>,
    pub(super) admin_tokens: HashSet<String>,
    pub(super) stores: HashSet<String>,
    pub(super) webhooks: Vec<Tree>,
    pub(super) subscriptions: Vec<Tree>,
}

impl Shop {
    /// Puts a row in its place: merged into the one with the same key, or added in the order of ids.
    pub(super) fn put(&mut self, table: Table, row: &Tree) {
        let key = |row: &Tree| -> Vec<Option<String>> {
            table.key().iter().map(|name| row.get(name).and_then(Tree::as_text).map(str::to_lowercase)).collect()
        };
        let wanted = key(row);
        let rows = self.tables.entry(table).or_default();
        // Most new rows have the highest number of all.
        if id_of(table, row).is_some_and(|id| rows.last().is_some_and(|last| id_of(table, last) < Some(id))) {
            rows.push(row.clone());
            return;
        }
        if let Some(known) = rows.iter_mut().find(|known| key(known) == wanted) {
            known.merge(row);
        } else {
            rows.push(row.clone());
            rows.sort_by_key(|row| id_of(table, row).unwrap_or(u64::MAX));
        }
    }

    /// What a GET of exactly this path answers, `store/websites`.
    pub(super) fn put_document(&mut self, path: &str, document: Tree) {
        self.documents.insert(path.to_owned(), document);
    }

    pub(super) fn document(&self, path: &str) -> Option<&Tree> {
        self.documents.get(path)
    }

    /// Places an order, numbering it if it has no numbers; `visible` says from when it can be read.
    pub(super) fn place(&mut self, mut order: Tree, now: Timestamp, visible: Visible) -> (u64, String) {
        let id = order.get("entity_id").and_then(Tree::as_text).and_then(|id| id.parse().ok());
        let id = id.unwrap_or_else(|| self.next_id());
        order.set("entity_id", Tree::number(id));
        let number = order.get("increment_id").and_then(Tree::as_text).map(str::to_owned);
        let number = number.unwrap_or_else(|| format!("{id:09}"));
        order.set("increment_id", Tree::text(&number));
        for name in ["created_at", "updated_at"] {
            order.set(name, Tree::text(stamp(now)));
        }
        self.put(Table::Orders, &order);
        let from = match visible {
            Visible::AtOnce => return (id, number),
            Visible::After(delay) => Some(later(now, delay)),
            Visible::WhenSaved => None,
        };
        self.unsaved.insert(id, from);
        (id, number)
    }

    fn next_id(&self) -> u64 {
        let last = self.tables.get(&Table::Orders).and_then(|rows| rows.last());
        last.and_then(|row| id_of(Table::Orders, row)).unwrap_or(0) + 1
    }

    /// From now on the order can be read.
    pub(super) fn save(&mut self, id: u64) {
        self.unsaved.remove(&id);
    }

    /// Changes members of an order and moves its `updated_at`; whether there is such an order.
    pub(super) fn change(&mut self, id: u64, change: &Tree, now: Timestamp) -> bool {
        let rows = self.tables.entry(Table::Orders).or_default();
        let Ok(at) = rows.binary_search_by_key(&Some(id), |row| id_of(Table::Orders, row)) else { return false };
        let row = &mut rows[at];
        row.set("updated_at", Tree::text(stamp(now)));
        row.merge(change);
        true
    }

    /// The rows of a table that can be seen now.
    pub(super) fn rows(&self, table: Table, now: Timestamp) -> Vec<&Tree> {
        let hidden = |row: &&Tree| {
            let id = row.get("entity_id").and_then(Tree::as_text).and_then(|id| id.parse().ok());
            let waits = table == Table::Orders && !self.unsaved.is_empty();
            waits && id.and_then(|id: u64| self.unsaved.get(&id)).is_some_and(|from| from.is_none_or(|from| now < from))
        };
        self.tables.get(&table).into_iter().flatten().filter(|row| !hidden(row)).collect()
    }

    /// The order with that id, unless it cannot be read yet.
    pub(super) fn visible_order(&self, id: u64, now: Timestamp) -> Option<Tree> {
        let waits = self.unsaved.get(&id).is_some_and(|from| from.is_none_or(|from| now < from));
        if waits { None } else { self.order(id) }
    }

    /// The order with that id, whether it can be read or not.
    pub(super) fn order(&self, id: u64) -> Option<Tree> {
        let rows = self.tables.get(&Table::Orders)?;
        let at = rows.binary_search_by_key(&Some(id), |row| id_of(Table::Orders, row)).ok()?;
        Some(rows[at].clone())
    }
}

/// The number that a table is ordered by; none where the key is text.
fn id_of(table: Table, row: &Tree) -> Option<u64> {
    row.get(table.key()[0]).and_then(Tree::as_text).and_then(|id| id.parse().ok())
}
