//! Products and product attributes of Commerce's REST interface, as far as orders need them.
//!
//! A product that cannot be read is left out, not refused: nobody waits for it, and what stays unresolved is said in the
//! document. Members are read as tolerantly as an order's ([`super::wire`]).

use crate::domain::catalogue::{Attribute, BundleOption, Choice, PriceType, Product, ProductOption};
use crate::json::Json;

use super::wire::{Findings, Object, Path};

/// Texts of options are kept up to this many characters; Commerce's columns are shorter.
const TEXT_MAX: usize = 1_000;

/// The entities of a search's answer: `items` may be `null`, or a map by number.
pub fn listed<'j, 'a>(json: &'j Json<'a>) -> Vec<&'j Json<'a>> {
    json.present("items").and_then(Json::elements).unwrap_or_default()
}

/// One product; `None` without an id or a SKU.
pub fn product(json: &Json<'_>) -> Option<Product> {
    let findings = Findings::default();
    let object = Object::of(json, Path::Root, &findings)?;
    let mut product = Product {
        id: object.id("id").or_else(|| object.id("entity_id"))?,
        sku: object.string("sku")?,
        kind: object.string("type_id").unwrap_or_default(),
        price: object.decimal("price"),
        weight: object.decimal("weight"),
        updated_at: object.string("updated_at"),
        ..Product::default()
    };
    object.each_object("custom_attributes", |attribute| custom_attribute(attribute, &mut product));
    // Event data has attributes as members of the product itself.
    product.tax_class = product.tax_class.or_else(|| object.string("tax_class_id"));
    product.price_type = product.price_type.or_else(|| object.text("price_type").and_then(price_type));
    if product.kind != "bundle" {
        product.price_type = None;
    }
    object.each_object("options", |option| product.options.extend(self::option(option)));
    object.object("extension_attributes", |extension| {
        extension.each_object("downloadable_product_links", |link| {
            product.links.extend(link.string("id").zip(title(link)));
        });
        extension.each_object("bundle_product_options", |option| product.bundle.extend(bundle_option(option)));
    });
    Some(product)
}

fn custom_attribute(attribute: &Object<'_, '_, '_>, product: &mut Product) {
    match attribute.text("attribute_code") {
        Some("tax_class_id") => product.tax_class = attribute.string("value"),
        Some("price_type") => product.price_type = attribute.text("value").and_then(price_type),
        _ => {}
    }
}

fn price_type(word: &str) -> Option<PriceType> {
    match word {
        "0" => Some(PriceType::Dynamic),
        "1" => Some(PriceType::Fixed),
        _ => None,
    }
}

fn option(option: &Object<'_, '_, '_>) -> Option<ProductOption> {
    let mut choices = Vec::new();
    option.each_object("values", |choice| {
        let id = choice.string("option_type_id");
        choices.extend(id.zip(title(choice)).map(|(id, title)| Choice { id, title, sku: choice.string("sku") }));
    });
    Some(ProductOption {
        id: option.string("option_id")?,
        title: title(option)?,
        kind: option.string("type").unwrap_or_default(),
        sku: option.string("sku"),
        choices,
    })
}

/// An option of a bundle with its selections; one without a title says nothing to a picker.
fn bundle_option(option: &Object<'_, '_, '_>) -> Option<BundleOption> {
    let mut selections = Vec::new();
    option.each_object("product_links", |link| {
        let quantity = link.decimal("qty").map_or_else(|| "1".to_owned(), |quantity| quantity.normalize().to_string());
        selections.extend(link.string("sku").map(|sku| (sku, quantity)));
    });
    Some(BundleOption { id: option.string("option_id")?, title: title(option)?, selections })
}

fn title(object: &Object<'_, '_, '_>) -> Option<String> {
    object.text("title").map(|title| title.chars().take(TEXT_MAX).collect())
}

/// One product attribute; `None` without an id.
pub fn attribute(json: &Json<'_>) -> Option<Attribute> {
    let findings = Findings::default();
    let object = Object::of(json, Path::Root, &findings)?;
    let mut values = std::collections::BTreeMap::new();
    object.each_object("options", |option| {
        // The first is the empty choice of a form.
        if let (Some(id), Some(label)) = (option.string("value"), option.string("label")) {
            values.insert(id, label);
        }
    });
    let label = object.string("default_frontend_label").or_else(|| object.string("frontend_label"));
    Some(Attribute {
        id: object.id("attribute_id")?,
        code: object.string("attribute_code").unwrap_or_default(),
        label,
        values,
    })
}

#[cfg(test)]
mod tests {
    use rust_decimal::Decimal;

    use super::*;
    use crate::json::{self, Limits};

    fn read(text: &str) -> Json<'_> {
        json::parse(text.as_bytes(), &Limits::default()).unwrap()
    }

    #[test]
    fn custom_attributes_are_read_from_a_list_from_a_map_and_from_the_product_itself() {
        for text in [
            r#"{"id": 9, "sku": "KIT", "type_id": "bundle", "price": 150, "weight": 0,
                "custom_attributes": [{"attribute_code": "price_type", "value": "1"},
                                      {"attribute_code": "category_ids", "value": ["3"]},
                                      {"attribute_code": "tax_class_id", "value": 2}]}"#,
            r#"{"id": "9", "sku": "KIT", "type_id": "bundle", "price": "150", "weight": "0",
                "custom_attributes": {"5": {"attribute_code": "price_type", "value": 1},
                                      "9": {"attribute_code": "tax_class_id", "value": "2"}}}"#,
            r#"{"entity_id": "9", "sku": "KIT", "type_id": "bundle", "price": "150", "weight": 0,
                "price_type": "1", "tax_class_id": "2"}"#,
        ] {
            let product = product(&read(text)).unwrap();
            let seen = (product.id, product.sku.as_str(), product.price_type, product.tax_class.as_deref());
            assert_eq!(seen, (9, "KIT", Some(PriceType::Fixed), Some("2")), "{text}");
            assert_eq!(product.price, Some(Decimal::from(150)));
        }
    }

    #[test]
    fn options_with_and_without_choices_and_links_are_read_by_their_ids() {
        let text = r#"{"id": 1, "sku": "BOARD", "type_id": "simple", "options": [
            {"option_id": 5, "title": "Engraving", "type": "field", "sku": "ENG", "price": 7.5},
            {"option_id": "6", "title": "Wood", "type": "drop_down", "values": [
                {"title": "Oak", "option_type_id": 6, "sku": "OAK", "price": 0, "price_type": null},
                {"title": "Walnut", "option_type_id": "7"}]}],
            "extension_attributes": {"downloadable_product_links": [{"id": 1, "title": "PDF A3"}],
                "bundle_product_options": [{"option_id": 1, "product_links": [{"id": "9", "price_type": null}]}]}}"#;
        let product = product(&read(text)).unwrap();
        assert_eq!(product.links, [("1".to_owned(), "PDF A3".to_owned())]);
        let [field, drop] = &product.options[..] else { panic!("{product:?}") };
        assert_eq!((field.id.as_str(), field.sku.as_deref(), field.choices.len()), ("5", Some("ENG"), 0));
        let choices: Vec<_> = drop
            .choices
            .iter()
            .map(|choice| (choice.id.as_str(), choice.title.as_str(), choice.sku.as_deref()))
            .collect();
        assert_eq!(choices, [("6", "Oak", Some("OAK")), ("7", "Walnut", None)]);
        let packed = serde_json::to_string(&product).unwrap();
        assert_eq!(serde_json::from_str::<Product>(&packed).unwrap(), product, "what is kept comes back the same");
    }

    #[test]
    fn an_empty_search_is_null_and_a_product_without_a_name_is_none() {
        assert!(listed(&read(r#"{"items": null, "total_count": 0}"#)).is_empty());
        for text in [r#"{"id": 1}"#, r#"{"sku": "A"}"#, r#""text""#, "[]", r#"{"id": "x", "sku": "A"}"#] {
            assert_eq!(product(&read(text)), None, "{text}");
        }
    }

    #[test]
    fn an_attribute_has_the_labels_of_its_values() {
        let text = r#"{"attribute_id": 93, "attribute_code": "color", "default_frontend_label": "Color",
                       "options": [{"label": " ", "value": ""}, {"label": "Black", "value": "49"}]}"#;
        let attribute = attribute(&read(text)).unwrap();
        assert_eq!((attribute.id, attribute.label.as_deref()), (93, Some("Color")));
        assert_eq!(attribute.values.get("49").map(String::as_str), Some("Black"));
        assert_eq!(attribute.values.len(), 1);
    }

    #[test]
    fn every_product_of_the_corpus_is_read() {
        let Some(root) = std::env::var_os("CROSSDOCK_CORPUS") else {
            eprintln!("left out: CROSSDOCK_CORPUS is not set");
            return;
        };
        let mut read_in_full = 0;
        for entry in std::fs::read_dir(std::path::Path::new(&root).join("products")).unwrap() {
            let file = entry.unwrap().path();
            let text = std::fs::read_to_string(&file).unwrap();
            let json = read(&text);
            let Some(product) = product(&json) else { panic!("{} is not read", file.display()) };
            assert_eq!(product.kind == "bundle", product.price_type.is_some(), "{}", file.display());
            let sent = json.get("options").and_then(Json::elements).unwrap_or_default().len();
            assert_eq!(product.options.len(), sent, "{}", file.display());
            read_in_full += 1;
        }
        assert!(read_in_full > 5, "{read_in_full}");
    }
}
