//! The configuration file: whole, valid, immutable.
//!
//! [`Config::load`] reads one TOML file and either gives a [`Config`] in which every reference resolves, every secret is
//! present and every key parses, or the list of everything that is wrong (RUN-6). Sections are read by a cursor that
//! collects problems ([`read`]), not by `serde`, which would stop at the first.
//!
//! Deliberately absent: defaults that depend on the machine, and a way to change a loaded configuration.

pub mod problem;
pub mod secret;
pub mod units;
pub mod net;
mod read;
mod available;
pub mod server;
pub mod access;
pub mod commerce;
pub mod auth;
pub mod origins;
mod polls;
pub mod policies;
pub mod exceptions;
mod door;
mod recipes;
mod shape;
pub mod destinations;
mod limits;
mod alerts;
mod looking;
mod load;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

pub use crate::clock::Rate;
pub use access::{AccessSettings, OidcSettings};
pub use auth::{AuthSetting, SignedBytes};
pub use commerce::{CatalogueCache, CommerceAuth, CommerceSettings, Edition, ReadBack, Sweep};
pub use destinations::{DestinationSettings, Guard, OutboundAuth, OutboundSignature, Profile};
pub use exceptions::ExceptionSettings;
pub use load::{ConfigVersion, Loaded};
pub use net::Network;
pub use origins::{Direction, JournalSettings, OnRefused, OriginSettings, OriginType};
pub use policies::Policies;
pub use polls::PollSettings;
pub use problem::Problem;
pub use secret::{Dated, Secret, Secrets};
pub use server::{BackupSettings, RetentionSettings, ServerSettings, StoreSettings, StoreUrl};
pub(crate) use units::duration;

use crate::routing::Route;

/// Everything the file says, defaults filled in. Maps are keyed by the configured names.
#[derive(Clone, Debug)]
pub struct Config {
    /// `[server]`
    pub server: ServerSettings,
    /// `[store]`
    pub store: StoreSettings,
    /// `[access]`
    pub access: AccessSettings,
    /// `[retention]`
    pub retention: RetentionSettings,
    /// `[commerce.NAME]`
    pub commerce: BTreeMap<String, CommerceSettings>,
    /// `[origins.NAME]`; each names a key of `commerce`.
    pub origins: BTreeMap<String, OriginSettings>,
    /// `[destinations.NAME]`
    pub destinations: BTreeMap<String, DestinationSettings>,
    /// `[[routes]]` in the order of the file; each names keys of `destinations`.
    pub routes: Vec<Route>,
    /// `[alerts]`
    pub alerts: crate::alerting::Settings,
    /// `[exceptions]`
    pub exceptions: ExceptionSettings,
    /// `[policies]`; a destination carries its own effective ones.
    pub policies: Policies,
}

impl Config {
    /// The largest body an origin may send: its own limit, else the server's for its type (POI-3).
    pub fn body_bytes_max(&self, origin: &OriginSettings) -> u64 {
        origin.body_bytes_max.unwrap_or(match origin.kind {
            OriginType::CommerceEvents => self.server.events_body_bytes_max,
            OriginType::CommerceWebhook | OriginType::Patchworks | OriginType::Backoffice => self.server.body_bytes_max,
        })
    }

    /// By when an origin must have its answer (ACK-8).
    pub fn handler_timeout(&self, origin: &OriginSettings) -> Duration {
        match origin.kind {
            OriginType::CommerceWebhook => self.server.hook_timeout,
            // Adobe waits for ten seconds, connecting included.
            OriginType::CommerceEvents => self.server.handler_timeout.min(Duration::from_secs(9)),
            OriginType::Patchworks | OriginType::Backoffice => self.server.handler_timeout,
        }
    }
}
