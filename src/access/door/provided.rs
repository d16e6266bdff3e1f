//! Whoever an identity provider vouches for comes in: made known at the first time, brought up to date at each.

use http::HeaderMap;
use serde_json::{Map, Value};

use super::{Access, Begun, Refused};
use crate::access::audit::Actor;
use crate::access::origin;
use crate::access::session::SessionSecret;
use crate::access::throttle::Try;
use crate::access::users;
use crate::access::vouched::Granted;
use crate::envelope::ids::UserId;
use crate::store::StoreError;
use crate::store::accounts::{Factor, Subject, UserChange, UserRow};
use crate::store::write::Act;

impl Access {
    /// Our origin as this call's browser sees it; `None`: not known, since a `Host` that anybody can write names no place
    /// to send people to, unless it is this very machine.
    pub fn own_origin(&self, headers: &HeaderMap) -> Option<String> {
        self.settings.public_origin.clone().or_else(|| origin::on_loopback(headers))
    }

    /// Counts a try with the identity provider: beginning one and answering it are a try each.
    ///
    /// # Errors
    /// How long to wait.
    pub fn try_vouched(&self, from: &str) -> Result<(), Refused> {
        self.begin_try(&vouched_try(from))
    }

    /// Begins a session for somebody whom the identity provider vouches for, who is made known or brought up to date.
    ///
    /// # Errors
    /// Why nobody is signed in.
    pub async fn let_in(
        &self,
        subject: Subject,
        claims: &Map<String, Value>,
        from: &str,
        before: Option<&SessionSecret>,
    ) -> Result<Begun, Refused> {
        let known = self.store.user_of(subject.clone()).await?;
        if let Some(user) = known.as_ref().filter(|user| user.disabled_at.is_some()) {
            self.refused(Some(user.id), from, Some("shut out here".to_owned())).await?;
            return Err(Refused::ShutOut);
        }
        let granted = match self.settings.vouched.grant(&subject, claims) {
            Ok(granted) => granted,
            Err(why) => {
                if let Some(user) = &known {
                    // What they have no right to any more ends now, not in some hours.
                    let act = self.provider_act("session.end_all", user.id, &subject, from);
                    self.store.change_user(user.id, vec![UserChange::SignOut], act).await?;
                }
                self.refused(known.map(|user| user.id), from, Some(why.to_string())).await?;
                return Err(why.into());
            }
        };
        let user = match known {
            Some(user) => self.brought_up_to_date(user, &granted, &subject, from).await?,
            None => self.made_known(&granted, &subject, from).await?,
        };
        match self.begin(&user, None, Factor::Before, from, before).await {
            Ok(begun) => {
                self.lock_throttle().succeeded(&vouched_try(from), self.clock.now());
                Ok(begun)
            }
            // Shut out or taken out meanwhile.
            Err(StoreError::NotAllowed(_)) => {
                self.refused(Some(user.id), from, Some("shut out here".to_owned())).await?;
                Err(Refused::ShutOut)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Writes down that the identity provider vouched for nobody. The reason is in words of ours.
    ///
    /// # Errors
    /// When the store cannot do it.
    pub async fn not_vouched(&self, why: String, from: &str) -> Result<(), StoreError> {
        self.refused(None, from, Some(why)).await
    }

    async fn brought_up_to_date(
        &self,
        user: UserRow,
        granted: &Granted,
        subject: &Subject,
        from: &str,
    ) -> Result<UserRow, StoreError> {
        let role = granted.role.as_str();
        let mut changes = Vec::new();
        if user.role != role {
            changes.push(UserChange::Granted(role.to_owned()));
        }
        if user.email != granted.email {
            changes.push(UserChange::Email(granted.email.clone()));
        }
        if changes.is_empty() {
            return Ok(user);
        }
        let mut act = self.provider_act("user.change", user.id, subject, from);
        (act.before, act.after) = users::changes_told(&user, &changes);
        self.store.change_user(user.id, changes, act).await?;
        Ok(UserRow { role: role.to_owned(), email: granted.email.clone(), ..user })
    }

    /// Under the first of their names that nobody has. Two first sign-ins at once make one person.
    async fn made_known(&self, granted: &Granted, subject: &Subject, from: &str) -> Result<UserRow, StoreError> {
        let mut refused = StoreError::NotAllowed("no name is left for this person".to_owned());
        for name in &granted.names {
            let now = self.clock.now();
            let new = users::new(name, &granted.email, granted.role, None, now, &*self.entropy);
            let mut new = new.map_err(|invalid| StoreError::NotAllowed(invalid.to_string()))?;
            new.vouched = Some(subject.clone());
            let mut act = self.provider_act("user.create", new.id, subject, from);
            act.after = users::told(&new);
            match self.store.create_user(new, act).await {
                Err(StoreError::NotAllowed(why)) => refused = StoreError::NotAllowed(why),
                Err(error) => return Err(error),
                Ok(()) => {}
            }
            if let Some(user) = self.store.user_of(subject.clone()).await? {
                return Ok(user);
            }
        }
        Err(refused)
    }

    fn provider_act(&self, action: &str, user: UserId, subject: &Subject, from: &str) -> Act {
        let mut act = Actor::System.act(action, user, self.clock.now());
        act.reason = format!("by the word of {}", subject.issuer);
        from.clone_into(&mut act.from);
        act
    }
}

/// Nobody's name has a space, so these counts are their own.
fn vouched_try(from: &str) -> Try {
    Try::new(&format!("provider {from}"), from)
}
