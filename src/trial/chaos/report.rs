//! What a run came to, in figures.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::demo::erp::StandInErp;
use crate::store::view::Ledger;
use crate::trial::history::{Fault, Finding, Sent, Told};

/// Deaths by what the service was doing.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Kills {
    /// Taking orders in.
    pub under_load: u64,
    /// Opening its store and settling what the last death left open.
    pub while_starting: u64,
    /// Delivering what was left.
    pub while_delivering: u64,
    /// Asked to stop, and not done with it.
    pub while_stopping: u64,
}

/// The figures.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Of this run.
    pub seed: u64,
    /// Deaths.
    pub rounds: u64,
    /// Deaths by kind.
    pub kills: Kills,
    /// Starts of the service.
    pub starts: u64,
    /// How often the books were compared.
    pub checks: u64,
    /// How long it took.
    pub seconds: f64,
    /// Different orders.
    pub orders: u64,
    /// Requests of the senders.
    pub sent: u64,
    /// Answered with yes.
    pub acknowledged: u64,
    /// Answered with another status.
    pub refused: u64,
    /// Not answered.
    pub unanswered: u64,
    /// With a wrong signature, all refused or found.
    pub forged: u64,
    /// Requests the ERP saw.
    pub erp_requests: u64,
    /// What it applied.
    pub effects: u64,
    /// Repetitions it answered from memory.
    pub replayed: u64,
    /// Documents it refused because they exist.
    pub refused_as_existing: u64,
    /// Lies it told.
    pub lies: u64,
    /// Rounds in which it refused everything.
    pub outages: u64,
    /// Open exceptions by code.
    pub parked: BTreeMap<String, u64>,
    /// The store's own sums at the last comparison.
    pub ledger: Ledger,
    /// P2: must be 0.
    pub ledger_difference: i64,
    /// The longest wait until an honest ERP had everything.
    pub slowest_drain_seconds: f64,
    /// Counted findings by kind, every kind named.
    pub found: BTreeMap<&'static str, u64>,
    /// What is wrong.
    pub findings: Vec<Finding>,
}

impl Report {
    pub(super) fn new(seed: u64) -> Self {
        Report {
            seed,
            rounds: 0,
            kills: Kills::default(),
            starts: 0,
            checks: 0,
            seconds: 0.0,
            orders: 0,
            sent: 0,
            acknowledged: 0,
            refused: 0,
            unanswered: 0,
            forged: 0,
            erp_requests: 0,
            effects: 0,
            replayed: 0,
            refused_as_existing: 0,
            lies: 0,
            outages: 0,
            parked: BTreeMap::new(),
            ledger: Ledger::default(),
            ledger_difference: 0,
            slowest_drain_seconds: 0.0,
            found: Fault::ALL.iter().map(|fault| (fault.as_str(), 0)).collect(),
            findings: Vec::new(),
        }
    }

    /// After a comparison of the books.
    pub(super) fn take_in(&mut self, sent: &[Sent], erp: &StandInErp, ledger: Ledger, findings: Vec<Finding>) {
        let count = |wanted: &dyn Fn(&Sent) -> bool| sent.iter().filter(|sent| wanted(sent)).count() as u64;
        self.checks += 1;
        self.sent = sent.len() as u64;
        self.acknowledged = count(&|sent| sent.told == Told::Yes);
        self.refused = count(&|sent| matches!(sent.told, Told::No(_)) && !sent.forged);
        self.unanswered = count(&|sent| sent.told == Told::Nothing);
        self.forged = count(&|sent| sent.forged);
        let counts = erp.counts();
        self.erp_requests = counts.requests;
        self.effects = counts.applied;
        self.replayed = counts.replayed;
        self.refused_as_existing = counts.refused_as_existing;
        self.lies = counts.faults;
        self.ledger = ledger;
        self.ledger_difference = i64::try_from(ledger.difference()).unwrap_or(i64::MAX);
        for finding in findings {
            if !self.findings.contains(&finding) {
                *self.found.entry(finding.fault.as_str()).or_default() += 1;
                self.findings.push(finding);
            }
        }
    }

    pub(super) fn by_code<'c>(groups: impl Iterator<Item = (&'c str, u64)>) -> BTreeMap<String, u64> {
        let mut sums = BTreeMap::new();
        for (code, open) in groups {
            *sums.entry(code.to_owned()).or_default() += open;
        }
        sums
    }

    /// The table's rows: what, and how many.
    pub fn rows(&self) -> Vec<(String, String)> {
        let Report { kills, .. } = self;
        let mut rows = vec![
            ("rounds".to_owned(), self.rounds.to_string()),
            ("  killed under load".to_owned(), kills.under_load.to_string()),
            ("  killed while starting".to_owned(), kills.while_starting.to_string()),
            ("  killed while delivering".to_owned(), kills.while_delivering.to_string()),
            ("  killed while stopping".to_owned(), kills.while_stopping.to_string()),
            ("starts, comparisons of the books".to_owned(), format!("{}, {}", self.starts, self.checks)),
            ("orders, requests".to_owned(), format!("{}, {}", self.orders, self.sent)),
            ("  acknowledged".to_owned(), self.acknowledged.to_string()),
            ("  refused".to_owned(), self.refused.to_string()),
            ("  unanswered".to_owned(), self.unanswered.to_string()),
            ("  forged".to_owned(), self.forged.to_string()),
            ("requests at the ERP".to_owned(), self.erp_requests.to_string()),
            ("  applied".to_owned(), self.effects.to_string()),
            ("  known to it already".to_owned(), (self.replayed + self.refused_as_existing).to_string()),
            ("  lies".to_owned(), self.lies.to_string()),
            ("rounds with the ERP out".to_owned(), self.outages.to_string()),
        ];
        rows.extend(
            self.parked.iter().map(|(code, count)| (format!("waiting for a person: {code}"), count.to_string())),
        );
        rows.push((
            "ledger: accepted, difference".to_owned(),
            format!("{}, {}", self.ledger.accepted, self.ledger_difference),
        ));
        rows.extend(Fault::ALL.iter().map(|fault| {
            let count = self.found.get(fault.as_str()).copied().unwrap_or_default();
            (fault.as_str().to_owned(), count.to_string())
        }));
        rows
    }
}
