//! `searchCriteria`, as the engine reads it from a query: both spellings, OR within a group, AND between groups.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::str::FromStr;

use rust_decimal::Decimal;

use super::answer::Answer;
use super::tree::Tree;

/// What was asked, ready to be applied to a table.
#[derive(Debug, Default)]
pub(super) struct Criteria {
    groups: Vec<Vec<Filter>>,
    sorts: Vec<Sort>,
    page_size: Option<i64>,
    current_page: Option<i64>,
}

#[derive(Debug)]
struct Filter {
    field: Option<String>,
    value: String,
    condition: String,
}

#[derive(Debug)]
struct Sort {
    field: String,
    direction: String,
}

/// How large a page may be, where input limiting is on.
#[derive(Clone, Copy, Debug, Default)]
pub struct PageLimits {
    /// A larger `pageSize` is refused.
    pub size_max: Option<i64>,
    /// What counts when none is given.
    pub size_default: Option<i64>,
}

impl Criteria {
    /// Reads decoded query pairs.
    pub(super) fn read(pairs: &[(String, String)], limits: PageLimits) -> Result<Criteria, Answer> {
        let mut criteria = Criteria::default();
        let (mut groups, mut sorts) = (BTreeMap::new(), BTreeMap::new());
        let mut given = false;
        for (name, value) in pairs {
            let Some(rest) = name.strip_prefix("searchCriteria").or_else(|| name.strip_prefix("search_criteria"))
            else {
                continue;
            };
            given = true;
            let path: Vec<&str> = rest.split(['[', ']']).filter(|part| !part.is_empty()).collect();
            match path[..] {
                // `searchCriteria=` and a group that is no list ask for nothing in particular.
                [] | ["filter_groups" | "filterGroups" | "sort_orders" | "sortOrders"] => {}
                ["filter_groups" | "filterGroups", group, "filters", filter, member] => {
                    let filters: &mut BTreeMap<u32, Filter> = groups.entry(index(group)).or_default();
                    let filter = filters.entry(index(filter)).or_insert_with(Filter::empty);
                    match member {
                        "field" => filter.field = Some(value.clone()),
                        "value" => filter.value.clone_from(value),
                        "condition_type" | "conditionType" => filter.condition.clone_from(value),
                        _ => return Err(Answer::masked()),
                    }
                }
                ["sort_orders" | "sortOrders", at, member] => {
                    let sort = sorts.entry(index(at)).or_insert_with(Sort::empty);
                    match member {
                        "field" => sort.field.clone_from(value),
                        "direction" => sort.direction = direction(value)?,
                        _ => return Err(Answer::masked()),
                    }
                }
                ["page_size" | "pageSize"] => criteria.page_size = Some(whole("pageSize", value)?),
                ["current_page" | "currentPage"] => criteria.current_page = Some(whole("currentPage", value)?),
                _ => return Err(Answer::masked()),
            }
        }
        if !given {
            return Err(Answer::required("searchCriteria"));
        }
        criteria.groups = groups.into_values().map(|filters| filters.into_values().collect()).collect();
        criteria.sorts = sorts.into_values().collect();
        criteria.limit(limits)?;
        Ok(criteria)
    }

    fn limit(&mut self, limits: PageLimits) -> Result<(), Answer> {
        if let (Some(size), Some(max)) = (self.page_size, limits.size_max)
            && size > max
        {
            let parameters = Tree::object([("max", Tree::number(max))]);
            return Err(Answer::error(400, "Maximum SearchCriteria pageSize is %max", Some(parameters)));
        }
        self.page_size = self.page_size.or(limits.size_default);
        Ok(())
    }

    /// `{"items":…,"search_criteria":…,"total_count":…}` over `rows`; `column` gives a row's value, `unknown` says what
    /// is answered for a column that the table does not have.
    pub(super) fn apply(
        &self,
        rows: &[&Tree],
        known: &dyn Fn(&str) -> bool,
        column: &dyn Fn(&Tree, &str) -> Option<String>,
        unknown: &dyn Fn(&str) -> Answer,
    ) -> Result<Tree, Answer> {
        for filter in self.groups.iter().flatten() {
            let Some(field) = &filter.field else { return Err(Answer::masked()) };
            if !known(field) {
                return Err(unknown(field));
            }
        }
        if let Some(sort) = self.sorts.iter().find(|sort| !known(&sort.field)) {
            return Err(unknown(&sort.field));
        }
        let matches = |row: &&Tree| {
            self.groups.iter().all(|group| {
                group.iter().any(|filter| {
                    let field = filter.field.as_deref().unwrap_or_default();
                    filter.matches(field, column(row, field).as_deref())
                })
            })
        };
        let mut found: Vec<&Tree> = rows.iter().copied().filter(matches).collect();
        found.sort_by(|one, other| self.order(one, other, column));
        let total = found.len();
        let items = self.page(found).into_iter().cloned().collect();
        Ok(Tree::object([
            ("items", Tree::List(items)),
            ("search_criteria", self.echo()),
            ("total_count", Tree::number(total)),
        ]))
    }

    fn order(&self, one: &Tree, other: &Tree, column: &dyn Fn(&Tree, &str) -> Option<String>) -> Ordering {
        let by = self.sorts.iter().map(|sort| {
            let (one, other) = (column(one, &sort.field), column(other, &sort.field));
            let ordering = match (one, other) {
                (Some(one), Some(other)) => compare(&one, &other),
                (one, other) => one.is_some().cmp(&other.is_some()),
            };
            // The direction is descending unless said otherwise.
            if sort.direction == "ASC" { ordering } else { ordering.reverse() }
        });
        by.fold(Ordering::Equal, Ordering::then)
    }

    /// A size of 0 means everything, a negative one a single row; a page below 1 is the first, one past the end empty.
    fn page<'t>(&self, found: Vec<&'t Tree>) -> Vec<&'t Tree> {
        let Some(size) = self.page_size.filter(|size| *size != 0) else { return found };
        let size = usize::try_from(size).unwrap_or(1);
        let page = self.current_page.and_then(|page| usize::try_from(page).ok()).unwrap_or(1).max(1);
        found.into_iter().skip(size.saturating_mul(page - 1)).take(size).collect()
    }

    fn echo(&self) -> Tree {
        let filter = |filter: &Filter| {
            Tree::object([
                ("field", Tree::text(filter.field.clone().unwrap_or_default())),
                ("value", Tree::text(&filter.value)),
                ("condition_type", Tree::text(&filter.condition)),
            ])
        };
        let group = |group: &Vec<Filter>| Tree::object([("filters", Tree::List(group.iter().map(filter).collect()))]);
        let mut echo = Tree::object([("filter_groups", Tree::List(self.groups.iter().map(group).collect()))]);
        if !self.sorts.is_empty() {
            let sort = |sort: &Sort| {
                Tree::object([("field", Tree::text(&sort.field)), ("direction", Tree::text(&sort.direction))])
            };
            echo.set("sort_orders", Tree::List(self.sorts.iter().map(sort).collect()));
        }
        if let Some(size) = self.page_size {
            echo.set("page_size", Tree::number(size));
        }
        if let Some(page) = self.current_page {
            echo.set("current_page", Tree::number(page));
        }
        echo
    }
}

impl Filter {
    fn empty() -> Filter {
        Filter { field: None, value: String::new(), condition: "eq".to_owned() }
    }

    /// As the database compares: without letter case and trailing spaces, numbers by value, `null` only by name.
    fn matches(&self, field: &str, value: Option<&str>) -> bool {
        if self.condition == "null" {
            return value.is_none();
        }
        let Some(value) = value else { return false };
        let wanted = if field.ends_with("_at") { date(&self.value) } else { self.value.clone() };
        // What is no date counts as the beginning of time.
        let ordering = if is_text_column(field) { textual(value, &wanted) } else { compare(value, &wanted) };
        let listed = || self.value.split(',').any(|item| same(field, value, item));
        match self.condition.as_str() {
            "eq" => same(field, value, &wanted),
            "neq" => !same(field, value, &wanted),
            "gt" => ordering == Ordering::Greater,
            "gteq" | "moreq" | "from" => ordering != Ordering::Less,
            "lt" => ordering == Ordering::Less,
            "lteq" | "to" => ordering != Ordering::Greater,
            "in" => listed(),
            "nin" => !listed(),
            "like" => like(&value.to_lowercase(), &self.value.to_lowercase()),
            "nlike" => !like(&value.to_lowercase(), &self.value.to_lowercase()),
            "finset" => value.split(',').any(|item| same(field, item, &wanted)),
            "nfinset" => !value.split(',').any(|item| same(field, item, &wanted)),
            "notnull" => true,
            // An unknown condition matches nothing and nobody hears of it.
            _ => false,
        }
    }
}

impl Sort {
    fn empty() -> Sort {
        Sort { field: String::new(), direction: "DESC".to_owned() }
    }
}

fn index(text: &str) -> u32 {
    text.parse().unwrap_or_default()
}

fn whole(name: &str, value: &str) -> Result<i64, Answer> {
    value.parse().map_err(|_| {
        let message = format!(
            "Error occurred during \"{name}\" processing. The \"{value}\" value's type is invalid. The \"int\" type was \
             expected. Verify and try again."
        );
        Answer::message(400, &message)
    })
}

fn direction(value: &str) -> Result<String, Answer> {
    let direction = value.to_uppercase();
    if ["ASC", "DESC"].contains(&direction.as_str()) {
        return Ok(direction);
    }
    let message = "The sort order has to be specified as %1 for ascending order or %2 for descending order.";
    Err(Answer::with(400, message, &["ASC", "DESC"]))
}

/// Order numbers and SKUs are text even where they look like numbers.
fn is_text_column(field: &str) -> bool {
    matches!(field, "increment_id" | "sku" | "ext_order_id" | "source_code")
}

fn same(field: &str, value: &str, wanted: &str) -> bool {
    let ordering = if is_text_column(field) { textual(value, wanted) } else { compare(value, wanted) };
    ordering == Ordering::Equal
}

fn textual(one: &str, other: &str) -> Ordering {
    one.trim_end().to_lowercase().cmp(&other.trim_end().to_lowercase())
}

fn compare(one: &str, other: &str) -> Ordering {
    match (Decimal::from_str(one), Decimal::from_str(other)) {
        (Ok(one), Ok(other)) => one.cmp(&other),
        _ => textual(one, other),
    }
}

/// A time in any spelling as the database keeps it, UTC; what is no time is nothing, which is before everything.
fn date(text: &str) -> String {
    if let Ok(at) = text.replacen(' ', "T", 1).parse::<jiff::Timestamp>() {
        return stamp(at);
    }
    let plain = text.replacen('T', " ", 1);
    if plain.parse::<jiff::civil::DateTime>().is_ok() { plain } else { String::new() }
}

/// `2026-11-23 04:50:45`, UTC.
pub(super) fn stamp(at: jiff::Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// SQL's `LIKE` with `%` and `_`.
fn like(text: &str, pattern: &str) -> bool {
    let mut chars = pattern.chars();
    match chars.next() {
        None => text.is_empty(),
        Some('%') => {
            let rest = chars.as_str();
            text.char_indices().any(|(at, _)| like(&text[at..], rest)) || like("", rest)
        }
        Some(wanted) => {
            let mut text = text.chars();
            text.next().is_some_and(|found| wanted == '_' || found == wanted) && like(text.as_str(), chars.as_str())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_compared_in_utc_whatever_their_spelling() {
        assert_eq!(date("2026-11-23T04:50:45Z"), "2026-11-23 04:50:45");
        assert_eq!(date("2026-11-23 06:50:45+02:00"), "2026-11-23 04:50:45");
        assert_eq!(date("2026-11-23 04:50:45"), "2026-11-23 04:50:45");
        assert_eq!(date("not a date"), "");
    }

    #[test]
    fn like_knows_its_two_wildcards() {
        assert!(like("000000012", "000000%"));
        assert!(like("abc", "a_c"));
        assert!(!like("abc", "a_"));
        assert!(like("", "%"));
    }
}
