//! Places on the wire that can become fewer while they are taken.
//!
//! A place that is to go while somebody has it is owed, and goes when it is given back.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A number of places that may change.
#[derive(Debug)]
pub(super) struct Places {
    free: Arc<Semaphore>,
    size: usize,
    owed: usize,
}

impl Places {
    pub(super) fn new(size: usize) -> Self {
        Places { free: Arc::new(Semaphore::new(size)), size, owed: 0 }
    }

    /// Where to wait for one.
    pub(super) fn semaphore(&self) -> Arc<Semaphore> {
        Arc::clone(&self.free)
    }

    /// How many could be taken now.
    pub(super) fn free(&self) -> usize {
        self.free.available_permits()
    }

    /// From now on there are so many.
    pub(super) fn resize(&mut self, size: usize) {
        if size > self.size {
            let more = size - self.size;
            let kept = more.min(self.owed);
            self.owed -= kept;
            self.free.add_permits(more - kept);
        } else {
            let less = self.size - size;
            self.owed += less - self.free.forget_permits(less);
        }
        self.size = size;
    }

    /// A place comes back, or goes if one is owed.
    pub(super) fn give_back(&mut self, place: OwnedSemaphorePermit) {
        if self.owed > 0 {
            self.owed -= 1;
            place.forget();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prs_1_places_that_are_taken_go_when_they_are_given_back() {
        let mut places = Places::new(4);
        let mut taken: Vec<_> = (0..3).map(|_| places.semaphore().try_acquire_owned().unwrap()).collect();
        places.resize(1);
        assert_eq!(places.free(), 0);
        places.give_back(taken.pop().unwrap());
        places.give_back(taken.pop().unwrap());
        assert_eq!(places.free(), 0, "two were owed");
        places.give_back(taken.pop().unwrap());
        assert_eq!(places.free(), 1);
        places.resize(3);
        assert_eq!(places.free(), 3);
    }

    #[test]
    fn prs_1_places_come_back_before_what_is_owed_has_gone() {
        let mut places = Places::new(2);
        let taken: Vec<_> = (0..2).map(|_| places.semaphore().try_acquire_owned().unwrap()).collect();
        places.resize(1);
        places.resize(2);
        for place in taken {
            places.give_back(place);
        }
        assert_eq!(places.free(), 2);
    }
}
