//! Mapping tables: read, changed row by row or whole, taken out as CSV.

use axum::extract::Path;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::{Asked, Shown, asked, member};
use crate::console::desk::{Call, Desk, Refused, segment};

/// Rows that a page shows at most; a search narrows them.
const ROWS_SHOWN: usize = 500;

/// `GET /console/mappings`
pub async fn tables(desk: Desk) -> Shown {
    let tables = desk.get("/mappings").await?;
    Ok(desk.page("mappings.html", json!({ "title": "Mappings", "nav": "mappings", "tables": tables["items"] })))
}

/// `GET /console/mappings/{table}`
pub async fn table(desk: Desk, Path(table): Path<String>, asked_for: Asked) -> Shown {
    let fields = asked(asked_for);
    let rows = desk.get(&format!("/mappings/{}", segment(&table))).await?;
    let wanted = member(&fields, "q").map(str::to_lowercase);
    let is_wanted = |row: &&Value| {
        let says =
            |name: &str, wanted: &str| row[name].as_str().is_some_and(|text| text.to_lowercase().contains(wanted));
        wanted
            .as_deref()
            .is_none_or(|wanted| says("key", wanted) || says("value", wanted) || says("destination", wanted))
    };
    let all: Vec<&Value> = rows["items"].as_array().into_iter().flatten().collect();
    let found: Vec<&&Value> = all.iter().filter(|row| is_wanted(row)).collect();
    let context = json!({
        "title": table.replace('_', " "), "nav": "mappings", "table": table, "rows": found.iter().take(ROWS_SHOWN).collect::<Vec<_>>(),
        "found": found.len(), "all": all.len(), "shown": ROWS_SHOWN, "asked": fields,
    });
    Ok(desk.page("mapping.html", context))
}

/// `GET /console/mappings/{table}/export`
pub async fn export(desk: Desk, Path(table): Path<String>) -> Result<Response, Refused> {
    let headers = vec![(header::ACCEPT, "text/csv".to_owned())];
    let call = Call { path: format!("/mappings/{}", segment(&table)), headers, ..Call::default() };
    let answered = desk.call(Method::GET, call).await;
    if answered.status != StatusCode::OK {
        desk.json(&answered)?;
        return Ok(StatusCode::NOT_FOUND.into_response());
    }
    // A table that the API knows has a plain name.
    let name = format!("attachment; filename=\"{table}.csv\"");
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8")),
        (header::CONTENT_DISPOSITION, HeaderValue::from_str(&name).unwrap_or(HeaderValue::from_static("attachment"))),
    ];
    Ok((headers, answered.body).into_response())
}
