//! How a destination speaks. Every profile renders a document and reads an answer; one that takes several steps says
//! which.

use std::time::Duration;

use super::RecipeSettings;
use super::http::HttpProfile;
use super::recipe::Recipe;

/// The profiles we have.
pub enum Profile {
    /// Posts the canonical document as it stands.
    Http(HttpProfile),
    /// Speaks as a recipe says.
    Recipe(Box<RecipeProfile>),
}

/// A recipe at one destination.
pub struct RecipeProfile {
    /// The recipe, with the destination's settings.
    pub recipe: Recipe,
    /// As it is written.
    pub settings: RecipeSettings,
    /// How long the destination may take until a record shows (UNC-4).
    pub settle_after: Duration,
}
