//! `shape` of a destination: its words, and what is refused with the remedy.

use super::said::said_of;

/// What is said of the shape of a destination with these settings.
fn said(settings: &str) -> String {
    said_of("erp", "shape", settings)
}

#[test]
fn every_word_of_a_shape_is_read_for_whoever_is_sent_the_document() {
    let whole = "shape = { tax = \"gross\", discount = \"line\", shipping = \"field\", options = \"name\", name_chars = 80, rounding = \"largest\" }";
    for profile in ["http", "pick-list", "patchworks-webhook", "patchworks-callback"] {
        assert_eq!(said(&format!("profile = \"{profile}\"\n{whole}")), "");
    }
    let plain = "profile = \"odoo\"\nshape = { tax = \"amount\", rounding = \"line\" }";
    assert_eq!(said(plain), "", "saying what is so anyway is no shape");
}

#[test]
fn what_no_destination_could_keep_is_refused_with_the_remedy() {
    let find = "guard = \"find\"\nfind = { url = \"https://erp.example.com/o?r={{ order.increment_id }}\", reference = \"/items/0/r\"";
    for (settings, told) in [
        (
            "profile = \"http\"\nshape = { tax = \"grosss\" }".to_owned(),
            "shape.tax: \"grosss\" is not known here; did you mean \"gross\"?",
        ),
        (
            "profile = \"http\"\nshape = { shiping = \"field\" }".to_owned(),
            "shape.shiping: is not a key of [shape]; did you mean \"shipping\"?",
        ),
        ("profile = \"http\"\nshape = { options = 3 }".to_owned(), "shape.options: is of type integer"),
        (
            "profile = \"http\"\nshape = { tax = \"line\", name_chars = 80 }".to_owned(),
            "shape.name_chars: is only for options = \"name\"; remove it, or write options = \"name\"",
        ),
        (
            "profile = \"http\"\nshape = { options = \"name\", name_chars = 8 }".to_owned(),
            "shape.name_chars: is out of bounds; write a whole number from 40 to 1000",
        ),
        (
            "profile = \"odoo\"\nshape = { tax = \"gross\" }".to_owned(),
            "shape: is not for profile \"odoo\": its recipe reads the plain document",
        ),
        (
            "profile = \"http\"\nshape = { tax = \"code\" }\npolicies = { unmapped_tax = \"pass\" }".to_owned(),
            "shape.tax: \"code\" loses tax with unmapped_tax = \"pass\"",
        ),
        (
            format!("profile = \"http\"\nshape = {{ tax = \"none\" }}\n{find}, total = \"/items/0/t\" }}"),
            "shape.tax: \"none\" leaves tax out",
        ),
    ] {
        let all = said(&settings);
        assert!(all.contains(told) && all.lines().count() == 1, "{settings}: {all}");
    }
    assert_eq!(said(&format!("profile = \"http\"\nshape = {{ tax = \"none\" }}\n{find} }}")), "");
}
