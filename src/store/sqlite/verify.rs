//! The slow look at everything: what is kept for speed, compared with what it is kept about. For `doctor` and tests.

use rusqlite::Connection;

use super::audit;
use super::fault::Outcome;
use super::money;
use super::silent;
use super::state;
use super::tx::{self, Tx};

/// Statements that must find nothing, with what it means if they do.
const NEVER: &[(&str, &str)] = &[
    (
        "a lane has open deliveries and no head",
        "SELECT DISTINCT id FROM deliveries AS d WHERE state IN ('waiting', 'in_flight', 'parked') AND NOT EXISTS \
         (SELECT 1 FROM deliveries AS h WHERE h.subject = d.subject AND h.destination = d.destination AND h.head = 1)",
    ),
    (
        "a parked delivery has no open exception (P6)",
        "SELECT id FROM deliveries AS d WHERE state = 'parked' AND NOT EXISTS \
         (SELECT 1 FROM exceptions AS x WHERE x.delivery = d.seq AND x.state = 'open')",
    ),
    (
        "a subject has unconcluded envelopes and none has its turn",
        "SELECT id FROM envelopes AS e WHERE turn IS NOT NULL AND NOT EXISTS \
         (SELECT 1 FROM envelopes AS h WHERE h.subject = e.subject AND h.turn IN ('ready', 'begun'))",
    ),
    (
        "an envelope has its turn before an earlier one of its subject",
        "SELECT id FROM envelopes AS e WHERE turn IN ('ready', 'begun') AND EXISTS \
         (SELECT 1 FROM envelopes AS b WHERE b.subject = e.subject AND b.turn IS NOT NULL AND b.seq < e.seq)",
    ),
    (
        "a held change does not count as due (P6)",
        "SELECT e.id FROM held AS h JOIN envelopes AS e ON e.seq = h.envelope \
         WHERE e.state <> 'received' OR e.turn IS NOT NULL",
    ),
    (
        "an event that waits for a read is neither due nor with a person (P6)",
        "SELECT e.id FROM awaited_reads AS a JOIN envelopes AS e ON e.seq = a.envelope \
         WHERE e.state NOT IN ('received', 'exception') OR e.turn IS NOT NULL",
    ),
    (
        "a read is wanted by nobody",
        "SELECT s.id FROM wanted_reads AS w JOIN subjects AS s ON s.seq = w.subject \
         WHERE NOT EXISTS (SELECT 1 FROM awaited_reads WHERE read = w.seq)",
    ),
    (
        "an erased subject is found by its buyer (DAT-1)",
        "SELECT s.id FROM terms AS t JOIN subjects AS s ON s.seq = t.row WHERE t.kind = 1 AND s.erased_at >= s.last_seen_at",
    ),
    (
        "a sealed delivery has no sealed request",
        "SELECT id FROM deliveries AS d WHERE (sealed = 1) <> EXISTS \
         (SELECT 1 FROM sealed_requests AS r WHERE r.delivery = d.seq)",
    ),
    (
        "a delivery in flight has no open attempt of its epoch (ATT-1)",
        "SELECT id FROM deliveries AS d WHERE state = 'in_flight' AND NOT EXISTS (SELECT 1 FROM attempts AS a \
         WHERE a.delivery = d.seq AND a.number = d.attempts AND a.epoch = d.epoch AND a.finished_at IS NULL)",
    ),
];

/// What names a row that is gone: a table, its column, and the table it names.
const NAMES: [(&str, &str, &str); 15] = [
    ("envelopes", "payload", "payloads"),
    ("envelopes", "subject", "subjects"),
    ("documents", "envelope", "envelopes"),
    ("deliveries", "subject", "subjects"),
    ("deliveries", "envelope", "envelopes"),
    ("deliveries", "document", "documents"),
    ("sealed_requests", "delivery", "deliveries"),
    ("attempts", "delivery", "deliveries"),
    ("evidence", "delivery", "deliveries"),
    ("exceptions", "subject", "subjects"),
    ("held", "envelope", "envelopes"),
    ("held", "subject", "subjects"),
    ("awaited_reads", "envelope", "envelopes"),
    ("awaited_reads", "read", "wanted_reads"),
    ("wanted_reads", "subject", "subjects"),
];

/// Counts that are kept, and how they are counted afresh.
const COUNTED: &str = "SELECT 'accepted', COUNT(*) FROM envelopes \
     UNION ALL SELECT 'unprocessed', COUNT(*) FROM envelopes WHERE turn IS NOT NULL \
     UNION ALL SELECT state, COUNT(*) FROM envelopes GROUP BY state \
     UNION ALL SELECT 'waiting:' || destination, COUNT(*) FROM deliveries WHERE state = 'waiting' GROUP BY destination \
     UNION ALL SELECT 'open:' || code, COUNT(*) FROM exceptions WHERE state = 'open' GROUP BY code";

/// P6: envelopes that nobody would look at again.
fn find_silent(conn: &Connection, findings: &mut Vec<String>) -> Outcome<()> {
    let mut after = 0;
    loop {
        let slice = silent::look(conn, after, 10_000)?;
        findings.extend(slice.silent.iter().map(|id| format!("{id} is unfinished and nothing comes back to it (P6)")));
        match slice.next {
            Some(next) => after = next,
            None => return Ok(()),
        }
    }
}

/// Everything that does not agree, in words; empty when all does. A reader sees one state of the file, whatever is written
/// meanwhile.
pub(super) fn findings(conn: &Connection) -> Outcome<Vec<String>> {
    let mut findings = Vec::new();
    for (meaning, sql) in NEVER {
        for id in tx::rows(conn, sql, [], |row| row.get::<_, Vec<u8>>(0))? {
            findings.push(format!("{meaning}: {}", data_encoding::HEXLOWER.encode(&id)));
        }
    }
    for (table, column, named) in NAMES {
        let sql = format!("SELECT COUNT(*) FROM {table} WHERE {column} NOT IN (SELECT seq FROM {named})");
        let gone: i64 = tx::row(conn, &sql, [], |row| row.get(0))?.unwrap_or(0);
        if gone > 0 {
            findings.push(format!("{gone} rows of {table} name a row of {named} that is gone"));
        }
    }
    compare_counts(conn, &mut findings)?;
    compare_states(conn, &mut findings)?;
    money::recount(conn, &mut findings)?;
    if let Some(broken) = audit::first_broken(conn)? {
        findings.push(format!("the audit chain is broken at row {}: {}", broken.number, broken.what));
    }
    find_silent(conn, &mut findings)?;
    Ok(findings)
}

fn compare_counts(conn: &Connection, findings: &mut Vec<String>) -> Outcome<()> {
    let counted = tx::rows(conn, COUNTED, [], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?)))?;
    let kept = super::tally::all(conn)?;
    let of =
        |counts: &[(String, i64)], name: &str| counts.iter().find(|(known, _)| known == name).map_or(0, |(_, n)| *n);
    for (name, n) in &counted {
        if of(&kept, name) != *n {
            findings.push(format!("{name} is kept as {} and counts {n}", of(&kept, name)));
        }
    }
    for (name, n) in kept.iter().filter(|(_, n)| *n != 0) {
        if !counted.iter().any(|(known, _)| known == name) {
            findings.push(format!("{name} is kept as {n} and counts 0"));
        }
    }
    Ok(())
}

fn compare_states(conn: &Connection, findings: &mut Vec<String>) -> Outcome<()> {
    let tx = Tx::new(conn);
    for seq in tx.rows("SELECT seq FROM envelopes", [], |row| row.get::<_, i64>(0))? {
        let (kept, derived) = state::derive(&tx, seq)?;
        if derived != kept {
            findings.push(format!("envelope row {seq} is kept as {} and is {}", kept.as_str(), derived.as_str()));
        }
    }
    Ok(())
}
