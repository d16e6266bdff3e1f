//! Several requests in one.

use super::*;

/// Header and lines in one group that is done whole or not at all, as JSON (`OData` 4.01) and in parts (`OData` V2).
const BATCHES: [&str; 2] = [
    r#"
type = "json"
body = '''
{ "requests": [
  { "id": "order", "atomicityGroup": "all", "method": "POST", "url": "Orders", "headers": { "content-type": "application/json" },
    "body": { "Reference": "{{ order.increment_id }}" } },
  {% for line in lines %}
  { "id": "line{{ loop.index }}", "atomicityGroup": "all", "dependsOn": ["order"], "method": "POST", "url": "$order/Lines",
    "headers": { "content-type": "application/json" }, "body": { "Sku": "{{ line.sku }}", "Price": {{ line.unit_price | number }} } },
  {% endfor %}
] }'''
take = { id = "/responses/0/body/ID" }
rules = [
  { status = 200, any = "/responses", at = "/status", is = ["400", "404", "409"], means = "permanent", because = "/body/error/message" },
  { status = 200, any = "/responses", at = "/status", starts = "5", means = "uncertain" },
  { status = 200, at = "/responses/0/status", is = ["201"], means = "done" },
  { status = "2xx", means = "uncertain" },
]
"#,
    r#"
type = "text"
headers = { Content-Type = "multipart/mixed; boundary=batch" }
body = '''
--batch
Content-Type: multipart/mixed; boundary=all

--all
Content-Type: application/http
Content-Transfer-Encoding: binary

POST Orders HTTP/1.1
Content-Type: application/json

{"Reference": "{{ order.increment_id }}", "Note": "{{ order.note }}"}
--all--
--batch--
'''
rules = [
  { status = 202, body = "HTTP/1.1 4", means = "permanent" },
  { status = 202, body = "HTTP/1.1 201", means = "done" },
  { status = "2xx", means = "uncertain" },
]
"#,
];

fn batching(step: &str) -> Recipe {
    let text = format!(
        "about = \"x\"\nguard = \"none\"\n[[steps]]\nname = \"create\"\nkind = \"create\"\npath = \"/$batch\"\n{step}"
    );
    let said: RecipeSaid = toml::from_str(&text).unwrap_or_else(|error| panic!("{error}"));
    Recipe::new(said, &BTreeMap::new(), &base()).unwrap_or_else(|problems| panic!("{}", problems.join("\n")))
}

fn answered(status: u16, body: &'static str) -> Wire {
    let body = Bytes::from_static(body.as_bytes());
    Wire::Answered(ResponseSeen { status, headers: HeaderMap::new(), body, end: BodyEnd::Complete })
}

#[test]
fn a_header_and_its_lines_go_out_as_one_group_and_every_part_is_read() {
    let recipe = batching(BATCHES[0]);
    let request = recipe.create(&work(), &Found::new()).unwrap();
    assert_eq!(request.url, "https://erp.example.com/api/$batch");
    let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
    let requests = body["requests"].as_array().unwrap();
    assert_eq!(requests.len(), 4);
    assert!(requests.iter().all(|part| part["atomicityGroup"] == "all"), "{body}");
    assert_eq!((&requests[3]["url"], &requests[3]["body"]["Sku"]), (&"$order/Lines".into(), &"C".into()));

    let read = |wire: Wire| recipe.read_create("order.create", &wire, Guard::None, from_micros(0));
    let (outcome, taken) = read(answered(
        200,
        r#"{"responses":[{"id":"order","status":201,"body":{"ID":9}},{"id":"line1","status":201}]}"#,
    ));
    assert!(matches!(outcome, AttemptOutcome::Accepted(_)) && taken["id"] == 9, "{outcome:?}");
    let (outcome, _) = read(answered(
        200,
        r#"{"responses":[{"status":424},{"status":400,"body":{"error":{"message":"no item A B"}}}]}"#,
    ));
    let AttemptOutcome::Rejected(rejection) = &outcome else { panic!("{outcome:?}") };
    assert_eq!(rejection.detail, "answered 200 OK: no item A B");
    let (outcome, _) = read(answered(200, r#"{"responses":[{"status":201},{"status":500}]}"#));
    assert!(matches!(outcome, AttemptOutcome::Uncertain { .. }), "a part in doubt: {outcome:?}");
    let (outcome, _) = read(answered(200, "{}"));
    assert!(matches!(outcome, AttemptOutcome::Uncertain { .. }), "{outcome:?}");
}

#[test]
fn what_a_buyer_wrote_begins_no_part_of_its_own() {
    let recipe = batching(BATCHES[1]);
    let document = r#"{"order":{"increment_id":"42","note":"Hi\r\n--all\r\nPOST Users HTTP/1.1\r\n\r\n{\"x\":1}"}}"#;
    let work = Work::new("order.create", document.as_bytes(), &IdempotencyKey::from_stored("ek1-abc")).unwrap();
    let request = recipe.create(&work, &Found::new()).unwrap();
    let types: Vec<_> = request.headers.iter().filter(|(name, _)| name == "content-type").collect();
    assert_eq!(types, [&("content-type".to_owned(), "multipart/mixed; boundary=batch".to_owned())]);
    let text = String::from_utf8(request.body.to_vec()).unwrap();
    assert_eq!(text.matches("\n--all").count(), 2, "{text}");
    assert_eq!(text.matches('\n').count(), text.matches("\r\n").count(), "lines end as the internet ends them");
    let json = text.lines().find(|line| line.starts_with('{')).unwrap();
    assert!(serde_json::from_str::<serde_json::Value>(json).unwrap()["Note"].as_str().unwrap().contains("\r\n--all"));

    let read = |wire: Wire| recipe.read_create("order.create", &wire, Guard::None, from_micros(0)).0;
    assert!(matches!(read(answered(202, "--b\r\n\r\nHTTP/1.1 201 Created\r\n")), AttemptOutcome::Accepted(_)));
    assert!(matches!(read(answered(202, "--b\r\n\r\nHTTP/1.1 400 Bad Request\r\n")), AttemptOutcome::Rejected(_)));

    let untyped = BATCHES[1].replace("headers = { Content-Type = \"multipart/mixed; boundary=batch\" }\n", "");
    let text = format!(
        "about = \"x\"\nguard = \"none\"\n[[steps]]\nname = \"create\"\nkind = \"create\"\npath = \"/$batch\"\n{untyped}"
    );
    let problems = Recipe::new(toml::from_str(&text).unwrap(), &BTreeMap::new(), &base()).err().unwrap().join("; ");
    assert!(problems.contains("add the header Content-Type"), "{problems}");
}
