//! The engines behind the API: replay desk, delivery worker, processor's rules.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;

use super::error::ProblemLine;
use super::expander::Expander;
use super::replaying;
use super::state::{
    Checked, DestinationView, Door, Editing, Engines, Expansions, KindHeard, OriginView, ReasonHeard, Replayed,
};
use crate::alerting::Alerting;
use crate::catalogue::Shelf;
use crate::clock::Timestamp;
use crate::delivery::{Delivery, DestinationState, DestinationStatus};
use crate::destinations::Destination;
use crate::destinations::recipe::rehearse::Rehearsed;
use crate::destinations::recipe::tried::{NotTried, Speech, Tried};
use crate::domain::mapping::{MappingRow, Table};
use crate::envelope::ids::{DeliveryId, ExceptionId};
use crate::exceptions::edit::{self, Edited, Wanted};
use crate::exceptions::replay::Desk;
use crate::intake::heard::{Heard, OfOrigin, OfReason, remedy};
use crate::observe::{Event, Observer};
use crate::store::Answer;
use crate::store::books::{KeptAnswer, Shown, Ticket};
use crate::store::write::Act;

/// The rooms of a running service.
pub struct Rooms {
    /// Replays; its processor holds the rules in force.
    pub desk: Desk,
    /// Sends.
    pub delivery: Arc<Delivery>,
    /// Is told when the mapping tables were read anew.
    pub observer: Arc<Observer>,
    /// Profile of every configured destination.
    pub profiles: BTreeMap<String, String>,
    /// For what they would be sent; nothing goes out by these.
    pub destinations: Arc<Vec<Destination>>,
    /// Every origin as it is configured, by name.
    pub doors: Vec<Door>,
    /// Who was heard.
    pub heard: Arc<Heard>,
    /// Tries an origin's way in.
    pub check: CheckOrigin,
    /// Tells people.
    pub alerting: Arc<Alerting>,
}

/// Tries the way in of the origin of that name; nothing where there is none.
pub type CheckOrigin = Arc<dyn Fn(String) -> Pin<Box<dyn Future<Output = Option<Vec<Checked>>> + Send>> + Send + Sync>;

impl Rooms {
    fn origin(&self, door: &Door) -> OriginView {
        let (counted_since, heard) = self.heard.of(&door.name);
        shown(door.clone(), counted_since, heard)
    }

    fn destination(&self, name: &str) -> Option<&Destination> {
        self.destinations.iter().find(|destination| destination.name() == name)
    }

    fn view(&self, status: DestinationStatus) -> DestinationView {
        let (reason, until) = match &status.state {
            DestinationState::Open | DestinationState::HalfOpen => (None, None),
            DestinationState::Broken { until } => (Some("it failed too often".to_owned()), Some(*until)),
            DestinationState::Paused { until } => (Some("it asked for a pause".to_owned()), Some(*until)),
            DestinationState::Closed { until } => (Some("nothing is sent to it at this hour".to_owned()), Some(*until)),
            DestinationState::Held { reason } => (Some(reason.clone()), None),
        };
        DestinationView {
            profile: self.profiles.get(&status.name).cloned().unwrap_or_default(),
            state: status.state.as_str().to_owned(),
            reason,
            until,
            in_flight: status.in_flight.into(),
            concurrency: status.concurrency.into(),
            account: status.account,
            after: status.after,
            name: status.name,
        }
    }
}

/// An origin with what came of it.
pub fn shown(door: Door, counted_since: Timestamp, heard: OfOrigin) -> OriginView {
    let OfOrigin { kinds, refused, challenged_at } = heard;
    let last_at = kinds.values().map(|kind| kind.last_at).max();
    let kinds = kinds.into_iter().map(|(kind, heard)| KindHeard { kind, heard }).collect();
    let told = |(reason, heard): (String, OfReason)| ReasonHeard { remedy: remedy(&reason), reason, heard };
    let mut refused: Vec<ReasonHeard> = refused.into_iter().map(told).collect();
    refused.sort_by_key(|one| std::cmp::Reverse(one.heard.last_at));
    OriginView { door, counted_since, last_at, challenged_at, kinds, refused }
}

impl Engines for Rooms {
    fn alerting(&self) -> Option<&Alerting> {
        Some(&self.alerting)
    }

    fn expand(&self, body: &Bytes, destination: Option<&str>) -> Result<Expansions, ProblemLine> {
        let rules = self.desk.processor.rules();
        // A document names its Commerce instance; a body that came by no origin is taken as the first one's.
        let system = rules.origins.values().next().map_or("commerce", |origin| origin.system.as_str());
        let destination = destination.unwrap_or_default();
        let policies = rules.policies_for(destination);
        let processor = &self.desk.processor;
        let (kept, now) = (processor.shelf(), processor.now());
        Expander { system, mappings: &rules.mappings, policies, destination, shelf: kept, now }.expand(body)
    }

    fn replay(&self, exception: ExceptionId, dry_run: bool, act: Act, ticket: Option<Ticket>) -> Answer<'_, Replayed> {
        Box::pin(replaying::replay(&self.desk, exception, dry_run, act, ticket))
    }

    fn edit(
        &self,
        delivery: DeliveryId,
        wanted: Wanted,
        dry_run: bool,
        act: Act,
        ticket: Option<Ticket>,
    ) -> Editing<'_> {
        Box::pin(async move {
            if dry_run {
                return edit::preview(&self.desk, delivery, &wanted).await;
            }
            let keep = ticket.map(|ticket| {
                move |edited: &Edited| {
                    let answer = KeptAnswer::json(edited);
                    ticket.keep(Shown::Kept, Arc::new(move |_| answer.clone()))
                }
            });
            let keep = keep.as_ref().map(|keep| keep as edit::KeepEdited<'_>);
            edit::edit(&self.desk, delivery, &wanted, act, keep).await
        })
    }

    fn previews(
        &self,
        exceptions: Vec<ExceptionId>,
        supposing: Option<(Table, MappingRow)>,
    ) -> Answer<'_, Vec<(ExceptionId, Result<Replayed, String>)>> {
        Box::pin(replaying::previews(&self.desk, exceptions, supposing))
    }

    fn shelf(&self) -> Option<&Shelf> {
        self.desk.processor.shelf()
    }

    fn destinations(&self) -> Vec<DestinationView> {
        self.delivery.status().into_iter().map(|status| self.view(status)).collect()
    }

    fn speech(&self, destination: &str) -> Option<Speech> {
        self.destination(destination)?.speech()
    }

    fn try_out(&self, destination: &str, document: &[u8], tried: Option<&Tried>) -> Result<Vec<Rehearsed>, NotTried> {
        match self.destination(destination) {
            Some(destination) => destination.try_out(document, tried),
            None => Err("no destination of that name is configured".to_owned().into()),
        }
    }

    fn origins(&self) -> Vec<OriginView> {
        self.doors.iter().map(|door| self.origin(door)).collect()
    }

    fn check_origin(&self, name: String) -> Answer<'_, Option<Vec<Checked>>> {
        let check = (self.check)(name);
        Box::pin(async { Ok(check.await) })
    }

    fn hold_destination(&self, name: &str, reason: &str) -> bool {
        self.delivery.hold_for_a_person(name, reason)
    }

    fn release_destination(&self, name: &str) -> bool {
        self.delivery.release(name)
    }

    fn mappings_changed(&self) -> Answer<'_, ()> {
        Box::pin(async {
            if self.desk.processor.reload_mappings().await? {
                let version = self.desk.processor.rules().mappings.version();
                self.observer.note(&Event::MappingsReloaded { version });
            }
            Ok(())
        })
    }

    fn wake(&self) {
        self.delivery.wake();
    }
}
