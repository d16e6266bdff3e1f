//! A day at the shop as a list of scenes, the same for the same seed: orders placed and changed, pushes that are lost,
//! doubled or late, outages, keys that rotate.

use std::time::Duration;

use super::{Event, Fault, StandIn};
use crate::clock::{Entropy as _, SeededEntropy};

/// What happens in one scene. Numbers of orders count those placed so far, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// An order is placed and its event pushed.
    Place,
    /// An order changes and its event is pushed.
    Change(usize),
    /// An order is placed; its event reaches the journal only.
    PlaceUnheard,
    /// An order is placed and its event pushed twice.
    PlaceDoubled,
    /// An order changes twice; the later event is pushed first.
    ChangeOutOfOrder(usize),
    /// The next so many REST calls meet maintenance.
    RestOutage(u8),
    /// The next so many REST calls are told to wait.
    RestLimits(u8),
    /// One of the signing keys is replaced.
    RotateKeys,
    /// The registration is disabled: new events reach the journal only.
    Disable,
    /// The registration is made anew at the same address.
    Enable,
}

/// One scene and how long after the one before it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scene {
    /// The pause before it.
    pub after: Duration,
    /// What happens.
    pub act: Act,
}

/// A share of a thousand, and what is made of the number of an order.
type Share = (u32, fn(usize) -> Act);

/// Of a thousand scenes so many are of this kind; the rest place orders.
const MIXTURE: [Share; 8] = [
    (200, Act::Change),
    (10, |_| Act::PlaceUnheard),
    (50, |_| Act::PlaceDoubled),
    (50, Act::ChangeOutOfOrder),
    (10, |_| Act::RestOutage(5)),
    (10, |_| Act::RestLimits(5)),
    (8, |_| Act::RotateKeys),
    (6, |_| Act::Disable),
];

/// Scenes that a disabled registration lasts.
const DISABLED_SCENES: usize = 12;

/// Tells a story of `scenes` scenes with pauses of up to `pause_max`. It begins with an order and ends enabled.
pub fn tell(seed: u64, scenes: usize, pause_max: Duration) -> Vec<Scene> {
    let entropy = SeededEntropy::new(seed);
    let draw = |below: u32| {
        let mut bytes = [0; 4];
        entropy.fill(&mut bytes);
        u32::from_le_bytes(bytes) % below.max(1)
    };
    let (mut placed, mut disabled_for, mut story) = (0_u32, None, Vec::with_capacity(scenes + 1));
    for scene in 0..scenes {
        let mut act = if scene == 0 { Act::Place } else { drawn(draw(1000), draw(placed) as usize) };
        match &mut disabled_for {
            Some(0) => {
                (act, disabled_for) = (Act::Enable, None);
            }
            Some(left) => {
                *left -= 1;
                if act == Act::Disable {
                    act = Act::Place;
                }
            }
            None if act == Act::Disable => disabled_for = Some(DISABLED_SCENES),
            None => {}
        }
        placed += u32::from(matches!(act, Act::Place | Act::PlaceUnheard | Act::PlaceDoubled));
        story.push(Scene { after: pause_max * draw(1000) / 1000, act });
    }
    if disabled_for.is_some() {
        story.push(Scene { after: Duration::ZERO, act: Act::Enable });
    }
    story
}

fn drawn(mut number: u32, order: usize) -> Act {
    for (share, act) in MIXTURE {
        if number < share {
            return act(order);
        }
        number -= share;
    }
    Act::Place
}

/// Plays a story in order, with its pauses.
pub struct Player<'s> {
    shop: &'s StandIn,
    url: String,
    make: Box<dyn Fn(usize) -> String + Send + Sync>,
    placed: Vec<u64>,
}

impl<'s> Player<'s> {
    /// Pushes to `url`; `make` writes the n-th order, counted from 0.
    pub fn new(shop: &'s StandIn, url: &str, make: impl Fn(usize) -> String + Send + Sync + 'static) -> Player<'s> {
        shop.gateway().push_to(url);
        Player { shop, url: url.to_owned(), make: Box::new(make), placed: Vec::new() }
    }

    /// Plays all of it; the ids of the orders placed.
    ///
    /// # Errors
    /// An order that was no JSON, or a registration that was refused.
    pub async fn play(mut self, story: &[Scene]) -> Result<Vec<u64>, String> {
        for scene in story {
            tokio::time::sleep(scene.after).await;
            self.perform(scene.act).await?;
        }
        Ok(self.placed)
    }

    async fn perform(&mut self, act: Act) -> Result<(), String> {
        let gateway = self.shop.gateway();
        match act {
            Act::Place => gateway.publish(&[self.place()?]),
            Act::PlaceUnheard => gateway.lose(&self.place()?),
            Act::PlaceDoubled => {
                let event = self.place()?;
                gateway.publish(std::slice::from_ref(&event));
                gateway.push(&[event], 0).await;
            }
            Act::Change(order) => gateway.publish(&[self.change(order, "processing")?]),
            Act::ChangeOutOfOrder(order) => {
                let (first, second) = (self.change(order, "processing")?, self.change(order, "complete")?);
                gateway.publish(&[second]);
                gateway.publish(&[first]);
            }
            Act::RestOutage(calls) => self.fail_next(calls, &Fault::Maintenance),
            Act::RestLimits(calls) => self.fail_next(calls, &Fault::RateLimited(Some(1))),
            Act::RotateKeys => gateway.rotate_keys(),
            Act::Disable => gateway.disable(),
            Act::Enable => gateway.register(&self.url).await?,
        }
        Ok(())
    }

    fn fail_next(&self, calls: u8, fault: &Fault) {
        self.shop.faults().next(std::iter::repeat_n(Some(fault.clone()), usize::from(calls)));
    }

    fn place(&mut self) -> Result<Event, String> {
        let (id, _) = self.shop.place((self.make)(self.placed.len()).as_bytes())?;
        self.placed.push(id);
        self.event(id, true)
    }

    fn change(&self, order: usize, status: &str) -> Result<Event, String> {
        let id = *self.placed.get(order).ok_or("the story changes an order that it has not placed")?;
        self.shop.change(id, format!(r#"{{"state":"{status}","status":"{status}"}}"#).as_bytes())?;
        self.event(id, false)
    }

    fn event(&self, id: u64, is_new: bool) -> Result<Event, String> {
        self.shop.gateway().order_event(id, is_new).ok_or_else(|| format!("order {id} is gone"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_tells_the_same_story_and_it_ends_enabled() {
        let story = tell(7, 2_000, Duration::from_secs(1));
        assert_eq!(story, tell(7, 2_000, Duration::from_secs(1)));
        assert_ne!(story, tell(8, 2_000, Duration::from_secs(1)));
        let count = |act: Act| story.iter().filter(|scene| scene.act == act).count();
        assert!(count(Act::Disable) > 0 && count(Act::Disable) == count(Act::Enable));
        let mut placed = 0;
        for scene in &story {
            match scene.act {
                Act::Place | Act::PlaceUnheard | Act::PlaceDoubled => placed += 1,
                Act::Change(order) | Act::ChangeOutOfOrder(order) => assert!(order < placed),
                _ => {}
            }
        }
    }

    #[tokio::test]
    async fn a_story_is_played_to_its_end_and_every_event_is_in_the_journal() {
        let shop = StandIn::start(super::super::Settings::default()).await.unwrap();
        let story: Vec<Scene> =
            tell(3, 40, Duration::ZERO).into_iter().filter(|scene| scene.act != Act::Enable).collect();
        let player =
            Player::new(&shop, "http://127.0.0.1:9/nobody", |number| format!(r#"{{"grand_total":{number}.10}}"#));
        let orders = player.play(&story).await.unwrap();
        assert!(!orders.is_empty());
        assert!(shop.gateway().journal_len() >= orders.len());
        assert!(orders.iter().all(|id| shop.order(*id).is_some()));
    }
}
