//! Small orders made to measure, as text: one simple product, tax excluded, exact to the cent.

/// An order as Commerce's REST interface answers it: `quantity` pieces at 10.00 net, 20 % tax, shipping 5.00.
pub fn rest(increment_id: &str, sku: &str, quantity: u32) -> String {
    let (net, tax) = (quantity * 10, quantity * 2);
    let total = net + tax + 5;
    let gross = net + tax;
    let entity: u64 = increment_id.parse().unwrap_or(1);
    let item = entity * 10 + 1;
    let address = |kind: &str| {
        format!(
            r#"{{"address_type":"{kind}","firstname":"Anna","lastname":"Weiß","street":["1 High Street"],"city":"London","postcode":"N1 9GU","country_id":"GB","telephone":"020 7946 0000"}}"#
        )
    };
    let (billing, shipping) = (address("billing"), address("shipping"));
    format!(
        r#"{{"entity_id":{entity},"increment_id":"{increment_id}","store_id":1,"state":"new","status":"pending","created_at":"2026-03-01 10:15:30","updated_at":"2026-03-01 10:15:31","base_currency_code":"GBP","order_currency_code":"GBP","is_virtual":0,"customer_is_guest":1,"customer_email":"anna@example.com","customer_firstname":"Anna","customer_lastname":"Weiß","subtotal":{net},"base_subtotal":{net},"discount_amount":0,"base_discount_amount":0,"shipping_amount":5,"base_shipping_amount":5,"shipping_tax_amount":0,"base_shipping_tax_amount":0,"shipping_incl_tax":5,"base_shipping_incl_tax":5,"tax_amount":{tax},"base_tax_amount":{tax},"grand_total":{total},"base_grand_total":{total},"total_qty_ordered":{quantity},"total_item_count":1,"shipping_description":"Flat Rate - Fixed","billing_address":{billing},"payment":{{"method":"checkmo"}},"items":[{{"item_id":{item},"order_id":{entity},"product_id":35,"product_type":"simple","sku":"{sku}","name":"Strap","qty_ordered":{quantity},"price":10,"base_price":10,"row_total":{net},"base_row_total":{net},"row_total_incl_tax":{gross},"base_row_total_incl_tax":{gross},"tax_percent":20,"tax_amount":{tax},"base_tax_amount":{tax},"discount_amount":0,"base_discount_amount":0,"discount_tax_compensation_amount":0,"base_discount_tax_compensation_amount":0}}],"extension_attributes":{{"shipping_assignments":[{{"shipping":{{"address":{shipping},"method":"flatrate_flatrate"}}}}]}}}}"#
    )
}

/// The same order inside an observer webhook's body.
pub fn observed(increment_id: &str, sku: &str, quantity: u32) -> String {
    let order = rest(increment_id, sku, quantity);
    format!(r#"{{"subject":[],"eventName":"sales_order_save_commit_after","data":{{"order":{order}}}}}"#)
}
