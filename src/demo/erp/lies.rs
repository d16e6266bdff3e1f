//! Misbehaviour by chance: how often an ERP lies, and how. The same seed tells the same lies to the same requests.

use std::time::Duration;

use super::fault::{Fault, Plan};
use crate::clock::{Clock as _, Entropy as _, SeededEntropy, SystemClock};

/// How often each kind of lie is told, in thousandths of all requests.
#[derive(Clone, Debug)]
pub struct Lies {
    table: Vec<(u32, Lie)>,
}

#[derive(Clone, Debug)]
enum Lie {
    Told(Fault),
    /// The header is a date, so it is written when the lie is told.
    RetryAfterDate {
        status: u16,
        in_seconds: u64,
    },
}

impl Lies {
    /// None at all.
    pub fn none() -> Self {
        Lies { table: Vec::new() }
    }

    /// Every lie after which an order may be lost or doubled: answers that go missing, come late, come broken or say the
    /// opposite of what happened. `timeout` is how long the caller waits for an answer; late means later than that.
    pub fn about_effects(timeout: Duration) -> Self {
        let table = [
            (20, Fault::DropAfterApply),
            (15, Fault::DropBeforeApply),
            (15, Fault::StatusAfterApply(500)),
            (10, Fault::StatusAfterApply(502)),
            (10, Fault::Status(500)),
            (10, Fault::Status(503)),
            (10, Fault::HangAfterApply(timeout * 3 / 2)),
            (5, Fault::Hang(timeout * 3 / 2)),
            (10, Fault::ApplyLate(timeout / 2)),
            (10, Fault::StatusThenApply { status: 504, wait: timeout / 2 }),
            (5, Fault::Garbage),
            (10, Fault::GarbageAfterApply),
            (10, Fault::CutOffAfterApply),
            (5, Fault::DribbleAfterApply(timeout / 2)),
            (5, Fault::DribbleAfterApply(timeout * 3 / 2)),
        ];
        Lies { table: table.into_iter().map(|(rate, fault)| (rate, Lie::Told(fault))).collect() }
    }

    /// And the ones that slow down or park: requests to wait, refusals, redirects, failures that are stored.
    #[must_use]
    pub fn and_refusals(mut self) -> Self {
        let told = |fault| Lie::Told(fault);
        self.table.extend([
            (2, told(Fault::retry_after(429, 1))),
            (1, told(Fault::retry_after(503, 1))),
            (1, Lie::RetryAfterDate { status: 429, in_seconds: 1 }),
            (1, told(Fault::RetryAfter { status: 429, value: "soon".to_owned() })),
            (3, told(Fault::ErrorIn200)),
            (2, told(Fault::Redirect)),
            (2, told(Fault::FailForGood(422))),
            (1, told(Fault::FailForGood(500))),
        ]);
        self
    }

    /// Connections that are reset, `thousandths` of all; for [`super::StandInErp::plan_connects`].
    pub fn resets(thousandths: u32) -> Self {
        Lies { table: vec![(thousandths, Lie::Told(Fault::DropBeforeApply))] }
    }

    /// The plan that draws from this table.
    pub fn plan(&self, seed: u64) -> Plan {
        let lies = self.clone();
        Box::new(move |number| lies.draw(seed, number))
    }

    fn draw(&self, seed: u64, number: u64) -> Option<Fault> {
        let mut bytes = [0; 4];
        SeededEntropy::new(seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15)).fill(&mut bytes);
        let mut drawn = u32::from_le_bytes(bytes) % 1_000;
        for (rate, lie) in &self.table {
            if drawn < *rate {
                return Some(lie.told());
            }
            drawn -= rate;
        }
        None
    }
}

impl Lie {
    fn told(&self) -> Fault {
        match self {
            Lie::Told(fault) => fault.clone(),
            Lie::RetryAfterDate { status, in_seconds } => {
                let since_epoch = u64::try_from(SystemClock.now().as_second()).unwrap_or_default() + in_seconds;
                let at = std::time::UNIX_EPOCH + Duration::from_secs(since_epoch);
                Fault::RetryAfter { status: *status, value: httpdate::fmt_http_date(at) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_tells_the_same_lies_and_about_as_often_as_the_table_says() {
        let lies = Lies::about_effects(Duration::from_millis(100));
        let (one, two, other) = (lies.plan(7), lies.plan(7), lies.plan(8));
        let told = |plan: &Plan| (1..=10_000).map(plan).collect::<Vec<_>>();
        assert_eq!(told(&one), told(&two));
        assert_ne!(told(&one), told(&other));
        let sum: u32 = lies.table.iter().map(|(rate, _)| rate).sum();
        let count = told(&one).iter().flatten().count();
        assert!(count.abs_diff(10 * sum as usize) < 200, "{count} of {sum} in a thousand");
    }

    #[test]
    fn nobody_lies_without_a_table() {
        assert!((1..100).all(|number| Lies::none().plan(1)(number).is_none()));
    }
}
