//! Who calls, and what that allows.

use super::audit::Actor;
use super::roles::{Needs, PERMISSIONS, Role, Scopes};
use super::session::SignedIn;
use crate::store::view::TokenRow;

/// Somebody who proved who they are.
#[derive(Clone, Debug)]
pub struct Caller {
    identity: Identity,
    /// `None`: a role or a scope that this version does not know, which allows nothing.
    rights: Option<(Role, Scopes)>,
}

/// How they proved it.
#[derive(Clone, Debug)]
pub enum Identity {
    /// With the secret of an API token.
    Token(TokenRow),
    /// By signing in.
    User(SignedIn),
}

impl Caller {
    /// The holder of a token.
    pub fn token(token: TokenRow) -> Self {
        let rights = token.role.parse().ok().zip(Scopes::stored(&token.scopes));
        Caller { identity: Identity::Token(token), rights }
    }

    /// Somebody who signed in.
    pub fn user(signed_in: SignedIn) -> Self {
        let rights = signed_in.user.role.parse().ok().map(|role| (role, Scopes::default()));
        Caller { identity: Identity::User(signed_in), rights }
    }

    /// Whether the role has a permission and nothing narrows it away.
    pub fn may(&self, needs: Needs) -> bool {
        let allowed = |(role, scopes): &(Role, Scopes)| needs.roles.contains(role) && scopes.leave(needs.permission);
        self.rights.as_ref().is_some_and(allowed)
    }

    /// Every permission it has, by name.
    pub fn permissions(&self) -> Vec<&'static str> {
        PERMISSIONS.iter().filter(|needs| self.may(**needs)).map(|needs| needs.permission).collect()
    }

    /// Whether it has everything that a role with these scopes has: nobody hands out more than they hold.
    pub fn covers(&self, role: Role, scopes: &Scopes) -> bool {
        role.permissions().filter(|needs| scopes.leave(needs.permission)).all(|needs| self.may(needs))
    }

    /// How it proved who it is.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The least there is where nothing is known.
    pub fn role(&self) -> Role {
        self.rights.as_ref().map_or(Role::Viewer, |(role, _)| *role)
    }

    /// What calls under an `Idempotency-Key` are told apart by.
    pub fn principal(&self) -> String {
        match &self.identity {
            Identity::Token(token) => token.id.to_string(),
            Identity::User(signed_in) => signed_in.user.id.to_string(),
        }
    }

    /// For audit rows.
    pub fn actor(&self) -> Actor {
        match &self.identity {
            Identity::Token(token) => Actor::Token(token.name.clone()),
            Identity::User(signed_in) => signed_in.actor(),
        }
    }
}
