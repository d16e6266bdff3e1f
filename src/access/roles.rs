//! Roles and what they allow.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use super::audit::Actor;
use crate::clock::Timestamp;
use crate::store::books::Ticket;
use crate::store::view::TokenRow;
use crate::store::write::Act;

/// What an operator may do; each role includes the ones before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Reads.
    Viewer,
    /// Repairs: replays, decides, edits mapping tables.
    Operator,
    /// Lets others in.
    Admin,
}

/// A word that is not a role.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a role: choose viewer, operator or admin")]
pub struct InvalidRole(String);

impl Role {
    /// From the least to the most.
    pub const ALL: [Role; 3] = [Role::Viewer, Role::Operator, Role::Admin];

    /// As stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Operator => "operator",
            Role::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = InvalidRole;

    fn from_str(word: &str) -> Result<Self, InvalidRole> {
        Role::ALL
            .into_iter()
            .find(|role| role.as_str() == word)
            .ok_or_else(|| InvalidRole(word.chars().take(32).collect()))
    }
}

impl Serialize for Role {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// Something a route lets its caller do; the type names it, the constant says who may.
pub trait Permission: Send + Sync + 'static {
    /// The least role that has it.
    const ROLE: Role;
}

macro_rules! permissions {
    ($($(#[$doc:meta])* $name:ident: $role:ident;)*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug)]
            pub struct $name;
            impl Permission for $name {
                const ROLE: Role = Role::$role;
            }
        )*
    };
}

permissions! {
    /// Read everything but tokens.
    CanRead: Viewer;
    /// Expand orders statelessly.
    CanExpand: Viewer;
    /// Process a record again.
    CanReplay: Operator;
    /// Decide about a parked delivery.
    CanDecide: Operator;
    /// Change mapping tables.
    CanEditMappings: Operator;
    /// Open a destination that is held.
    CanReleaseDestinations: Operator;
    /// Take an alert, and try out a contact.
    CanManageAlerts: Operator;
    /// Read who did what.
    CanReadAudit: Admin;
    /// See, create and revoke tokens.
    CanManageTokens: Admin;
}

/// Who calls, proved to have permission `P`: a handler that asks for it cannot run for anybody else (API-4).
#[derive(Clone, Debug)]
pub struct Operator<P> {
    token: TokenRow,
    role: Role,
    from: String,
    ticket: Option<Ticket>,
    permission: PhantomData<P>,
}

impl<P: Permission> Operator<P> {
    /// `None` when the token's role does not reach.
    pub fn admit(token: TokenRow) -> Option<Self> {
        let role: Role = token.role.parse().ok()?;
        let (from, ticket) = (String::new(), None);
        (role >= P::ROLE).then_some(Operator { token, role, from, ticket, permission: PhantomData })
    }

    /// With the caller's address and, under an `Idempotency-Key`, the right to have the answer kept.
    #[must_use]
    pub fn calling(mut self, from: String, ticket: Option<Ticket>) -> Self {
        (self.from, self.ticket) = (from, ticket);
        self
    }

    /// An act of this operator, from where it is called (API-5).
    pub fn act(&self, action: &str, target: impl fmt::Display, at: Timestamp) -> Act {
        Act { from: self.from.clone(), ..self.actor().act(action, target, at) }
    }

    /// The right to have the answer kept; `None` for a call without a key.
    pub fn ticket(&self) -> Option<&Ticket> {
        self.ticket.as_ref()
    }

    /// For audit rows.
    pub fn actor(&self) -> Actor {
        Actor::Token(self.token.name.clone())
    }

    /// The token, without its secret.
    pub fn token(&self) -> &TokenRow {
        &self.token
    }

    /// Its role.
    pub fn role(&self) -> Role {
        self.role
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{SeededEntropy, from_micros};
    use crate::envelope::ids::TokenId;

    #[test]
    fn api_4_a_role_includes_the_ones_before_it_and_no_others() {
        let token = |role: &str| TokenRow {
            id: TokenId::new(from_micros(0), &SeededEntropy::new(1)),
            name: "anna".to_owned(),
            role: role.to_owned(),
            created_at: from_micros(0),
            expires_at: None,
            revoked_at: None,
        };
        assert!(Operator::<CanRead>::admit(token("viewer")).is_some());
        assert!(Operator::<CanReplay>::admit(token("viewer")).is_none());
        assert!(Operator::<CanReplay>::admit(token("admin")).is_some());
        assert!(Operator::<CanManageTokens>::admit(token("operator")).is_none());
        assert!(Operator::<CanRead>::admit(token("root")).is_none(), "an unknown role has no permission");
        assert!("root".parse::<Role>().unwrap_err().to_string().contains("viewer, operator or admin"));
    }
}
