//! The way out: what the ERP sees, and what becomes of each thing it may do to us.

mod doubt;
mod guards;
mod lanes;
mod outcomes;
mod requests;

use crate::support::TestApp;

/// Retries within a test's patience; the destination's own pauses stay as they are.
pub const SOON: &str =
    "retry_schedule = [\"50ms\", \"50ms\", \"50ms\", \"50ms\", \"50ms\", \"50ms\", \"50ms\", \"50ms\"]";

/// A service whose ERP destination has these settings as well.
pub async fn app_with(settings: &str) -> TestApp {
    let settings = settings.to_owned();
    TestApp::with(move |text| text.replace("[destinations.erp]", &format!("[destinations.erp]\n{settings}"))).await
}

/// The same with nothing to guard against doubles.
pub async fn unguarded(settings: &str) -> TestApp {
    let settings = format!("[destinations.erp]\n{settings}");
    TestApp::with(move |text| {
        text.replace("guard = \"key\"\nkey_window = \"24h\"", "guard = \"none\"")
            .replace("[destinations.erp]", &settings)
    })
    .await
}
