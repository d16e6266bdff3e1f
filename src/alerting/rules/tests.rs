use super::*;
use crate::clock::{SeededEntropy, from_micros};
use crate::envelope::ids::AlertId;

const HOLD: Duration = Duration::from_mins(1);

fn at(seconds: i64) -> Timestamp {
    from_micros(1_772_360_130_000_000 + seconds * 1_000_000)
}

fn rule(name: &str, watch: Watch) -> Rule {
    Rule {
        name: name.to_owned(),
        watch,
        severity: None,
        to: vec!["ops".to_owned()],
        escalate_to: vec!["lead".to_owned(), "boss".to_owned()],
        escalate_after: Duration::from_mins(15),
    }
}

fn causes() -> Vec<Rule> {
    vec![rule("exceptions", Watch::Exceptions { at_least: Severity::Error })]
}

fn group(fingerprint: &str, count: u64, severity: Severity) -> OpenGroup {
    OpenGroup {
        fingerprint: fingerprint.to_owned(),
        count,
        oldest: at(0),
        code: "unmapped_sku".to_owned(),
        severity,
        destination: Some("erp".to_owned()),
        message: "SKU 24-X is in no row".to_owned(),
    }
}

fn with_groups(groups: Vec<OpenGroup>) -> Facts {
    Facts { causes: OpenCauses { groups, ..OpenCauses::default() }, ..Facts::default() }
}

/// Rows as the store would hold them after these decisions.
#[derive(Default)]
struct Book {
    open: Vec<Alert>,
    told: Vec<String>,
}

impl Book {
    fn look(&mut self, rules: &[Rule], facts: &Facts, now: Timestamp) {
        for decision in decide(rules, facts, &self.open, HOLD, now) {
            match decision {
                Decision::Raise { rule, found } => {
                    self.told.push(format!("raised {}", found.subject));
                    self.open.push(Alert {
                        id: AlertId::new(now, &SeededEntropy::new(self.open.len() as u64)),
                        rule: rules[rule].name.clone(),
                        subject: found.subject,
                        severity: found.severity,
                        what: found.what,
                        next: found.next,
                        waiting: found.waiting,
                        since: found.since,
                        opened_at: now,
                        changed_at: now,
                        clear_since: None,
                        resolved_at: None,
                        acknowledged_at: None,
                        acknowledged_by: None,
                        level: 0,
                        told_at: now,
                        relapses: 0,
                        unreached: false,
                    });
                }
                Decision::Keep(alert) => self.put(alert),
                Decision::Escalate { rule, alert } => {
                    let step = alert.level as usize - 1;
                    self.told.push(format!("escalated to {}", rules[rule].escalate_to[step]));
                    self.put(alert);
                }
                Decision::Resolve(alert) => {
                    self.told.push(format!("over {}", alert.subject));
                    self.open.retain(|one| one.id != alert.id);
                }
            }
        }
    }

    fn put(&mut self, alert: Alert) {
        let place = self.open.iter_mut().find(|one| one.id == alert.id).expect("an open alert");
        *place = alert;
    }
}

#[test]
fn forty_two_exceptions_of_one_cause_are_one_message_and_one_when_it_is_over() {
    let (rules, mut book) = (causes(), Book::default());
    for count in 1..=42 {
        let now = at(i64::try_from(count).unwrap() * 6);
        book.look(&rules, &with_groups(vec![group("mug", count, Severity::Error)]), now);
    }
    assert_eq!(book.told, ["raised mug"]);
    assert_eq!(
        (book.open[0].waiting, book.open[0].what.as_str()),
        (42, "A SKU is not in the table, for erp: SKU 24-X is in no row")
    );
    for second in [300, 301, 359, 360, 361] {
        book.look(&rules, &with_groups(vec![]), at(second));
    }
    assert_eq!(book.told, ["raised mug", "over mug"]);
    assert!(book.open.is_empty());
}

#[test]
fn what_flaps_is_one_alert() {
    let (rules, mut book) = (causes(), Book::default());
    let wrong = with_groups(vec![group("mug", 1, Severity::Error)]);
    for minute in 0..10 {
        book.look(&rules, &wrong, at(minute * 60));
        book.look(&rules, &with_groups(vec![]), at(minute * 60 + 30));
    }
    assert_eq!(book.told, ["raised mug"], "never quiet for a minute");
    let relapsed = Alert { relapses: 3, clear_since: Some(at(600)), ..book.open[0].clone() };
    let ends = |second| decide(&rules, &with_groups(vec![]), std::slice::from_ref(&relapsed), HOLD, at(second)).len();
    assert_eq!((ends(600 + 479), ends(600 + 480)), (0, 1), "eight minutes after the third relapse within the hour");
}

#[test]
fn nobody_takes_it_so_the_next_is_told_until_somebody_does() {
    let (rules, mut book) = (causes(), Book::default());
    let wrong = with_groups(vec![group("mug", 1, Severity::Critical)]);
    for minute in 0..60 {
        book.look(&rules, &wrong, at(minute * 60));
    }
    assert_eq!(book.told, ["raised mug", "escalated to lead", "escalated to boss"]);
    let mut book = Book::default();
    book.look(&rules, &wrong, at(0));
    book.open[0].acknowledged_at = Some(at(60));
    book.look(&rules, &wrong, at(10_000));
    assert_eq!(book.told, ["raised mug"], "somebody took it");
    let mut book = Book::default();
    book.look(&rules, &wrong, at(0));
    book.open[0].unreached = true;
    book.look(&rules, &wrong, at(1));
    assert_eq!(book.told, ["raised mug", "escalated to lead"], "nobody heard");
}

#[test]
fn a_broken_catalogue_is_a_handful_of_messages() {
    let (rules, mut book) = (causes(), Book::default());
    let groups = |n: usize| (0..n).map(|n| group(&format!("sku-{n:03}"), 2, Severity::Error)).collect();
    book.look(&rules, &with_groups(groups(500)), at(0));
    book.look(&rules, &with_groups(groups(600)), at(10));
    assert_eq!(book.told.len(), CAUSES_APART + 1);
    let further = book.open.iter().find(|alert| alert.subject == FURTHER).unwrap();
    assert_eq!((further.waiting, further.what.as_str()), (1_180, "Records wait for a person for 590 further causes"));
    book.look(&rules, &with_groups(groups(595)[5..].to_vec()), at(20));
    book.look(&rules, &with_groups(groups(595)[5..].to_vec()), at(100));
    assert_eq!(book.told.len(), CAUSES_APART + 1 + 5, "five are over, and no further cause takes their place");
}

#[test]
fn a_list_that_was_cut_ends_nothing() {
    let (rules, mut book) = (causes(), Book::default());
    book.look(&rules, &with_groups(vec![group("mug", 1, Severity::Error)]), at(0));
    let mut cut = with_groups(vec![group("cup", 1, Severity::Error)]);
    cut.causes.cut = true;
    for second in [10, 100, 1_000] {
        book.look(&rules, &cut, at(second));
    }
    assert_eq!(book.told[..2], ["raised mug", "raised cup"]);
    assert!(!book.told.iter().any(|told| told.starts_with("over")));
}

#[test]
fn severity_and_age_decide_what_is_worth_a_message() {
    let age = rule("age", Watch::Age { longer: Duration::from_hours(1), at_least: Severity::Warning });
    let facts = with_groups(vec![group("mug", 1, Severity::Warning), group("info", 1, Severity::Info)]);
    assert_eq!(decide(&causes(), &facts, &[], HOLD, at(0)), []);
    assert_eq!(decide(std::slice::from_ref(&age), &facts, &[], HOLD, at(3_599)), []);
    assert_eq!(decide(&[age], &facts, &[], HOLD, at(3_600)).len(), 1);
}

#[test]
fn what_others_said_stays_with_the_record() {
    let said = OpenGroup {
        code: "rejected_by_destination".to_owned(),
        message: "customer anna@example.com is blocked".to_owned(),
        ..group("no", 1, Severity::Error)
    };
    let decisions = decide(&causes(), &with_groups(vec![said]), &[], HOLD, at(0));
    let Decision::Raise { found, .. } = &decisions[0] else { panic!("{decisions:?}") };
    assert!(!format!("{found:?}").contains("anna"), "{found:?}");
}

fn destination(trouble: Option<Trouble>) -> DestinationFacts {
    DestinationFacts {
        name: "erp".to_owned(),
        waiting: 30,
        oldest: Some(at(0)),
        closed: false,
        trouble: trouble
            .map(|trouble| (trouble, "our credential is refused: 401 for anna@example.com".to_owned(), at(0))),
    }
}

#[test]
fn a_destination_in_trouble_is_told_once_and_not_as_its_lag_as_well() {
    let minutes = Duration::from_mins;
    let breaker = Watch::Breaker { longer: Duration::ZERO, troubles: vec![Trouble::Broken, Trouble::Held] };
    let rules = [rule("breaker", breaker), rule("lag", Watch::Lag { longer: minutes(15) })];
    let told = |one: DestinationFacts| {
        let facts = Facts { destinations: vec![one], ..Facts::default() };
        let decisions = decide(&rules, &facts, &[], HOLD, at(1_000));
        let what = |decision: &Decision| match decision {
            Decision::Raise { found, .. } => found.what.clone(),
            other => panic!("{other:?}"),
        };
        decisions.iter().map(what).collect::<Vec<_>>()
    };
    assert_eq!(told(destination(Some(Trouble::Broken))), ["Destination erp does not answer as it should"]);
    assert_eq!(told(destination(Some(Trouble::Held))), ["Destination erp is held: our credential is refused"]);
    assert_eq!(told(destination(None)), ["Deliveries to erp are late by more than 15 minutes"]);
    assert_eq!(told(destination(Some(Trouble::Backlog))), ["Deliveries to erp are late by more than 15 minutes"]);
    assert_eq!(told(DestinationFacts { closed: true, ..destination(None) }), [] as [&str; 0]);
}

#[test]
fn p2_a_difference_of_one_is_an_alarm() {
    let rules = [rule("ledger", Watch::Ledger)];
    let of = |by| decide(&rules, &Facts { ledger_difference: by, ..Facts::default() }, &[], HOLD, at(0)).len();
    assert_eq!([of(0), of(1), of(-1)], [0, 1, 1]);
}

#[test]
fn a_rate_counts_in_the_order_of_its_rules() {
    let rate = |name, count| rule(name, Watch::Rate { count, within: Duration::from_mins(10) });
    let rules = [rate("few", 5), rate("many", 50)];
    let facts = |opened| Facts { causes: OpenCauses { opened, ..OpenCauses::default() }, ..Facts::default() };
    let raised = |opened| {
        let decisions = decide(&rules, &facts(opened), &[], HOLD, at(0));
        decisions.iter().map(|decision| matches!(decision, Decision::Raise { rule: 1, .. })).collect::<Vec<_>>()
    };
    assert_eq!(raised(vec![4, 60]), [true]);
    assert_eq!(raised(vec![5, 49]), [false]);
    assert_eq!(raised(vec![4, 49]), [] as [bool; 0]);
}

#[test]
fn silence_is_told_when_it_is_long_enough_and_unusual() {
    let rules = [rule("silence", Watch::Silence { longer: Duration::from_mins(15), usual: 8 })];
    let raised = |seconds, missed_thousandths| {
        let silences = vec![Silence { system: "acme".to_owned(), since: at(0), missed_thousandths }];
        decide(&rules, &Facts { silences, ..Facts::default() }, &[], HOLD, at(seconds)).len()
    };
    assert_eq!([raised(899, 100_000), raised(900, 7_999), raised(900, 8_000)], [0, 0, 1]);
}

#[test]
fn a_rule_that_is_gone_ends_its_alerts() {
    let (rules, mut book) = (causes(), Book::default());
    book.look(&rules, &with_groups(vec![group("mug", 1, Severity::Error)]), at(0));
    book.look(&[], &with_groups(vec![group("mug", 1, Severity::Error)]), at(1));
    assert_eq!(book.told, ["raised mug", "over mug"]);
}
