//! The recipes that ship with the product, one folder each: `recipe.toml` is what runs, `README.md` says what it wants of
//! the other side, what protects it, and what it cannot do.

/// A shipped recipe.
pub struct Shipped {
    /// The word in the configuration.
    pub word: &'static str,
    /// The recipe's text.
    pub recipe: &'static str,
    /// Its page in Markdown.
    pub page: &'static str,
}

macro_rules! shipped {
    ($($word:literal),* $(,)?) => {
        /// All of them, by their words in the configuration.
        pub const ALL: &[Shipped] = &[
            $(Shipped {
                word: $word,
                recipe: include_str!(concat!($word, "/recipe.toml")),
                page: include_str!(concat!($word, "/README.md")),
            },)*
        ];
    };
}

shipped!(
    "brightpearl",
    "business-central",
    "erpnext",
    "mintsoft",
    "netsuite",
    "odoo",
    "patchworks",
    "patchworks-callback",
    "patchworks-webhook",
    "pick-list",
    "sap-business-one",
    "sap-s4hana",
    "shiphero",
    "tryton",
    "tryton-rpc",
);

/// The shipped recipe of that word.
pub fn shipped(word: &str) -> Option<&'static Shipped> {
    ALL.iter().find(|shipped| shipped.word == word)
}
