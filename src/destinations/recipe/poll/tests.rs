use std::collections::{BTreeMap, VecDeque};

use ::http::HeaderMap;

use super::*;
use crate::clock::from_micros;
use crate::destinations::outcome::{BodyEnd, ResponseSeen};
use crate::destinations::recipe::said::RecipeSaid;
use crate::store::write::SealedRequest;

const STEPS: &str = r#"
about = "A warehouse"
[settings]
site = { about = "the site" }
[[steps]]
name = "create"
kind = "create"
path = "/orders"
"#;

const POLLS: &str = r#"
[[polls]]
name = "stock"
entity = "stock"
page = 2
path = "/moves?since={{ since.at }}&id={{ since.id or 0 }}&skip={{ page.skip }}&limit={{ page.size }}&site={{ with.site }}"
list = "/items"
position = { at = "{{ record.at }}", id = "{{ record.id }}" }
take.products = { list = "/items", value = "/product" }
each = "found.places"
when = "record.place == item or record.place is none"
record = '''
{% set level = found.levels[item] | selectattr("product", "eq", record.product) | first | needed("its level is not told") %}
{ "sku": "{{ record.product }}", "location": "{{ item }}", "quantity": "{{ level.quantity | number }}" }'''
[[polls.lookups]]
name = "places"
kind = "lookup"
path = "/places"
take.places = { list = "/items", value = "/name" }
[[polls.lookups]]
name = "levels"
kind = "lookup"
each = "found.places"
path = "/levels/{{ item }}?of={{ found.products | unique | join(',') }}"
take.levels = { list = "/items", value = "" }
[[polls]]
name = "all"
entity = "stock"
once = true
path = "/all?after={{ since.id or 0 }}"
list = ""
position = { id = "{{ record.id }}" }
record = '{ "sku": "{{ record.sku }}", "quantity": "{{ record.quantity }}" }'
"#;

fn recipe(text: &str) -> Result<Recipe, Vec<String>> {
    let said: RecipeSaid = toml::from_str(text).map_err(|error| vec![error.to_string()])?;
    let with = BTreeMap::from([("site".to_owned(), "S 1".into())]);
    Recipe::new(said, &with, &Url::parse("https://erp.example.com/api").unwrap())
}

fn whole() -> Recipe {
    recipe(&format!("{STEPS}{POLLS}")).unwrap()
}

/// Answers by a script.
struct Script {
    answers: VecDeque<(u16, &'static str)>,
    asked: Vec<String>,
}

impl Script {
    fn of(answers: &[(u16, &'static str)]) -> Script {
        Script { answers: answers.iter().copied().collect(), asked: Vec::new() }
    }
}

impl Call for Script {
    async fn call(&mut self, request: &SealedRequest) -> Result<Wire, Duration> {
        self.asked.push(request.url.clone());
        let (status, body) = self.answers.pop_front().expect("it is asked no more than that");
        let end = BodyEnd::Complete;
        Ok(Wire::Answered(ResponseSeen { status, headers: HeaderMap::new(), body: body.into(), end }))
    }

    fn now(&self) -> Timestamp {
        from_micros(0)
    }
}

fn since() -> Since {
    let at = Some("2026-03-01T10:00:00.25Z".parse().unwrap());
    Since { spot: Spot { at, id: Some("41".into()) }, skip: 3 }
}

#[tokio::test]
async fn what_changed_is_read_with_what_else_is_to_be_known_and_written_in_our_words() {
    let recipe = whole();
    assert_eq!(recipe.polls().iter().map(Poll::name).collect::<Vec<_>>(), ["all", "stock"], "once comes first");
    let mut script = Script::of(&[
        (
            200,
            r#"{"items":[{"id":42,"at":"2026-03-01T10:00:01Z","product":"A","place":"N"},{"id":43,"at":"2026-03-01T10:00:02Z","product":"A","place":null}]}"#,
        ),
        (200, r#"{"items":[{"name":"N"},{"name":"S"}]}"#),
        (200, r#"{"items":[{"product":"A","quantity":12.50}]}"#),
        (200, r#"{"items":[]}"#),
    ]);
    let page = recipe.read_page(&recipe.polls()[1], &since(), &mut script).await.unwrap();
    assert_eq!(
        script.asked,
        [
            "https://erp.example.com/api/moves?since=2026-03-01T10%3A00%3A00.25Z&id=41&skip=3&limit=2&site=S%201",
            "https://erp.example.com/api/places",
            "https://erp.example.com/api/levels/N?of=A",
            "https://erp.example.com/api/levels/S?of=A",
        ]
    );
    let [first, second] = &page.rows[..] else { panic!("two rows: {page:?}") };
    assert_eq!(first.spot.as_ref().unwrap().id.as_deref(), Some("42"));
    let told = |record: &Record| (record.item.clone(), record.json.clone());
    let level = r#"{"sku":"A","location":"N","quantity":"12.5"}"#;
    assert_eq!(first.records.iter().map(told).collect::<Vec<_>>(), [("N".to_owned(), Ok(level.to_owned()))]);
    assert_eq!(second.records[0].json.as_deref(), Ok(level));
    assert!(second.records[1].json.as_ref().unwrap_err().contains("its level is not told"), "{second:?}");
}

#[tokio::test]
async fn an_empty_page_asks_for_nothing_else() {
    let recipe = whole();
    let mut script = Script::of(&[(200, r#"{"items":[]}"#)]);
    assert!(recipe.read_page(&recipe.polls()[1], &since(), &mut script).await.unwrap().rows.is_empty());
}

#[tokio::test]
async fn a_record_without_a_position_is_one_record_and_not_the_end_of_the_page() {
    let recipe = whole();
    let rows = r#"{"items":[{"id":42,"at":"yesterday","product":"A","place":"N"},{"id":43,"at":"2026-03-01T10:00:02Z","product":"A","place":"N"}]}"#;
    let places = r#"{"items":[{"name":"N"}]}"#;
    let mut script = Script::of(&[(200, rows), (200, places), (200, r#"{"items":[{"product":"A","quantity":1}]}"#)]);
    let page = recipe.read_page(&recipe.polls()[1], &since(), &mut script).await.unwrap();
    assert!(page.rows[0].spot.as_ref().unwrap_err().contains("\"yesterday\" is no time"), "{page:?}");
    assert!(page.rows[1].spot.is_ok() && page.rows[1].records[0].json.is_ok());
}

#[tokio::test]
async fn what_is_no_page_is_told_for_what_it_is() {
    let recipe = whole();
    for (status, body, told) in [
        (200, "<html>log in</html>", "a page for people"),
        (200, r#"{"items":[{"id":42,"#, "JSON"),
        (200, r#"{"items":{"id":42}}"#, "no list"),
        (200, r#"{"orders":[]}"#, "nothing at \"/items\""),
        (401, "{}", "401"),
        (500, "oops", "500"),
    ] {
        let mut script = Script::of(&[(status, body)]);
        let unread = recipe.read_page(&recipe.polls()[1], &since(), &mut script).await.unwrap_err();
        assert!(unread.detail().contains(told), "{status} {body}: {unread:?}");
    }
    let rows = r#"{"items":[{"id":42,"at":"2026-03-01T10:00:01Z","product":"A","place":"N"}]}"#;
    let mut script = Script::of(&[(200, rows), (503, "")]);
    let unread = recipe.read_page(&recipe.polls()[1], &since(), &mut script).await.unwrap_err();
    assert!(matches!(unread, Unread::Outcome(AttemptOutcome::Unavailable { .. })), "half a page is none: {unread:?}");
}

#[test]
fn a_poll_that_cannot_be_meant_is_refused_with_the_reason() {
    for (from, to, told) in [
        (
            "position = { at = \"{{ record.at }}\", id = \"{{ record.id }}\" }",
            "position = { id = \"{{ record.id }}\" }",
            "position.at is missing",
        ),
        (
            "position = { id = \"{{ record.id }}\" }\nrecord = '{ \"sku\"",
            "position = { at = \"x\" }\nrecord = '{ \"sku\"",
            "position.at is for what changes",
        ),
        ("page = 2", "page = 0", "page is 0"),
        ("name = \"stock\"", "name = \"My stock\"", "a name is 1 to 40"),
        ("list = \"/items\"", "list = \"items\"", "not a JSON pointer"),
        ("when = \"record.place == item", "when = \"record.place === item", "stock.when"),
        ("kind = \"lookup\"\npath = \"/places\"", "kind = \"ensure\"\npath = \"/places\"", "a poll only looks up"),
        ("name = \"places\"", "name = \"create\"", "two steps are named create"),
        ("entity = \"stock\"\npage", "entity = \"orders\"\npage", "orders"),
        ("page = 2", "pages = 2", "pages"),
        ("path = \"/moves", "path = \"moves", "path starts with a slash"),
    ] {
        let text = format!("{STEPS}{POLLS}").replacen(from, to, 1);
        assert_ne!(text, format!("{STEPS}{POLLS}"), "{from}");
        let problems = recipe(&text).map(|_| ()).unwrap_err().join("; ");
        assert!(problems.contains(told), "{to}: {problems}");
    }
}

#[test]
fn the_first_request_can_be_shown_without_asking() {
    let recipe = whole();
    let at = "2026-03-01T10:00:00Z".parse().unwrap();
    let shown: Vec<String> = recipe.polls().iter().map(|poll| recipe.rehearse_poll(poll, at).unwrap().url).collect();
    assert_eq!(
        shown,
        [
            "https://erp.example.com/api/all?after=0",
            "https://erp.example.com/api/moves?since=2026-03-01T10%3A00%3A00Z&id=0&skip=0&limit=2&site=S%201",
        ]
    );
}

#[test]
fn every_poll_that_is_shipped_writes_its_first_request() {
    let at = "2026-03-01T10:00:00Z".parse().unwrap();
    let mut polls = 0;
    for shipped in crate::destinations::profiles::ALL {
        let said: RecipeSaid = toml::from_str(shipped.recipe).unwrap();
        let with = said.settings.iter().filter(|(_, setting)| setting.default.is_none());
        let with = with.map(|(name, _)| (name.clone(), serde_json::Value::from(1))).collect();
        if said.polls.is_empty() {
            continue;
        }
        let recipe = Recipe::new(said, &with, &Url::parse("https://erp.example.com/x").unwrap()).unwrap();
        for poll in recipe.polls() {
            recipe
                .rehearse_poll(poll, at)
                .unwrap_or_else(|problem| panic!("{} {}: {problem}", shipped.word, poll.name()));
            polls += 1;
        }
    }
    assert!(polls >= 6, "{polls}");
}
