//! A scripted Commerce for tests.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

use super::{Answered, Call, Reply, Rest, RestError};

/// Gives its answers in their order and remembers what it was asked; out of answers, it cannot be reached.
#[derive(Default)]
pub struct Scripted {
    answers: Mutex<VecDeque<Result<Answered, RestError>>>,
    calls: Mutex<Vec<Call>>,
}

impl Scripted {
    /// Without answers.
    pub fn new() -> Self {
        Scripted::default()
    }

    /// Answers 200 next.
    #[must_use]
    pub fn then(self, body: impl Into<Bytes>) -> Self {
        self.push(Ok(Answered { status: 200, body: body.into() }));
        self
    }

    /// Fails next.
    #[must_use]
    pub fn fail(self, error: RestError) -> Self {
        self.push(Err(error));
        self
    }

    /// One more answer.
    pub fn push(&self, answer: Result<Answered, RestError>) {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).push_back(answer);
    }

    /// What it was asked so far.
    pub fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Rest for Scripted {
    fn system(&self) -> &'static str {
        "acme"
    }

    fn call(&self, call: Call) -> Reply<'_> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).push(call);
        let answer = self.answers.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let answer = answer.unwrap_or_else(|| Err(RestError::Unreachable("the script has ended".to_owned())));
        Box::pin(async move { answer })
    }
}
