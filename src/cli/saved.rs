//! `--view NAME`: the filter of a view that is shared, under the flags that are given beside it.

use anyhow::bail;

use super::print;
use crate::access::{Actor, views};
use crate::store::SharedStore;
use crate::store::saved::Filter;

/// The filter of a shared view of this list; an empty one where none is named.
pub async fn filter(store: &SharedStore, list: &str, named: Option<&str>) -> anyhow::Result<Filter> {
    let Some(named) = named else { return Ok(Filter::new()) };
    let (_, key) = views::name(named)?;
    let mut seen = store.views(Actor::at_the_command_line().to_string()).await?;
    seen.retain(|view| view.list == list);
    let names: Vec<String> = seen.iter().map(|view| format!("\"{}\"", view.name)).collect();
    match seen.into_iter().find(|view| views::name(&view.name).is_ok_and(|(_, known)| known == key)) {
        Some(view) => Ok(view.filter),
        None if names.is_empty() => {
            bail!("no view of this list is shared: share one in the console, or with PATCH /api/v1/views")
        }
        None => bail!("no shared view of this list has that name; there are {}", print::visible(&names.join(", "))),
    }
}
