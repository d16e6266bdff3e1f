//! Orders computed the way Magento computes them, written the way REST and events write them.
//!
//! The model knows the answer: net, discount and tax of every money line. It shares no code with the product.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// How prices and tax relate in the shop.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum TaxMode {
    /// Catalogue prices without tax, tax after discount.
    Excluding,
    /// Catalogue prices with tax, discount on the gross price: compensation appears.
    Including,
}

/// What kind of position.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    Simple,
    Virtual,
    Configurable,
    DynamicBundle,
    FixedBundle,
}

#[derive(Clone, Debug)]
pub(super) struct Position {
    pub(super) kind: Kind,
    pub(super) price: i64,
    pub(super) quantity: i64,
    /// Of a bundle: price and quantity per bundle of each component.
    pub(super) components: Vec<(i64, i64)>,
    /// Fixed product tax of one unit, on simple products only.
    pub(super) fixed_tax: i64,
}

#[derive(Clone, Debug)]
pub(super) struct Basket {
    pub(super) positions: Vec<Position>,
    pub(super) mode: TaxMode,
    /// Hundredths of a percent.
    pub(super) rate: i64,
    /// Percent; 100 is a free order.
    pub(super) discount: i64,
    pub(super) shipping: i64,
    pub(super) shipping_discounted: bool,
    /// Base amounts are cents divided by this hundredth.
    pub(super) exchange: i64,
    pub(super) gift_card: i64,
    pub(super) fixed_tax_inside: bool,
    pub(super) fixed_tax_taxed: bool,
}

/// One money row in minor units.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Row {
    pub(super) net: i64,
    pub(super) discount: i64,
    pub(super) compensation: i64,
    pub(super) tax: i64,
    pub(super) fixed_tax: i64,
    pub(super) fixed_tax_tax: i64,
    price: i64,
}

/// `a × b ÷ c`, halves away from zero.
fn share(a: i64, b: i64, c: i64) -> i64 {
    let product = a * b;
    (product.abs() * 2 + c) / (2 * c) * product.signum()
}

impl Basket {
    /// One row as Magento's collectors make it, `price` being a unit price of the catalogue.
    fn row(&self, price: i64, quantity: i64, fixed_tax: i64) -> Row {
        let fixed = fixed_tax * quantity;
        let fixed_tax_tax = if self.fixed_tax_taxed { share(fixed, self.rate, 10_000) } else { 0 };
        let row = match self.mode {
            TaxMode::Excluding => {
                let net = price * quantity;
                let discount = share(net, self.discount, 100);
                let tax = share(net - discount, self.rate, 10_000);
                Row { net, discount, tax, price, ..Row::default() }
            }
            TaxMode::Including => {
                let gross = price * quantity;
                let full = share(gross, self.rate, 10_000 + self.rate);
                let discount = share(gross, self.discount, 100);
                let tax = share(gross - discount, self.rate, 10_000 + self.rate);
                let price = price - share(price, self.rate, 10_000 + self.rate);
                Row { net: gross - full, discount, compensation: full - tax, tax, price, ..Row::default() }
            }
        };
        Row { fixed_tax: fixed, fixed_tax_tax, ..row }
    }

    fn converted(&self, base: bool, minor: i64) -> i64 {
        if base { share(minor, 100, self.exchange) } else { minor }
    }

    /// The money rows of one position on one side: one, or one per component of a dynamic bundle.
    fn rows_of(&self, position: &Position, base: bool) -> Vec<Row> {
        match position.kind {
            Kind::DynamicBundle => position
                .components
                .iter()
                .map(|(price, each)| self.row(self.converted(base, *price), each * position.quantity, 0))
                .collect(),
            _ => vec![self.row(
                self.converted(base, position.price),
                position.quantity,
                self.converted(base, position.fixed_tax),
            )],
        }
    }

    /// Every money row of one side.
    pub(super) fn rows(&self, base: bool) -> Vec<Row> {
        self.positions.iter().flat_map(|position| self.rows_of(position, base)).collect()
    }

    /// Shipping on one side.
    pub(super) fn shipping_row(&self, base: bool) -> Row {
        let shop = Basket { discount: if self.shipping_discounted { self.discount } else { 0 }, ..self.clone() };
        shop.row(self.converted(base, self.shipping), 1, 0)
    }

    /// The order as REST (`rest`) or as an event writes it.
    pub(super) fn written(&self, rest: bool) -> Value {
        let mut order = Map::new();
        let text = |minor: i64| amount(minor, rest);
        for base in [false, true] {
            let prefix = if base { "base_" } else { "" };
            let (rows, shipping) = (self.rows(base), self.shipping_row(base));
            let sum = |of: fn(&Row) -> i64| rows.iter().map(of).sum::<i64>();
            let fixed = sum(|row| row.fixed_tax);
            let subtotal = sum(|row| row.net) + if self.fixed_tax_inside { fixed } else { 0 };
            let discount = sum(|row| row.discount) + shipping.discount;
            let compensation = sum(|row| row.compensation);
            let tax = sum(|row| row.tax) + sum(|row| row.fixed_tax_tax) + shipping.tax;
            let due = subtotal + if self.fixed_tax_inside { 0 } else { fixed } - discount
                + shipping.net
                + tax
                + compensation
                + shipping.compensation;
            let gift_card = self.converted(base, self.gift_card).min(due);
            let mut put = |name: &str, minor: i64| {
                order.insert(format!("{prefix}{name}"), text(minor));
            };
            put("subtotal", subtotal);
            put("discount_amount", -discount);
            put("discount_tax_compensation_amount", compensation);
            put("shipping_amount", shipping.net);
            put("shipping_discount_amount", shipping.discount);
            put("shipping_tax_amount", shipping.tax);
            put("tax_amount", tax);
            put("grand_total", due - gift_card);
            let amnt = if base { "amnt" } else { "amount" };
            put(&format!("shipping_discount_tax_compensation_{amnt}"), shipping.compensation);
            if self.gift_card > 0 {
                put("gift_cards_amount", gift_card);
            }
        }
        order.insert("increment_id".into(), json!("000000042"));
        order.insert("entity_id".into(), id(42, rest));
        order.insert("store_id".into(), id(1, rest));
        order.insert("order_currency_code".into(), json!("EUR"));
        order.insert("base_currency_code".into(), json!("USD"));
        order.insert("shipping_description".into(), json!("Flat Rate - Fixed"));
        order.insert("created_at".into(), json!("2026-03-01 10:15:30"));
        order.insert("items".into(), self.items(rest));
        Value::Object(order)
    }

    fn items(&self, rest: bool) -> Value {
        let mut items = Vec::new();
        let mut next = 70;
        for position in &self.positions {
            let parent = next;
            let rows = [self.rows_of(position, false), self.rows_of(position, true)];
            let kind = match position.kind {
                Kind::Simple => "simple",
                Kind::Virtual => "virtual",
                Kind::Configurable => "configurable",
                Kind::DynamicBundle | Kind::FixedBundle => "bundle",
            };
            let money = match position.kind {
                Kind::DynamicBundle => rows.clone().map(|rows| repeated(&rows, position.quantity)),
                _ => [rows[0][0], rows[1][0]],
            };
            let mut item = self.item(rest, parent, kind, position.quantity, money);
            if !rest && kind == "bundle" {
                let calculations = i32::from(position.kind == Kind::FixedBundle);
                item.insert("product_options".into(), json!({ "product_calculations": calculations }));
            }
            items.push(Value::Object(item));
            next += 1;
            let children: Vec<(i64, [Row; 2])> = match position.kind {
                Kind::Simple | Kind::Virtual => Vec::new(),
                Kind::Configurable => vec![(position.quantity, [Row::default(); 2])],
                Kind::FixedBundle => position
                    .components
                    .iter()
                    .map(|(_, each)| (each * position.quantity, [Row::default(); 2]))
                    .collect(),
                Kind::DynamicBundle => position
                    .components
                    .iter()
                    .enumerate()
                    .map(|(index, (_, each))| (each * position.quantity, [rows[0][index], rows[1][index]]))
                    .collect(),
            };
            for (quantity, money) in children {
                let mut child = self.item(rest, next, "simple", quantity, money);
                child.insert("parent_item_id".into(), id(parent, rest));
                items.push(Value::Object(child));
                next += 1;
            }
        }
        Value::Array(items)
    }

    fn item(&self, rest: bool, item_id: i64, kind: &str, quantity: i64, money: [Row; 2]) -> Map<String, Value> {
        let mut item = Map::new();
        item.insert("item_id".into(), id(item_id, rest));
        item.insert("product_id".into(), id(item_id + 1000, rest));
        item.insert("product_type".into(), json!(kind));
        item.insert("sku".into(), json!(format!("S-{item_id}")));
        item.insert("name".into(), json!(format!("Thing {item_id}")));
        item.insert("is_virtual".into(), id(i64::from(kind == "virtual"), rest));
        item.insert("qty_ordered".into(), amount(quantity * 100, rest));
        item.insert("tax_percent".into(), amount(self.rate, rest));
        for (base, row) in [(false, money[0]), (true, money[1])] {
            let prefix = if base { "base_" } else { "" };
            let mut put = |name: &str, minor: i64| {
                item.insert(format!("{prefix}{name}"), amount(minor, rest));
            };
            let gross = row.net + row.tax + row.compensation;
            // 2.4.6 adds the product tax of one unit on the base side.
            let fixed = if base { row.fixed_tax / quantity.max(1) } else { row.fixed_tax };
            put("price", row.price);
            put("row_total", if rest { (row.net - row.discount).max(0) } else { row.net });
            put("row_total_incl_tax", if rest { (gross + fixed - row.discount).max(0) } else { gross });
            put("discount_amount", row.discount);
            put("discount_tax_compensation_amount", row.compensation);
            put("tax_amount", row.tax);
            put("weee_tax_applied_amount", row.fixed_tax / quantity.max(1));
            let amnt = if base { "amnt" } else { "amount" };
            put(&format!("weee_tax_applied_row_{amnt}"), row.fixed_tax);
        }
        let [order, base] = money;
        let entry = json!([{
            "title": "Eco tax",
            "row_amount": amount(order.fixed_tax, rest), "base_row_amount": amount(base.fixed_tax, rest),
            "row_amount_incl_tax": amount(order.fixed_tax + order.fixed_tax_tax, rest),
            "base_row_amount_incl_tax": amount(base.fixed_tax + base.fixed_tax_tax, rest),
        }]);
        let none = order.fixed_tax == 0;
        item.insert("weee_tax_applied".into(), if none { json!("[]") } else { json!(entry.to_string()) });
        item
    }
}

/// What the parent of a dynamic bundle shows: its children's sums, a rounded price, no discount.
fn repeated(rows: &[Row], quantity: i64) -> Row {
    let sum = |of: fn(&Row) -> i64| rows.iter().map(of).sum::<i64>();
    let net = sum(|row| row.net);
    Row { net, tax: sum(|row| row.tax), price: share(net, 1, quantity), ..Row::default() }
}

/// REST writes numbers in their shortest form, stored orders strings with four decimals.
fn amount(minor: i64, rest: bool) -> Value {
    let text = format!("{}{}.{:02}", if minor < 0 { "-" } else { "" }, minor.abs() / 100, minor.abs() % 100);
    if rest {
        serde_json::from_str(text.trim_end_matches('0').trim_end_matches('.')).unwrap()
    } else {
        json!(text + "00")
    }
}

fn id(number: i64, rest: bool) -> Value {
    if rest { json!(number) } else { json!(number.to_string()) }
}

fn position() -> impl Strategy<Value = Position> {
    let kind = prop_oneof![
        3 => Just(Kind::Simple),
        1 => Just(Kind::Virtual),
        2 => Just(Kind::Configurable),
        2 => Just(Kind::DynamicBundle),
        2 => Just(Kind::FixedBundle),
    ];
    let components = proptest::collection::vec((1_i64..30_000, 1_i64..4), 1..4);
    (kind, 1_i64..50_000, 1_i64..8, components, prop_oneof![3 => Just(0_i64), 1 => 1_i64..900]).prop_map(
        |(kind, price, quantity, components, fixed_tax)| Position {
            kind,
            price,
            quantity,
            components,
            fixed_tax: if kind == Kind::Simple { fixed_tax } else { 0 },
        },
    )
}

/// Any basket.
pub(super) fn basket() -> impl Strategy<Value = Basket> {
    let mode = prop_oneof![Just(TaxMode::Excluding), Just(TaxMode::Including)];
    let rate = prop_oneof![Just(0_i64), Just(825), Just(2_000), Just(1_900), 1_i64..3_000];
    let discount = prop_oneof![3 => Just(0_i64), 2 => Just(17), 1 => Just(100), 2 => 1_i64..100];
    let gift_card = prop_oneof![3 => Just(0_i64), 1 => 1_i64..20_000];
    let flags = (any::<bool>(), any::<bool>(), any::<bool>());
    let positions = proptest::collection::vec(position(), 1..6);
    (positions, mode, rate, discount, 0_i64..5_000, 60_i64..180, gift_card, flags).prop_map(
        |(positions, mode, rate, discount, shipping, exchange, gift_card, flags)| Basket {
            positions,
            mode,
            rate,
            discount,
            shipping,
            shipping_discounted: flags.0,
            exchange,
            gift_card,
            fixed_tax_inside: flags.1,
            fixed_tax_taxed: flags.2,
        },
    )
}
