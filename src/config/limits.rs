//! `rate`, `closed` and `time_zone`: how much may be asked, of a destination or of an account that several share.

use std::collections::BTreeMap;

use jiff::civil::{Time, Weekday};
use jiff::tz::TimeZone;

use super::problem::Complaint;
use super::read::{Report, Section};
use super::units::{self, shown};
use crate::destinations::{Account, ClosedHours, Limits, RecipeSettings};

const DAYS: [(&str, Weekday); 7] = [
    ("mon", Weekday::Monday),
    ("tue", Weekday::Tuesday),
    ("wed", Weekday::Wednesday),
    ("thu", Weekday::Thursday),
    ("fri", Weekday::Friday),
    ("sat", Weekday::Saturday),
    ("sun", Weekday::Sunday),
];

/// `[accounts.NAME]`.
pub(super) fn account(name: String, mut section: Section<'_>, report: &mut Report<'_>) -> Account {
    let concurrency = section.field("concurrency").and_then(|field| field.count((1, 1_024), report));
    let limits = limits(&mut section, report);
    if concurrency.is_none() && limits.is_empty() {
        let remedy = "write concurrency = 15, rate = \"600/m\" or closed = [\"01:00-03:30\"], or take it out";
        report.error(&section.place, "limits nothing", remedy);
    }
    section.finish(report);
    Account { name, concurrency: concurrency.and_then(|count| u32::try_from(count).ok()), limits }
}

/// The account that a destination belongs to; whether there is one of that name is said elsewhere.
pub(super) fn account_of(
    section: &mut Section<'_>,
    accounts: &BTreeMap<String, Account>,
    report: &mut Report<'_>,
) -> Option<Account> {
    let name = section.field("account")?.text(report)?;
    accounts.get(name).cloned()
}

/// What a destination allows; where it says nothing of a rate, what its recipe says of its system.
pub(super) fn of_destination(
    section: &mut Section<'_>,
    recipe: Option<&RecipeSettings>,
    report: &mut Report<'_>,
) -> Limits {
    let silent = section.is_without("rate");
    let mut limits = limits(section, report);
    if let Some(recipe) = recipe.filter(|_| silent) {
        for said in &recipe.said.rate {
            match units::rate(said) {
                Ok(rate) => limits.rates.push(rate),
                Err(problem) => report.complain(&section.place.below("recipe"), problem),
            }
        }
    }
    limits
}

/// What a destination or an account allows.
fn limits(section: &mut Section<'_>, report: &mut Report<'_>) -> Limits {
    let rates = section.field("rate").map(|field| field.list(true, report)).unwrap_or_default();
    let rates = rates.iter().filter_map(|field| field.parse(report, units::rate)).collect();
    let zone = section.field("time_zone").and_then(|field| field.parse(report, zone)).unwrap_or(TimeZone::UTC);
    let closed = section.field("closed").map(|field| field.list(true, report)).unwrap_or_default();
    let closed = closed.iter().filter_map(|field| field.parse(report, |text| hours(text, &zone))).collect();
    Limits { rates, closed }
}

/// A zone by its name.
pub(super) fn zone(text: &str) -> Result<TimeZone, Complaint> {
    TimeZone::get(text).map_err(|_| {
        let told = format!("\"{}\" is not a time zone", shown(text));
        Complaint::new(told, "write its name in the IANA database, such as \"Europe/Berlin\"")
    })
}

/// `01:00-03:30`, `22:00-04:00`, `sun 00:00-24:00`.
pub(super) fn hours(text: &str, zone: &TimeZone) -> Result<ClosedHours, Complaint> {
    let remedy = "write \"01:00-03:30\", or with a weekday \"sun 00:00-24:00\"";
    let wrong = || Complaint::new(format!("\"{}\" is not a time of day", shown(text)), remedy);
    let text = text.trim();
    let (day, span) = match text.split_once(' ') {
        None => (None, text),
        Some((day, span)) => {
            let day = DAYS.iter().find(|(word, _)| word.eq_ignore_ascii_case(day)).ok_or_else(wrong)?;
            (Some(day.1), span.trim())
        }
    };
    let (from, to) = span.split_once('-').ok_or_else(wrong)?;
    let from = time(from.trim()).filter(|_| from.trim() != "24:00").ok_or_else(wrong)?;
    let to = time(to.trim()).ok_or_else(wrong)?;
    if from == to && day.is_none() {
        return Err(Complaint::new("is every hour of every day", "take the destination out, or hold it"));
    }
    Ok(ClosedHours { day, from, to, zone: zone.clone() })
}

/// `24:00` is the midnight that ends a day.
fn time(text: &str) -> Option<Time> {
    let (hour, minute) = text.split_once(':')?;
    let two = |digits: &str| {
        (digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| digits.parse::<i8>().ok())?
    };
    match (two(hour)?, two(minute)?) {
        (24, 0) => Some(Time::midnight()),
        (hour, minute) => Time::new(hour, minute, 0, 0).ok(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Config;

    #[test]
    fn closed_hours_are_read_and_nonsense_is_refused() {
        let read = |text: &str| hours(text, &TimeZone::UTC);
        let night = read("01:00-03:30").unwrap();
        assert_eq!(
            (night.day, night.from.to_string(), night.to.to_string()),
            (None, "01:00:00".into(), "03:30:00".into())
        );
        let sunday = read("Sun 00:00 - 24:00").unwrap();
        assert_eq!((sunday.day, sunday.from, sunday.to), (Some(Weekday::Sunday), Time::midnight(), Time::midnight()));
        for wrong in [
            "",
            "1-3",
            "01:00",
            "25:00-26:00",
            "24:00-25:00",
            "24:00-01:00",
            "1:00-2:00",
            "xyz 01:00-02:00",
            "01:60-02:00",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        assert!(read("02:00-02:00").unwrap_err().message.contains("every hour"));
        assert!(zone("Europe/Berlin").is_ok() && zone("Berlin").is_err());
    }

    #[test]
    fn what_a_destination_allows_is_its_own_its_accounts_or_its_systems() {
        let text = r#"
[accounts.tenant]
concurrency = 15
rate = "600/m"

[destinations.erp]
profile = "http"
url = "https://erp.example.com/orders"
account = "tenant"
rate = ["6000/5m", "20000/d"]
closed = "01:00-03:30"
time_zone = "Europe/Berlin"

[destinations.flows]
profile = "patchworks"
url = "https://api.example.com"
with = { flow = "7" }
auth = { type = "bearer", token = "x" }

[destinations.slow-flows]
profile = "patchworks"
url = "https://api.example.com"
with = { flow = "7" }
auth = { type = "bearer", token = "x" }
rate = "30/m"
"#;
        let config = Config::read(text, Path::new(""), &|_| None).unwrap().config;
        let rates = |name: &str| -> Vec<(u32, u64)> {
            config.destinations[name].limits.rates.iter().map(|rate| (rate.count, rate.per.as_secs())).collect()
        };
        assert_eq!(rates("erp"), [(6_000, 300), (20_000, 86_400)]);
        assert_eq!(config.destinations["erp"].limits.closed.len(), 1);
        let account = config.destinations["erp"].account.as_ref().unwrap();
        assert_eq!((account.name.as_str(), account.concurrency, account.limits.rates.len()), ("tenant", Some(15), 1));
        assert_eq!(rates("flows"), [(240, 60)], "Patchworks allows 240 calls a minute");
        assert_eq!(rates("slow-flows"), [(30, 60)]);
        let wrong = text
            .replace("account = \"tenant\"", "account = \"tenat\"")
            .replace("concurrency = 15\nrate = \"600/m\"", "");
        let problems = Config::read(&wrong, Path::new(""), &|_| None).unwrap_err();
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        let problems = problems.join("\n");
        assert!(problems.contains("did you mean \"tenant\"?"), "{problems}");
        assert!(problems.contains("accounts.tenant: limits nothing"), "{problems}");
    }

    #[test]
    fn a_destination_may_go_after_another_but_not_after_itself() {
        let both = |erp: &str, wms: &str| {
            let one = |name: &str, more: &str| {
                format!("[destinations.{name}]\nprofile = \"http\"\nurl = \"https://{name}.example.com\"\n{more}\n")
            };
            Config::read(&(one("erp", erp) + &one("wms", wms)), Path::new(""), &|_| None)
        };
        let config = both("", "after = \"erp\"").unwrap().config;
        assert_eq!(config.destinations["wms"].after.as_deref(), Some("erp"));
        for (erp, wms, told) in [
            ("", "after = \"erpp\"", "did you mean \"erp\"?"),
            ("", "after = \"wms\"", "leads back to this destination"),
            ("after = \"wms\"", "after = \"erp\"", "leads back to this destination"),
        ] {
            let problems: Vec<String> = both(erp, wms).unwrap_err().iter().map(ToString::to_string).collect();
            assert!(problems.iter().any(|problem| problem.contains(told)), "{problems:?}");
        }
    }
}
