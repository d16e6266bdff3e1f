//! `--view NAME`: the filter of a view that is shared, under the flags that are given beside it.

use anyhow::bail;

use super::print;
use crate::access::{Actor, views};
use crate::store::SharedStore;
use crate::store::saved::Filter;

/// The filter of a shared view of this list; an empty one where none is named.
pub async fn filter(store: &SharedStore, list: &str, view: Option<&str>) -> anyhow::Result<Filter> {
    let Some(wanted) = view else { return Ok(Filter::new()) };
    let (_, key) = views::name(wanted)?;
    let mut seen = store.views(Actor::at_the_command_line().to_string()).await?;
    seen.retain(|one| one.list == list);
    let known: Vec<String> = seen.iter().map(|one| format!("\"{}\"", one.name)).collect();
    match seen.into_iter().find(|one| views::name(&one.name).is_ok_and(|(_, its)| its == key)) {
        Some(one) => Ok(one.filter),
        None if known.is_empty() => {
            bail!("no view of this list is shared: share one in the console, or with PATCH /api/v1/views")
        }
        None => bail!("no shared view of this list has that name; there are {}", print::visible(&known.join(", "))),
    }
}
