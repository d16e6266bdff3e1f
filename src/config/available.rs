//! What the file may name already although this version cannot do it yet. Later work removes lines here, nothing else.

use super::destinations::Profile;
use super::origins::OriginType;
use super::problem::Complaint;
use super::server::StoreUrl;

/// Whether a destination of that profile can be served.
pub(super) fn profile(profile: Profile) -> Result<(), Complaint> {
    match profile {
        Profile::Http => Ok(()),
        other => Err(missing(&format!("profile {}", other.as_str()), "use profile = \"http\"")),
    }
}

/// Whether an origin of that type can be served. To accept it without reading it would be worse than an error: Adobe drops
/// an event for ever on the first 401.
pub(super) fn origin(kind: OriginType) -> Result<(), Complaint> {
    match kind {
        OriginType::CommerceWebhook | OriginType::Patchworks | OriginType::Backoffice => Ok(()),
        OriginType::CommerceEvents => {
            Err(missing("origin type commerce-events", "send the events by a webhook or a flow"))
        }
    }
}

/// Whether that store can be opened.
pub(super) fn store(url: &StoreUrl) -> Result<(), Complaint> {
    match url {
        StoreUrl::Sqlite(_) => Ok(()),
        StoreUrl::Postgres(_) => Err(missing("the PostgreSQL store", "use url = \"sqlite:crossdock.db\"")),
    }
}

/// Settings of a destination that are read already and not followed yet: an error is better than silence.
pub(super) fn destination_setting(name: &str) -> Complaint {
    missing(&format!("the setting {name} of a destination"), "take it out")
}

fn missing(what: &str, remedy: &str) -> Complaint {
    Complaint::new(format!("{what} is not available in this version"), remedy)
}
