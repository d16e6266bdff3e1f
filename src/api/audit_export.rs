//! Acts as lines: JSON, or CSV that no spreadsheet runs (API-3). Pure; the API and the command share it.

use super::mapping_csv::escaped;
use crate::store::books::AuditRow;

/// How rows leave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// One JSON document a line; what `audit-log verify --file` reads.
    #[default]
    Jsonl,
    /// For spreadsheets.
    Csv,
}

/// Its first line, where it has one.
pub fn header(format: Format) -> &'static str {
    match format {
        Format::Jsonl => "",
        Format::Csv => "number,at,actor,from,action,target,before,after,reason,previous,digest\r\n",
    }
}

/// One row with its end of line.
pub fn line(format: Format, row: &AuditRow) -> String {
    match format {
        Format::Jsonl => format!("{}\n", serde_json::to_string(row).expect("a row is plain data")),
        Format::Csv => {
            let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
            let (number, at) = (row.number.to_string(), row.at.to_string());
            let texts = [&row.actor, &row.from, &row.action, &row.target, &row.before, &row.after, &row.reason];
            let cells = [number, at].into_iter().chain(texts.into_iter().map(|text| escaped(text)));
            let cells = cells.chain([row.previous.clone(), row.digest.clone()]);
            writer.write_record(cells).expect("writing to memory cannot fail");
            String::from_utf8(writer.into_inner().expect("writing to memory cannot fail")).expect("cells are text")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn api_3_no_cell_of_an_export_is_run_by_a_spreadsheet() {
        let row = AuditRow {
            number: 7,
            at: crate::clock::from_micros(0),
            actor: "=cmd|' /C calc'!A0".into(),
            from: "192.0.2.1".into(),
            action: "user.create".into(),
            target: "+1".into(),
            before: String::new(),
            after: "{\"a\": \"b\"}".into(),
            reason: " @SUM(1)\nnext".into(),
            previous: "0".repeat(64),
            digest: "f".repeat(64),
        };
        let line = line(Format::Csv, &row);
        assert!(line.starts_with("7,1970-01-01T00:00:00Z,'=cmd|' /C calc'!A0,192.0.2.1,user.create,'+1,,"), "{line}");
        assert!(line.contains("\"{\"\"a\"\": \"\"b\"\"}\",\"' @SUM(1)\nnext\","), "{line}");
        assert_eq!(header(Format::Csv).matches(',').count(), 10);
    }
}
