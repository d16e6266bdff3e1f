//! Custom options: readable where the payload or the catalogue can say it, raw always.

use serde::{Deserialize, Serialize};

use super::catalogue::Catalogue;

/// An option value exactly as sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Raw {
    /// Text, or digits.
    Text(String),
    /// 2.4.6 sends dates and times as a list in REST.
    List(Vec<String>),
}

/// What kind of thing an option tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OptionSource {
    /// A custom option a merchant defined: may be mapped to a field, and is missed when it is not.
    Custom,
    /// A detail of the product type (download links, gift card): may be mapped, is not missed.
    Detail,
}

/// An option as parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CustomOption {
    /// Option id; of a detail its name.
    pub id: String,
    /// What kind.
    pub source: OptionSource,
    /// Title, where the payload has it.
    pub title: Option<String>,
    /// Readable value, where the payload has it.
    pub value: Option<String>,
    /// Commerce's type word, where the payload has it.
    pub kind: Option<String>,
    /// Exactly as sent.
    pub raw: Raw,
}

/// An option on a sales line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LineOption {
    /// Option id.
    pub id: String,
    /// Title, `null` until resolved.
    pub title: Option<String>,
    /// Readable value, `null` until resolved.
    pub value: Option<String>,
    /// Exactly as sent.
    pub raw: Raw,
    /// SKU of the option or of its choices.
    pub sku: Option<String>,
    /// The field it is mapped to.
    pub field: Option<String>,
}

/// The option with everything payload and catalogue know; `field` is the mapping's business.
pub fn resolve(option: &CustomOption, catalogue: &dyn Catalogue) -> LineOption {
    let title = option.title.clone().or_else(|| known_title(option, catalogue));
    let kind = option.kind.as_deref().or_else(|| catalogue.option_type(&option.id));
    let value = option.value.clone().or_else(|| value(option, kind, catalogue));
    LineOption {
        id: option.id.clone(),
        title,
        value,
        raw: option.raw.clone(),
        sku: sku(option, kind, catalogue),
        field: None,
    }
}

fn known_title(option: &CustomOption, catalogue: &dyn Catalogue) -> Option<String> {
    match option.source {
        OptionSource::Custom => catalogue.option_title(&option.id).map(str::to_owned),
        OptionSource::Detail => None,
    }
}

fn value(option: &CustomOption, kind: Option<&str>, catalogue: &dyn Catalogue) -> Option<String> {
    if option.source == OptionSource::Detail {
        return joined(&option.raw, ", ", |link| catalogue.link_title(link));
    }
    match (kind, &option.raw) {
        (Some("field" | "area"), Raw::Text(text)) => Some(text.clone()),
        (Some("drop_down" | "radio" | "checkbox" | "multiple"), raw) => {
            joined(raw, ", ", |choice| catalogue.choice_title(&option.id, choice))
        }
        (Some("file"), Raw::Text(text)) => file_title(text),
        // Without a type only a list can be read: dates alone are sent as one. Text could be words or ids.
        (Some("date" | "date_time" | "time"), raw) | (None, raw @ Raw::List(_)) => date_internal(raw),
        _ => None,
    }
}

fn sku(option: &CustomOption, kind: Option<&str>, catalogue: &dyn Catalogue) -> Option<String> {
    match (option.source, kind) {
        (OptionSource::Detail, _) => None,
        (_, Some("drop_down" | "radio" | "checkbox" | "multiple")) => {
            joined(&option.raw, ",", |choice| catalogue.choice_sku(&option.id, choice))
        }
        _ => catalogue.option_sku(&option.id).map(str::to_owned),
    }
}

/// Every id (a list, or a comma list in one text) translated; `None` unless all are known.
fn joined<'c>(raw: &Raw, separator: &str, title: impl Fn(&str) -> Option<&'c str>) -> Option<String> {
    let titles: Option<Vec<&str>> = match raw {
        Raw::Text(text) => text.split(',').map(|id| title(id.trim())).collect(),
        Raw::List(ids) => ids.iter().map(|id| title(id)).collect(),
    };
    titles.filter(|titles| !titles.is_empty()).map(|titles| titles.join(separator))
}

/// The last `YYYY-MM-DD HH:MM:SS`: older versions put every part of the form in front of it.
fn date_internal(raw: &Raw) -> Option<String> {
    let parts: Vec<&str> = match raw {
        Raw::Text(text) => text.split(',').collect(),
        Raw::List(list) => list.iter().map(String::as_str).collect(),
    };
    parts.into_iter().rev().map(str::trim).find(|part| is_internal(part)).map(str::to_owned)
}

fn is_internal(text: &str) -> bool {
    text.len() == 19
        && text.bytes().zip(b"0000-00-00 00:00:00".iter()).all(|(byte, wanted)| match wanted {
            b'0' => byte.is_ascii_digit(),
            other => byte == *other,
        })
}

/// `type,title,/absolute path,…`: the title may hold commas, the path begins with a slash.
fn file_title(text: &str) -> Option<String> {
    let (_, rest) = text.split_once(',')?;
    let (title, _) = rest.split_once(",/")?;
    (!title.is_empty()).then(|| title.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::catalogue::NoCatalogue;

    struct Shop;

    impl Catalogue for Shop {
        fn option_title(&self, option_id: &str) -> Option<&str> {
            matches!(option_id, "5" | "7").then_some("Extras")
        }

        fn option_type(&self, option_id: &str) -> Option<&str> {
            match option_id {
                "5" => Some("field"),
                "7" => Some("checkbox"),
                "8" => Some("file"),
                "9" => Some("date"),
                _ => None,
            }
        }

        fn choice_title(&self, _option_id: &str, choice_id: &str) -> Option<&str> {
            match choice_id {
                "8" => Some("Wax"),
                "9" => Some("Gift box"),
                _ => None,
            }
        }

        fn choice_sku(&self, _option_id: &str, choice_id: &str) -> Option<&str> {
            (choice_id == "8").then_some("WX")
        }
    }

    fn option(id: &str, raw: &str) -> CustomOption {
        let raw = Raw::Text(raw.to_owned());
        CustomOption { id: id.into(), source: OptionSource::Custom, title: None, value: None, kind: None, raw }
    }

    #[test]
    fn values_stay_unread_until_somebody_knows_the_type() {
        let read = resolve(&option("5", "To Anna"), &NoCatalogue);
        assert_eq!((read.title, read.value, read.raw), (None, None, Raw::Text("To Anna".into())));
        let read = resolve(&option("5", "To Anna"), &Shop);
        assert_eq!((read.title.as_deref(), read.value.as_deref()), (Some("Extras"), Some("To Anna")));
    }

    #[test]
    fn choices_are_translated_all_or_not_at_all() {
        assert_eq!(resolve(&option("7", "8,9"), &Shop).value.as_deref(), Some("Wax, Gift box"));
        assert_eq!(resolve(&option("7", "8,10"), &Shop).value, None);
        assert_eq!(resolve(&option("7", "8"), &Shop).sku.as_deref(), Some("WX"));
    }

    #[test]
    fn dates_are_the_last_internal_pattern_and_files_their_title() {
        assert_eq!(resolve(&option("9", "9,24,2020,2020-09-24 00:00:00"), &Shop).value.unwrap(), "2020-09-24 00:00:00");
        let list = Raw::List(vec!["2026-12-24 00:00:00".into(), "12/24/2026".into()]);
        let date = CustomOption { raw: list, ..option("4", "") };
        assert_eq!(resolve(&date, &NoCatalogue).value.unwrap(), "2026-12-24 00:00:00");
        let file = option("8", "image/png,cat, sleeping.png,/var/www/x,quote/x,order/x,12,1,1,ab");
        assert_eq!(resolve(&file, &Shop).value.unwrap(), "cat, sleeping.png");
    }
}
