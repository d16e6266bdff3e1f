//! Work that is carried to its end whoever waits for it.
//!
//! A handler's future is dropped when its client goes away or its deadline passes. What was handed to the store by then
//! must still be handed on after the commit (P1). A task of its own for every request would do, at the price of a second
//! trip through the scheduler; this one becomes a task only when it is abandoned.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::runtime::Handle;

/// A future that goes on in a task of its own when it is dropped before its end.
pub(super) struct Carried<T: Send + 'static>(Option<Pin<Box<dyn Future<Output = T> + Send>>>);

impl<T: Send + 'static> Carried<T> {
    pub(super) fn new(work: impl Future<Output = T> + Send + 'static) -> Self {
        Carried(Some(Box::pin(work)))
    }
}

impl<T: Send + 'static> Future for Carried<T> {
    /// `Err`: it panicked, with what it said.
    type Output = Result<T, String>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(work) = &mut self.0 else { return Poll::Ready(Err("asked again after its end".to_owned())) };
        // It is not touched again after a panic.
        let polled = catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context)));
        let ended = match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(output)) => Ok(output),
            Err(panic) => Err(words(panic.as_ref())),
        };
        self.0 = None;
        Poll::Ready(ended)
    }
}

impl<T: Send + 'static> Drop for Carried<T> {
    fn drop(&mut self) {
        // Without a runtime the process is ending: what was committed is found at the next start.
        if let (Some(work), Ok(runtime)) = (self.0.take(), Handle::try_current()) {
            runtime.spawn(work);
        }
    }
}

fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic without words").to_owned()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn p1_work_that_nobody_waits_for_any_more_goes_on_to_its_end() {
        let (commit, committed) = oneshot::channel::<u8>();
        let (told, handed_over) = oneshot::channel();
        let work = Carried::new(async move { told.send(committed.await) });
        assert!(tokio::time::timeout(Duration::from_millis(5), work).await.is_err(), "not committed yet");
        commit.send(7).unwrap();
        assert_eq!(handed_over.await.unwrap(), Ok(7));
    }

    #[tokio::test]
    async fn a_panic_is_told_and_stays_with_its_request() {
        assert_eq!(Carried::new(async { 3 }).await, Ok(3));
        let panicked = Carried::<u8>::new(async { panic!("no row {}", 7) }).await;
        assert_eq!(panicked, Err("no row 7".to_owned()));
    }
}
