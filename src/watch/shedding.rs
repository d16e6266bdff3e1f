//! Questions of the API step aside when hands are nearly full, before anything is taken from a sender (PRS-2).

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::Method;

use crate::clock::{SharedClock, SharedEntropy};
use crate::envelope::ids::RequestId;
use crate::intake::answer;
use crate::intake::load::{Cargo, Load};

/// What the layer needs.
#[derive(Clone)]
pub struct Shedding {
    /// Says when.
    pub load: Arc<Load>,
    /// For request ids.
    pub clock: SharedClock,
    /// For request ids and jitter.
    pub entropy: SharedEntropy,
}

/// The layer. A person's acts pass: they are few, and they are what helps.
pub async fn queries(State(shedding): State<Shedding>, request: Request, next: Next) -> Response {
    if *request.method() == Method::GET && shedding.load.admits(Cargo::Query).is_err() {
        let id = RequestId::new(shedding.clock.now(), shedding.entropy.as_ref());
        return answer::problem(&answer::unavailable(id, shedding.load.retry_after(shedding.entropy.unit())));
    }
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::middleware::from_fn_with_state;
    use axum::routing::get;
    use tower::ServiceExt as _;

    use super::*;
    use crate::clock::{SeededEntropy, SystemClock};
    use crate::intake::pressure::Room;

    #[tokio::test]
    async fn prs_2_a_question_is_shed_with_a_time_to_come_again_and_an_act_is_not() {
        let load = Arc::new(Load::new(Room::new(10, 100), 10));
        let shedding =
            Shedding { load: load.clone(), clock: Arc::new(SystemClock), entropy: Arc::new(SeededEntropy::new(1)) };
        let handler = get(|| async { "here" }).post(|| async { "done" });
        let router = Router::new().route("/", handler).layer(from_fn_with_state(shedding, queries));
        let ask = async |method: Method| {
            let request = Request::builder().method(method).uri("/").body(Body::empty()).unwrap();
            router.clone().oneshot(request).await.unwrap()
        };
        assert_eq!(ask(Method::GET).await.status().as_u16(), 200);
        let waiting: Vec<_> = (0..7).map(|_| load.committing()).collect();
        let shed = ask(Method::GET).await;
        assert_eq!(shed.status().as_u16(), 503);
        assert!(shed.headers().contains_key("retry-after"));
        assert_eq!(ask(Method::POST).await.status().as_u16(), 200);
        drop(waiting);
        assert_eq!(ask(Method::GET).await.status().as_u16(), 200);
    }
}
