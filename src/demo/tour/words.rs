//! The tour in print: plain text that fits 110 columns, the same on a terminal and in a file.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use super::evidence::{Evidence, Sent, document};
use super::setup::{Folder, Keys, PERSON};
use super::table;
use super::verdict::{Summary, words_of};
use crate::demo::erp::{Effect, StandInErp};
use crate::demo::samples::{Expected, Sample, UNMAPPED_SKU};
use crate::store::view::ExceptionRow;

/// As wide as the tables.
const WIDTH: usize = 110;

/// An order worth a look from receipt to ERP number: two reports of it, one sales order.
const WORTH_A_LOOK: &str = "100000104";

/// The item number that repairs the parked order.
const MISSING_ITEM: &str = "10-3101";

/// Every request with its answer and what became of its orders.
pub(super) fn orders(evidence: &Evidence) -> String {
    let mut text = String::new();
    for (place, sent) in evidence.sent.iter().enumerate() {
        text.push_str(&rule(&headline(place + 1, sent)));
        for sample in sent.sending.samples {
            let _ = writeln!(text, "{}: {}", sample.increment_id, sample.story);
            text.push_str(&outcome(evidence, sample, sent.sending.expected));
            text.push('\n');
        }
    }
    text
}

fn headline(number: usize, sent: &Sent) -> String {
    let Sent { sending, answer } = sent;
    let Some(answer) = answer else { return format!("{number}. {}", sending.channel.title()) };
    let words = words_of(&answer.body).join(", ");
    let said = if words.is_empty() { String::new() } else { format!(" {words}") };
    format!("{number}. {} → {}{said} in {}", sending.channel.title(), answer.status, millis(answer.took))
}

fn outcome(evidence: &Evidence, sample: &Sample, expected: Expected) -> String {
    let number = sample.increment_id;
    match expected {
        Expected::Duplicate => {
            "Known already, byte for byte: answered, and nothing is stored or sent again.\n".to_owned()
        }
        Expected::NothingNew => {
            let sales_orders: Vec<&str> = evidence.at_the_erp(number).map(|effect| effect.id.as_str()).collect();
            format!(
                "Another report of an order sent already: kept as evidence; still {}.\n",
                sales_orders.join(" and ")
            )
        }
        Expected::Delivered | Expected::Parked => {
            let received: String = evidence.at_the_erp(number).map(sales_order).collect();
            let waiting: String = evidence.open_of(number).map(exception).collect();
            received + &waiting
        }
    }
}

/// What the ERP received, as a table with its proof.
fn sales_order(effect: &Effect) -> String {
    format!("The ERP received {}:\n{}", effect.id, table::render(&document(effect)))
}

fn exception(exception: &ExceptionRow) -> String {
    let ExceptionRow { code, path, message, remedy, id, .. } = exception;
    format!(
        "Waits for a person, and nothing was sent ({id}):\n  code     {code}\n  path     {path}\n  message  {message}\n  \
         remedy   {remedy}\n"
    )
}

/// A sales order that came while the service stayed up.
pub(super) fn arrived(effect: &Effect) -> String {
    let title = format!("Order {} has arrived", effect.reference.as_deref().unwrap_or("without a number"));
    format!("\n{}{}", rule(&title), sales_order(effect))
}

/// The figures, and what differs from what was expected.
pub(super) fn figures(evidence: &Evidence, summary: &Summary) -> String {
    let Summary { accepted, duplicates, delivered, parked, proved, doubled, .. } = summary;
    let ledger = evidence.ledger;
    let times = evidence.received_to_confirmed();
    let median = summary.received_to_confirmed_p50_us.map(Duration::from_micros).unwrap_or_default();
    let slowest = times.last().copied().unwrap_or_default();
    let build = if cfg!(debug_assertions) { " (debug build; a release build is faster)" } else { "" };
    let (books, closes) =
        (mark(*doubled == 0 && evidence.counts.applied == *delivered), mark(ledger.difference() == 0));
    let proofs = mark(proved == delivered);
    let mut text = rule("Summary");
    let _ = write!(
        text,
        "accepted {accepted} · duplicates {duplicates} · delivered {delivered} · parked {parked} · in {}\n\n\
         at the ERP   {} sales orders for {delivered} orders, doubled {doubled}  {books}\n\
         totals       proved on {proved} of {} sales orders, from what the ERP received  {proofs}\n\
         ledger       accepted {} = done {} + ignored {} + superseded {} + parked {} + due {}, difference {}  {closes}\n\
         speed        received → confirmed by the ERP: p50 {}, slowest {}{build}\n",
        millis(evidence.took),
        evidence.counts.applied,
        evidence.effects.len(),
        ledger.accepted,
        ledger.done,
        ledger.ignored,
        ledger.superseded,
        ledger.exception,
        ledger.due,
        ledger.difference(),
        millis(median),
        millis(slowest),
    );
    if summary.differences.is_empty() {
        text.push_str("\nEverything came to what was expected of it.\n");
    } else {
        text.push('\n');
    }
    for difference in &summary.differences {
        let _ = writeln!(text, "NOT AS EXPECTED: {difference}");
    }
    text
}

/// What to try in a second terminal.
pub(super) fn while_it_runs(
    api: SocketAddr,
    erp: &StandInErp,
    keys: &Keys,
    folder: &Path,
    evidence: &Evidence,
) -> String {
    let (token, password) = (&keys.token, &keys.password);
    let mut text = rule("Try it, in a browser and in a second terminal");
    let _ = write!(
        text,
        "console      http://{api}/console\n\
         sign in      {PERSON}, password {password} (admin)\n\
         API          http://{api}/api/v1\n\
         token        {token} (admin)\n\
         ERP          {}\n\
         config       {folder}/crossdock.toml\n\
         store        {folder}/crossdock.db\n\n\
         These first; the rest uses them:\n  \
         A=http://{api}/api/v1 D={folder}\n  \
         H='Authorization: Bearer {token}'\n\
         An order from its receipt to its number at the ERP:\n  \
         curl -s -H \"$H\" $A/orders/{WORTH_A_LOOK}\n",
        erp.url(),
        folder = quoted(folder),
    );
    let Some(parked) = evidence.open.first() else { return text };
    let (id, number) = (parked.id, &parked.subject.increment_id);
    let _ = write!(
        text,
        "The order that waits, and why:\n  \
         curl -s -H \"$H\" $A/exceptions/{id}\n\
         Give its SKU an item number, and replay it; it then appears in this terminal:\n  \
         (cat \"$D\"/skus.csv; echo {UNMAPPED_SKU},{MISSING_ITEM},) |\n    \
         curl -s -X PUT -H \"$H\" -H 'Content-Type: text/csv' --data-binary @- $A/mappings/skus\n  \
         curl -s -X POST -H \"$H\" -H 'Idempotency-Key: \"fix-1\"' $A/exceptions/{id}/replay\n\
         What the ERP holds for it:\n  \
         curl -s '{}?ref={number}'\n",
        erp.url(),
    );
    text
}

/// Where things were, once the tour has ended by itself.
pub(super) fn afterwards(api: SocketAddr, folder: &Folder) -> String {
    let mut text = format!(
        "\nAPI          http://{api}/api/v1 (closed with this run; without --once it stays up, with a token)\n\
         try          crossdock demo, then: curl -s -H 'Authorization: Bearer TOKEN' http://{api}/api/v1/orders/100000104\n"
    );
    if folder.is_kept() {
        let path = quoted(folder.path());
        let program = std::env::current_exe().map_or_else(|_| "crossdock".to_owned(), |path| quoted(&path));
        let _ = write!(
            text,
            "config       {path}/crossdock.toml\n\
             store        {path}/crossdock.db\n\
             Look into it:\n  \
             {program} orders show {WORTH_A_LOOK} \\\n    --config {path}/crossdock.toml\n"
        );
    } else {
        text.push_str("files        removed; --dir DIR keeps configuration, keys and store\n");
    }
    text
}

/// As a shell takes it.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = text.chars().all(|char| char.is_ascii_alphanumeric() || "/._-+".contains(char));
    if plain { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

fn rule(title: &str) -> String {
    let rest = WIDTH.saturating_sub(title.chars().count() + 4);
    format!("── {title} {}\n", "─".repeat(rest))
}

fn millis(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}

fn mark(holds: bool) -> char {
    if holds { '✓' } else { '✗' }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_with_a_space_is_quoted_for_the_shell_and_a_plain_one_is_not() {
        assert_eq!(quoted(Path::new("/tmp/crossdock-demo-1")), "/tmp/crossdock-demo-1");
        assert_eq!(quoted(Path::new("/tmp/an a's")), r"'/tmp/an a'\''s'");
    }
}
