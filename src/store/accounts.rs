//! People who sign in, and their sessions (API-4): what the store keeps of both, and the port to it.
//!
//! Whatever takes something from a person (role, password, second factor, the account) ends their sessions in the same
//! transaction, whoever does it: the service looks a session up at every call and so notices at once. No secret is kept
//! that would let its reader in: passwords as Argon2id, sessions and recovery codes as digests, the secret of the second
//! factor sealed where the store has a key.

use serde::Serialize;

use super::Answer;
use super::write::Act;
use crate::clock::Timestamp;
use crate::envelope::ids::UserId;
use crate::envelope::keys::Digest;

/// Sessions of one person at a time; the oldest ends when another begins.
pub const SESSIONS_MAX: u32 = 20;

/// A person, without anything secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UserRow {
    /// Its id.
    pub id: UserId,
    /// By which they sign in; upper and lower case are one.
    pub name: String,
    /// Where to reach them, or empty.
    pub email: String,
    /// `viewer`, `operator`, `mapper`, `finance`, `admin`.
    pub role: String,
    /// Whether they may sign in with a password.
    pub password: bool,
    /// Whether a code is asked for beside it.
    pub totp: bool,
    /// Recovery codes that are left.
    pub recovery_codes: u64,
    /// Whether an identity provider vouches for them.
    pub vouched_for: bool,
    /// Which one; what it vouches for is not changed here.
    pub issuer: Option<String>,
    /// When.
    pub created_at: Timestamp,
    /// Since when they are shut out.
    pub disabled_at: Option<Timestamp>,
    /// When they signed in last.
    pub last_login_at: Option<Timestamp>,
}

/// What proves that it is them.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// Who.
    pub user: UserRow,
    /// Argon2id in the PHC form.
    pub password: Option<String>,
    /// The second factor, enrolled or confirmed.
    pub totp: Option<KeptTotp>,
}

/// A second factor as it is kept.
#[derive(Clone)]
pub struct KeptTotp {
    /// Shared with the person's device.
    pub secret: Vec<u8>,
    /// Whether it is asked for.
    pub confirmed: bool,
    /// The newest time step that was used.
    pub step: i64,
}

impl std::fmt::Debug for KeptTotp {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("KeptTotp").field("confirmed", &self.confirmed).finish_non_exhaustive()
    }
}

/// A new person.
#[derive(Clone, Debug)]
pub struct NewUser {
    /// Its id.
    pub id: UserId,
    /// Unique, whatever the case.
    pub name: String,
    /// The name in lower case.
    pub name_key: String,
    /// Or empty.
    pub email: String,
    /// A role's name.
    pub role: String,
    /// Argon2id in the PHC form; `None`: no password.
    pub password: Option<String>,
    /// Who vouches for them, and under which name for ever.
    pub vouched: Option<Subject>,
    /// When.
    pub created_at: Timestamp,
}

/// Somebody at an identity provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The provider.
    pub issuer: String,
    /// Theirs there, for ever.
    pub subject: String,
}

/// What is changed about a person.
#[derive(Clone, Debug)]
pub enum UserChange {
    /// Another role; ends their sessions. `NotAllowed` where an identity provider says it.
    Role(String),
    /// Another role, by the word of the identity provider; ends their sessions.
    Granted(String),
    /// Another address.
    Email(String),
    /// Another password, as PHC; ends their sessions. `NotAllowed` where an identity provider vouches for them.
    Password(String),
    /// Shut out, or let in again; shutting out ends their sessions.
    Disabled(bool),
    /// A secret that waits for its first code. `NotAllowed` where an identity provider vouches for them.
    TotpEnrol(Vec<u8>),
    /// The first code came, of this step: from now on one is asked for. With the recovery codes' digests.
    TotpConfirm(i64, Vec<Digest>),
    /// No code is asked for any more; ends their sessions.
    TotpRemove,
    /// Ends their sessions and changes nothing else.
    SignOut,
}

/// The second factor of a sign-in, to be used up with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Factor {
    /// None is asked for.
    None,
    /// A code of this time step.
    Totp(i64),
    /// A recovery code.
    Recovery(Digest),
    /// Proved before: by the session that this one takes over from, or by an identity provider.
    Before,
}

/// A new session.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// Digest of its secret.
    pub secret: Digest,
    /// Whose.
    pub user: UserId,
    /// The password hash that was proved; `None`: another proof. One that changed meanwhile proves nothing.
    pub password: Option<String>,
    /// What else was proved.
    pub factor: Factor,
    /// When.
    pub created_at: Timestamp,
    /// Never valid after.
    pub expires_at: Timestamp,
    /// The caller's address.
    pub from: String,
    /// A session that this one takes the place of.
    pub replaces: Option<Digest>,
}

/// A session that has not ended.
#[derive(Clone, Debug)]
pub struct SessionRow {
    /// Whose, as they are now.
    pub user: UserRow,
    /// When it began.
    pub created_at: Timestamp,
    /// When it was used last, to the minute.
    pub seen_at: Timestamp,
    /// Never valid after.
    pub expires_at: Timestamp,
}

/// The part of the store that is about people; every method is one transaction.
pub trait Accounts: Send + Sync + 'static {
    /// Lets a person in; a name in use is `NotAllowed`, and so is somebody at an identity provider who is in already.
    fn create_user(&self, user: NewUser, act: Act) -> Answer<'_, ()>;

    /// Changes a person. `NotAllowed` when no admin of our own who may sign in would be left.
    fn change_user(&self, user: UserId, changes: Vec<UserChange>, act: Act) -> Answer<'_, ()>;

    /// Takes a person out, with their sessions. `NotAllowed` when no admin of our own who may sign in would be left.
    fn remove_user(&self, user: UserId, act: Act) -> Answer<'_, ()>;

    /// Everybody, by name.
    fn users(&self) -> Answer<'_, Vec<UserRow>>;

    /// One person and what proves that it is them, by name in lower case.
    fn credentials(&self, name_key: String) -> Answer<'_, Option<Credentials>>;

    /// One person and what proves that it is them, by id.
    fn credentials_of(&self, user: UserId) -> Answer<'_, Option<Credentials>>;

    /// One person, by who vouches for them.
    fn user_of(&self, subject: Subject) -> Answer<'_, Option<UserRow>>;

    /// Begins a session and uses up its second factor. `NotAllowed` when what was proved is no longer true: the person is
    /// shut out, the password another, the code used.
    fn begin_session(&self, session: NewSession, act: Act) -> Answer<'_, ()>;

    /// The session with this secret's digest, and whose it is. Whether it is still valid is for the caller to say.
    fn session(&self, secret: Digest) -> Answer<'_, Option<SessionRow>>;

    /// A session was used.
    fn touch_session(&self, secret: Digest, at: Timestamp) -> Answer<'_, ()>;

    /// Ends a session. `false`: it had ended.
    fn end_session(&self, secret: Digest, act: Act) -> Answer<'_, bool>;
}
