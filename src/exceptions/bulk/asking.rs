//! Asking for an act, and what people say about one that was asked for.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::time::Duration;

use rust_decimal::Decimal;
use serde::Serialize;

use super::filter::{Filter, Finding};
use super::{MEMBERS_MAX, PER_MINUTE_MAX, RESEND, Settings};
use crate::clock::{Entropy, Timestamp, later};
use crate::domain::currency::Currency;
use crate::domain::due::DueTimes;
use crate::envelope::ids::{BulkId, DeliveryId, EnvelopeId, ExceptionId};
use crate::exceptions::handling;
use crate::store::bulk::{BulkRow, BulkStep, NewBulk, OrderTotal, Ruling, Targets};
use crate::store::view::{DeliveryRow, ExceptionRow, Paging};
use crate::store::write::Act;
use crate::store::{Store, StoreError};

/// Members shown before anything is done.
pub const SAMPLE: usize = 20;

/// Rows read at a time.
const PAGE: u32 = 200;

/// Why an act was not written down.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// It cannot be asked like this.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Findings(Vec<Finding>),
    /// The store could not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<Finding> for AskError {
    fn from(finding: Finding) -> Self {
        AskError::Findings(vec![finding])
    }
}

/// The list as it is now.
#[derive(Clone, Debug)]
pub struct Listed {
    /// All of it, oldest first.
    pub targets: Targets,
    /// Some of its first members, if they are exceptions.
    pub exceptions: Vec<ExceptionRow>,
    /// Some of its first members, if they are deliveries.
    pub deliveries: Vec<DeliveryRow>,
    /// How many for each destination; exceptions of none are not among them.
    pub destinations: BTreeMap<String, u64>,
    /// Of deliveries: how many are at their destination already, as far as is known.
    pub at_destination: u64,
    /// Of the orders behind it, by currency.
    pub sums: Vec<Sum>,
    /// Orders behind it whose total is not known.
    pub without_total: u64,
}

/// What orders come to in one currency, as Commerce sent their totals.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Sum {
    /// ISO code.
    pub currency: String,
    /// Orders.
    pub orders: u64,
    /// Exact.
    pub grand_total: String,
}

/// Makes the list of what a filter means now.
///
/// # Errors
/// [`AskError::Findings`] where the filter cannot be used or means too much.
pub async fn list(
    store: &dyn Store,
    what: &str,
    filter: &Filter,
    (times, now, actor): (&DueTimes, Timestamp, &str),
) -> Result<Listed, AskError> {
    let findings = filter.findings(what);
    if !findings.is_empty() {
        return Err(AskError::Findings(findings));
    }
    let mut listed = match what {
        RESEND => deliveries(store, filter).await?,
        _ => exceptions(store, filter, (times, now, actor)).await?,
    };
    let totals = store.totals_behind(listed.targets.clone()).await?;
    (listed.sums, listed.without_total) = sums(&totals);
    Ok(listed)
}

/// Lists run from the newest to the oldest, and a lane's records must go in their order.
struct Gathered<I, R> {
    ids: Vec<I>,
    /// The oldest of those met so far.
    sample: VecDeque<R>,
}

impl<I, R> Gathered<I, R> {
    fn new() -> Self {
        Gathered { ids: Vec::new(), sample: VecDeque::with_capacity(SAMPLE + 1) }
    }

    fn take(&mut self, id: I, row: R) -> Result<(), Finding> {
        if self.ids.len() == MEMBERS_MAX {
            let message = format!("more than {MEMBERS_MAX} records are meant: narrow it down, for example by time");
            return Err(Finding { member: "", message });
        }
        self.ids.push(id);
        self.sample.push_front(row);
        self.sample.truncate(SAMPLE);
        Ok(())
    }
}

async fn exceptions(
    store: &dyn Store,
    filter: &Filter,
    (times, now, actor): (&DueTimes, Timestamp, &str),
) -> Result<Listed, AskError> {
    let mut gathered = Gathered::new();
    let mut destinations = BTreeMap::new();
    let mut records = HashSet::new();
    for one in filter.exceptions(times, now, actor)? {
        let mut paging = Paging { limit: PAGE, cursor: None };
        loop {
            let page = store.exceptions(one.clone(), paging).await?;
            for row in page.items {
                if is_new(&row, &mut records) {
                    count(&mut destinations, row.destination.as_deref());
                    gathered.take((row.opened_at, row.id), row)?;
                }
            }
            match page.next_cursor {
                Some(cursor) => paging = Paging { limit: PAGE, cursor: Some(cursor) },
                None => break,
            }
        }
    }
    let Gathered { mut ids, sample } = gathered;
    ids.reverse();
    // Of several numbers each brought its own list.
    ids.sort_by_key(|(opened_at, _)| *opened_at);
    let mut exceptions: Vec<ExceptionRow> = sample.into();
    exceptions.sort_by_key(|row| row.opened_at);
    Ok(Listed {
        targets: Targets::Replay(ids.into_iter().map(|(_, id)| id).collect::<Vec<ExceptionId>>()),
        exceptions,
        deliveries: Vec::new(),
        destinations,
        at_destination: 0,
        sums: Vec::new(),
        without_total: 0,
    })
}

/// A record may have several exceptions: it is processed once. What stops a delivery is about that delivery alone.
fn is_new(row: &ExceptionRow, records: &mut HashSet<EnvelopeId>) -> bool {
    match (row.delivery_id, row.envelope_id) {
        (None, Some(envelope)) => records.insert(envelope),
        _ => true,
    }
}

async fn deliveries(store: &dyn Store, filter: &Filter) -> Result<Listed, AskError> {
    let mut gathered = Gathered::new();
    let mut destinations = BTreeMap::new();
    let mut at_destination = 0;
    for one in filter.deliveries() {
        let mut paging = Paging { limit: PAGE, cursor: None };
        loop {
            let page = store.deliveries(one.clone(), paging).await?;
            for row in page.items {
                count(&mut destinations, Some(&row.destination));
                at_destination += u64::from(row.state == "delivered");
                gathered.take((row.created_at, row.id), row)?;
            }
            match page.next_cursor {
                Some(cursor) => paging = Paging { limit: PAGE, cursor: Some(cursor) },
                None => break,
            }
        }
    }
    let Gathered { mut ids, sample } = gathered;
    ids.reverse();
    ids.sort_by_key(|(created_at, _)| *created_at);
    let mut deliveries: Vec<DeliveryRow> = sample.into();
    deliveries.sort_by_key(|row| row.created_at);
    Ok(Listed {
        targets: Targets::Resend(ids.into_iter().map(|(_, id)| id).collect::<Vec<DeliveryId>>()),
        exceptions: Vec::new(),
        deliveries,
        destinations,
        at_destination,
        sums: Vec::new(),
        without_total: 0,
    })
}

fn count(destinations: &mut BTreeMap<String, u64>, name: Option<&str>) {
    let Some(name) = name else { return };
    match destinations.get_mut(name) {
        Some(known) => *known += 1,
        None => drop(destinations.insert(name.to_owned(), 1)),
    }
}

/// By currency; what is no amount, or too much of one, counts as not known.
fn sums(totals: &[Option<OrderTotal>]) -> (Vec<Sum>, u64) {
    let (mut sums, mut unknown) = (BTreeMap::<&str, (u64, Decimal)>::new(), 0);
    for total in totals {
        let known = total.as_ref().and_then(|total| Some((total.currency.as_str(), total.grand_total.parse().ok()?)));
        let added = known.and_then(|(currency, amount): (&str, Decimal)| {
            let (orders, sum) = sums.get(currency).copied().unwrap_or_default();
            Some((currency, (orders + 1, sum.checked_add(amount)?)))
        });
        match added {
            Some((currency, sum)) => drop(sums.insert(currency, sum)),
            None => unknown += 1,
        }
    }
    let shown = |(currency, (orders, sum)): (&str, (u64, Decimal))| Sum {
        currency: currency.to_owned(),
        orders,
        grand_total: written(sum, currency),
    };
    (sums.into_iter().map(shown).collect(), unknown)
}

/// Every digit that counts, and no fewer than the currency has.
fn written(sum: Decimal, currency: &str) -> String {
    let mut sum = sum.normalize();
    let digits = currency.parse().map_or(0, Currency::digits);
    if sum.scale() < digits {
        sum.rescale(digits);
    }
    sum.to_string()
}

/// How an act shall go.
#[derive(Clone, Debug)]
pub struct Asked {
    /// As it was asked.
    pub filter: Filter,
    /// Members a minute; the configured rate where nothing is asked for.
    pub per_minute: Option<u32>,
    /// How many members a preview showed: another number is refused.
    pub count: Option<u64>,
    /// Who asks, and why.
    pub act: Act,
}

/// Writes an act down: nothing of it is done until its undo window is over, and above the configured number not before a
/// second person approved it.
///
/// # Errors
/// [`AskError::Findings`] where something is missing or the list is not the one that was seen.
pub async fn ask(
    store: &dyn Store,
    entropy: &dyn Entropy,
    settings: &Settings,
    listed: Listed,
    asked: Asked,
) -> Result<BulkRow, AskError> {
    let count = listed.targets.count();
    let findings = findings(&listed, &asked);
    if !findings.is_empty() {
        return Err(AskError::Findings(findings));
    }
    let at = asked.act.at;
    let id = BulkId::new(at, entropy);
    let per_minute = asked.per_minute.unwrap_or(settings.per_minute);
    let begins_at = (!needs_approval(settings, count)).then(|| later(at, settings.undo));
    let after = serde_json::json!({
        "what": listed.targets.what(), "filter": asked.filter, "count": count, "per_minute": per_minute,
        "needs_approval": begins_at.is_none(),
    });
    let act = Act { target: id.to_string(), after: after.to_string(), ..asked.act };
    let filter = serde_json::to_string(&asked.filter).expect("a filter is plain data");
    let sums = serde_json::to_string(&listed.sums).expect("sums are plain data");
    Ok(store.ask_bulk(NewBulk { id, targets: listed.targets, filter, sums, per_minute, begins_at, act }).await?)
}

/// The rate that is asked for, if it is one.
///
/// # Errors
/// It is none that an act can keep.
pub fn rate(per_minute: Option<u32>) -> Result<Option<u32>, Finding> {
    match per_minute {
        Some(rate) if !(1..=PER_MINUTE_MAX).contains(&rate) => {
            Err(Finding { member: "per_minute", message: format!("is a number from 1 to {PER_MINUTE_MAX}") })
        }
        rate => Ok(rate),
    }
}

/// Whether an act on so many needs a second person.
pub fn needs_approval(settings: &Settings, count: usize) -> bool {
    u64::try_from(count).unwrap_or(u64::MAX) > settings.approve_above.into()
}

/// How long an act on so many takes once it has begun.
pub fn lasts(count: usize, per_minute: u32) -> Duration {
    let apart = Duration::from_mins(1) / per_minute.max(1);
    apart.saturating_mul(u32::try_from(count.saturating_sub(1)).unwrap_or(u32::MAX))
}

fn findings(listed: &Listed, asked: &Asked) -> Vec<Finding> {
    let count = listed.targets.count();
    let told = |member, message: String| Finding { member, message };
    let mut findings = Vec::new();
    if count == 0 {
        findings.push(told("", "nothing is meant by it now".to_owned()));
    }
    findings.extend(rate(asked.per_minute).err());
    if asked.act.reason.trim().is_empty() {
        findings.push(told("reason", "say why: it is kept for ever".to_owned()));
    }
    match asked.count {
        Some(seen) if seen != u64::try_from(count).unwrap_or(u64::MAX) => {
            findings.push(told("count", format!("it is {count} now: look again")));
        }
        None if listed.targets.what() == RESEND => {
            findings.push(told("count", "repeat how many shall be done a second time".to_owned()));
        }
        _ => {}
    }
    findings
}

/// What a person says about an act. Approving and refusing take somebody else than whoever asked; undoing and stopping do not.
///
/// # Errors
/// [`StoreError::NotAllowed`] with the reason, [`StoreError::NotFound`].
pub async fn rule(
    store: &dyn Store,
    settings: &Settings,
    bulk: BulkId,
    said: Said,
    act: Act,
) -> Result<BulkRow, StoreError> {
    if matches!(said, Said::Approve | Said::Refuse) {
        let known = store.bulk(bulk).await?.ok_or_else(|| StoreError::NotFound(bulk.to_string()))?;
        if is_same_person(&known.asked_by, &act.actor) {
            return Err(StoreError::NotAllowed(format!(
                "{bulk} was asked for by {}: it takes a second person to {}",
                known.asked_by,
                if said == Said::Approve { "approve it" } else { "refuse it; whoever asked takes it back" }
            )));
        }
    }
    let step = match said {
        Said::Approve => BulkStep::Approve { begins_at: later(act.at, settings.undo) },
        Said::Refuse => BulkStep::Refuse,
        Said::Undo => BulkStep::Undo,
        Said::Stop => BulkStep::Stop,
    };
    store.rule_bulk(Ruling { bulk, step, act }).await
}

/// What may be said about an act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// It may go.
    Approve,
    /// It shall not go.
    Refuse,
    /// It is taken back before it began.
    Undo,
    /// What did not go by now shall not go.
    Stop,
}

impl Said {
    /// As the audit names it.
    pub fn action(self) -> &'static str {
        match self {
            Said::Approve => "bulk.approve",
            Said::Refuse => "bulk.refuse",
            Said::Undo => "bulk.undo",
            Said::Stop => "bulk.stop",
        }
    }
}

/// Names decide, whatever they are names of: `user:Anna`, `token:anna` and `cli:anna` are one person. Two tokens of one
/// person that are named otherwise are two (decision 0073).
fn is_same_person(one: &str, other: &str) -> bool {
    handling::name_of(one).to_lowercase() == handling::name_of(other).to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn total(currency: &str, digits: &str) -> OrderTotal {
        OrderTotal { currency: currency.into(), grand_total: digits.into() }
    }

    #[test]
    fn money_is_summed_exactly_by_currency_and_what_is_none_is_counted_apart() {
        let totals = [
            Some(total("GBP", "0.1")),
            Some(total("GBP", "0.2000")),
            Some(total("JPY", "1500")),
            None,
            Some(total("GBP", "n/a")),
            Some(total("XXX", "0.123450")),
        ];
        let (sums, unknown) = sums(&totals);
        let shown: Vec<_> = sums.iter().map(|sum| (&*sum.currency, sum.orders, &*sum.grand_total)).collect();
        assert_eq!((shown, unknown), (vec![("GBP", 2, "0.30"), ("JPY", 1, "1500"), ("XXX", 1, "0.12345")], 2));
        let large = Decimal::MAX.to_string();
        let (_, unknown) = super::sums(&[Some(total("GBP", &large)), Some(total("GBP", &large))]);
        assert_eq!(unknown, 1, "what cannot be summed is not lost");
    }

    #[test]
    fn a_second_person_is_told_by_the_name() {
        for same in [("user:anna", "token:Anna"), ("token:anna", "cli:anna"), ("user:Ünal", "user:ünal")] {
            assert!(is_same_person(same.0, same.1), "{same:?}");
        }
        assert!(!is_same_person("user:anna", "user:ben") && !is_same_person("token:ci", "token:ci-2"));
    }

    #[test]
    fn the_number_decides_whether_a_second_person_is_asked() {
        let settings = Settings { approve_above: 2, ..Settings::default() };
        assert!(!needs_approval(&settings, 2) && needs_approval(&settings, 3));
        assert_eq!(lasts(61, 60), Duration::from_mins(1));
        assert_eq!((lasts(0, 60), lasts(1, 0)), (Duration::ZERO, Duration::ZERO));
    }
}
