//! Who calls, what answers, and whether the books balance.

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use super::error::ApiError;
use super::state::Api;
use crate::access::Operator;
use crate::access::caller::Identity;
use crate::access::roles::{CanRead, Role};
use crate::clock::Timestamp;
use crate::store::books::MoneyRow;
use crate::store::view::Ledger;

/// The caller.
#[derive(Debug, Serialize)]
pub struct Whoami {
    name: String,
    role: Role,
    permissions: Vec<&'static str>,
    expires_at: Option<Timestamp>,
    /// What a page of the session sends along with a call that changes something; a token's caller has none.
    csrf_token: Option<String>,
}

/// The program.
#[expect(clippy::struct_field_names, reason = "the names of the answer's members")]
#[derive(Debug, Serialize)]
pub struct Version {
    version: &'static str,
    config_version: String,
    installation_id: String,
    store: String,
    schema_version: u32,
}

/// P2 with its difference, which is always 0.
#[derive(Debug, Serialize)]
pub struct LedgerView {
    #[serde(flatten)]
    ledger: Ledger,
    difference: i128,
    /// Orders in money, by system, currency and state.
    money: Vec<MoneyRow>,
}

/// `GET /whoami`
pub async fn whoami(operator: Operator<CanRead>) -> Json<Whoami> {
    let (name, expires_at, csrf_token) = match operator.caller().identity() {
        Identity::Token(token) => (token.name.clone(), token.expires_at, None),
        Identity::User(signed_in) => {
            (signed_in.user.name.clone(), Some(signed_in.expires_at), Some(signed_in.csrf_token.clone()))
        }
    };
    Json(Whoami { name, role: operator.role(), permissions: operator.caller().permissions(), expires_at, csrf_token })
}

/// `GET /version`
pub async fn version(_operator: Operator<CanRead>, State(api): State<Api>) -> Json<Version> {
    let report = api.store.report();
    Json(Version {
        version: env!("CARGO_PKG_VERSION"),
        config_version: api.config_version.clone(),
        installation_id: report.installation_id,
        store: report.engine,
        schema_version: report.schema_version,
    })
}

/// `GET /ledger`
pub async fn ledger(_operator: Operator<CanRead>, State(api): State<Api>) -> Result<Json<LedgerView>, ApiError> {
    let ledger = api.store.ledger().await?;
    let money = api.store.money().await?;
    Ok(Json(LedgerView { difference: ledger.difference(), ledger, money }))
}
