//! What a shop has few of: tax classes, store views, websites, sources and stocks.
//!
//! Five short lists, asked for together, kept as one row, and asked for again when they are old. Nothing waits for them. A
//! module that a shop does not have (inventory of several sources) leaves its lists empty.

use serde::{Deserialize, Serialize};

use crate::commerce::product;
use crate::commerce::rest::{Call, Rest, RestError};
use crate::commerce::wire::{Findings, Object, Path};
use crate::json::{self, Limits};

/// Entries of one list that are kept; shops have a handful, and some hundred sources.
const ENTRIES_MAX: usize = 2_000;

/// An entry of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its id, or a source's code.
    pub id: String,
    /// Its code, where it has one beside the id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// For people.
    pub name: String,
    /// Of a store view: its website.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub website_id: Option<String>,
    /// `false` for what is switched off.
    pub active: bool,
}

/// The five lists.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shop {
    /// Product and customer tax classes.
    pub tax_classes: Vec<Entry>,
    /// Store views.
    pub store_views: Vec<Entry>,
    /// Websites.
    pub websites: Vec<Entry>,
    /// Inventory sources, by code.
    pub sources: Vec<Entry>,
    /// Inventory stocks.
    pub stocks: Vec<Entry>,
}

/// Asks for all of them.
///
/// # Errors
/// Commerce cannot be asked now. What it does not have, or does not show us, is an empty list.
pub async fn fetch(rest: &dyn Rest) -> Result<Shop, RestError> {
    let searched = |path: &str| Call::get(path).with("searchCriteria[pageSize]", "300");
    Ok(Shop {
        tax_classes: list(rest, searched("/V1/taxClasses/search"), "class_id", "class_name").await?,
        store_views: list(rest, Call::get("/V1/store/storeViews"), "id", "name").await?,
        websites: list(rest, Call::get("/V1/store/websites"), "id", "name").await?,
        sources: list(rest, searched("/V1/inventory/sources"), "source_code", "name").await?,
        stocks: list(rest, searched("/V1/inventory/stocks"), "stock_id", "name").await?,
    })
}

async fn list(rest: &dyn Rest, call: Call, id: &str, name: &str) -> Result<Vec<Entry>, RestError> {
    let body = match rest.call(call).await {
        Ok(answered) => answered.body,
        // The module is not there, or our user may not read it: an order needs neither.
        Err(RestError::NotFound(_) | RestError::Refused { .. } | RestError::Unauthorized(_)) => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let json = json::parse(&body, &Limits::default())
        .map_err(|error| RestError::Unreachable(format!("what it answered cannot be read: {error}")))?;
    // Some of these interfaces answer a list, others a search.
    let all = if json.is_array() { json.elements().unwrap_or_default() } else { product::listed(&json) };
    let findings = Findings::default();
    let entries = all.into_iter().take(ENTRIES_MAX).filter_map(|entry| {
        let object = Object::of(entry, Path::Root, &findings)?;
        let active = ["enabled", "is_active"].into_iter().find_map(|member| object.string(member));
        Some(Entry {
            id: object.string(id)?,
            code: object.string("code"),
            name: object.string(name).unwrap_or_default(),
            website_id: object.string("website_id"),
            active: !matches!(active.as_deref(), Some("0" | "false")),
        })
    });
    Ok(entries.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commerce::rest::{Answered, Reply};

    /// A shop without inventory of several sources.
    struct Single;

    impl Rest for Single {
        fn system(&self) -> &'static str {
            "acme"
        }

        fn call(&self, call: Call) -> Reply<'_> {
            let body = match call.path.as_str() {
                "/V1/taxClasses/search" => {
                    r#"{"items":[{"class_id":2,"class_name":"Taxable Goods","class_type":"PRODUCT"}],"total_count":1}"#
                }
                "/V1/store/storeViews" => {
                    r#"[{"id":0,"code":"admin","name":"Admin","website_id":0,"is_active":1},{"id":2,"code":"de","name":"Deutsch","website_id":1,"is_active":0},{"name":"broken"}]"#
                }
                "/V1/store/websites" => r#"[{"id":1,"code":"base","name":"Main Website"}]"#,
                _ => return Box::pin(async { Err(RestError::NotFound("Request does not match any route.".into())) }),
            };
            Box::pin(async move { Ok(Answered { status: 200, body: bytes::Bytes::from_static(body.as_bytes()) }) })
        }
    }

    #[tokio::test]
    async fn five_lists_are_read_and_what_a_shop_does_not_have_is_empty() {
        let shop = fetch(&Single).await.unwrap();
        assert_eq!((shop.tax_classes[0].id.as_str(), shop.tax_classes[0].name.as_str()), ("2", "Taxable Goods"));
        assert_eq!(shop.store_views.len(), 2, "an entry without an id is none");
        assert_eq!((shop.store_views[1].code.as_deref(), shop.store_views[1].active), (Some("de"), false));
        assert_eq!(shop.websites[0].code.as_deref(), Some("base"));
        assert!(shop.sources.is_empty() && shop.stocks.is_empty());
    }
}
