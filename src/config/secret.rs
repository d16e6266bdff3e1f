//! Values that must never be printed.

use std::fmt;

use crate::clock::Timestamp;

/// A value that prints as `***`. Deliberately absent: `Serialize`, `PartialEq` (comparison of secrets is constant-time
/// work of `intake::signature`) and `Deref`; the one way in is [`Secret::expose`], easy to search for.
#[derive(Clone)]
pub struct Secret<T>(T);

impl<T> Secret<T> {
    /// Hides a value.
    pub fn new(value: T) -> Self {
        Secret(value)
    }

    /// The value itself, for the one place that needs it.
    pub fn expose(&self) -> &T {
        &self.0
    }
}

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

impl<T> fmt::Display for Secret<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

/// A value that may have an end: the retired one of two stops by itself, without a restart (SIG-8).
#[derive(Clone, Debug)]
pub struct Dated<T> {
    /// The value.
    pub value: T,
    /// First instant at which it is no longer valid; `None` for ever.
    pub until: Option<Timestamp>,
}

impl<T> Dated<T> {
    /// Valid for ever.
    pub fn always(value: T) -> Self {
        Dated { value, until: None }
    }

    /// Whether it still counts at `now`.
    pub fn is_valid(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

/// Alternatives, all valid at once while a secret is rotated. Never empty in a loaded configuration.
pub type Secrets = Vec<Dated<Secret<String>>>;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::from_micros;

    #[test]
    fn a_secret_never_prints_itself() {
        #[derive(Debug)]
        struct Holder {
            _password: Secret<String>,
        }
        let secret = Secret::new("hunter2".to_owned());
        let printed = format!(
            "{secret} {secret:?} {:?} {:?}",
            Dated::always(secret.clone()),
            Holder { _password: secret.clone() }
        );
        assert!(!printed.contains("hunter2"));
        assert_eq!(secret.expose(), "hunter2");
    }

    #[test]
    fn sig_8_a_retired_value_ends_at_its_instant() {
        let dated = Dated { value: (), until: Some(from_micros(1_000)) };
        assert!(dated.is_valid(from_micros(999)));
        assert!(!dated.is_valid(from_micros(1_000)));
    }
}
