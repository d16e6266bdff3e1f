//! A sales order document as an aligned table, with the proof that its totals add up. For `demo` and `expand`.
//!
//! It reads the finished `crossdock.sales_order.v1` JSON, not our types: what it shows is what the ERP receives, and the
//! sums are made again from the text. A member that is absent or of another shape is shown empty, never an error.

mod proof;
#[cfg(test)]
mod tests;

use comfy_table::{Cell, CellAlignment, ColumnConstraint, ContentArrangement, LineStyle, Table, TableStyle, Width};
use serde_json::Value;

pub use proof::{Proof, Sum, proof};

/// Fits a terminal or a README without scrolling.
const WIDTH: u16 = 110;

/// Rules under the header and at the end only: the text stays readable when pasted anywhere.
const STYLE: TableStyle = TableStyle::new()
    .header_separator(LineStyle::none().fill('─').junction('─'))
    .bottom_border(LineStyle::none().fill('─').junction('─'));

/// Title, lines, and the totals proof; ends with a line feed.
pub fn render(document: &Value) -> String {
    let table = lines(document);
    let warnings = warnings(document);
    let mut out = title(document);
    for line in table.lines().chain(proof(document).to_string().lines().map(str::to_owned)).chain(warnings) {
        out.push('\n');
        out.push_str(line.trim_end());
    }
    out.push('\n');
    out
}

/// Each warning once, with the number of its places.
fn warnings(document: &Value) -> Vec<String> {
    let mut counted: Vec<(String, usize)> = Vec::new();
    for warning in array(&document["warnings"]) {
        let said = format!("  warning {}: {}", text(&warning["code"]), text(&warning["message"]));
        match counted.iter_mut().find(|(known, _)| *known == said) {
            Some((_, count)) => *count += 1,
            None => counted.push((said, 1)),
        }
    }
    let line = |(said, count)| if count == 1 { said } else { format!("{said} ({count} times)") };
    counted.into_iter().map(line).collect()
}

/// Order number, where it comes from, how it is paid and shipped.
fn title(document: &Value) -> String {
    let order = &document["order"];
    let mut parts = vec![format!("Order {}", text(&order["increment_id"]))];
    parts.push(format!("{} store {}", text(&order["system"]), text(&order["store_id"])));
    for (name, value) in [
        ("placed", &order["placed_at"]),
        ("", &order["currency"]),
        ("payment", &order["payment_method"]),
        ("shipping", &order["shipping_method"]),
    ] {
        let value = text(value);
        if !value.is_empty() {
            parts.push(if name.is_empty() { value } else { format!("{name} {value}") });
        }
    }
    parts.join(" · ")
}

fn lines(document: &Value) -> Table {
    let mut table = Table::new();
    table.load_style(STYLE).set_content_arrangement(ContentArrangement::Dynamic).set_width(WIDTH);
    table.set_header(["#", "kind", "SKU", "name", "qty", "unit", "net", "discount", "tax", "total"]);
    for line in array(&document["lines"]) {
        table.add_row(row(line));
    }
    // Beside the lines, where its destination wants it there.
    if document["shipping"].is_object() {
        let mut cells = row(&document["shipping"]);
        cells[1] = Cell::new("shipping");
        table.add_row(cells);
    }
    for (place, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        match place {
            2 => {
                column.set_constraint(ColumnConstraint::UpperBoundary(Width::Fixed(20)));
            }
            3 => {}
            _ => {
                column.set_constraint(ColumnConstraint::ContentWidth);
            }
        }
        if place == 0 || place > 3 {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

fn row(line: &Value) -> Vec<Cell> {
    let plain = |name: &str| Cell::new(text(&line[name]));
    vec![
        plain("number"),
        plain("kind"),
        plain("sku"),
        Cell::new(name(line)),
        Cell::new(short(&text(&line["quantity"]), 0)),
        Cell::new(short(&text(&line["unit_price"]), 2)),
        plain("net"),
        plain("discount"),
        plain("tax"),
        plain("total"),
    ]
}

/// The name and beneath it, each behind a dot, what a picker reads: bundle, choices, options.
fn name(line: &Value) -> String {
    let mut out = text(&line["name"]);
    let mut beneath = |entry: String| {
        if !entry.is_empty() {
            out.push_str("\n· ");
            out.push_str(&entry);
        }
    };
    let bundle = &line["bundle"];
    if bundle.is_object() {
        beneath(membership(bundle));
    }
    for choice in array(&line["configuration"]) {
        let label = first(&[&choice["label"], &choice["attribute_id"]]);
        beneath(format!("{label}: {}", first(&[&choice["value"], &choice["value_id"]])));
    }
    for option in array(&line["options"]).iter().chain(array(&bundle["options"])) {
        beneath(self::option(option));
    }
    if line["ships"] == Value::Bool(false) && matches!(text(&line["kind"]).as_str(), "item" | "component") {
        beneath("does not ship".to_owned());
    }
    out
}

/// "in Breakfast hamper: Mugs, 2 each".
fn membership(bundle: &Value) -> String {
    let name = first(&[&bundle["name"], &bundle["sku"]]);
    let place = match text(&bundle["option"]) {
        option if option.is_empty() => format!("in {name}"),
        option => format!("in {name}: {option}"),
    };
    match short(&text(&bundle["quantity_per_bundle"]), 0).as_str() {
        "" | "1" => place,
        each => format!("{place}, {each} each"),
    }
}

/// "Engraving: To Anna"; an option not resolved yet shows its id and what was sent.
fn option(option: &Value) -> String {
    let title = match text(&option["title"]) {
        known if !known.is_empty() => known,
        _ => first(&[&option["field"]]).replace('_', " "),
    };
    let title = if title.is_empty() { format!("option {}", text(&option["id"])) } else { title };
    format!("{title}: {}", first(&[&option["value"], &option["raw"]]))
}

fn first(candidates: &[&Value]) -> String {
    candidates.iter().map(|value| text(value)).find(|text| !text.is_empty()).unwrap_or_default()
}

/// An array's members; none if it is something else.
fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// A scalar as one printable line; lists joined by commas.
fn text(value: &Value) -> String {
    match value {
        Value::String(string) => printable(string),
        Value::Number(number) => number.to_string(),
        Value::Bool(bool) => bool.to_string(),
        Value::Array(parts) => parts.iter().map(text).collect::<Vec<_>>().join(", "),
        Value::Null | Value::Object(_) => String::new(),
    }
}

/// A buyer's text must not steer the terminal: line feeds become " / ", other controls and direction marks vanish.
fn printable(text: &str) -> String {
    let steers = |char: char| {
        char.is_control() || matches!(char, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.trim().replace("\r\n", "\n").replace('\n', " / ").chars().filter(|char| !steers(*char)).collect()
}

/// A decimal without closing zeros beyond `digits` places.
fn short(decimal: &str, digits: usize) -> String {
    let Some((whole, fraction)) = decimal.split_once('.') else { return decimal.to_owned() };
    let kept = fraction.trim_end_matches('0').len().max(digits.min(fraction.len()));
    if kept == 0 { whole.to_owned() } else { format!("{whole}.{}", &fraction[..kept]) }
}
