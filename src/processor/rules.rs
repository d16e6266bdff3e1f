//! What processing goes by: a snapshot of configuration and mappings, swapped whole and never changed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::mapping::Mappings;
use crate::domain::policy::Policies;
use crate::routing::Route;

/// When an order is read again from Commerce before it is processed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadBack {
    /// Before every processing.
    Always,
    /// When the payload is a hint or incomplete.
    WhenNeeded,
    /// Never: payloads are taken as they stand.
    Never,
}

/// What the name of a built-in origin of orders that we read begins with; the Commerce instance follows.
pub const READ_ORIGIN: &str = "commerce.";

/// What processing needs to know of an origin.
#[derive(Clone, Debug)]
pub struct OriginRules {
    /// The Commerce instance its payloads are about: the system of record of every key.
    pub system: String,
    /// Store of payloads that name none.
    pub default_store_id: Option<String>,
    /// When its orders are read back.
    pub read_back: ReadBack,
    /// Its Commerce instance can be read from.
    pub readable: bool,
    /// How long a change of an order waits for the order itself (LANE-4).
    pub wait_for_order: Duration,
    /// Its changes, invoices and shipments are meant for Commerce, not from it (DESIGN 3).
    pub to_commerce: bool,
}

/// One consistent set of rules.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Version of the configuration they come from.
    pub config_version: String,
    /// By origin name.
    pub origins: BTreeMap<String, OriginRules>,
    /// In the order of the file.
    pub routes: Arc<Vec<Route>>,
    /// For destinations without their own.
    pub policies: Policies,
    /// By destination name.
    pub destination_policies: BTreeMap<String, Policies>,
    /// Tables in force.
    pub mappings: Arc<Mappings>,
}

impl Rules {
    /// The same rules where these Commerce instances can be read from.
    #[must_use]
    pub fn reading_from<'s>(mut self, systems: impl IntoIterator<Item = &'s String>) -> Self {
        for system in systems {
            for origin in self.origins.values_mut().filter(|origin| origin.system == *system) {
                origin.readable = true;
            }
        }
        self
    }

    /// The policies for one destination.
    pub fn policies_for(&self, destination: &str) -> &Policies {
        self.destination_policies.get(destination).unwrap_or(&self.policies)
    }

    /// The same rules with other mappings.
    #[must_use]
    pub fn with_mappings(&self, mappings: Arc<Mappings>) -> Self {
        Rules { mappings, ..self.clone() }
    }
}
