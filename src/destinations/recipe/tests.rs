mod batches;
mod queued;

use std::collections::VecDeque;
use std::time::Duration;

use ::http::HeaderMap;
use bytes::Bytes;

use super::super::find::Finding;
use super::super::outcome::{BodyEnd, CredentialRefused, Health, Mark, ResponseSeen};
use super::*;
use crate::clock::from_micros;
use crate::store::write::{Making, Stage};

/// An ERP that wants its own ids, makes a customer of whom it does not know, and is taken through three states.
const RECIPE: &str = r#"
about = "An ERP of our own"
guard = "unique"
receipt = "{{ found.number | default(\"\") }}"

[settings]
company = { about = "the company's id" }
tax = { about = "how tax is put", default = "line", one_of = ["line", "none"] }

[maps.countries]
GB = "UK"

[[steps]]
name = "find"
kind = "find"
path = "/orders?ref={{ order.increment_id }}"
list = "/items"
reference = "/ref"
take = { id = "/id", state = "/state", number = "/number", total = "/total" }

[[steps]]
name = "products"
kind = "lookup"
keep = "1h"
path = "/products?{% for sku in skus %}sku={{ sku }}{% if not loop.last %}&{% endif %}{% endfor %}"
take.products = { list = "/items", key = "/sku", value = "/id" }

[[steps]]
name = "customer"
kind = "lookup"
one_at_a_time = "{{ order.customer.email }}"
path = "/customers?email={{ order.customer.email }}"
take = { customer = "/items/0/id" }

[[steps]]
name = "new customer"
kind = "ensure"
when = "not found.customer"
path = "/customers"
body = '{"email": "{{ order.customer.email }}"}'
take = { customer = "/id" }

[[steps]]
name = "create"
kind = "create"
path = "/orders"
headers = { Idempotency-Key = "{{ key }}" }
body = '''
{"ref": "{{ order.increment_id }}", "company": {{ with.company }}, "customer": {{ found.customer }},
 "lines": [{% for line in lines %}{"product": {{ found.products[line.sku] | needed("it has no product " ~ line.sku) }},
   "price": "{{ line.unit_price | rounded(2) }}"},{% endfor %}]}'''
take = { id = "/id", state = "/state" }
rules = [{ status = 400, body = "must be unique", means = "already-done" }]

[[steps]]
name = "confirm"
kind = "advance"
when = "found.state == 'draft'"
method = "POST"
path = "/orders/{{ found.id }}/confirm"
take = { state = "/state", number = "/number", total = "/total" }

[[steps]]
name = "verify"
kind = "verify"
expect = [{ what = "grand total", there = "{{ found.total }}", ours = "{{ totals.grand_total }}", within = "0.01" }]

[[rules]]
status = 200
at = "/error"
means = "permanent"
because = "/error"
"#;

const DOCUMENT: &str = r#"{"order":{"increment_id":"000000042","customer":{"email":"anna+x@example.com"}},
"lines":[{"kind":"item","sku":"A B","unit_price":"9.9500"},{"kind":"component","sku":"C","unit_price":"1.0000"},
{"kind":"item","sku":"C","unit_price":"2.0000"}],"totals":{"grand_total":"12.95"}}"#;

fn base() -> Url {
    Url::parse("https://erp.example.com/api").unwrap()
}

fn with(company: i64) -> BTreeMap<String, serde_json::Value> {
    BTreeMap::from([("company".to_owned(), company.into())])
}

fn recipe() -> Recipe {
    let said: RecipeSaid = toml::from_str(RECIPE).unwrap();
    Recipe::new(said, &with(7), &base()).unwrap_or_else(|problems| panic!("{}", problems.join("\n")))
}

fn work() -> Work {
    Work::new("order.create", DOCUMENT.as_bytes(), &IdempotencyKey::from_stored("ek1-abc")).unwrap()
}

/// Answers in turn and remembers what was asked.
struct Script {
    answers: VecDeque<(u16, &'static str)>,
    asked: Vec<String>,
    /// So many may be asked; the next not before a minute has passed.
    allowed: usize,
}

impl Script {
    fn new(answers: &[(u16, &'static str)]) -> Script {
        Script { answers: answers.iter().copied().collect(), asked: Vec::new(), allowed: usize::MAX }
    }
}

impl Call for Script {
    async fn call(&mut self, request: &SealedRequest) -> Result<Wire, Duration> {
        if self.asked.len() == self.allowed {
            return Err(Duration::from_mins(1));
        }
        let path = request.url.strip_prefix("https://erp.example.com/api").expect("it stays behind the URL");
        self.asked
            .push(format!("{} {path} {}", request.method, String::from_utf8_lossy(&request.body)).trim().to_owned());
        let Some((status, body)) = self.answers.pop_front() else { return Ok(Wire::Lost("silence".to_owned())) };
        let body = Bytes::from_static(body.as_bytes());
        Ok(Wire::Answered(ResponseSeen { status, headers: HeaderMap::new(), body, end: BodyEnd::Complete }))
    }

    fn now(&self) -> Timestamp {
        from_micros(0)
    }
}

const EMPTY: (u16, &str) = (200, r#"{"items":[]}"#);
const PRODUCTS: (u16, &str) = (200, r#"{"items":[{"sku":"A B","id":1},{"sku":"C","id":2}]}"#);

fn preparing() -> Start {
    Start { prepare: true, ..Start::default() }
}

#[tokio::test]
async fn what_is_not_there_is_prepared_and_written_with_the_destinations_own_ids() {
    let recipe = recipe();
    let mut script = Script::new(&[EMPTY, PRODUCTS, EMPTY, (201, r#"{"id":77}"#)]);
    let walked = recipe.look(&work(), preparing(), &mut script).await;
    assert_eq!((walked.finding, walked.stage), (Finding::Absent, Stage::Prepared));
    assert_eq!(
        script.asked,
        [
            "GET /orders?ref=000000042",
            "GET /products?sku=A%20B&sku=C",
            "GET /customers?email=anna%2Bx%40example.com",
            r#"POST /customers {"email":"anna+x@example.com"}"#
        ]
    );
    let names: Vec<_> = walked.steps.iter().map(|seen| (seen.name.as_str(), seen.outcome, seen.calls)).collect();
    assert_eq!(
        names,
        [("find", "absent", 1), ("products", "done", 1), ("customer", "done", 1), ("new customer", "done", 1)]
    );
    let request = recipe.create(&work(), &walked.found).unwrap();
    assert_eq!((request.method.as_str(), request.url.as_str()), ("POST", "https://erp.example.com/api/orders"));
    assert_eq!(
        String::from_utf8_lossy(&request.body),
        r#"{"ref":"000000042","company":7,"customer":77,"lines":[{"product":1,"price":"9.95"},{"product":2,"price":"1.00"},{"product":2,"price":"2.00"}]}"#
    );
    assert!(request.headers.contains(&("idempotency-key".to_owned(), "ek1-abc".to_owned())));
    assert!(crate::destinations::http::render::is_intact(&request) && !request.body_is_document);
}

#[tokio::test]
async fn what_was_looked_up_for_one_order_serves_the_next_until_it_is_old_or_a_person_asks() {
    let recipe = recipe();
    let customer = (200, r#"{"items":[{"id":5}]}"#);
    recipe.look(&work(), preparing(), &mut Script::new(&[EMPTY, PRODUCTS, customer])).await;
    let mut second = Script::new(&[EMPTY, customer]);
    let walked = recipe.look(&work(), preparing(), &mut second).await;
    assert_eq!((walked.stage, second.asked.len()), (Stage::Prepared, 2), "{:?}", second.asked);
    let mut third = Script::new(&[EMPTY, PRODUCTS, customer]);
    recipe.look(&work(), Start { afresh: true, ..preparing() }, &mut third).await;
    assert_eq!(third.asked.len(), 3);
}

#[tokio::test]
async fn a_product_that_is_not_there_is_told_by_its_sku() {
    let recipe = recipe();
    let mut script =
        Script::new(&[EMPTY, (200, r#"{"items":[{"sku":"C","id":2}]}"#), (200, r#"{"items":[{"id":5}]}"#)]);
    let walked = recipe.look(&work(), preparing(), &mut script).await;
    let problem = recipe.create(&work(), &walked.found).unwrap_err();
    assert!(problem.ends_with("it has no product A B"), "{problem}");
}

#[tokio::test]
async fn what_is_there_is_taken_on_from_the_state_it_is_in() {
    let recipe = recipe();
    let draft = (200, r#"{"items":[{"ref":"000000042","id":9,"state":"draft","number":null,"total":null}]}"#);
    let confirmed = (200, r#"{"state":"open","number":"SO9","total":12.95}"#);
    let mut script = Script::new(&[draft, confirmed]);
    let walked = recipe.look(&work(), Start::default(), &mut script).await;
    assert_eq!(walked.finding, Finding::Ours(Receipt(Some("SO9".into()))));
    assert_eq!(script.asked[1], "POST /orders/9/confirm");

    let open = (200, r#"{"items":[{"ref":"000000042","id":9,"state":"open","number":"SO9","total":"12.96"}]}"#);
    let mut again = Script::new(&[open]);
    let walked = recipe.look(&work(), Start { stage: Stage::Made, ..Start::default() }, &mut again).await;
    assert_eq!((walked.finding, again.asked.len()), (Finding::Ours(Receipt(Some("SO9".into()))), 1));
}

#[tokio::test]
async fn other_amounts_there_are_shown_on_both_sides() {
    let recipe = recipe();
    let open = (200, r#"{"items":[{"ref":"000000042","id":9,"state":"open","number":"SO9","total":13.1}]}"#);
    let walked = recipe.look(&work(), Start::default(), &mut Script::new(&[open])).await;
    let Finding::TotalsDiffer { detail, .. } = walked.finding else { panic!("{:?}", walked.finding) };
    assert_eq!(detail, "grand total there is 13.1, ours is 12.95");
}

#[tokio::test]
async fn a_difference_that_is_accepted_is_told_and_the_steps_behind_it_are_taken() {
    let release = r#"
[[steps]]
name = "release"
kind = "advance"
method = "POST"
path = "/orders/{{ found.id }}/release"

[[rules]]"#;
    let said: RecipeSaid = toml::from_str(&RECIPE.replacen("\n[[rules]]", release, 1)).unwrap();
    let open = (200, r#"{"items":[{"ref":"000000042","id":9,"state":"open","number":"SO9","total":13.1}]}"#);
    for accepts in [false, true] {
        let recipe = Recipe::new(said.clone(), &with(7), &base()).unwrap().accepting_differences(accepts);
        let mut script = Script::new(&[open, (200, "{}")]);
        let walked = recipe.look(&work(), Start::default(), &mut script).await;
        assert_eq!(walked.differences().collect::<Vec<_>>(), ["grand total there is 13.1, ours is 12.95"]);
        if accepts {
            assert_eq!(walked.finding, Finding::Ours(Receipt(Some("SO9".into()))));
            assert_eq!(script.asked.last().unwrap(), "POST /orders/9/release");
        } else {
            assert!(matches!(walked.finding, Finding::TotalsDiffer { .. }), "{:?}", walked.finding);
            assert_eq!(script.asked.len(), 1);
        }
    }
}

#[tokio::test]
async fn an_order_without_an_address_is_not_booked_on_the_first_customer_there_is() {
    let document = DOCUMENT.replace("anna+x@example.com", "");
    let work = Work::new("order.create", document.as_bytes(), &IdempotencyKey::from_stored("k")).unwrap();
    let mut script = Script::new(&[EMPTY, PRODUCTS, (200, r#"{"items":[{"id":1},{"id":2}]}"#)]);
    let walked = recipe().look(&work, preparing(), &mut script).await;
    let Finding::Unmet(detail) = &walked.finding else { panic!("{:?}", walked.finding) };
    assert!(detail.contains("customer.path") && detail.contains("may ask for everything"), "{detail}");
    assert_eq!(script.asked.len(), 2, "no customer was asked for");
}

#[tokio::test]
async fn a_turn_is_named_only_where_the_step_is_done() {
    let turn = "one_at_a_time = \"{{ order.customer.email }}\"";
    let text = RECIPE.replacen(turn, "when = \"order.company\"\none_at_a_time = \"{{ order.company }}\"", 1);
    let recipe = Recipe::new(toml::from_str(&text).unwrap(), &with(7), &base()).unwrap();
    let mut script = Script::new(&[EMPTY, PRODUCTS, (201, r#"{"id":77}"#)]);
    let walked = recipe.look(&work(), preparing(), &mut script).await;
    assert_eq!(walked.finding, Finding::Absent);
}

#[test]
fn rules_for_answers_do_not_judge_the_place_where_the_token_comes_from() {
    let broad = RECIPE.replace("status = 200\nat = \"/error\"\n", "status = [200, 400, 401, 403, 429]\n");
    let broad = broad.replace("because = \"/error\"\n", "");
    let recipe = Recipe::new(toml::from_str(&broad).unwrap(), &with(7), &base()).unwrap();
    for (status, word) in [(401, "credential"), (400, "credential"), (429, "throttled")] {
        let refused = CredentialRefused { status, detail: "no credential".into(), wait: super::super::Wait::default() };
        let wire = Wire::NoCredential(Box::new(refused));
        let (outcome, _) = recipe.read_create("order.create", &wire, Guard::Unique, from_micros(0));
        assert_eq!(outcome.as_str(), word);
        assert_eq!(recipe.steps[0].read(&wire, &recipe.rules, Guard::None, from_micros(0)).as_str(), word);
    }
}

#[test]
fn answers_that_are_kept_have_a_bound_in_bytes() {
    let mut answers = Answers::default();
    let (now, until) = (from_micros(0), from_micros(1));
    let answer = || Answer { until, found: Found::new(), bytes: KEPT_BYTES_MAX / 2 };
    let question = |name: &str| (name.to_owned(), Digest::of(b"asked"));
    for name in ["a", "b", "b", "c"] {
        answers.keep(question(name), answer(), now);
    }
    assert_eq!((answers.by_question.len(), answers.bytes), (2, KEPT_BYTES_MAX / 2 * 2));
    answers.keep(question("c"), answer(), until);
    assert_eq!((answers.by_question.len(), answers.bytes), (1, KEPT_BYTES_MAX / 2), "what is old makes room");
}

#[tokio::test]
async fn a_step_behind_the_create_that_fails_leaves_it_made_and_unfinished() {
    let recipe = recipe();
    let draft = (200, r#"{"items":[{"ref":"000000042","id":9,"state":"draft"}]}"#);
    let walked = recipe.look(&work(), Start::default(), &mut Script::new(&[draft, (503, "")])).await;
    let Finding::Unfinished { outcome: AttemptOutcome::Unavailable { .. }, .. } = &walked.finding else {
        panic!("{:?}", walked.finding)
    };
    assert_eq!(walked.stage, Stage::Made);
    // An answer that is lost is no doubt either: the next attempt reads the state.
    let walked = recipe.look(&work(), Start::default(), &mut Script::new(&[draft])).await;
    assert!(matches!(walked.finding, Finding::Unfinished { outcome: AttemptOutcome::Unavailable { .. }, .. }));
    let refused = (200, r#"{"error":"not today"}"#);
    let walked = recipe.look(&work(), Start::default(), &mut Script::new(&[draft, refused])).await;
    let Finding::Unfinished { outcome: AttemptOutcome::Rejected(rejection), .. } = &walked.finding else {
        panic!("{:?}", walked.finding)
    };
    assert_eq!(rejection.detail, "it is there, but confirm: answered 200 OK: not today");
}

#[tokio::test]
async fn what_was_made_and_is_not_found_is_never_made_again() {
    let recipe = recipe();
    let walked = recipe.look(&work(), Start { stage: Stage::Made, ..preparing() }, &mut Script::new(&[EMPTY])).await;
    assert!(matches!(walked.finding, Finding::Failed(AttemptOutcome::Unavailable { .. })), "{:?}", walked.finding);
    assert_eq!(walked.stage, Stage::Made);
}

#[tokio::test]
async fn an_answer_without_a_list_is_no_absence() {
    let recipe = recipe();
    for answer in [(200, r#"{"message":"maintenance"}"#), (200, "<html>"), (500, ""), (404, "{}")] {
        let walked = recipe.look(&work(), preparing(), &mut Script::new(&[answer])).await;
        assert!(matches!(walked.finding, Finding::Failed(_)), "{answer:?}: {:?}", walked.finding);
    }
}

#[test]
fn only_the_create_leaves_doubt() {
    let recipe = recipe();
    let lost = Wire::Lost("silence".to_owned());
    let (outcome, _) = recipe.read_create("order.create", &lost, Guard::Unique, from_micros(0));
    assert_eq!(outcome.as_str(), "uncertain");
    let body = Bytes::from_static(b"{\"message\":\"The web ID must be unique.\"}");
    let taken = Wire::Answered(ResponseSeen { status: 400, headers: HeaderMap::new(), body, end: BodyEnd::Complete });
    let (outcome, _) = recipe.read_create("order.create", &taken, Guard::Unique, from_micros(0));
    assert!(matches!(outcome, AttemptOutcome::Rejected(rejection) if rejection.mark == Mark::Exists));
    // Somebody else's answer, or nobody's.
    let body = Bytes::from_static(b"{\"status\": \"up\"}");
    let page = Wire::Answered(ResponseSeen { status: 200, headers: HeaderMap::new(), body, end: BodyEnd::Complete });
    let (outcome, _) = recipe.read_create("order.create", &page, Guard::Unique, from_micros(0));
    assert!(
        outcome.as_str() == "uncertain" && outcome.detail().contains("with nothing of what it makes"),
        "{outcome:?}"
    );
    let (outcome, _) = recipe.read_create("order.cancel", &lost, Guard::Unique, from_micros(0));
    assert_eq!(outcome.detail(), "its recipe has no steps for order.cancel");
}

#[tokio::test]
async fn ret_2_a_walk_that_has_used_up_the_rate_is_put_off_and_blames_nobody() {
    let mut script = Script { allowed: 2, ..Script::new(&[EMPTY, PRODUCTS, EMPTY]) };
    let walked = recipe().look(&work(), preparing(), &mut script).await;
    let free_in = Duration::from_mins(1);
    assert_eq!(walked.finding, Finding::Failed(AttemptOutcome::Deferred { free_in }));
    assert_eq!((walked.stage, walked.status, walked.excerpt), (Stage::Open, None, None));
    assert_eq!(walked.health, Health::Answered, "what it said before stands");
    let last = walked.steps.last().unwrap();
    assert_eq!((last.name.as_str(), last.outcome, last.calls), ("customer", "deferred", 0));
}

/// Of each SKU its product, by a search that finds others too; the details of the same answer kept apart.
const EACH: &str = r#"
about = "An ERP that searches"
guard = "key"

[[steps]]
name = "products"
kind = "lookup"
keep = "1h"
each = "skus"
path = "/search?sku={{ item }}"
take.products = { list = "/rows", key = "/2", value = "/0" }

[[steps]]
name = "names"
kind = "lookup"
keep = "1h"
each = "skus"
path = "/search?sku={{ item }}"
take.names = "/rows/0/1"

[[steps]]
name = "create"
kind = "create"
path = "/orders"
body = '{"ids": [{% for sku in skus %}{{ found.products[sku] | needed("it has no product " ~ sku) }},{% endfor %}]}'
take.total = "/total"

[[steps]]
name = "verify"
kind = "verify"
path = "/orders/1"
take = { total = "/total" }
expect = [{ what = "total", there = "{{ found.total }}", ours = "{{ totals.grand_total }}" }]
"#;

fn searching() -> Recipe {
    let said: RecipeSaid = toml::from_str(EACH).unwrap();
    Recipe::new(said, &BTreeMap::new(), &base()).unwrap_or_else(|problems| panic!("{}", problems.join("\n")))
}

#[tokio::test]
async fn a_search_that_finds_another_product_first_gives_the_one_whose_sku_it_is() {
    let recipe = searching();
    let (a, c) = (r#"{"rows":[[8,"other","A BX"],[1,"a","A B"]]}"#, r#"{"rows":[[9,"other","CX"]]}"#);
    let mut script = Script::new(&[(200, a), (200, c), (200, a), (200, c)]);
    let walked = recipe.look(&work(), preparing(), &mut script).await;
    assert_eq!(walked.found["products"], serde_json::json!({"A BX": 8, "A B": 1, "CX": 9}));
    assert_eq!(walked.found["names"], serde_json::json!({"A B": "other", "C": "other"}), "an answer is one step's own");
    let told = recipe.create(&work(), &walked.found).unwrap_err();
    assert!(told.contains("it has no product C"), "{told}");
    let mut script = Script::new(&[(200, r#"{"rows":[[2,"c","C"]]}"#)]);
    let walked = recipe.look(&work(), preparing(), &mut script).await;
    assert_eq!(script.asked, ["GET /search?sku=C"], "what was not there is asked anew, the rest is kept");
    let request = recipe.create(&work(), &walked.found).unwrap();
    assert_eq!(request.body, br#"{"ids":[1,2]}"#.as_slice());
}

#[tokio::test]
async fn a_total_that_the_last_answer_does_not_say_is_not_compared_from_an_earlier_one() {
    let found = Found::from_iter([("total".to_owned(), "12.95".into())]);
    let mut script = Script::new(&[(200, r#"{"id":1}"#)]);
    let walked = searching().follow(&work(), found.clone(), &mut script).await;
    let Finding::TotalsDiffer { detail, .. } = walked.finding else { panic!("{:?}", walked.finding) };
    assert!(detail.contains("total cannot be compared"), "{detail}");
    let mut script = Script::new(&[(503, "")]);
    let walked = searching().follow(&work(), found.clone(), &mut script).await;
    assert!(matches!(walked.finding, Finding::Unfinished { .. }), "{:?}", walked.finding);
    assert_eq!(walked.found, found, "without an answer nothing is forgotten");
    let mut script = Script::new(&[(200, r#"{"total":12.95}"#)]);
    assert!(matches!(searching().follow(&work(), found, &mut script).await.finding, Finding::Ours(_)));
}

#[test]
fn what_a_buyer_wrote_never_leaves_the_destinations_address() {
    let recipe = recipe();
    for (number, wanted) in [
        ("../../admin", "..%2F..%2Fadmin"),
        ("x&company=1#y?z", "x%26company%3D1%23y%3Fz"),
        ("@evil.example.com", "%40evil.example.com"),
    ] {
        let document = DOCUMENT.replace("000000042", number);
        let work = Work::new("order.create", document.as_bytes(), &IdempotencyKey::from_stored("k")).unwrap();
        let find = recipe.steps[0].request.as_ref().unwrap();
        let request = find.render(&base(), &recipe.context(&work, &Found::new(), None)).unwrap();
        assert_eq!(request.url, format!("https://erp.example.com/api/orders?ref={wanted}"));
    }
}

#[test]
fn a_recipe_that_cannot_be_meant_is_refused_with_every_problem() {
    let problems = |text: &str, with: &BTreeMap<String, serde_json::Value>| match toml::from_str::<RecipeSaid>(text) {
        Err(error) => error.to_string(),
        Ok(said) => Recipe::new(said, with, &base()).err().unwrap_or_default().join("\n"),
    };
    let none = BTreeMap::new();
    assert!(problems(RECIPE, &none).contains("with.company is missing: the company's id"));
    let odd = BTreeMap::from([("company".to_owned(), 1.into()), ("colour".to_owned(), "red".into())]);
    assert!(problems(RECIPE, &odd).contains("with.colour is no setting of this recipe; it has company, tax"));
    let tax = BTreeMap::from([("company".to_owned(), 1.into()), ("tax".to_owned(), "gross".into())]);
    assert!(problems(RECIPE, &tax).contains(r#"with.tax is "gross"; it may be "line", "none""#));
    let head = "about = \"x\"\nguard = \"find\"\n";
    for (steps, told) in [
        ("", "missing field `steps`"),
        ("steps = []", "it has no steps"),
        ("[[steps]]\nname = \"a\"\nkind = \"create\"\npath = \"/a\"\nbody = \"{{ x\"", "step a.body line 1"),
        (
            "[[steps]]\nname = \"a\"\nkind = \"create\"\npath = \"/a\"",
            "guards find and unique need a step of kind find",
        ),
        ("[[steps]]\nname = \"a\"\nkind = \"create\"", "it has no path"),
        ("[[steps]]\nname = \"a\"\nkind = \"lookup\"\npath = \"a\"", "path starts with a slash"),
        ("[[steps]]\nname = \"a\"\nkind = \"lookup\"\npath = \"/a\"", "it has 0 steps of kind create"),
        ("[[steps]]\nname = \"a\"\nkind = \"find\"\npath = \"/a\"", "says where our reference stands"),
        ("[[steps]]\nname = \"a\"\nkind = \"make\"\npath = \"/a\"", "unknown variant `make`"),
        ("[[steps]]\nname = \"a\"\nkind = \"create\"\npath = \"/a\"\nwhen = \"(\"", "a create has no when"),
        (
            "[[steps]]\nname = \"a\"\nkind = \"create\"\npath = \"/a\"\nheaders = { Authorization = \"x\" }",
            "for the destination's auth",
        ),
        ("[[steps]]\nname = \"a\"\nkind = \"lookup\"\npath = \"/a\"\nkeep = \"soon\"", "write it as 90s"),
        ("[[steps]]\nname = \"a\"\nkind = \"lookup\"\npath = \"/a\"\nfor = [\"order.eat\"]", "none of order.create"),
    ] {
        let text = format!("{head}{steps}");
        let told_now = problems(&text, &none);
        assert!(told_now.contains(told), "{steps}: {told_now}");
    }
}

#[test]
fn a_rehearsal_shows_every_request_with_numbers_in_place_of_what_is_not_known() {
    let shown: String = recipe().rehearse(&work()).iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(shown);
    assert_eq!(shown, recipe().rehearse(&work()).iter().map(ToString::to_string).collect::<String>());
}

#[test]
fn every_shipped_recipe_can_be_read_and_tells_of_itself() {
    for shipped in super::super::profiles::ALL {
        let said: RecipeSaid =
            toml::from_str(shipped.recipe).unwrap_or_else(|error| panic!("{}: {error}", shipped.word));
        let looks = said.steps.iter().any(|step| step.kind == Kind::Find);
        assert_eq!(looks, matches!(said.guard, GuardSaid::Find | GuardSaid::Unique), "{}", shipped.word);
        for (name, setting) in &said.settings {
            assert!(!setting.about.is_empty(), "{} {name}", shipped.word);
        }
        for heading in ["| Guard |", "| Authentication |", "| Tax |", "## Set up", "## What it does not do"] {
            assert!(shipped.page.contains(heading), "{} says nothing of {heading}", shipped.word);
        }
    }
}
