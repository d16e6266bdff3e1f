use super::views::TEMPLATES;

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
