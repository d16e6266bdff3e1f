//! P2 in money: the grand totals of orders by what became of them, per system and currency.
//!
//! Every order is booked once, under one state and with one amount (`subjects.booked`); the sums of all bookings stand in
//! `order_sums`. A command marks the orders it touches ([`super::tally::Tally::touch`]); before the commit of its group
//! each is looked at once and, if it is no longer what it is booked as, booked anew. Amounts are whole millionths: never
//! a float, and no sum can run over.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use rusqlite::{Connection, OptionalExtension as _};
use rust_decimal::Decimal;

use super::fault::{Fault, Outcome};
use super::rows::ORDER_STATE;
use super::tx;
use crate::domain::decimal;
use crate::store::StoreError;
use crate::store::books::MoneyRow;

/// Decimal places of a booked amount. Commerce keeps four.
const PLACES: u32 = 6;
/// Larger totals are no amounts of money; ten million of them still fit a sum many times over.
const WHOLE_MAX: i128 = 1_000_000_000_000_000;

/// System, currency, state.
type Account = (String, String, String);

/// What stands in an account, or is to be added to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sum {
    orders: i64,
    millionths: i128,
    without_total: i64,
}

impl Sum {
    fn add(&mut self, amount: Option<i128>, by: i64) {
        self.orders += by;
        match amount {
            Some(millionths) => self.millionths += millionths * i128::from(by),
            None => self.without_total += by,
        }
    }
}

/// An order as booked: state, currency, amount.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Booking {
    state: String,
    currency: String,
    amount: Option<i128>,
}

impl Booking {
    /// As stored: `due GBP 30000000`. Commerce says what a currency is called, so spaces are kept out.
    fn text(&self) -> String {
        let amount = self.amount.map_or_else(|| "-".to_owned(), |amount| amount.to_string());
        format!("{} {} {amount}", self.state, self.currency)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(' ');
        let (state, currency, amount) = (parts.next()?, parts.next()?, parts.next()?);
        let amount = if amount == "-" { None } else { Some(amount.parse().ok()?) };
        Some(Booking { state: state.to_owned(), currency: currency.to_owned(), amount })
    }
}

/// A grand total in millionths; `None` if it is none, or not an amount that can be kept exactly.
fn millionths(total: Option<&str>) -> Option<i128> {
    let total = decimal::parse(total?).ok()?;
    let scale = total.scale();
    let mantissa = total.mantissa();
    let exact = if scale <= PLACES {
        mantissa.checked_mul(10_i128.pow(PLACES - scale))?
    } else {
        let cut = 10_i128.pow(scale - PLACES);
        (mantissa % cut == 0).then_some(mantissa / cut)?
    };
    (exact.abs() <= WHOLE_MAX * 10_i128.pow(PLACES)).then_some(exact)
}

/// An order as it stands now, and as it is booked.
struct Order {
    system: String,
    now: Booking,
    booked: Option<String>,
}

/// One order as it stands.
pub(super) static ONE: LazyLock<String> = LazyLock::new(|| columns("s.seq = ?1 AND s.kind = 'order'"));
/// Orders, a slice at a time.
static SLICE: LazyLock<String> = LazyLock::new(|| columns("s.seq > ?1 AND s.kind = 'order' ORDER BY s.seq LIMIT 1000"));

fn columns(which: &str) -> String {
    format!(
        "SELECT s.seq, s.system, s.currency, s.grand_total, s.booked, {ORDER_STATE} FROM subjects AS s WHERE {which}"
    )
}

fn order(row: &rusqlite::Row<'_>) -> rusqlite::Result<(i64, Order)> {
    let currency: String = row.get::<_, Option<String>>(2)?.unwrap_or_default();
    let currency = currency.chars().filter(|letter| !letter.is_whitespace() && !letter.is_control()).take(16).collect();
    let total: Option<String> = row.get(3)?;
    let now = Booking { state: row.get(5)?, currency, amount: millionths(total.as_deref()) };
    Ok((row.get(0)?, Order { system: row.get(1)?, now, booked: row.get(4)? }))
}

/// Books touched orders anew, inside the transaction that touched them.
pub(super) fn book(conn: &Connection, touched: &[i64]) -> Outcome<()> {
    if touched.is_empty() {
        return Ok(());
    }
    let mut touched = touched.to_vec();
    touched.sort_unstable();
    touched.dedup();
    // Prepared once a group: looking them up again for every order would cost as much as half of running them.
    let mut one = conn.prepare_cached(&ONE)?;
    let mut write = conn.prepare_cached("UPDATE subjects SET booked = ?2 WHERE seq = ?1")?;
    let mut changes: BTreeMap<Account, Sum> = BTreeMap::new();
    for seq in touched {
        let Some((seq, order)) = one.query_row([seq], order).optional()? else { continue };
        let now = order.now.text();
        if order.booked.as_ref() == Some(&now) {
            continue;
        }
        if let Some(booked) = &order.booked {
            let booked = Booking::parse(booked).ok_or_else(|| unreadable(booked))?;
            let account = (order.system.clone(), booked.currency, booked.state);
            changes.entry(account).or_default().add(booked.amount, -1);
        }
        write.execute((seq, now))?;
        let account = (order.system, order.now.currency, order.now.state);
        changes.entry(account).or_default().add(order.now.amount, 1);
    }
    for (account, change) in changes {
        add(conn, &account, change)?;
    }
    Ok(())
}

fn unreadable(what: &str) -> Fault {
    Fault::Answer(StoreError::Corrupt(format!("an order is booked as \"{what}\"")))
}

fn add(conn: &Connection, (system, currency, state): &Account, change: Sum) -> Outcome<()> {
    if change == Sum::default() {
        return Ok(());
    }
    let known = tx::row(
        conn,
        "SELECT orders, millionths, without_total FROM order_sums WHERE system = ?1 AND currency = ?2 AND state = ?3",
        (system, currency, state),
        |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, row.get::<_, i64>(2)?)),
    )?;
    let (orders, kept, without_total) = known.unwrap_or((0, "0".to_owned(), 0));
    let kept: i128 = kept.parse().map_err(|_| unreadable(&kept))?;
    conn.prepare_cached(
        "INSERT INTO order_sums (system, currency, state, orders, millionths, without_total) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (system, currency, state) DO UPDATE SET \
         orders = excluded.orders, millionths = excluded.millionths, without_total = excluded.without_total",
    )?
    .execute((
        system,
        currency,
        state,
        orders + change.orders,
        (kept + change.millionths).to_string(),
        without_total + change.without_total,
    ))?;
    Ok(())
}

/// Books every order that is not booked yet: for a file of before there were books.
pub(super) fn open_books(conn: &Connection) -> Outcome<()> {
    let mut after = 0;
    loop {
        let sql =
            "SELECT seq FROM subjects WHERE seq > ?1 AND booked IS NULL AND kind = 'order' ORDER BY seq LIMIT 1000";
        let slice: Vec<i64> = tx::rows(conn, sql, [after], |row| row.get(0))?;
        let Some(last) = slice.last().copied() else { return Ok(()) };
        book(conn, &slice)?;
        after = last;
    }
}

/// The sums as they are kept: a handful of rows, whatever the size of the store.
pub(super) fn rows(conn: &Connection) -> Outcome<Vec<MoneyRow>> {
    let rows = tx::rows(
        conn,
        "SELECT system, currency, state, orders, millionths, without_total FROM order_sums WHERE orders <> 0 \
         ORDER BY system, currency, state",
        [],
        |row| {
            let millionths: String = row.get(4)?;
            let shown = MoneyRow {
                system: row.get(0)?,
                currency: row.get(1)?,
                state: row.get(2)?,
                orders: tx::count(row.get(3)?),
                total: String::new(),
                without_total: tx::count(row.get(5)?),
            };
            Ok((shown, millionths))
        },
    )?;
    rows.into_iter()
        .map(|(row, millionths)| {
            let millionths: i128 = millionths.parse().map_err(|_| unreadable(&millionths))?;
            Ok(MoneyRow { total: in_digits(millionths), ..row })
        })
        .collect()
}

/// `30000000` as `30.00`: at least two places, no zeros beyond.
fn in_digits(millionths: i128) -> String {
    let Ok(amount) = Decimal::try_from_i128_with_scale(millionths, PLACES) else {
        return format!("{millionths}e-{PLACES}");
    };
    let mut amount = amount.normalize();
    if amount.scale() < 2 {
        amount.rescale(2);
    }
    amount.to_string()
}

/// Counts everything afresh and compares it with what is booked and with the sums; what differs, in words. Reads every
/// order, a slice at a time.
pub(super) fn recount(conn: &Connection, findings: &mut Vec<String>) -> Outcome<()> {
    let mut sums: BTreeMap<Account, Sum> = BTreeMap::new();
    let mut after = 0;
    loop {
        let slice = tx::rows(conn, &SLICE, [after], order)?;
        let Some((last, _)) = slice.last() else { break };
        after = *last;
        for (seq, order) in slice {
            let now = order.now.text();
            if order.booked.as_ref() != Some(&now) {
                let booked = order.booked.as_deref().unwrap_or("nothing");
                findings.push(format!("order row {seq} is booked as \"{booked}\" and is \"{now}\""));
            }
            let account = (order.system, order.now.currency, order.now.state);
            sums.entry(account).or_default().add(order.now.amount, 1);
        }
    }
    compare(rows(conn)?, sums, findings);
    Ok(())
}

fn compare(kept: Vec<MoneyRow>, counted: BTreeMap<Account, Sum>, findings: &mut Vec<String>) {
    let mut kept: BTreeMap<Account, MoneyRow> =
        kept.into_iter().map(|row| ((row.system.clone(), row.currency.clone(), row.state.clone()), row)).collect();
    for (account, sum) in counted {
        let total = in_digits(sum.millionths);
        let found = kept.remove(&account);
        let agrees = found.as_ref().is_some_and(|row| {
            row.total == total
                && row.orders == tx::count(sum.orders)
                && row.without_total == tx::count(sum.without_total)
        });
        if !agrees {
            let (system, currency, state) = account;
            let kept =
                found.map_or_else(|| "nothing".to_owned(), |row| format!("{} orders, {}", row.orders, row.total));
            findings.push(format!(
                "{system} {currency} {state} is kept as {kept} and counts {} orders, {total}",
                sum.orders
            ));
        }
    }
    for ((system, currency, state), row) in kept {
        findings.push(format!(
            "{system} {currency} {state} is kept as {} orders, {} and counts none",
            row.orders, row.total
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p2_a_grand_total_becomes_whole_millionths_or_is_counted_as_none() {
        assert_eq!(millionths(Some("164.9500")), Some(164_950_000));
        assert_eq!(millionths(Some("-0.000001")), Some(-1));
        assert_eq!(millionths(Some("0.1234567")), None, "would have to be rounded");
        assert_eq!(millionths(Some("0.1234560")), Some(123_456));
        assert_eq!(millionths(Some("1000000000000001")), None, "no amount of money");
        assert_eq!(millionths(Some("12,50")), None);
        assert_eq!(millionths(None), None);
        assert_eq!(
            (in_digits(30_000_000), in_digits(164_955_500), in_digits(-1)),
            ("30.00".into(), "164.9555".into(), "-0.000001".into())
        );
    }

    #[test]
    fn p2_a_booking_reads_back_as_it_was_written() {
        for amount in [None, Some(0), Some(-5), Some(30_000_000)] {
            for currency in ["", "GBP"] {
                let booking = Booking { state: "due".into(), currency: currency.into(), amount };
                assert_eq!(Booking::parse(&booking.text()), Some(booking));
            }
        }
    }
}
