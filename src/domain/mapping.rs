//! Look-up tables an operator maintains: an answer is found, missing or not asked for, never a guess.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

/// The tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Table {
    /// Commerce SKU → item number.
    Skus,
    /// Tax rate code (several joined with `+`), else the percent in plain form (`20`, `8.25`) → tax code.
    TaxCodes,
    /// Custom option id, else title → field.
    Options,
    /// Payment method code.
    PaymentMethods,
    /// Shipping method code (`carrier_method`).
    ShippingMethods,
    /// Store id → company or branch.
    Stores,
    /// Warehouse ↔ MSI source code.
    Locations,
}

/// A text that names no table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{0}\" is not a mapping table; there are skus, tax_codes, options, payment_methods, shipping_methods, stores, locations"
)]
pub struct UnknownTable(String);

impl Table {
    /// Every table, in the order the console shows them.
    pub const ALL: [Table; 7] = [
        Table::Skus,
        Table::TaxCodes,
        Table::Options,
        Table::PaymentMethods,
        Table::ShippingMethods,
        Table::Stores,
        Table::Locations,
    ];

    /// The name used by commands, paths and the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Table::Skus => "skus",
            Table::TaxCodes => "tax_codes",
            Table::Options => "options",
            Table::PaymentMethods => "payment_methods",
            Table::ShippingMethods => "shipping_methods",
            Table::Stores => "stores",
            Table::Locations => "locations",
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for Table {
    type Err = UnknownTable;

    fn from_str(text: &str) -> Result<Self, UnknownTable> {
        Table::ALL
            .into_iter()
            .find(|table| table.as_str() == text)
            .ok_or_else(|| UnknownTable(text.chars().take(64).collect()))
    }
}

/// One row of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MappingRow {
    /// What Commerce says.
    pub key: String,
    /// What the destination wants to hear.
    pub value: String,
    /// The destination it is for; `None` is all.
    pub destination: Option<String>,
}

/// What a table says about a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mapped<'a> {
    /// The table has no row at all: nobody asked for a mapping.
    NotLoaded,
    /// The value.
    To(&'a str),
    /// The table has rows, and none for this key and destination.
    Unmapped,
}

#[derive(Clone, Debug, Default)]
struct Targets {
    everywhere: Option<Box<str>>,
    by_destination: Vec<(Box<str>, Box<str>)>,
}

/// An immutable snapshot of all tables.
#[derive(Clone, Debug, Default)]
pub struct Mappings {
    version: u64,
    tables: [HashMap<Box<str>, Targets>; Table::ALL.len()],
}

impl Mappings {
    /// A snapshot; of two rows with one key and destination the later wins.
    pub fn new(version: u64, rows: impl IntoIterator<Item = (Table, MappingRow)>) -> Self {
        let mut mappings = Mappings { version, ..Mappings::default() };
        for (table, row) in rows {
            mappings.put(table, row);
        }
        mappings
    }

    /// This snapshot with one more row, which takes the place of one with its key and destination; the version stays.
    #[must_use]
    pub fn with(&self, table: Table, row: MappingRow) -> Self {
        let mut mappings = self.clone();
        mappings.put(table, row);
        mappings
    }

    fn put(&mut self, table: Table, row: MappingRow) {
        let targets = self.tables[table as usize].entry(row.key.into()).or_default();
        match row.destination.filter(|name| !name.is_empty()) {
            None => targets.everywhere = Some(row.value.into()),
            Some(destination) => {
                targets.by_destination.retain(|(known, _)| **known != *destination);
                targets.by_destination.push((destination.into(), row.value.into()));
            }
        }
    }

    /// The version of the store's tables this snapshot was taken from; 0 for none.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Whether the table has any row.
    pub fn is_loaded(&self, table: Table) -> bool {
        !self.tables[table as usize].is_empty()
    }

    /// What the table says; a row for this very destination wins over one for all.
    pub fn look_up(&self, table: Table, key: &str, destination: &str) -> Mapped<'_> {
        let rows = &self.tables[table as usize];
        if rows.is_empty() {
            return Mapped::NotLoaded;
        }
        let Some(targets) = rows.get(key) else { return Mapped::Unmapped };
        let own = targets.by_destination.iter().find(|(known, _)| **known == *destination).map(|(_, value)| value);
        own.or(targets.everywhere.as_ref()).map_or(Mapped::Unmapped, |value| Mapped::To(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(key: &str, value: &str, destination: Option<&str>) -> MappingRow {
        MappingRow { key: key.into(), value: value.into(), destination: destination.map(str::to_owned) }
    }

    #[test]
    fn a_row_for_the_destination_wins_over_one_for_all() {
        let mappings = Mappings::new(
            3,
            [
                (Table::Skus, row("A", "100", None)),
                (Table::Skus, row("A", "E-100", Some("erp"))),
                (Table::Skus, row("B", "200", Some("wms"))),
                (Table::Skus, row("A", "101", Some(""))),
            ],
        );
        assert_eq!(mappings.look_up(Table::Skus, "A", "erp"), Mapped::To("E-100"));
        assert_eq!(mappings.look_up(Table::Skus, "A", "wms"), Mapped::To("101"));
        assert_eq!(mappings.look_up(Table::Skus, "B", "erp"), Mapped::Unmapped);
        assert_eq!(mappings.look_up(Table::Skus, "C", "erp"), Mapped::Unmapped);
        assert_eq!(mappings.look_up(Table::TaxCodes, "20", "erp"), Mapped::NotLoaded);
        assert!(mappings.is_loaded(Table::Skus) && !mappings.is_loaded(Table::Options));
        assert_eq!(mappings.version(), 3);
        let more = mappings.with(Table::Skus, row("C", "300", None));
        assert_eq!(more.look_up(Table::Skus, "C", "erp"), Mapped::To("300"));
        assert_eq!((mappings.look_up(Table::Skus, "C", "erp"), more.version()), (Mapped::Unmapped, 3));
    }

    #[test]
    fn table_names_round_trip() {
        for table in Table::ALL {
            assert_eq!(table.as_str().parse::<Table>().unwrap(), table);
        }
        assert!("sku".parse::<Table>().is_err());
    }
}
