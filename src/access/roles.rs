//! Roles, what each may do, and the proof that a caller may.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use super::audit::Actor;
use super::caller::Caller;
use crate::clock::Timestamp;
use crate::store::books::Ticket;
use crate::store::write::Act;

/// What somebody is here for. No ladder: each permission names the roles that have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Reads.
    Viewer,
    /// Repairs: replays, decides, edits, holds and releases.
    Operator,
    /// Keeps the mapping tables.
    Mapper,
    /// Sees reports in money and takes them out.
    Finance,
    /// Everything, and lets others in.
    Admin,
}

/// A word that is not a role.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a role: choose viewer, operator, mapper, finance or admin")]
pub struct InvalidRole(String);

impl Role {
    /// Every role.
    pub const ALL: [Role; 5] = [Role::Viewer, Role::Operator, Role::Mapper, Role::Finance, Role::Admin];

    /// As stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Operator => "operator",
            Role::Mapper => "mapper",
            Role::Finance => "finance",
            Role::Admin => "admin",
        }
    }

    /// What it may do.
    pub fn permissions(self) -> impl Iterator<Item = Needs> {
        PERMISSIONS.iter().copied().filter(move |needs| needs.roles.contains(&self))
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

/// A permission as a value: its name, which is also the scope of a token, and the roles that have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needs {
    /// `exceptions:replay`, …
    pub permission: &'static str,
    /// Who has it.
    pub roles: &'static [Role],
}

impl Needs {
    /// Of a permission that a type names.
    pub const fn of<P: Permission>() -> Self {
        Needs { permission: P::NAME, roles: P::ROLES }
    }
}

/// Something a route lets its caller do; the type names it, the constants say what it is called and who may.
pub trait Permission: Send + Sync + 'static {
    /// Its name, and the scope that a token is narrowed to.
    const NAME: &'static str;
    /// The roles that have it; nobody else does.
    const ROLES: &'static [Role];
}

const EVERYBODY: &[Role] = &Role::ALL;
const REPAIR: &[Role] = &[Role::Operator, Role::Admin];
const TABLES: &[Role] = &[Role::Operator, Role::Mapper, Role::Admin];
const SHARE: &[Role] = &[Role::Operator, Role::Mapper, Role::Finance, Role::Admin];
const MONEY: &[Role] = &[Role::Finance, Role::Admin];
const ADMIN: &[Role] = &[Role::Admin];

macro_rules! permissions {
    ($($(#[$doc:meta])* $name:ident, $word:literal: $roles:ident;)*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug)]
            pub struct $name;
            impl Permission for $name {
                const NAME: &'static str = $word;
                const ROLES: &'static [Role] = $roles;
            }
        )*
        /// Every permission there is.
        pub const PERMISSIONS: &[Needs] = &[$(Needs::of::<$name>()),*];
    };
}

permissions! {
    /// Read everything but tokens, users and the audit.
    CanRead, "records:read": EVERYBODY;
    /// Expand orders statelessly.
    CanExpand, "orders:expand": EVERYBODY;
    /// See one's own session, change one's own password and second factor, sign out.
    CanOwnAccount, "account:own": EVERYBODY;
    /// Process a record again.
    CanReplay, "exceptions:replay": REPAIR;
    /// Add the mapping row that a group lacks, and release its records in one act.
    CanFixGroups, "exceptions:fix": REPAIR;
    /// Decide about a parked delivery, or order a second effect.
    CanDecide, "deliveries:decide": REPAIR;
    /// Edit a document that waits for a person.
    CanEditDocuments, "documents:edit": REPAIR;
    /// See what a destination would be sent of an order, and try its templates in other words; sends and keeps nothing.
    CanTryTemplates, "templates:try": TABLES;
    /// Try an origin's way in: one request to ourselves, one question to Commerce.
    CanCheckOrigins, "origins:check": REPAIR;
    /// Stop sending to a destination.
    CanHoldDestinations, "destinations:hold": REPAIR;
    /// Open a destination that is held.
    CanReleaseDestinations, "destinations:release": REPAIR;
    /// See a buyer's details where they are masked; each reveal of a document is an act in the audit.
    CanRevealPersonalData, "personal-data:reveal": REPAIR;
    /// Change mapping tables.
    CanEditMappings, "mappings:edit": TABLES;
    /// Keep filters of lists under names of one's own.
    CanKeepViews, "views:keep": EVERYBODY;
    /// Share them with everybody, and keep the shared ones in order.
    CanShareViews, "views:share": SHARE;
    /// See reports in money beyond the ledger: reconciliation and what follows from it.
    CanSeeMoney, "money:read": MONEY;
    /// Take lists and reports out as files.
    CanExport, "records:export": MONEY;
    /// Approve what another person prepared.
    CanApprove, "changes:approve": ADMIN;
    /// Take an alert, and try out a contact.
    CanManageAlerts, "alerts:manage": REPAIR;
    /// Read who did what.
    CanReadAudit, "audit:read": ADMIN;
    /// See, create and revoke tokens.
    CanManageTokens, "tokens:manage": ADMIN;
    /// Let people in, change what they may, and send them away.
    CanManageUsers, "users:manage": ADMIN;
}

/// The permissions that a token is narrowed to; empty: everything its role has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Scopes(Vec<&'static str>);

/// Why a token cannot be narrowed so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidScope {
    /// No permission has that name.
    #[error("\"{0}\" is not a scope: choose among {list}", list = names(PERMISSIONS.iter().copied()))]
    Unknown(String),
    /// The role does not have it: a scope narrows, it never widens.
    #[error("the role {0} does not have {1}: a scope narrows a role and never widens it")]
    Beyond(Role, &'static str),
}

impl Scopes {
    /// The scopes of a token of this role.
    ///
    /// # Errors
    /// When one is unknown, or more than the role has.
    pub fn narrow<'w>(role: Role, words: impl IntoIterator<Item = &'w str>) -> Result<Self, InvalidScope> {
        let mut scopes = Vec::new();
        for word in words {
            let known = PERMISSIONS.iter().find(|needs| needs.permission == word);
            let known = known.ok_or_else(|| InvalidScope::Unknown(word.chars().take(32).collect()))?;
            if !known.roles.contains(&role) {
                return Err(InvalidScope::Beyond(role, known.permission));
            }
            if !scopes.contains(&known.permission) {
                scopes.push(known.permission);
            }
        }
        Ok(Scopes(scopes))
    }

    /// As the store keeps them. A word that this version does not know allows nothing.
    pub fn stored(words: &[String]) -> Option<Self> {
        let word = |word: &String| PERMISSIONS.iter().map(|needs| needs.permission).find(|known| known == word);
        words.iter().map(word).collect::<Option<Vec<_>>>().map(Scopes)
    }

    /// Their names.
    pub fn words(&self) -> &[&'static str] {
        &self.0
    }

    /// Whether they leave a permission to their role.
    pub fn leave(&self, permission: &str) -> bool {
        self.0.is_empty() || self.0.contains(&permission)
    }
}

/// Names in a row.
fn names(permissions: impl Iterator<Item = Needs>) -> String {
    permissions.map(|needs| needs.permission).collect::<Vec<_>>().join(", ")
}

/// Who calls, proved to have permission `P`: a handler that asks for it cannot run for anybody else (API-4).
#[derive(Clone, Debug)]
pub struct Operator<P> {
    caller: Caller,
    from: String,
    ticket: Option<Ticket>,
    permission: PhantomData<P>,
}

impl<P: Permission> Operator<P> {
    /// `None` when the caller does not have the permission.
    pub fn admit(caller: Caller) -> Option<Self> {
        let (from, ticket) = (String::new(), None);
        caller.may(Needs::of::<P>()).then_some(Operator { caller, from, ticket, permission: PhantomData })
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
        self.caller.actor()
    }

    /// The caller, with role and permissions.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Its address.
    pub fn from(&self) -> &str {
        &self.from
    }

    /// Its role.
    pub fn role(&self) -> Role {
        self.caller.role()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{SeededEntropy, from_micros};
    use crate::envelope::ids::TokenId;
    use crate::store::view::TokenRow;

    fn token(role: &str, scopes: &[&str]) -> Caller {
        Caller::token(TokenRow {
            id: TokenId::new(from_micros(0), &SeededEntropy::new(1)),
            name: "anna".to_owned(),
            role: role.to_owned(),
            scopes: scopes.iter().map(|&scope| scope.to_owned()).collect(),
            created_at: from_micros(0),
            expires_at: None,
            revoked_at: None,
        })
    }

    #[test]
    fn api_4_a_permission_is_held_by_the_roles_it_names_and_no_others() {
        assert!(Operator::<CanRead>::admit(token("viewer", &[])).is_some());
        assert!(Operator::<CanReplay>::admit(token("viewer", &[])).is_none());
        assert!(Operator::<CanReplay>::admit(token("operator", &[])).is_some());
        assert!(Operator::<CanReplay>::admit(token("mapper", &[])).is_none(), "a mapper repairs tables, not records");
        assert!(Operator::<CanEditMappings>::admit(token("mapper", &[])).is_some());
        assert!(Operator::<CanEditMappings>::admit(token("finance", &[])).is_none());
        assert!(Operator::<CanExport>::admit(token("finance", &[])).is_some());
        assert!(Operator::<CanExport>::admit(token("operator", &[])).is_none());
        assert!(Operator::<CanManageTokens>::admit(token("operator", &[])).is_none());
        assert!(Operator::<CanRead>::admit(token("root", &[])).is_none(), "an unknown role has no permission");
        assert!("root".parse::<Role>().unwrap_err().to_string().contains("viewer, operator, mapper, finance or admin"));
        assert_eq!(Role::Admin.permissions().count(), PERMISSIONS.len(), "an admin has everything");
        for needs in PERMISSIONS {
            assert!(!needs.roles.is_empty(), "{} is nobody's", needs.permission);
        }
    }

    #[test]
    fn api_4_scopes_narrow_a_role_and_never_widen_it() {
        assert!(Operator::<CanRead>::admit(token("admin", &["records:read"])).is_some());
        assert!(Operator::<CanManageTokens>::admit(token("admin", &["records:read"])).is_none());
        assert!(Operator::<CanReplay>::admit(token("viewer", &["exceptions:replay"])).is_none());
        assert!(Operator::<CanRead>::admit(token("admin", &["records:read", "of:later"])).is_none(), "unknown scope");
        assert!(Scopes::narrow(Role::Operator, ["records:read", "exceptions:replay"]).is_ok());
        let beyond = Scopes::narrow(Role::Viewer, ["exceptions:replay"]).unwrap_err().to_string();
        assert_eq!(
            beyond,
            "the role viewer does not have exceptions:replay: a scope narrows a role and never widens it"
        );
        assert!(Scopes::narrow(Role::Admin, ["all"]).unwrap_err().to_string().contains("records:read, orders:expand"));
    }
}
