//! Mapping tables as CSV and JSON: `key,value,destination`. Pure; the API and the commands share it.
//!
//! A table that leaves as CSV and comes back is the same table, whatever stands in it: cells that a spreadsheet would
//! run as a formula leave with an apostrophe in front (API-3), which is taken off again on the way in.

use std::collections::HashMap;

use serde::Deserialize;

use super::error::ProblemLine;
use crate::store::view::MappingRecord;

/// Every mapping table.
pub const TABLES: [&str; 7] =
    ["skus", "tax_codes", "options", "payment_methods", "shipping_methods", "stores", "locations"];

/// Findings listed at most; the rest is counted.
const FINDINGS_MAX: usize = 50;

/// Longest key or value in characters; Commerce's columns end far below.
const CELL_MAX: usize = 512;

/// A row as JSON callers write it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RowIn {
    key: String,
    value: String,
    destination: Option<String>,
}

impl RowIn {
    /// For one destination, or all where it is empty.
    pub fn new(key: String, value: String, destination: String) -> Self {
        RowIn { key, value, destination: Some(destination) }
    }
}

/// `{"items": […]}`; `next_cursor` is allowed, so that an answer of ours can be sent back.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RowsIn {
    /// The rows.
    pub items: Vec<RowIn>,
    #[serde(default, rename = "next_cursor")]
    _next_cursor: Option<String>,
}

impl From<RowIn> for MappingRecord {
    fn from(row: RowIn) -> Self {
        MappingRecord { key: row.key, value: row.value, destination: row.destination.unwrap_or_default() }
    }
}

/// Whether a spreadsheet would run the cell: a formula sign first, also behind spaces, apostrophes and in full width.
fn runs(cell: &str) -> bool {
    let first = cell.trim_start_matches(|letter: char| {
        letter == '\'' || letter == ' ' || letter == '\u{3000}' || letter == '\u{a0}'
    });
    first.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '\0', '＝', '＋', '－', '＠'])
}

/// A cell as it leaves: with an apostrophe in front where a spreadsheet would run it.
pub fn escaped(cell: &str) -> String {
    if runs(cell) { format!("'{cell}") } else { cell.to_owned() }
}

fn unescaped(cell: &str) -> &str {
    cell.strip_prefix('\'').filter(|rest| runs(rest)).unwrap_or(cell)
}

/// The table as CSV with a header, quoted per RFC 4180.
pub fn write(rows: &[MappingRecord]) -> String {
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    let mut row = |cells: [&str; 3]| writer.write_record(cells).expect("writing to memory cannot fail");
    row(["key", "value", "destination"]);
    for MappingRecord { key, value, destination } in rows {
        row([&escaped(key), &escaped(value), &escaped(destination)]);
    }
    let bytes = writer.into_inner().expect("writing to memory cannot fail");
    String::from_utf8(bytes).expect("cells are text")
}

/// Rows of a CSV text with a header; every finding is listed with its line.
pub fn read(text: &[u8]) -> Result<Vec<MappingRecord>, Vec<ProblemLine>> {
    let text = std::str::from_utf8(text).map_err(|error| {
        let line = text[..error.valid_up_to()].split(|byte| *byte == b'\n').count();
        vec![ProblemLine::new(format!("line {line}"), "not UTF-8: save the file as \"CSV UTF-8\"")]
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = csv::ReaderBuilder::new().flexible(true).delimiter(delimiter(text)).from_reader(text.as_bytes());
    let header = reader.headers().map_err(|error| vec![unreadable(&error)])?.clone();
    let columns = Columns::of(&header)?;
    let mut rows = Vec::new();
    let mut findings = Vec::new();
    for record in reader.records() {
        match record {
            Ok(record) => rows.push((place(record.position()), columns.row(&record))),
            Err(error) => findings.push(unreadable(&error)),
        }
    }
    findings.extend(check(&rows));
    if findings.is_empty() { Ok(rows.into_iter().map(|(_, row)| row).collect()) } else { Err(shortened(findings)) }
}

/// The same checks for rows that came as JSON.
pub fn checked(items: Vec<RowIn>) -> Result<Vec<MappingRecord>, Vec<ProblemLine>> {
    let rows: Vec<_> =
        items.into_iter().enumerate().map(|(index, row)| (format!("/items/{index}"), row.into())).collect();
    let findings = check(&rows);
    if findings.is_empty() { Ok(rows.into_iter().map(|(_, row)| row).collect()) } else { Err(shortened(findings)) }
}

fn shortened(mut findings: Vec<ProblemLine>) -> Vec<ProblemLine> {
    if findings.len() > FINDINGS_MAX {
        let more = findings.len() - FINDINGS_MAX;
        findings.truncate(FINDINGS_MAX);
        findings.push(ProblemLine::new("", format!("{more} findings more")));
    }
    findings
}

/// Spreadsheets of many countries write semicolons or tabs.
fn delimiter(text: &str) -> u8 {
    let header = text.lines().next().unwrap_or_default();
    if header.contains(',') {
        b','
    } else if header.contains(';') {
        b';'
    } else if header.contains('\t') {
        b'\t'
    } else {
        b','
    }
}

fn unreadable(error: &csv::Error) -> ProblemLine {
    ProblemLine::new(place(error.position()), "not readable as CSV from here on")
}

fn place(position: Option<&csv::Position>) -> String {
    position.map(|position| format!("line {}", position.line())).unwrap_or_default()
}

struct Columns {
    key: usize,
    value: usize,
    destination: Option<usize>,
}

impl Columns {
    fn of(header: &csv::StringRecord) -> Result<Self, Vec<ProblemLine>> {
        let index = |name: &str| header.iter().position(|cell| cell.trim().eq_ignore_ascii_case(name));
        let known = ["key", "value", "destination"];
        let unknown = header.iter().any(|cell| !known.iter().any(|name| cell.trim().eq_ignore_ascii_case(name)));
        match (index("key"), index("value"), unknown) {
            (Some(key), Some(value), false) => Ok(Columns { key, value, destination: index("destination") }),
            _ => Err(vec![ProblemLine::new("line 1", "the first line must be key,value,destination")]),
        }
    }

    fn row(&self, record: &csv::StringRecord) -> MappingRecord {
        let cell = |index: usize| unescaped(record.get(index).unwrap_or_default()).to_owned();
        MappingRecord {
            key: cell(self.key),
            value: cell(self.value),
            destination: self.destination.map(cell).unwrap_or_default(),
        }
    }
}

fn check(rows: &[(String, MappingRecord)]) -> Vec<ProblemLine> {
    let mut findings = Vec::new();
    let mut seen: HashMap<(&str, &str), &str> = HashMap::new();
    for (place, row) in rows {
        if row.key.is_empty() {
            findings.push(ProblemLine::new(place, "the key is empty"));
        }
        if row.key.chars().count() > CELL_MAX || row.value.chars().count() > CELL_MAX {
            findings.push(ProblemLine::new(place, format!("a cell is longer than {CELL_MAX} characters")));
        }
        if let Some(first) = seen.insert((&row.key, &row.destination), place) {
            findings.push(ProblemLine::new(place, format!("the same key and destination stand at {first}")));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(key: &str, value: &str, destination: &str) -> MappingRecord {
        MappingRecord { key: key.to_owned(), value: value.to_owned(), destination: destination.to_owned() }
    }

    #[test]
    fn api_3_cells_that_a_spreadsheet_would_run_get_an_apostrophe() {
        for cell in [
            "=1+1", "+1", "-1", "@x", "\tx", "\rx", "\nx", "\0x", "  =x", "＝x", "＋x", "－x", "＠x", "\u{a0}=x", "'=x",
        ] {
            assert_eq!(escaped(cell), format!("'{cell}"), "{cell:?}");
        }
        for cell in ["A-1", "24-WG085", "'s-Hertogenbosch", "", "é", "1=1"] {
            assert_eq!(escaped(cell), cell);
        }
    }

    #[test]
    fn api_3_a_table_that_leaves_as_csv_comes_back_the_same() {
        let rows = vec![
            row("24-WG085", "10042", ""),
            row("-dash", "=cmd|' /C calc'!A0", "erp"),
            row("'=quoted", "''=twice", ""),
            row("say \"hi\", you", "line\r\nbreak", "wms"),
            row("Ärmel-🧵", "＝full width", ""),
            row(" spaces ", "'plain apostrophe", ""),
        ];
        let text = write(&rows);
        assert!(text.starts_with("key,value,destination\r\n"));
        assert_eq!(read(text.as_bytes()).unwrap(), rows);
    }

    #[test]
    fn files_of_spreadsheets_are_read_as_they_come() {
        let semicolons = "\u{feff}Key;Value\r\nA;1\r\nB;2\r\n";
        assert_eq!(read(semicolons.as_bytes()).unwrap(), [row("A", "1", ""), row("B", "2", "")]);
        assert_eq!(read(b"destination,value,key\nerp,1,A\n").unwrap(), [row("A", "1", "erp")]);
        assert_eq!(read(b"key,value,destination\n").unwrap(), []);
    }

    #[test]
    fn every_finding_is_listed_with_its_line() {
        let findings = read(b"key,value,destination\nA,1,\n,2,\nA,3,\n").unwrap_err();
        assert_eq!(
            findings,
            [
                ProblemLine::new("line 3", "the key is empty"),
                ProblemLine::new("line 4", "the same key and destination stand at line 2"),
            ]
        );
        assert_eq!(read(b"sku,item\nA,1\n").unwrap_err()[0].path, "line 1");
        assert_eq!(read(b"key,value\nA,\xff\n").unwrap_err()[0].path, "line 2");
        assert!(read(b"").is_err());
    }
}
