//! Is it flowing?

use serde_json::{Value, json};

use super::Shown;
use crate::console::desk::Desk;

/// Hours that the chart shows.
const HOURS: usize = 24;

/// `GET /console`
pub async fn show(desk: Desk) -> Shown {
    let ledger = desk.get("/ledger").await?;
    let destinations = desk.get("/destinations").await?;
    let groups = desk.get("/exceptions/groups").await?;
    let incidents = desk.get("/incidents").await?;
    let traffic = desk.get_if("/traffic").await?;
    let alerts = desk.get_if("/alerts").await?;
    let acts = desk.get("/bulk?state=awaiting_approval&limit=5").await?;
    let orders = desk.get("/orders?limit=8").await?;
    let open: Vec<&Value> =
        incidents["items"].as_array().into_iter().flatten().filter(|incident| incident["ended_at"].is_null()).collect();
    let waiting =
        groups["items"].as_array().into_iter().flatten().filter_map(|group| group["open"].as_u64()).sum::<u64>();
    let chart = traffic.as_ref().map(chart);
    let context = json!({
        "title": "Overview", "nav": "overview", "ledger": ledger, "destinations": destinations["items"],
        "groups": groups["items"], "open_exceptions": waiting, "incidents": open, "orders": orders["items"],
        "traffic": traffic, "chart": chart, "alerts": alerts, "acts": acts["items"],
    });
    Ok(desk.page("overview.html", context))
}

/// Bars of accepted records an hour, beside those of the same hour a week ago.
fn chart(traffic: &Value) -> Value {
    let counts = |name: &str| -> Vec<u64> {
        let hours = traffic[name].as_array().into_iter().flatten();
        hours.map(|hour| hour["accepted"].as_u64().unwrap_or_default()).collect()
    };
    let (now, before) = (counts("hours"), counts("week_before"));
    let first = now.len().saturating_sub(HOURS);
    let hours: Vec<(u64, u64, &Value)> = (first..now.len())
        .map(|index| {
            (now[index], before.get(index).copied().unwrap_or_default(), &traffic["hours"][index]["starts_at"])
        })
        .collect();
    let most = hours.iter().map(|(now, before, _)| *now.max(before)).max().unwrap_or_default().max(1);
    let height = |value: u64| value * 100 / most;
    let bar = |(index, (now, before, from)): (usize, &(u64, u64, &Value))| {
        json!({
            "x": index * 20, "now": now, "before": before, "from": from,
            "height": height(*now), "y": 100 - height(*now), "height_before": height(*before), "y_before": 100 - height(*before),
        })
    };
    let bars: Vec<Value> = hours.iter().enumerate().map(bar).collect();
    json!({ "bars": bars, "most": most, "width": hours.len() * 20 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tallest_hour_fills_the_chart_and_an_empty_one_divides_by_nothing() {
        let traffic = json!({ "hours": [{ "accepted": 5 }, { "accepted": 0 }], "week_before": [{ "accepted": 10 }] });
        let drawn = chart(&traffic);
        assert_eq!((&drawn["bars"][0]["height"], &drawn["bars"][0]["height_before"]), (&json!(50), &json!(100)));
        assert_eq!(drawn["width"], 40);
        assert_eq!(chart(&json!({}))["bars"], json!([]));
    }
}
