//! A small whole file with one destination in it, and what is said of that.

use super::problems;

/// What is said of one member of a destination with these settings.
pub(super) fn said_of(destination: &str, member: &str, settings: &str) -> String {
    let file = format!(
        r#"
# One problem that is always there.
zzzzzzzzzz = 1

[store]
url = "sqlite:crossdock.db"

[commerce.acme]
edition = "paas"
base_url = "https://shop.example.com/rest"
auth = {{ type = "none" }}

[destinations.{destination}]
url = "https://erp.example.com/orders"
auth = {{ type = "none" }}
{settings}
"#
    );
    let (all, place) = (problems(&file), format!("{destination}.{member}"));
    all.lines().filter(|line| line.contains(&place)).collect::<Vec<_>>().join("\n")
}
