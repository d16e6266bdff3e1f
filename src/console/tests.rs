use super::views::{TEMPLATES, visible};

#[test]
fn every_template_can_be_read_and_loads_nothing_from_elsewhere() {
    for (name, source) in TEMPLATES {
        let mut environment = minijinja::Environment::new();
        environment.add_template(name, source).unwrap_or_else(|error| panic!("{name}: {error:#}"));
        for elsewhere in ["http://", "https://", "//cdn", "style=", "onclick", "javascript:", "|safe"] {
            assert!(!source.contains(elsewhere), "{name}: {elsewhere}");
        }
    }
}

#[test]
fn nothing_hides_in_a_text() {
    assert_eq!(visible("a\u{202e}b\u{200b}c\u{0}d\ne"), "a␣b␣c␣d\ne");
}
