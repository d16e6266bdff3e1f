use minijinja::Value;
use minijinja::value::Serde;
use proptest::prelude::*;
use serde_json::json;

use super::*;

fn order() -> Value {
    Value::from(Serde(json!({
        "order": { "increment_id": "000000101", "placed_at": "2026-11-23T23:30:00Z", "currency": "EUR", "note": "",
                   "email": null, "buyer": "O'Neil & \"Söhne\" <x>" },
        "lines": [
            { "sku": "SKU-A", "quantity": "2", "net": "19.90", "tax": "3.781", "name": "Mug\nblue", "options": [
                { "title": "Engraving", "value": "To Anna" } ] },
            { "sku": "SKU-B", "quantity": "3", "net": "10.00", "tax": "1.90", "name": "Cup", "options": [] },
        ],
        "codes": { "tax": { "DE-19": "A1" } },
        "pieces": 7,
        "fraction": 0.1,
    })))
}

fn render(form: Form, source: &str) -> Result<String, String> {
    let template = Template::new("create", form, source).map_err(|problem| problem.to_string())?;
    template.render(&order()).map_err(|problem| problem.to_string())
}

fn json_of(source: &str) -> String {
    render(Form::Json, source).unwrap()
}

#[test]
fn a_json_template_reads_like_the_request_it_makes() {
    let source = r#"{
  "number": "{{ order.increment_id }}",
  "customer": "{{ order.buyer }}",
  "memo": "{{ order.note | omit }}",
  "email": {{ order.email | omit }},
  "lines": [
    {% for line in lines %}
    { "sku": "{{ line.sku }}", "qty": {{ line.quantity | number }}, "price": {{ line.net | per(line.quantity, 4) }},
      "tax": "{{ line.tax | rounded(2) }}", },
    {% for option in line.options %}
    { "comment": "{{ option.title }}: {{ option.value }}" },
    {% endfor %}
    {% endfor %}
  ],
  "total": {"__class__": "Decimal", "decimal": "{{ lines | total(of="net") | exactly(2) }}"},
}"#;
    assert_eq!(
        json_of(source),
        concat!(
            r#"{"number":"000000101","customer":"O'Neil & \"Söhne\" <x>","lines":["#,
            r#"{"sku":"SKU-A","qty":2,"price":9.9500,"tax":"3.78"},{"comment":"Engraving: To Anna"},"#,
            r#"{"sku":"SKU-B","qty":3,"price":3.3333,"tax":"1.90"}],"#,
            r#""total":{"__class__":"Decimal","decimal":"29.90"}}"#,
        )
    );
}

#[test]
fn what_is_printed_is_escaped_for_where_it_goes() {
    for (form, wanted) in [
        (Form::Xml, "O&apos;Neil &amp; &quot;Söhne&quot; &lt;x&gt;"),
        (Form::Address, "O%27Neil%20%26%20%22S%C3%B6hne%22%20%3Cx%3E"),
        (Form::Csv, r#""O'Neil & ""Söhne"" <x>""#),
        (Form::Line, "O'Neil & \"Söhne\" <x>"),
    ] {
        assert_eq!(render(form, "{{ order.buyer }}").unwrap(), wanted);
    }
    assert_eq!(json_of(r#"{"name":"{{ lines[0].name }}"}"#), r#"{"name":"Mug\nblue"}"#);
    assert_eq!(json_of(r"{{ lines[0].options | json }}"), r#"[{"title":"Engraving","value":"To Anna"}]"#);
    assert_eq!(
        render(Form::Address, "options={{ lines[0].options[0] | json }}").unwrap(),
        "options=%7B%22title%22%3A%22Engraving%22%2C%22value%22%3A%22To%20Anna%22%7D"
    );
}

#[test]
fn a_search_for_nothing_in_particular_is_never_asked() {
    for nothing in ["''", "' '", r#"order.buyer | replace(order.buyer, "")"#] {
        let problem = render(Form::Address, &format!("/customers?email={{{{ {nothing} }}}}")).unwrap_err();
        assert!(problem.contains("may ask for everything"), "{problem}");
        assert!(render(Form::Fields, &format!("email={{{{ {nothing} }}}}")).is_ok(), "a field may be empty");
    }
    assert_eq!(render(Form::Address, r#"/a{% if "" %}/{{ "" }}{% endif %}"#).unwrap(), "/a");
    for form in [Form::Address, Form::Line, Form::Xml, Form::Csv, Form::Fields] {
        let problem = render(form, r#"{{ "" | omit }}"#).unwrap_err();
        assert!(problem.contains("takes members out of JSON"), "{problem}");
    }
}

#[test]
fn numbers_are_exact_and_a_lost_digit_is_told() {
    for (expression, wanted) in [
        (r#""0.1" | plus("0.2")"#, "0.3"),
        (r#""100" | minus("0.01") | number(2)"#, "99.99"),
        (r#""19.99999999999999999999" | number"#, "19.99999999999999999999"),
        (r#""3" | times("3.35") | number(2)"#, "10.05"),
        (r#""2.345" | rounded(2)"#, "2.35"),
        (r#""-2.345" | rounded(2)"#, "-2.35"),
        (r#""10" | per("3", 2)"#, "3.33"),
        (r"pieces | number(1)", "7.0"),
        (r#""5" | negative"#, "-5"),
        (r#""14" | exactly(2)"#, "14.00"),
        (r#"lines | total(of="tax")"#, "5.681"),
    ] {
        assert_eq!(json_of(&format!("{{{{ {expression} }}}}")), wanted, "{expression}");
    }
    for (expression, told) in [
        (r#""2.345" | exactly(2)"#, "2.345 has more than 2 decimal places"),
        ("fraction", "binary fraction"),
        ("fraction | plus(1)", "0.1 is a binary fraction"),
        (r#""1" | per("0", 2)"#, "1 cannot be divided by 0"),
        (r#""9999999999999999999999999999" | plus("1")"#, "more digits than can be kept"),
        (r#""12345678901234.5678" | times("12345678.9012345678")"#, "more digits than can be kept"),
        (r#""1234567890123456789" | plus("0.12345678901234")"#, "more digits than can be kept"),
        (r#""five" | plus("1")"#, "\"five\" is not a number"),
        ("order.missing | number", "something that is not there"),
        ("lines | total", "reckons with a map"),
        (r#""1" | rounded(13)"#, "13 decimal places; at most 12"),
    ] {
        let problem = render(Form::Json, &format!("\n{{{{ {expression} }}}}")).unwrap_err();
        assert!(problem.contains(told) && problem.starts_with("create line 2: "), "{expression}: {problem}");
    }
}

#[test]
fn texts_are_cut_wrapped_mapped_and_dated() {
    for (expression, wanted) in [
        (r#""Größe" | cut(3)"#, "Grö"),
        (r#""To my dear Anna" | wrapped(7) | join("|")"#, "To my|dear|Anna"),
        (r#""Donaudampfschiff" | wrapped(6) | join("|")"#, "Donaud|ampfsc|hiff"),
        (r#""DE-19" | mapped(codes.tax)"#, "A1"),
        (r#""DE-7" | mapped(codes.tax, default="NONE")"#, "NONE"),
        (r#"order.placed_at | date("%Y-%m-%d")"#, "2026-11-23"),
        (r#"order.placed_at | date("%d.%m.%Y", offset=1)"#, "24.11.2026"),
        (r#""ek1-abc" | hex(32) | length"#, "32"),
        (r#""ek1-abc" | uuid | length"#, "36"),
    ] {
        assert_eq!(render(Form::Line, &format!("{{{{ {expression} }}}}")).unwrap(), wanted, "{expression}");
    }
    assert_eq!(render(Form::Line, r#"{{ "a" | uuid }}"#), render(Form::Line, r#"{{ "a" | uuid }}"#));
    for (expression, told) in [
        (r#""DE-7" | mapped(codes.tax)"#, "there is no code for \"DE-7\""),
        (r#""x" | mapped("y")"#, "no map of codes"),
        (r#""soon" | date("%Y")"#, "\"soon\" is no time"),
        (r#""x" | cut(0)"#, "a width of 0"),
    ] {
        let problem = render(Form::Line, &format!("{{{{ {expression} }}}}")).unwrap_err();
        assert!(problem.contains(told), "{expression}: {problem}");
    }
}

#[test]
fn what_cannot_be_sent_is_told_with_its_place() {
    for (form, source, told) in [
        (Form::Json, "{\n \"a\": {{ order.increment_id }}x\n}", "no JSON, at line 2 of the result"),
        (Form::Json, "", "it writes nothing"),
        (Form::Json, "{\"a\":1,\"a\":2}", "stands twice"),
        (Form::Json, "{\n{{ order.nothing }}}", "create line 2: it prints something that the document does not have"),
        (Form::Json, "{{ order.email }}", "null; use"),
        (Form::Json, "{{ lines }}", "use `| json`"),
        (Form::Json, "{% for x in lines %}", "create line 1"),
        (Form::Json, "{{ 1 | round }}", "unknown filter"),
        (Form::Line, "{{ lines[0].name }}", "more than one line"),
        (Form::Line, "{% include \"/etc/passwd\" %}", "create line 1"),
    ] {
        let problem = render(form, source).unwrap_err();
        assert!(problem.contains(told), "{source}: {problem}");
    }
}

#[test]
fn a_template_ends_whatever_it_asks_for() {
    let long = "{% for a in lines %}{% for b in lines %}".repeat(12) + "x" + &"{% endfor %}{% endfor %}".repeat(12);
    assert!(render(Form::Line, &long).unwrap_err().contains("too many steps"));
    let wide = format!("{{% for a in range %}}{}{{% endfor %}}", "x".repeat(100_000));
    let template = Template::new("wide", Form::Line, &wide).unwrap();
    let range = Value::from(Serde(json!({ "range": vec![0; 1_000] })));
    assert!(template.render(&range).unwrap_err().to_string().contains("writes more than"));
}

#[test]
fn a_buyer_who_writes_our_mark_takes_no_member_out() {
    let template = Template::new("create", Form::Json, r#"{"name":"{{ name }}","all":{{ all | json }}}"#).unwrap();
    let context = Value::from(Serde(json!({ "name": "a\0b", "all": ["\0"] })));
    assert_eq!(template.render(&context).unwrap(), "{\"name\":\"a\u{fffd}b\",\"all\":[\"\u{fffd}\"]}");
}

proptest! {
    #[test]
    fn whatever_a_buyer_writes_stays_the_text_it_is(text in any::<String>()) {
        let template = Template::new("create", Form::Json, r#"{"a":"{{ text }}","b":["{{ text }}",]}"#).unwrap();
        let context = Value::from(Serde(json!({ "text": text })));
        let sent: serde_json::Value = serde_json::from_str(&template.render(&context).unwrap()).unwrap();
        prop_assert_eq!(sent["a"].as_str().unwrap(), text.replace('\0', "\u{fffd}"));
        prop_assert_eq!(&sent["a"], &sent["b"][0]);
    }

    #[test]
    fn wrapping_loses_nothing_but_white_space(text in ".{0,80}", width in 1_usize..12) {
        let template = Template::new("wrap", Form::Json, "{{ text | wrapped(width) | json }}").unwrap();
        let context = Value::from(Serde(json!({ "text": text, "width": width })));
        let lines: Vec<String> = serde_json::from_str(&template.render(&context).unwrap()).unwrap();
        let bare = |text: &str| text.chars().filter(|char| !char.is_whitespace()).collect::<String>();
        prop_assert_eq!(bare(&lines.concat()), bare(&text.replace('\0', "\u{fffd}")));
        prop_assert!(lines.iter().all(|line| line.chars().count() <= width && !line.is_empty()));
    }
}

#[test]
fn lists_are_picked_apart_by_exact_names_and_digits_are_padded() {
    let source = r#"{{ lines | members("sku") | join("+") }} {{ (lines | members("no.such")) | length }} {{ ["a", "A", "a"] | unique | join("") }}"#;
    assert_eq!(render(Form::Line, source).unwrap(), "SKU-A+SKU-B 0 aA");
    assert_eq!(
        render(Form::Line, "{{ 7 | padded(2) }}{{ pieces | padded(3) }}{{ 1234 | padded(2) }}").unwrap(),
        "070071234"
    );
    for refused in ["{{ -7 | padded(2) }}", "{{ \"\" | padded(2) }}", "{{ 7 | padded(0) }}"] {
        assert!(render(Form::Line, refused).is_err(), "{refused}");
    }
}
