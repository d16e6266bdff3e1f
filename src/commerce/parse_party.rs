//! Who ordered and where it goes.

use crate::domain::order::{Address, Customer};

use super::wire::Object;

pub(super) fn customer(order: &Object<'_, '_, '_>) -> Customer {
    let id = order.id_if_readable("customer_id");
    Customer {
        id,
        email: order.string("customer_email"),
        first_name: order.string("customer_firstname"),
        last_name: order.string("customer_lastname"),
        // Group 0 is "not logged in": an id like any other, so not read as a missing one.
        group_id: order.text("customer_group_id").and_then(|text| text.parse().ok()),
        guest: order.flag("customer_is_guest").unwrap_or(id.is_none()),
        vat_id: order.string("customer_taxvat"),
    }
}

/// The addresses of an order: billing, shipping.
pub(super) fn addresses(order: &Object<'_, '_, '_>, is_virtual: bool) -> (Option<Address>, Option<Address>) {
    let mut billing = order.object("billing_address", address).flatten();
    let mut shipping = assigned(order, |shipping| shipping.object("address", address).flatten())
        .or_else(|| order.object("shipping_address", address).flatten());
    order.each_object("addresses", |object| match object.text("address_type") {
        Some("billing") if billing.is_none() => billing = address(object),
        Some("shipping") if shipping.is_none() => shipping = address(object),
        _ => {}
    });
    if is_virtual {
        shipping = None;
    }
    (billing, shipping)
}

/// Reads from the first `shipping` of the shipping assignments that has it.
pub(super) fn assigned<T>(order: &Object<'_, '_, '_>, read: impl Fn(&Object<'_, '_, '_>) -> Option<T>) -> Option<T> {
    order
        .object("extension_attributes", |extension| {
            let mut found = None;
            extension.each_object("shipping_assignments", |assignment| {
                if found.is_none() {
                    found = assignment.object("shipping", &read).flatten();
                }
            });
            found
        })
        .flatten()
}

fn address(object: &Object<'_, '_, '_>) -> Option<Address> {
    let region =
        object.string("region").or_else(|| object.object("region", |region| region.string("region")).flatten());
    let read = Address {
        first_name: object.string("firstname"),
        last_name: object.string("lastname"),
        company: object.string("company"),
        street: street(object),
        city: object.string("city"),
        region,
        region_code: object.string("region_code"),
        postcode: object.string("postcode"),
        country: object.string("country_id"),
        telephone: object.string("telephone"),
        vat_id: object.string("vat_id"),
    };
    (read != Address::default()).then_some(read)
}

/// An array in REST, lines of one text in events.
fn street(object: &Object<'_, '_, '_>) -> Vec<String> {
    let mut lines = Vec::new();
    let mut add =
        |text: &str| lines.extend(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned));
    match object.text("street") {
        Some(text) => add(text),
        None => object.each("street", |line, _| add(line.as_text().unwrap_or_default())),
    }
    lines
}
