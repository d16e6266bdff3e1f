//! Records that a job makes.

use super::*;

/// A system that takes an order into a queue and names a job.
const QUEUED: &str = r#"
about = "An ERP with a queue"
guard = "unique"

[[steps]]
name = "find"
kind = "find"
path = "/orders?ref={{ order.increment_id }}"
list = "/items"
reference = "/ref"
take = { id = "/id", number = "/number" }

[[steps]]
name = "create"
kind = "create"
path = "/orders"
body = '{"ref": "{{ order.increment_id }}"}'
take = { job = "/job" }

[[steps]]
name = "job"
kind = "await"
when = "found.job is defined"
path = "/jobs/{{ found.job }}"
rules = [
  { at = "/state", is = ["done"], means = "done" },
  { at = "/state", is = ["queued"], means = "transient", because = "/state" },
  { at = "/state", is = ["failed"], means = "permanent", because = "/why" },
]

[[rules]]
status = 404
at = "/message"
means = "permanent"
"#;

fn queued() -> Recipe {
    let said: RecipeSaid = toml::from_str(QUEUED).unwrap();
    Recipe::new(said, &BTreeMap::new(), &base()).unwrap_or_else(|problems| panic!("{}", problems.join("\n")))
}

/// The answer with the job's name may be lost, and while the job runs nothing is found: only the system can refuse a second one.
#[test]
fn what_a_job_makes_needs_a_guard_that_refuses_a_second_one() {
    for guard in ["find", "none"] {
        let text = QUEUED.replace("guard = \"unique\"", &format!("guard = \"{guard}\""));
        let problems = Recipe::new(toml::from_str(&text).unwrap(), &BTreeMap::new(), &base()).err().unwrap_or_default();
        assert!(problems.iter().any(|problem| problem.contains("key or unique")), "{guard}: {problems:?}");
    }
}

fn taken() -> Found {
    Found::from_iter([("job".to_owned(), 7.into())])
}

const QUEUED_STILL: (u16, &str) = (200, r#"{"state":"queued"}"#);
const THERE: (u16, &str) = (200, r#"{"items":[{"ref":"000000042","id":9,"number":"SO9"}]}"#);

#[tokio::test]
async fn what_a_job_makes_is_asked_for_until_it_is_over_and_then_found() {
    let recipe = queued();
    let mut script = Script::new(&[QUEUED_STILL]);
    let walked = recipe.follow(&work(), taken(), &mut script).await;
    let Finding::Making { detail, .. } = &walked.finding else { panic!("{:?}", walked.finding) };
    assert_eq!((detail.as_str(), walked.stage), ("job: answered 200 OK: queued", Stage::Made));

    assert_eq!(walked.making, Making::Awaited);
    let found = walked.found;
    let start = || Start { stage: Stage::Made, making: Making::Awaited, found: found.clone(), ..preparing() };
    let mut script = Script::new(&[EMPTY, QUEUED_STILL]);
    let walked = recipe.look(&work(), start(), &mut script).await;
    assert!(matches!(walked.finding, Finding::Making { .. }), "{:?}", walked.finding);
    assert_eq!(script.asked[1], "GET /jobs/7", "nothing is prepared, and nothing made");

    let mut script = Script::new(&[EMPTY, (200, r#"{"state":"done"}"#), THERE]);
    let walked = recipe.look(&work(), start(), &mut script).await;
    assert_eq!((walked.finding, script.asked.len()), (Finding::Ours(Receipt(Some("SO9".into()))), 3));
    assert_eq!(walked.making, Making::Done);

    // What the find shows needs no job.
    let mut script = Script::new(&[THERE]);
    let walked = recipe.look(&work(), start(), &mut script).await;
    assert!(matches!(walked.finding, Finding::Ours(_)) && script.asked.len() == 1);
}

#[tokio::test]
async fn what_is_said_of_a_job_is_not_guessed() {
    let recipe = queued();
    let start = || Start { stage: Stage::Made, found: taken(), ..Start::default() };
    for (answer, wanted) in [
        ((200, r#"{"state":"failed","why":"no such item"}"#), "rejected"),
        // Of what nobody knows there it is not known that nothing was made, whatever the recipe says of a 404 elsewhere.
        ((404, r#"{"message":"no such job"}"#), "forgotten"),
        ((200, r#"{"state":"exploded"}"#), "unavailable"),
        ((200, "<html>"), "unavailable"),
        ((200, ""), "unavailable"),
        ((503, ""), "unavailable"),
        ((401, ""), "credential"),
        ((429, ""), "throttled"),
    ] {
        let walked = recipe.look(&work(), start(), &mut Script::new(&[EMPTY, answer])).await;
        assert_eq!(walked.steps[1].outcome, wanted, "{answer:?}: {:?}", walked.finding);
        let spent = matches!(wanted, "rejected" | "forgotten");
        assert_eq!(walked.making, if spent { Making::Spent } else { Making::Awaited }, "{answer:?}");
        assert_eq!(walked.stage, Stage::Made, "only a person has it made again");
        if let Finding::NotMade(rejection) = &walked.finding {
            assert!(rejection.detail.ends_with("job: answered 200 OK: no such item"), "{}", rejection.detail);
        }
    }
    // It is over, and the order is not there: nobody guesses that it was not made.
    let over = (200, r#"{"state":"done"}"#);
    let walked = recipe.look(&work(), start(), &mut Script::new(&[EMPTY, over, EMPTY])).await;
    assert!(matches!(walked.finding, Finding::Unseen { .. }), "{:?}", walked.finding);
}

#[tokio::test]
async fn what_a_job_did_not_make_is_looked_for_when_a_person_wants_it_made() {
    let recipe = queued();
    let failed = (200, r#"{"state":"failed","why":"no such item"}"#);
    let walked = recipe.follow(&work(), taken(), &mut Script::new(&[failed])).await;
    assert_eq!(walked.making, Making::Spent);
    let start = |afresh| {
        let (making, found) = (walked.making, walked.found.clone());
        Start { stage: Stage::Made, making, found, afresh, ..Start::default() }
    };
    let again = recipe.look(&work(), start(true), &mut Script::new(&[EMPTY])).await;
    assert_eq!(again.finding, Finding::Absent);
    let stays = recipe.look(&work(), start(false), &mut Script::new(&[EMPTY, failed])).await;
    assert!(matches!(stays.finding, Finding::NotMade(_)), "{:?}", stays.finding);
    // A look that fails says nothing.
    let unseen = recipe.look(&work(), start(true), &mut Script::new(&[(500, "")])).await;
    assert!(matches!(unseen.finding, Finding::Unseen { .. }), "{:?}", unseen.finding);
    assert_eq!(unseen.making, Making::Spent);
}

#[test]
fn an_await_that_could_never_end_is_refused() {
    let start = QUEUED.find("rules = [").unwrap();
    let end = QUEUED.find("[[rules]]").unwrap();
    let said: RecipeSaid = toml::from_str(&format!("{}{}", &QUEUED[..start], &QUEUED[end..])).unwrap();
    let problems = Recipe::new(said, &BTreeMap::new(), &base()).err().unwrap().join("; ");
    assert!(problems.contains("an await without rules knows no end"), "{problems}");
    let create = QUEUED.find("[[steps]]\nname = \"create\"").unwrap();
    let head = "about = \"x\"\nguard = \"none\"\n";
    let said: RecipeSaid = toml::from_str(&format!("{head}{}", &QUEUED[create..])).unwrap();
    let problems = Recipe::new(said, &BTreeMap::new(), &base()).err().unwrap().join("; ");
    assert!(problems.contains("it needs a step of kind find"), "{problems}");
}
