//! An answer's body: whole, broken off half-way, or handed out byte by byte.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::Sleep;

/// The connection ends without an answer, or without the rest of one.
#[derive(Debug, thiserror::Error)]
#[error("the connection is closed on purpose")]
pub(super) struct Hangup;

/// The bytes that are left, and how they go out.
pub(super) struct Reply {
    data: Bytes,
    manner: Manner,
}

enum Manner {
    /// At once.
    Whole,
    /// Half of it, and then the connection ends.
    BreaksOff,
    /// The half had its turn to be flushed; the next look ends the connection.
    BreaksOffNow,
    /// One byte, then a pause.
    Dribbles { pause: Duration, next: Pin<Box<Sleep>> },
}

impl Reply {
    pub(super) fn whole(data: Bytes) -> Self {
        Reply { data, manner: Manner::Whole }
    }

    pub(super) fn cut_off(self) -> Self {
        Reply { manner: Manner::BreaksOff, ..self }
    }

    /// Takes `time` for all of it.
    pub(super) fn dribbling(self, time: Duration) -> Self {
        let pause = time / u32::try_from(self.data.len().max(1)).unwrap_or(u32::MAX);
        Reply { manner: Manner::Dribbles { pause, next: Box::pin(tokio::time::sleep(pause)) }, ..self }
    }
}

impl Body for Reply {
    type Data = Bytes;
    type Error = Hangup;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Hangup>>> {
        let Reply { data, manner } = &mut *self;
        match manner {
            Manner::BreaksOffNow => Poll::Ready(Some(Err(Hangup))),
            Manner::BreaksOff if data.is_empty() => {
                // Waiting once makes hyper write what it has; an error at once would discard even the status.
                *manner = Manner::BreaksOffNow;
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Manner::BreaksOff => {
                let half = data.slice(..data.len() / 2);
                data.clear();
                Poll::Ready(Some(Ok(Frame::data(half))))
            }
            Manner::Whole | Manner::Dribbles { .. } if data.is_empty() => Poll::Ready(None),
            Manner::Whole => Poll::Ready(Some(Ok(Frame::data(std::mem::take(data))))),
            Manner::Dribbles { pause, next } => {
                std::task::ready!(next.as_mut().poll(cx));
                *next = Box::pin(tokio::time::sleep(*pause));
                Poll::Ready(Some(Ok(Frame::data(data.split_to(1)))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_empty() && matches!(self.manner, Manner::Whole | Manner::Dribbles { .. })
    }

    fn size_hint(&self) -> SizeHint {
        // A body that breaks off announces its whole length, so that the reader knows something is missing.
        SizeHint::with_exact(self.data.len() as u64)
    }
}
