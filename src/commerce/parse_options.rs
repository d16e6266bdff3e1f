//! What was chosen on an item: custom options, download links, gift card details, attributes of a configurable.
//!
//! REST has ids only (`product_option`), stored orders have readable words too (`product_options`). Nothing is read from
//! a child: what stands there repeats its parent's.

use crate::domain::defect::{Defect, ExceptionCode};
use crate::domain::options::{CustomOption, OptionSource, Raw};
use crate::domain::order::ConfiguredAttribute;
use crate::json::Json;

use super::wire::Object;

/// Everything chosen on one item.
#[derive(Debug, Default)]
pub(super) struct Chosen {
    pub(super) options: Vec<CustomOption>,
    pub(super) configuration: Vec<ConfiguredAttribute>,
}

/// What was chosen on an item that is nobody's child.
pub(super) fn chosen(item: &Object<'_, '_, '_>) -> Chosen {
    let mut chosen = Chosen::default();
    item.object("product_options", |stored| stored_options(stored, &mut chosen));
    item.object("product_option", |option| {
        option.object("extension_attributes", |extension| rest_options(extension, &mut chosen))
    });
    chosen
}

/// Details of a gift card, in the spelling of REST; stored options use the same words without `_item_option`.
const GIFT_CARD: [(&str, &str); 7] = [
    ("giftcard_amount", "Gift card amount"),
    ("custom_giftcard_amount", "Gift card amount chosen"),
    ("giftcard_sender_name", "Gift card sender name"),
    ("giftcard_sender_email", "Gift card sender e-mail"),
    ("giftcard_recipient_name", "Gift card recipient name"),
    ("giftcard_recipient_email", "Gift card recipient e-mail"),
    ("giftcard_message", "Gift card message"),
];

fn stored_options(stored: &Object<'_, '_, '_>, chosen: &mut Chosen) {
    stored.each_object("options", |option| chosen.options.extend(stored_option(option)));
    stored.each_object("attributes_info", |attribute| {
        if let Some(id) = attribute.string("option_id").or_else(|| attribute.string("label")) {
            chosen.configuration.push(ConfiguredAttribute {
                attribute_id: id,
                value_id: attribute.string("option_value"),
                label: attribute.string("label"),
                value: attribute.string("value"),
            });
        }
    });
    links(stored, "links", chosen);
    gift_card(stored, chosen);
    stored.object("info_buyRequest", |request| requested(request, chosen));
}

/// Option ids of the request, where nothing readable was stored beside it.
fn requested(request: &Object<'_, '_, '_>, chosen: &mut Chosen) {
    if chosen.options.iter().any(|option| option.source == OptionSource::Custom) {
        return;
    }
    if let Some(Json::Object(options)) = request.get("options") {
        for (id, value) in options {
            if let Some(raw) = raw(value) {
                chosen.options.push(custom(id, raw));
            }
        }
    }
}

fn stored_option(option: &Object<'_, '_, '_>) -> Option<CustomOption> {
    // Extensions store options of their own without an id of the catalogue: the label is what tells them apart.
    let Some(id) = option.string("option_id").or_else(|| option.string("label")) else {
        let message = "an option has neither an id nor a label, so nobody could tell what it is";
        let path = option.path().to_string();
        option.findings().defect(Defect::new(ExceptionCode::UnreadablePayload, path, message));
        return None;
    };
    // `value` is escaped for HTML (and a link for files); `print_value` is what a person reads.
    let value = option.string("print_value").or_else(|| option.text("value").map(unescaped));
    let raw = option.get("option_value").and_then(raw);
    Some(CustomOption {
        title: option.string("label"),
        kind: option.string("option_type"),
        raw: raw.unwrap_or_else(|| Raw::Text(value.clone().unwrap_or_default())),
        value,
        ..custom(&id, Raw::Text(String::new()))
    })
}

fn rest_options(extension: &Object<'_, '_, '_>, chosen: &mut Chosen) {
    if !chosen.options.iter().any(|option| option.source == OptionSource::Custom) {
        extension.each_object("custom_options", |option| {
            if let (Some(id), Some(raw)) = (option.string("option_id"), option.get("option_value").and_then(raw)) {
                chosen.options.push(custom(&id, raw));
            }
        });
    }
    if chosen.configuration.is_empty() {
        extension.each_object("configurable_item_options", |option| {
            if let Some(attribute_id) = option.string("option_id") {
                let value_id = option.string("option_value");
                chosen.configuration.push(ConfiguredAttribute { attribute_id, value_id, label: None, value: None });
            }
        });
    }
    extension.object("downloadable_option", |option| links(option, "downloadable_links", chosen));
    extension.object("giftcard_item_option", |option| gift_card(option, chosen));
}

fn links(object: &Object<'_, '_, '_>, name: &str, chosen: &mut Chosen) {
    let mut ids = Vec::new();
    object.each(name, |id, _| ids.extend(id.as_text().map(str::to_owned)));
    if !ids.is_empty() && !chosen.options.iter().any(|option| option.id == "downloadable_links") {
        chosen.options.push(detail("downloadable_links", "Downloadable links", Raw::List(ids), None));
    }
}

fn gift_card(object: &Object<'_, '_, '_>, chosen: &mut Chosen) {
    for (id, title) in GIFT_CARD {
        if let Some(text) = object.string(id).filter(|_| !chosen.options.iter().any(|option| option.id == id)) {
            chosen.options.push(detail(id, title, Raw::Text(text.clone()), Some(text)));
        }
    }
    let mut codes = Vec::new();
    object.each("giftcard_created_codes", |code, _| codes.extend(code.as_text().map(str::to_owned)));
    if !codes.is_empty() && !chosen.options.iter().any(|option| option.id == "giftcard_created_codes") {
        let value = Some(codes.join(", "));
        chosen.options.push(detail("giftcard_created_codes", "Gift card codes", Raw::List(codes), value));
    }
}

fn custom(id: &str, raw: Raw) -> CustomOption {
    CustomOption { id: id.to_owned(), source: OptionSource::Custom, title: None, value: None, kind: None, raw }
}

fn detail(id: &str, title: &str, raw: Raw, value: Option<String>) -> CustomOption {
    CustomOption {
        id: id.to_owned(),
        source: OptionSource::Detail,
        title: Some(title.to_owned()),
        value,
        kind: None,
        raw,
    }
}

/// A string, or a list of strings; of an object (a date as it was posted) its values.
fn raw(value: &Json<'_>) -> Option<Raw> {
    match value {
        Json::Null => None,
        Json::Bool(value) => Some(Raw::Text(value.to_string())),
        Json::String(text) => Some(Raw::Text(text.to_string())),
        Json::Number(digits) => Some(Raw::Text((*digits).to_owned())),
        Json::Array(_) | Json::Object(_) => {
            let spelled = |part: &&Json<'_>| part.as_text().map_or_else(|| part.to_string(), str::to_owned);
            Some(Raw::List(value.elements()?.iter().map(spelled).collect()))
        }
    }
}

/// The five entities PHP's `htmlspecialchars` writes, read back in one pass.
fn unescaped(text: &str) -> String {
    const ENTITIES: [(&str, &str); 6] =
        [("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#039;", "'"), ("&#39;", "'")];
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let known = ENTITIES.iter().find(|(entity, _)| rest.starts_with(entity));
        let (entity, plain) = known.copied().unwrap_or(("&", "&"));
        out.push_str(plain);
        rest = &rest[entity.len()..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn html_entities_are_read_back_once() {
        assert_eq!(
            unescaped("Zoë &amp; Co &lt;b&gt; &#039;x&#039; &amp;lt; & &nbsp;"),
            "Zoë & Co <b> 'x' &lt; & &nbsp;"
        );
    }
}
