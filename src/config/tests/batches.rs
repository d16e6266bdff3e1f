//! `batch` of a destination: where it may stand, and what it needs.

use super::said::said_of;

/// What is said of the batch of a destination with these settings.
fn said(settings: &str) -> String {
    said_of("flow", "batch", settings)
}

const KEYED: &str = "guard = \"key\"\nkey_window = \"2160h\"";

#[test]
fn flows_that_tell_records_apart_may_be_sent_several() {
    for profile in ["patchworks-webhook", "patchworks-callback", "patchworks"] {
        let with = if profile == "patchworks" { "with = { flow = \"f\" }\n" } else { "" };
        for batch in ["{}", "{ up_to = 200, wait = \"0s\", bytes = \"1MiB\" }"] {
            assert_eq!(said(&format!("profile = \"{profile}\"\n{with}{KEYED}\nbatch = {batch}")), "", "{profile}");
        }
    }
}

#[test]
fn unc_2_a_batch_that_could_not_keep_a_promise_is_refused_with_the_remedy() {
    let webhook = "profile = \"patchworks-webhook\"";
    for (settings, told) in [
        (format!("{webhook}\nbatch = {{}}"), "flow.batch: batch needs guard = \"key\""),
        (format!("profile = \"http\"\n{KEYED}\nbatch = {{}}"), "flow.batch: batch is for profiles that take a list"),
        (
            format!("profile = \"pick-list\"\n{KEYED}\nbatch = {{}}"),
            "flow.batch: its profile takes one record a request, so there is no batch",
        ),
        (
            format!(
                "profile = \"patchworks\"\nwith = {{ flow = \"f\", core_url = \"https://core.example.com\" }}\n{KEYED}\nbatch = {{}}"
            ),
            "flow.batch: with batch its only step is the create, and it has run: leave that out",
        ),
        (format!("{webhook}\n{KEYED}\nbatch = {{ up_to = 1 }}"), "flow.batch.up_to: is out of bounds"),
        (format!("{webhook}\n{KEYED}\nbatch = {{ upto = 5 }}"), "flow.batch.upto: is not a key"),
        (format!("{webhook}\n{KEYED}\nbatch = 50"), "flow.batch: is of type integer"),
        (format!("{webhook}\n{KEYED}\nbatch = {{ wait = \"1h\" }}"), "flow.batch.wait: 1h is out of bounds"),
    ] {
        let found = said(&settings);
        assert!(found.contains(told), "{settings}\n{found}");
    }
}
