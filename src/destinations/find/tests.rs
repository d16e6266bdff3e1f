use ::http::HeaderMap;

use super::super::outcome::BodyEnd;
use super::*;
use crate::clock::from_micros;

const DOCUMENT: &str = r#"{"schema":"crossdock.sales_order.v1","purpose":"order.create",
"order":{"increment_id":"000000042","store_id":1,"coupon_code":null,"note":"a/../b?x=1&y=é #"},"totals":{"grand_total":"33.60"}}"#;

fn settings(url: &str) -> FindSettings {
    FindSettings { id: Some("/items/0/id".into()), ..FindSettings::new(url, "/items/0/reference") }
}

fn search() -> FindSettings {
    settings("https://erp.example.com/sales-orders?ref={{ order.increment_id }}")
}

fn find(settings: FindSettings) -> Find {
    Find::new(settings, &[]).unwrap_or_else(|problems| panic!("{}", problems.join("; ")))
}

fn sought(find: &Find) -> Sought {
    find.seek(&Bytes::from_static(DOCUMENT.as_bytes()), &IdempotencyKey::from_stored("ek1-abc")).unwrap()
}

fn asked(url: &str) -> Result<String, String> {
    let key = IdempotencyKey::from_stored("ek1-abc");
    find(settings(url)).seek(&Bytes::from_static(DOCUMENT.as_bytes()), &key).map(|sought| sought.request.url)
}

fn answered(status: u16, body: &str) -> Wire {
    Wire::Answered(ResponseSeen {
        status,
        headers: HeaderMap::new(),
        body: Bytes::copy_from_slice(body.as_bytes()),
        end: BodyEnd::Complete,
    })
}

fn read(find: &Find, wire: &Wire) -> Finding {
    find.read(wire, &sought(find), from_micros(0))
}

fn is_failed(finding: &Finding) -> bool {
    matches!(finding, Finding::Failed(_))
}

#[test]
fn dat_5_whatever_stands_in_a_document_stays_inside_its_place_in_the_address() {
    let at = "https://erp.example.com";
    for (template, expected) in [
        ("/o?ref={{ order.increment_id }}", "/o?ref=000000042"),
        ("/o/{{ order.increment_id }}/x", "/o/000000042/x"),
        ("/o?store={{ order.store_id }}&key={{ key }}", "/o?store=1&key=ek1-abc"),
        ("/o/{{ order.note }}", "/o/a%2F..%2Fb%3Fx%3D1%26y%3D%C3%A9%20%23"),
        ("/o?n={{ order.note|safe }}", "/o?n=a%2F..%2Fb%3Fx%3D1%26y%3D%C3%A9%20%23"),
        ("/o?n={{ order.increment_id ~ '&all=1' }}", "/o?n=000000042%26all%3D1"),
    ] {
        assert_eq!(asked(&format!("{at}{template}")), Ok(format!("{at}{expected}")), "{template}");
    }
}

#[test]
fn unc_6_a_question_that_would_ask_for_everything_is_not_put() {
    let at = "https://erp.example.com";
    for template in [
        "/o?ref={{ order.coupon_code }}",
        "/o?ref={{ order.nothing }}",
        "/o?ref={{ order.nothing.at.all }}",
        "/o?ref={{ order }}",
        "/o?ref={{ '' }}",
        "/o/{{ '..' }}",
        "/o/{{ '.' }}{{ '.' }}x/{{ '.' }}",
        "/o?ref={% for n in range(1000000) %}{{ n }}{% endfor %}",
        "/a/b/{% if true %}../..{% endif %}/{{ key }}",
    ] {
        assert!(asked(&format!("{at}{template}")).is_err(), "{template}: {:?}", asked(&format!("{at}{template}")));
    }
    let empty = Find::new(FindSettings { value: "{{ order.coupon_code }}".into(), ..search() }, &[]).ok().unwrap();
    assert!(empty.seek(&Bytes::from_static(DOCUMENT.as_bytes()), &IdempotencyKey::from_stored("k")).is_err());
    assert!(find(search()).seek(&Bytes::from_static(b"not json"), &IdempotencyKey::from_stored("k")).is_err());
}

#[test]
fn dat_5_the_host_is_the_configurations() {
    for wrong in [
        "https://{{ order.host }}/x",
        "https://erp.example.com:{{ order.port }}/x",
        "https://erp.example.com{{ order.x }}/x",
        "https://erp.example.com{% if true %}.evil.example{% endif %}/{{ key }}",
        "https://erp.example.com/x",
        "https://erp.example.com/{{ order.",
        "http://erp.example.com/{{ order.increment_id }}",
        "https://169.254.169.254/{{ order.increment_id }}",
        "https://10.0.0.1/{{ order.increment_id }}",
        "https://me:pw@erp.example.com/{{ order.increment_id }}",
    ] {
        assert!(Find::new(settings(wrong), &[]).is_err(), "{wrong}");
    }
}

#[test]
fn pointers_lie_in_one_list() {
    let one = FindSettings { reference: "/reference".into(), id: Some("/id".into()), ..search() };
    assert!(Find::new(one, &[]).is_ok());
    for (reference, id) in [("/items/0/reference", "/id"), ("/reference", "/items/0/id"), ("items", "/items/0/id")] {
        let wrong = FindSettings { reference: reference.into(), id: Some(id.into()), ..search() };
        assert!(Find::new(wrong, &[]).is_err(), "{reference} {id}");
    }
    assert_eq!(split("/items/0/reference"), (Some("/items"), "/reference"));
    assert_eq!(split("/0/id"), (Some(""), "/id"));
    assert_eq!(split("/0"), (Some(""), ""));
    assert_eq!(split("/a/b"), (None, "/a/b"));
}

#[test]
fn unc_4_an_answer_of_a_search_is_read_record_by_record() {
    let find = find(search());
    let ours = |id: Option<&str>| Finding::Ours(Receipt(id.map(str::to_owned)));
    for (body, expected) in [
        (r#"{"items":[]}"#, Finding::Absent),
        (r#"{"items":null}"#, Finding::Absent),
        (r#"{"items":[{"id":"SO-1","reference":"000000042"}]}"#, ours(Some("SO-1"))),
        (r#"{"items":[{"id":7,"reference":"000000042"}]}"#, ours(Some("7"))),
        (r#"{"items":[{"reference":"000000042"}]}"#, ours(None)),
        // A search that is not exact: what is another's is nobody's business here.
        (r#"{"items":[{"id":"SO-1","reference":"000000042-1"}]}"#, Finding::Absent),
        (r#"{"items":[{"id":"SO-2","reference":"42"},{"id":"SO-1","reference":"000000042"}]}"#, ours(Some("SO-1"))),
        (r#"{"items":[{"id":"SO-3"},{"id":"SO-1","reference":"000000042"}]}"#, ours(Some("SO-1"))),
    ] {
        assert_eq!(read(&find, &answered(200, body)), expected, "{body}");
    }
    let twice = r#"{"items":[{"id":"SO-1","reference":"000000042"},{"id":"SO-2","reference":"000000042"}]}"#;
    let Finding::Many { count: 2, detail } = read(&find, &answered(200, twice)) else { panic!("there are two") };
    assert_eq!(detail, "it is there 2 times: SO-1, SO-2");
}

#[test]
fn unc_6_what_cannot_be_read_is_never_absent() {
    let find = find(search());
    for body in [
        "",
        "<html>log in</html>",
        "{",
        "[]",
        "{}",
        "null",
        r#"{"records":[]}"#,
        r#"{"items":{}}"#,
        r#"{"items":""}"#,
        r#"{"items":[{"id":"SO-1","ref":"000000042"}]}"#,
        r#"{"items":[{"reference":null}]}"#,
        r#"{"items":[],"error":"the index is being rebuilt"}"#,
        r#"{"items":[],"success":false}"#,
    ] {
        let finding = read(&find, &answered(200, body));
        assert!(is_failed(&finding), "{body}: {finding:?}");
    }
    for status in [301, 400, 401, 403, 404, 410, 429, 500, 501, 502, 503, 504] {
        assert!(is_failed(&read(&find, &answered(status, r#"{"items":[]}"#))), "{status}");
    }
    for end in [BodyEnd::CutOff, BodyEnd::TooLarge] {
        let Wire::Answered(response) = answered(200, r#"{"items":[]}"#) else { unreachable!() };
        assert!(is_failed(&read(&find, &Wire::Answered(ResponseSeen { end, ..response }))));
    }
    for wire in [Wire::Lost("reset".into()), Wire::NotSent("refused".into()), Wire::Forbidden("no".into())] {
        assert!(is_failed(&read(&find, &wire)), "{wire:?}");
    }
}

#[test]
fn unc_6_a_404_is_absent_only_where_a_record_has_an_address_of_its_own() {
    let own = find(FindSettings {
        id: Some("/id".into()),
        ..FindSettings::new("https://erp.example.com/orders/{{ order.increment_id }}", "/reference")
    });
    assert_eq!(read(&own, &answered(404, "")), Finding::Absent);
    assert_eq!(
        read(&own, &answered(200, r#"{"id":"SO-1","reference":"000000042"}"#)),
        Finding::Ours(Receipt(Some("SO-1".into())))
    );
    assert!(is_failed(&read(&own, &answered(200, r#"{"id":"SO-1","reference":"000000043"}"#))), "another record");
    assert!(is_failed(&read(&own, &answered(200, "{}"))));
    assert!(is_failed(&read(&find(search()), &answered(404, ""))), "of a search it says that the address is wrong");
    let told = find(FindSettings { absent_status: vec![204, 404], ..search() });
    assert_eq!(read(&told, &answered(204, "")), Finding::Absent);
}

#[test]
fn unc_4_ours_is_told_from_another_by_total_or_digest() {
    let with = |total: bool, digest: bool| {
        find(FindSettings {
            total: total.then(|| "/items/0/total".to_owned()),
            digest: digest.then(|| "/items/0/sha256".to_owned()),
            ..search()
        })
    };
    let body = |total: &str, digest: &str| {
        answered(
            200,
            &format!(r#"{{"items":[{{"id":"SO-1","reference":"000000042","total":{total},"sha256":"{digest}"}}]}}"#),
        )
    };
    let hex = Digest::of(DOCUMENT.as_bytes()).hex();
    let base64 = data_encoding::BASE64.encode(&Digest::of(DOCUMENT.as_bytes()).0);
    let is_ours = |finding: &Finding| matches!(finding, Finding::Ours(_));
    for total in ["33.6", "\"33.60\"", "33.600", "3.36e1"] {
        assert!(is_ours(&read(&with(true, false), &body(total, ""))), "{total}");
    }
    for total in ["33.61", "\"\"", "null", "\"33,60\"", "336"] {
        let finding = read(&with(true, false), &body(total, ""));
        assert!(matches!(finding, Finding::Different { .. }), "{total}: {finding:?}");
    }
    for digest in [hex.clone(), hex.to_uppercase(), base64] {
        assert!(is_ours(&read(&with(false, true), &body("1", &digest))), "{digest}");
    }
    assert!(matches!(read(&with(false, true), &body("33.60", "00")), Finding::Different { .. }));
    assert!(is_ours(&read(&with(true, true), &body("33.60", "00"))), "either of the two suffices");
    let Finding::Different { receipt, detail } = read(&with(true, true), &body("33.61", "00")) else { panic!() };
    assert_eq!(receipt.0.as_deref(), Some("SO-1"));
    assert_eq!(detail, "it is there as SO-1, but the content digest is another, and its total is 33.61, ours is 33.60");
}
