//! Search criteria as query pairs (adobe-commerce 3.3).

use super::Call;

/// A search under construction: groups are joined by AND, the filters in one by OR.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Search {
    groups: Vec<Vec<(String, String, String)>>,
    sorts: Vec<(String, bool)>,
    page: Option<u64>,
    size: Option<u64>,
    fields: Option<String>,
}

impl Search {
    /// Everything.
    pub fn new() -> Self {
        Search::default()
    }

    /// And this must hold; `condition` is `eq`, `gteq`, `in`, … An unknown one silently matches nothing over there.
    #[must_use]
    pub fn filter(self, field: &str, condition: &str, value: &str) -> Self {
        self.any_of(&[(field, condition, value)])
    }

    /// And one of these must hold.
    #[must_use]
    pub fn any_of(mut self, filters: &[(&str, &str, &str)]) -> Self {
        let owned = |&(field, condition, value): &(&str, &str, &str)| (field.into(), condition.into(), value.into());
        self.groups.push(filters.iter().map(owned).collect());
        self
    }

    /// Then by this field.
    #[must_use]
    pub fn sort(mut self, field: &str, ascending: bool) -> Self {
        self.sorts.push((field.to_owned(), ascending));
        self
    }

    /// Which page, from 1.
    #[must_use]
    pub fn page(mut self, page: u64) -> Self {
        self.page = Some(page);
        self
    }

    /// How many a page.
    #[must_use]
    pub fn size(mut self, size: u64) -> Self {
        self.size = Some(size);
        self
    }

    /// Which members, `items[entity_id,updated_at],total_count`.
    #[must_use]
    pub fn fields(mut self, fields: &str) -> Self {
        self.fields = Some(fields.to_owned());
        self
    }

    /// The query, plain.
    pub fn pairs(&self) -> Vec<(String, String)> {
        let mut pairs = Vec::new();
        for (group, filters) in self.groups.iter().enumerate() {
            for (at, (field, condition, value)) in filters.iter().enumerate() {
                let name = |part: &str| format!("searchCriteria[filter_groups][{group}][filters][{at}][{part}]");
                pairs.push((name("field"), field.clone()));
                pairs.push((name("condition_type"), condition.clone()));
                pairs.push((name("value"), value.clone()));
            }
        }
        for (at, (field, ascending)) in self.sorts.iter().enumerate() {
            let name = |part: &str| format!("searchCriteria[sortOrders][{at}][{part}]");
            pairs.push((name("field"), field.clone()));
            pairs.push((name("direction"), if *ascending { "ASC" } else { "DESC" }.to_owned()));
        }
        let number = |name: &str, value: u64| (format!("searchCriteria[{name}]"), value.to_string());
        pairs.extend(self.size.map(|size| number("pageSize", size)));
        pairs.extend(self.page.map(|page| number("currentPage", page)));
        if pairs.is_empty() {
            // A search without any criteria is refused.
            pairs.push(("searchCriteria".to_owned(), String::new()));
        }
        pairs.extend(self.fields.iter().map(|fields| ("fields".to_owned(), fields.clone())));
        pairs
    }

    /// The call that asks it, `/V1/orders`.
    pub fn call(&self, path: &str) -> Call {
        Call { query: self.pairs(), ..Call::get(path) }
    }
}
