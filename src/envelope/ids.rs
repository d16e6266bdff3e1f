//! Ids of our own rows: a prefix that says what is named, then a time-ordered UUID (version 7) in Crockford base32.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use crate::clock::{Entropy, Timestamp};

/// A text that is not an id of the wanted kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{given}\" is not an id of the form {prefix}_…")]
pub struct InvalidId {
    given: String,
    prefix: &'static str,
}

/// Crockford's alphabet in lower case: sorts like the bytes it stands for.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

fn encode(value: u128) -> String {
    (0..26)
        .rev()
        .map(|digit| char::from(ALPHABET[usize::try_from(value >> (digit * 5) & 31).expect("five bits")]))
        .collect()
}

fn decode(text: &str) -> Option<u128> {
    if text.len() != 26 {
        return None;
    }
    text.bytes().enumerate().try_fold(0_u128, |value, (index, byte)| {
        let digit = ALPHABET.iter().position(|known| *known == byte)?;
        // 26 digits hold 130 bits; the first may use only three of its five.
        if index == 0 && digit > 7 { None } else { Some(value << 5 | digit as u128) }
    })
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Uuid);

        impl $name {
            /// What the text form starts with.
            pub const PREFIX: &'static str = $prefix;

            /// A new id whose order follows `now` (to the millisecond; ties are in no order).
            pub fn new(now: Timestamp, entropy: &dyn Entropy) -> Self {
                let mut bytes = [0_u8; 10];
                entropy.fill(&mut bytes);
                let millis = u64::try_from(now.as_millisecond()).unwrap_or(0);
                $name(uuid::Builder::from_unix_timestamp_millis(millis, &bytes).into_uuid())
            }

            /// The sixteen bytes, as the store keeps them.
            pub fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }

            /// From the store.
            pub fn from_bytes(bytes: [u8; 16]) -> Self {
                $name(Uuid::from_bytes(bytes))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(formatter, concat!($prefix, "_{}"), encode(self.0.as_u128()))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, formatter)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                text.strip_prefix(concat!($prefix, "_"))
                    .and_then(decode)
                    .map(|value| $name(Uuid::from_u128(value)))
                    .ok_or_else(|| InvalidId { given: text.chars().take(64).collect(), prefix: $prefix })
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

id!(
    /// A stored event.
    EnvelopeId, "env"
);
id!(
    /// A rendered canonical document.
    DocumentId, "doc"
);
id!(
    /// One intended effect at one destination.
    DeliveryId, "dlv"
);
id!(
    /// A business record somebody owns.
    ExceptionId, "exc"
);
id!(
    /// An operator's API token (its row, not its secret).
    TokenId, "tok"
);
id!(
    /// Somebody who signs in.
    UserId, "usr"
);
id!(
    /// A filter of a list under a name.
    ViewId, "viw"
);
id!(
    /// One trouble of one destination.
    IncidentId, "inc"
);
id!(
    /// Something people are told about.
    AlertId, "alr"
);
id!(
    /// One message to one contact about an alert; its receiver knows a repeat by it.
    MessageId, "msg"
);
id!(
    /// An act on many records at once.
    BulkId, "blk"
);
id!(
    /// One request to us, for correlation.
    RequestId, "req"
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{SeededEntropy, from_micros};

    #[test]
    fn ids_round_trip_and_sort_by_time() {
        let entropy = SeededEntropy::new(7);
        let early = EnvelopeId::new(from_micros(1_000_000), &entropy);
        let late = EnvelopeId::new(from_micros(1_002_000), &entropy);
        assert!(early < late && early.to_string() < late.to_string());
        assert_eq!(early.to_string().parse::<EnvelopeId>().unwrap(), early);
        assert_eq!(early.to_string().len(), 30);
        assert!(early.to_string().parse::<DeliveryId>().is_err());
        assert!("env_zzzzzzzzzzzzzzzzzzzzzzzzzz".parse::<EnvelopeId>().is_err());
        assert!("env_ü".parse::<EnvelopeId>().is_err());
    }
}
