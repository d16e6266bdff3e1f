//! One type per thing that Commerce numbers or names.

use std::fmt;

use serde::{Serialize, Serializer};

/// Why a text is no id or name of the wanted kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// Nothing but white space.
    #[error("it is empty")]
    Empty,
    /// Longer than Commerce's own column.
    #[error("it is longer than {0} characters")]
    TooLong(usize),
    /// A control character, which no shop shows and no ERP takes.
    #[error("it holds a control character")]
    Control,
}

fn name(raw: &str, chars_max: usize) -> Result<Box<str>, InvalidName> {
    let trimmed = raw.trim();
    if trimmed.is_empty() {
        return Err(InvalidName::Empty);
    }
    // Bytes are at least as many as characters: the common case needs no counting.
    if trimmed.len() > chars_max && trimmed.chars().count() > chars_max {
        return Err(InvalidName::TooLong(chars_max));
    }
    if trimmed.chars().any(char::is_control) {
        return Err(InvalidName::Control);
    }
    Ok(trimmed.into())
}

macro_rules! named {
    ($(#[$doc:meta])* $type:ident, $max:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $type(Box<str>);

        impl $type {
            /// A checked name, trimmed.
            pub fn parse(raw: &str) -> Result<Self, InvalidName> {
                name(raw, $max).map($type)
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }
    };
}

named!(
    /// A stock keeping unit, spelled as Commerce or a mapping spells it.
    ///
    /// Invariant: not empty, trimmed, no control character, at most 255 characters: the width of the order item's
    /// column, because an order SKU carries option suffixes beyond the catalogue's 64.
    Sku, 255
);
named!(
    /// The order number a shopper sees: `000000042`, with prefixes and `-1` suffixes. It is text, never a number.
    ///
    /// Invariant: not empty, trimmed, no control character, at most 50 characters (Commerce's column).
    IncrementId, 50
);

macro_rules! numbered {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
        #[serde(transparent)]
        pub struct $type(pub u64);

        impl fmt::Display for $type {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, formatter)
            }
        }
    };
}

numbered!(
    /// The database id of an order.
    EntityId
);
numbered!(
    /// The id of an order item, as shipments and refunds name it.
    OrderItemId
);
numbered!(
    /// The id of a catalogue product.
    ProductId
);
numbered!(
    /// The id of a store view.
    StoreId
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_trimmed_and_bounded() {
        assert_eq!(Sku::parse(" A-1 ").unwrap().as_str(), "A-1");
        assert_eq!(Sku::parse("  "), Err(InvalidName::Empty));
        assert_eq!(Sku::parse(&"é".repeat(255)).unwrap().as_str().chars().count(), 255);
        assert_eq!(Sku::parse(&"é".repeat(256)), Err(InvalidName::TooLong(255)));
        assert_eq!(IncrementId::parse("1\n2"), Err(InvalidName::Control));
    }
}
