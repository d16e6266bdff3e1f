//! Orders to try the service with: exact to the cent, as many lines as asked for, spelled as REST spells them.

use std::fmt::Write as _;

/// The order number in every order made here; nine digits, so that a sender can overwrite it in place.
pub const NUMBER: &str = "900000001";

/// A REST order of simple products as one line of JSON; four lines make about 5.9 KB.
pub fn order(lines: usize) -> String {
    let (mut items, mut subtotal, mut tax) = (String::new(), 0_usize, 0_usize);
    for line in 0..lines {
        let quantity = 1 + line % 3;
        let price = 1_000 + 35 * (line % 40);
        let net = price * quantity;
        subtotal += net;
        tax += net / 5;
        if line > 0 {
            items.push(',');
        }
        item(&mut items, line, quantity, price);
    }
    let [subtotal, tax, total] = [subtotal, tax, subtotal + tax + 500].map(money);
    let (billing, shipping) = (address("billing"), address("shipping"));
    format!(
        "{{\"entity_id\":{NUMBER},\"increment_id\":\"{NUMBER}\",\"store_id\":1,\"state\":\"new\",\"status\":\"pending\",\
         \"created_at\":\"2026-03-01 10:15:30\",\"updated_at\":\"2026-03-01 10:15:31\",\"store_name\":\"Main Website\\nMain\",\
         \"base_currency_code\":\"GBP\",\"order_currency_code\":\"GBP\",\"global_currency_code\":\"GBP\",\"is_virtual\":0,\
         \"base_to_global_rate\":1,\"base_to_order_rate\":1,\"customer_is_guest\":0,\"customer_id\":7,\"customer_group_id\":1,\
         \"customer_email\":\"anna@example.com\",\"customer_firstname\":\"Anna\",\"customer_lastname\":\"Weiß\",\
         \"subtotal\":{subtotal},\"base_subtotal\":{subtotal},\"discount_amount\":0,\"base_discount_amount\":0,\
         \"discount_tax_compensation_amount\":0,\"base_discount_tax_compensation_amount\":0,\"shipping_amount\":5,\
         \"base_shipping_amount\":5,\"shipping_tax_amount\":0,\"base_shipping_tax_amount\":0,\"shipping_incl_tax\":5,\
         \"base_shipping_incl_tax\":5,\"tax_amount\":{tax},\"base_tax_amount\":{tax},\"grand_total\":{total},\
         \"base_grand_total\":{total},\"total_due\":{total},\"base_total_due\":{total},\"total_item_count\":{lines},\
         \"shipping_description\":\"Flat Rate - Fixed\",\"billing_address\":{billing},\
         \"payment\":{{\"account_status\":null,\"method\":\"checkmo\",\"amount_ordered\":{total},\
         \"base_amount_ordered\":{total},\"additional_information\":[\"Check / Money order\",null,null]}},\
         \"items\":[{items}],\"extension_attributes\":{{\"shipping_assignments\":[{{\"shipping\":{{\"address\":{shipping},\
         \"method\":\"flatrate_flatrate\",\"total\":{{\"base_shipping_amount\":5,\"shipping_amount\":5}}}}}}]}}}}"
    )
}

fn item(out: &mut String, line: usize, quantity: usize, price: usize) {
    let net = price * quantity;
    let [net, tax, gross, price, price_incl] = [net, net / 5, net + net / 5, price, price + price / 5].map(money);
    let (id, product) = (7_000_000 + line, 35 + line % 40);
    write!(
        out,
        "{{\"item_id\":{id},\"order_id\":{NUMBER},\"quote_item_id\":{id},\"product_id\":{product},\"store_id\":1,\
         \"product_type\":\"simple\",\"sku\":\"24-WG{product:03}\",\"name\":\"Sprite Yoga Strap {product} foot\",\
         \"is_virtual\":0,\"is_qty_decimal\":0,\"free_shipping\":0,\"no_discount\":0,\"weight\":1,\"row_weight\":{quantity},\
         \"created_at\":\"2026-03-01 10:15:30\",\"updated_at\":\"2026-03-01 10:15:30\",\"qty_ordered\":{quantity},\
         \"qty_canceled\":0,\"qty_invoiced\":0,\"qty_refunded\":0,\"qty_shipped\":0,\"price\":{price},\"base_price\":{price},\
         \"original_price\":{price},\"base_original_price\":{price},\"price_incl_tax\":{price_incl},\
         \"base_price_incl_tax\":{price_incl},\"row_total\":{net},\"base_row_total\":{net},\"row_total_incl_tax\":{gross},\
         \"base_row_total_incl_tax\":{gross},\"row_invoiced\":0,\"base_row_invoiced\":0,\"tax_percent\":20,\
         \"tax_amount\":{tax},\"base_tax_amount\":{tax},\"tax_invoiced\":0,\"base_tax_invoiced\":0,\"discount_percent\":0,\
         \"discount_amount\":0,\"base_discount_amount\":0,\"discount_invoiced\":0,\"base_discount_invoiced\":0,\
         \"discount_tax_compensation_amount\":0,\"base_discount_tax_compensation_amount\":0,\"amount_refunded\":0,\
         \"base_amount_refunded\":0}}"
    )
    .expect("writing to a string cannot fail");
}

fn address(kind: &str) -> String {
    format!(
        "{{\"address_type\":\"{kind}\",\"firstname\":\"Anna\",\"lastname\":\"Weiß\",\"street\":[\"1 High Street\"],\
         \"city\":\"London\",\"postcode\":\"N1 9GU\",\"country_id\":\"GB\",\"email\":\"anna@example.com\",\
         \"telephone\":\"020 7946 0000\",\"parent_id\":{NUMBER}}}"
    )
}

fn money(minor: usize) -> String {
    format!("{}.{:02}", minor / 100, minor % 100)
}

/// `updated_at` of every order made by [`order`].
const UPDATED_AT: &str = "\"updated_at\":\"2026-03-01 10:15:31\"";
const STATUS: &str = "\"status\":\"pending\"";

/// A state of an order: `version` counts from 1 and moves `updated_at` and the status, never an amount.
pub fn version_of(number: &str, version: u32, lines: usize) -> String {
    let text = order(lines).replace(NUMBER, number);
    let at = format!("\"updated_at\":\"{}\"", updated_at(version));
    let status = if version == 1 { STATUS.to_owned() } else { format!("\"status\":\"step_{version}\"") };
    text.replacen(UPDATED_AT, &at, 1).replacen(STATUS, &status, 1)
}

/// When the order came into that state: a second apart.
fn updated_at(version: u32) -> String {
    format!("2026-03-01 {:02}:{:02}:{:02}", 11 + version / 3_600, version / 60 % 60, version % 60)
}

/// An order as an observer's webhook carries it.
pub fn observed(order: &str) -> String {
    format!("{{\"subject\":[],\"eventName\":\"sales_order_save_commit_after\",\"data\":{{\"order\":{order}}}}}")
}

/// The same order with a grand total that its lines do not add up to.
pub fn out_of_balance(order: &str) -> String {
    order.replacen("\"grand_total\":", "\"grand_total\":1", 1)
}
