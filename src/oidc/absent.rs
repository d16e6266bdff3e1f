//! What stands in for the provider in a binary without the feature `oidc`: there is none.

use super::{Beginning, Binding, Failed, ProviderAnswer, Settings, Vouched};
use crate::clock::{SharedClock, SharedEntropy};

/// An identity provider; this binary knows none.
#[derive(Debug)]
pub enum Provider {}

impl Provider {
    /// Never.
    ///
    /// # Errors
    /// Always: the binary was built without the feature.
    pub fn new(_settings: Settings, _clock: SharedClock, _entropy: SharedEntropy) -> Result<Self, String> {
        Err("this binary was built without the cargo feature oidc".to_owned())
    }

    /// What people call it.
    pub fn name(&self) -> &str {
        match *self {}
    }

    /// Begins a sign-in.
    ///
    /// # Errors
    /// Never comes to it.
    #[expect(clippy::unused_async, reason = "stands where the provider of the feature waits")]
    pub async fn begin(&self, _: &str, _: &Binding, _: Beginning) -> Result<String, Failed> {
        match *self {}
    }

    /// Finishes a sign-in.
    ///
    /// # Errors
    /// Never comes to it.
    #[expect(clippy::unused_async, reason = "stands where the provider of the feature waits")]
    pub async fn finish(&self, _: ProviderAnswer<'_>, _: Option<&Binding>) -> Result<Vouched, Failed> {
        match *self {}
    }
}
