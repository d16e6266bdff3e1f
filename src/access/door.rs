//! The door: who is let in, by token, by password, or by a session begun with one (API-4).
//!
//! One answer for every wrong sign-in, after the same work: whether the name is known, the person shut out, the password
//! or the code wrong is not told. Whatever was proved is proved again inside the transaction that begins the session, so a
//! code is never used twice and a password changed meanwhile lets nobody in. Sessions are looked up at every call: what
//! ends one, here or at the command line, ends it at once.

mod provided;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{HeaderMap, Method, header};

use super::audit::Actor;
use super::caller::Caller;
use super::origin::{self, Forged};
use super::password::{self, Busy, Hasher, Weak};
use super::session::{Lifetime, SEEN_EVERY, SessionSecret, SignedIn, WATCHING};
use super::throttle::{Throttle, Try};
use super::tokens::{Denied, Tokens};
use super::vouched::{NotGranted, Rules};
use super::{totp, users};
use crate::clock::{SharedClock, SharedEntropy, Timestamp, later};
use crate::envelope::ids::UserId;
use crate::store::accounts::{Credentials, Factor, NewSession, UserChange, UserRow};
use crate::store::write::Act;
use crate::store::{SharedStore, StoreError};

/// Refused sign-ins that are written down one by one, a minute; the rest are counted.
const REFUSALS_A_MINUTE: u32 = 60;

/// A longer name is nobody's; some letters become two in lower case.
const NAME_KEY_CHARS_MAX: usize = 2 * users::NAME_CHARS_MAX;

/// How people come in.
#[derive(Clone)]
pub struct Settings {
    /// `https://console.example.com`: the origin that people see; `None`: the host that a call went to.
    pub public_origin: Option<String>,
    /// Whether an address is a proxy of ours, whose word about the caller's address is taken.
    pub is_proxy: Arc<dyn Fn(IpAddr) -> bool + Send + Sync>,
    /// How long a session lives.
    pub lifetime: Lifetime,
    /// Whether people sign in with passwords of our own.
    pub passwords: bool,
    /// What an identity provider's word grants.
    pub vouched: Rules,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            public_origin: None,
            is_proxy: Arc::new(|_| false),
            lifetime: Lifetime::default(),
            passwords: true,
            vouched: Rules::default(),
        }
    }
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Settings").field("public_origin", &self.public_origin).finish_non_exhaustive()
    }
}

/// Somebody tries to sign in.
#[derive(Clone, Copy)]
pub struct Attempt<'a> {
    /// As they wrote it.
    pub name: &'a str,
    /// As they wrote it.
    pub password: &'a str,
    /// Of the second factor, or a recovery code; empty: none was given.
    pub code: &'a str,
    /// The caller's address.
    pub from: &'a str,
    /// The session that the browser had before; it ends.
    pub before: Option<&'a SessionSecret>,
}

/// A session that began.
#[derive(Clone, Debug)]
pub struct Begun {
    /// For the cookie: [`SessionSecret::cookie`].
    pub secret: SessionSecret,
    /// Who it is.
    pub signed_in: SignedIn,
}

/// Why nobody was signed in, or nothing of the account was changed.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// Name, password or code is wrong, or the person is shut out: which, is not told.
    #[error("the name, the password or the code is not right")]
    Credentials,
    /// Passwords are not taken here.
    #[error("people sign in with the identity provider here, and passwords are not taken")]
    Elsewhere,
    /// The identity provider vouches for them, which grants nothing.
    #[error(transparent)]
    NotGranted(#[from] NotGranted),
    /// The identity provider vouches for them, and they are shut out here.
    #[error("you are shut out of this service; whoever runs it lets people in again")]
    ShutOut,
    /// Too many tries.
    #[error("too many tries: wait {} s", .0.as_secs().max(1))]
    Slow(Duration),
    /// Too many sign in.
    #[error(transparent)]
    Busy(#[from] Busy),
    /// The new password is not good enough.
    #[error(transparent)]
    Weak(#[from] Weak),
    /// The store could not do it.
    #[error("the store could not do it")]
    Store(#[from] StoreError),
}

#[derive(Debug, Default)]
struct Refusals {
    minute: Option<Timestamp>,
    told: u32,
    untold: u64,
}

/// Lets people and programs in.
pub struct Access {
    /// API tokens.
    pub tokens: Tokens,
    /// Makes and proves passwords.
    pub hasher: Hasher,
    store: SharedStore,
    clock: SharedClock,
    entropy: SharedEntropy,
    settings: Settings,
    throttle: Mutex<Throttle>,
    refusals: Mutex<Refusals>,
}

impl std::fmt::Debug for Access {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Access").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Access {
    /// Over the people and tokens of this store.
    pub fn new(store: SharedStore, clock: SharedClock, entropy: SharedEntropy, settings: Settings) -> Self {
        Access {
            tokens: Tokens::new(store.clone(), clock.clone()),
            hasher: Hasher::new(entropy.clone()),
            store,
            clock,
            entropy,
            settings,
            throttle: Mutex::default(),
            refusals: Mutex::default(),
        }
    }

    /// How people come in.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The caller's address, as far as our proxies tell it.
    pub fn address(&self, headers: &HeaderMap, peer: Option<IpAddr>) -> String {
        origin::address(headers, peer, &*self.settings.is_proxy)
    }

    /// Who makes a call: by its bearer token, else by its session. A call under a session that changes something must be
    /// of our own page and carry the session's token in its head.
    ///
    /// # Errors
    /// Why nobody is let in.
    pub async fn caller(&self, method: &Method, headers: &HeaderMap) -> Result<Caller, Denied> {
        if headers.contains_key(header::AUTHORIZATION) {
            return Ok(Caller::token(self.tokens.who(bearer(headers).ok_or(Denied::Unknown)?).await?));
        }
        let signed_in = self.session_of(headers).await?.ok_or(Denied::Unknown)?;
        if !origin::is_safe(method) {
            self.check_csrf(headers, &signed_in, origin::csrf_token(headers))?;
        }
        Ok(signed_in.caller())
    }

    /// Who is signed in, by the cookie of a call; `None`: nobody. Reads only: a call that changes something needs
    /// [`Access::check_csrf`] as well.
    ///
    /// # Errors
    /// When the store cannot be asked.
    pub async fn session_of(&self, headers: &HeaderMap) -> Result<Option<SignedIn>, StoreError> {
        match SessionSecret::of(headers) {
            Some(secret) => self.signed_in(&secret, headers.contains_key(WATCHING)).await,
            None => Ok(None),
        }
    }

    /// Who is signed in with this secret; `watches`: nobody did anything, a page looked by itself.
    ///
    /// # Errors
    /// When the store cannot be asked.
    async fn signed_in(&self, secret: &SessionSecret, watches: bool) -> Result<Option<SignedIn>, StoreError> {
        let digest = secret.digest();
        let Some(row) = self.store.session(digest).await? else { return Ok(None) };
        let now = self.clock.now();
        if !self.settings.lifetime.holds(&row, now) {
            return Ok(None);
        }
        if !watches && now >= later(row.seen_at, SEEN_EVERY) {
            // Should this fail, the session ends a little early; the call itself is not worse for it.
            drop(self.store.touch_session(digest, now).await);
        }
        let csrf_token = secret.csrf_token();
        Ok(Some(SignedIn { user: row.user, expires_at: row.expires_at, csrf_token, digest }))
    }

    /// Whether a call that changes something under a session is the person's own. `token`: from the field of a form, or
    /// [`origin::csrf_token`].
    ///
    /// # Errors
    /// Why it is not believed.
    pub fn check_csrf(&self, headers: &HeaderMap, signed_in: &SignedIn, token: &str) -> Result<(), Forged> {
        origin::check_csrf(headers, self.settings.public_origin.as_deref(), &signed_in.csrf_token, token)
    }

    /// Whether a sign-in comes from a page of ours, or from no page at all: nobody is signed in by another site.
    ///
    /// # Errors
    /// When another origin's page made the call.
    pub fn check_sign_in_page(&self, headers: &HeaderMap) -> Result<(), Forged> {
        origin::is_own_page(headers, self.settings.public_origin.as_deref()).map(drop)
    }

    /// The `Set-Cookie` for a session that began with this call.
    pub fn cookie(&self, headers: &HeaderMap, secret: &SessionSecret) -> String {
        secret.cookie(self.is_secure(headers), self.settings.lifetime)
    }

    /// Begins a session for whoever proves who they are.
    ///
    /// # Errors
    /// Why nobody is signed in.
    pub async fn sign_in(&self, attempt: Attempt<'_>) -> Result<Begun, Refused> {
        if !self.settings.passwords {
            return Err(Refused::Elsewhere);
        }
        let key = users::name_key(attempt.name.trim());
        let tried = Try::new(&key, attempt.from);
        self.begin_try(&tried)?;
        let known = if key.chars().count() > NAME_KEY_CHARS_MAX { None } else { self.credentials(key).await? };
        let right = self.proves(attempt.password, known.as_ref()).await?;
        let Some((known, factor)) = known.as_ref().filter(|_| right).and_then(|known| self.factor(known, attempt.code))
        else {
            self.refused(known.as_ref().map(|known| known.user.id), attempt.from, None).await?;
            return Err(Refused::Credentials);
        };
        let begun = self.begin(&known.user, known.password.clone(), factor, attempt.from, attempt.before).await;
        match begun {
            Ok(begun) => {
                self.lock_throttle().succeeded(&tried, self.clock.now());
                Ok(begun)
            }
            // The code was used by another sign-in, or the person changed meanwhile.
            Err(StoreError::NotAllowed(_)) => {
                self.refused(Some(known.user.id), attempt.from, None).await?;
                Err(Refused::Credentials)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Whether a cookie that this call is given is for HTTPS.
    pub fn is_secure(&self, headers: &HeaderMap) -> bool {
        origin::is_secure(headers, self.settings.public_origin.as_deref())
    }

    /// What proves that it is this person. That a second factor does not open is for our log, not for whoever tries.
    async fn credentials(&self, key: String) -> Result<Option<Credentials>, StoreError> {
        self.store.credentials(key).await.map_err(|error| match error {
            StoreError::NotAllowed(_) | StoreError::Corrupt(_) => {
                tracing::error!(reason = %error, "somebody cannot sign in: their second factor does not open");
                StoreError::Unusable("a second factor does not open".to_owned())
            }
            other => other,
        })
    }

    /// Ends a session.
    ///
    /// # Errors
    /// When the store cannot do it.
    pub async fn sign_out(&self, signed_in: &SignedIn, from: &str) -> Result<(), StoreError> {
        let act = self.own_act(signed_in, "session.end", from);
        self.store.end_session(signed_in.digest, act).await.map(drop)
    }

    /// Ends every session of the person.
    ///
    /// # Errors
    /// When the store cannot do it.
    pub async fn sign_out_everywhere(&self, signed_in: &SignedIn, from: &str) -> Result<(), StoreError> {
        self.change(signed_in, UserChange::SignOut, "session.end_all", from).await
    }

    /// Changes one's own password: every session of the person ends, and this one goes on under a new secret.
    ///
    /// # Errors
    /// Why not.
    pub async fn change_password(
        &self,
        signed_in: &SignedIn,
        (current, new): (&str, &str),
        from: &str,
    ) -> Result<Begun, Refused> {
        self.prove_again(signed_in, current, from).await?;
        password::check(new, &signed_in.user.name)?;
        let phc = self.hasher.hash(new).await?;
        self.change(signed_in, UserChange::Password(phc.clone()), "user.password", from).await?;
        Ok(self.begin(&signed_in.user, Some(phc), Factor::Before, from, None).await?)
    }

    /// Makes the secret of a second factor that waits for its first code.
    ///
    /// # Errors
    /// Why not.
    pub async fn enrol_totp(&self, signed_in: &SignedIn, password: &str, from: &str) -> Result<Vec<u8>, Refused> {
        self.prove_again(signed_in, password, from).await?;
        let secret = totp::secret(&*self.entropy);
        self.change(signed_in, UserChange::TotpEnrol(secret.clone()), "user.second_factor", from).await?;
        Ok(secret)
    }

    /// The first code of an enrolled second factor: from now on one is asked for. The recovery codes, shown this once.
    ///
    /// # Errors
    /// Why not.
    pub async fn confirm_totp(&self, signed_in: &SignedIn, code: &str, from: &str) -> Result<Vec<String>, Refused> {
        let tried = Try::new(&users::name_key(&signed_in.user.name), from);
        self.begin_try(&tried)?;
        let known = self.store.credentials_of(signed_in.user.id).await?;
        let enrolled = known.and_then(|known| known.totp).filter(|totp| !totp.confirmed);
        let enrolled = enrolled.ok_or_else(|| {
            StoreError::NotAllowed("no second factor waits for its first code: enrol one first".into())
        })?;
        let step =
            totp::step_of(&enrolled.secret, code, self.clock.now(), enrolled.step).ok_or(Refused::Credentials)?;
        let codes = totp::recovery_codes(&*self.entropy);
        let digests = codes.iter().filter_map(|code| totp::recovery_digest(code)).collect();
        self.change(signed_in, UserChange::TotpConfirm(step, digests), "user.second_factor", from).await?;
        self.lock_throttle().succeeded(&tried, self.clock.now());
        Ok(codes)
    }

    /// Gives up one's own second factor; every session of the person ends.
    ///
    /// # Errors
    /// Why not.
    pub async fn remove_totp(&self, signed_in: &SignedIn, password: &str, from: &str) -> Result<(), Refused> {
        self.prove_again(signed_in, password, from).await?;
        Ok(self.change(signed_in, UserChange::TotpRemove, "user.second_factor", from).await?)
    }

    /// A session may be a stolen one: what changes the ways in asks for the password again.
    async fn prove_again(&self, signed_in: &SignedIn, password: &str, from: &str) -> Result<(), Refused> {
        if signed_in.user.vouched_for {
            let why = "the identity provider says how you sign in: change password and second factor there";
            return Err(StoreError::NotAllowed(why.to_owned()).into());
        }
        let tried = Try::new(&users::name_key(&signed_in.user.name), from);
        self.begin_try(&tried)?;
        let known = self.store.credentials_of(signed_in.user.id).await?;
        if !self.proves(password, known.as_ref()).await? {
            self.refused(Some(signed_in.user.id), from, None).await?;
            return Err(Refused::Credentials);
        }
        self.lock_throttle().succeeded(&tried, self.clock.now());
        Ok(())
    }

    /// Whether a password is right, after the same work whoever it is.
    async fn proves(&self, password: &str, known: Option<&Credentials>) -> Result<bool, Busy> {
        if password.len() > password::BYTES_MAX {
            // Nobody has such a one, whatever the name.
            return Ok(false);
        }
        let phc = known.and_then(|known| known.password.clone());
        let right = self.hasher.verify(password, phc).await?;
        Ok(right && known.is_some_and(|known| known.user.disabled_at.is_none()))
    }

    /// The second factor that was proved; `None`: one is asked for and this is not it.
    fn factor<'k>(&self, known: &'k Credentials, code: &str) -> Option<(&'k Credentials, Factor)> {
        let Some(totp) = known.totp.as_ref().filter(|totp| totp.confirmed) else { return Some((known, Factor::None)) };
        let step = totp::step_of(&totp.secret, code, self.clock.now(), totp.step);
        let factor = step.map(Factor::Totp).or_else(|| totp::recovery_digest(code).map(Factor::Recovery));
        factor.map(|factor| (known, factor))
    }

    async fn begin(
        &self,
        user: &UserRow,
        password: Option<String>,
        factor: Factor,
        from: &str,
        before: Option<&SessionSecret>,
    ) -> Result<Begun, StoreError> {
        let now = self.clock.now();
        let secret = SessionSecret::new(&*self.entropy);
        let expires_at = later(now, self.settings.lifetime.absolute);
        let mut act = Actor::User(user.name.clone()).act("session.begin", user.id, now);
        let factor_told = match factor {
            Factor::None => "none",
            Factor::Totp(_) => "code",
            Factor::Recovery(_) => "recovery code",
            Factor::Before => "proved before",
        };
        act.after = serde_json::json!({ "second_factor": factor_told, "role": user.role }).to_string();
        from.clone_into(&mut act.from);
        let session = NewSession {
            secret: secret.digest(),
            user: user.id,
            password,
            factor,
            created_at: now,
            expires_at,
            from: from.to_owned(),
            replaces: before.map(SessionSecret::digest),
        };
        self.store.begin_session(session, act).await?;
        let user = UserRow { last_login_at: Some(now), ..user.clone() };
        let (csrf_token, digest) = (secret.csrf_token(), secret.digest());
        Ok(Begun { secret, signed_in: SignedIn { user, expires_at, csrf_token, digest } })
    }

    async fn change(
        &self,
        signed_in: &SignedIn,
        change: UserChange,
        action: &str,
        from: &str,
    ) -> Result<(), StoreError> {
        let mut act = self.own_act(signed_in, action, from);
        let changes = vec![change];
        (act.before, act.after) = users::changes_told(&signed_in.user, &changes);
        self.store.change_user(signed_in.user.id, changes, act).await
    }

    fn own_act(&self, signed_in: &SignedIn, action: &str, from: &str) -> Act {
        let mut act = signed_in.actor().act(action, signed_in.user.id, self.clock.now());
        from.clone_into(&mut act.from);
        act
    }

    fn begin_try(&self, tried: &Try) -> Result<(), Refused> {
        self.lock_throttle().begin(tried, self.clock.now()).map_err(Refused::Slow)
    }

    fn lock_throttle(&self) -> std::sync::MutexGuard<'_, Throttle> {
        self.throttle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a refusal down, without the name that was tried: people type passwords there.
    async fn refused(&self, user: Option<UserId>, from: &str, why: Option<String>) -> Result<(), StoreError> {
        let now = self.clock.now();
        let untold = {
            let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
            let begun = refusals.minute.filter(|minute| *minute <= now && now < later(*minute, Duration::from_mins(1)));
            if begun.is_none() {
                (refusals.minute, refusals.told) = (Some(now), 0);
            }
            if refusals.told >= REFUSALS_A_MINUTE {
                refusals.untold += 1;
                return Ok(());
            }
            refusals.told += 1;
            std::mem::take(&mut refusals.untold)
        };
        let target = user.map_or_else(|| "unknown".to_owned(), |user| user.to_string());
        let mut act = Actor::Anonymous.act("session.refuse", target, now);
        from.clone_into(&mut act.from);
        act.reason = why.unwrap_or_default();
        if untold > 0 {
            act.after = serde_json::json!({ "refused_before_and_not_written_down": untold }).to_string();
        }
        self.store.record(act).await
    }
}

/// The secret of a bearer token. The header must stand there exactly once.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let (scheme, secret) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| secret.trim())
}
