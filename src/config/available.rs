//! What the file may name already although this version cannot do it yet. Later work removes lines here, nothing else.

use super::destinations::Profile;
use super::problem::Complaint;
use super::server::StoreUrl;
use crate::destinations::profiles;

/// Whether a destination of that profile can be served.
pub(super) fn profile(profile: Profile) -> Result<(), Complaint> {
    match profile {
        Profile::Http | Profile::Recipe => Ok(()),
        profile if profiles::shipped(profile.as_str()).is_some() => Ok(()),
        other => Err(missing(
            &format!("profile {}", other.as_str()),
            "use another, or write a recipe and use profile = \"recipe\"",
        )),
    }
}

/// Whether that store can be opened.
pub(super) fn store(url: &StoreUrl) -> Result<(), Complaint> {
    match url {
        StoreUrl::Sqlite(_) => Ok(()),
        StoreUrl::Postgres(_) => Err(missing("the PostgreSQL store", "use url = \"sqlite:crossdock.db\"")),
    }
}

fn missing(what: &str, remedy: &str) -> Complaint {
    Complaint::new(format!("{what} is not available in this version"), remedy)
}
