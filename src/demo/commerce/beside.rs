//! What Adobe serves beside REST: public keys, the journal, tokens for it.

use std::sync::PoisonError;

use super::Shared;
use super::answer::Answer;
use super::journal::{self, Reader};
use super::routes::Request;
use super::tree::Tree;

/// Where a token for the journal is had.
const TOKEN_PATH: &str = "/ims/token/v3";

pub(super) fn answer(shared: &Shared, base: &str, request: &Request<'_>) -> Answer {
    let settings = &shared.settings;
    match (request.method, request.path) {
        ("GET", path) if path.starts_with("/prod/keys/") => key(shared, path),
        ("GET", journal::PATH) => {
            let gateway = &settings.gateway;
            let reader = Reader { token: &gateway.journal_token, client_id: &gateway.client_id };
            let journal = shared.adobe.journal.lock().unwrap_or_else(PoisonError::into_inner);
            journal.read(base, &request.pairs(), request.headers, &reader, settings.clock.now())
        }
        ("POST", TOKEN_PATH) => {
            let body = String::from_utf8_lossy(request.body).into_owned();
            let gateway = &settings.gateway;
            let names =
                [format!("client_id={}", gateway.client_id), format!("client_secret={}", gateway.client_secret)];
            if !names.iter().all(|name| body.split('&').any(|pair| pair == name)) {
                return Answer::error(400, "invalid_client", None);
            }
            Answer::ok(Tree::object([
                ("access_token", Tree::text(&settings.gateway.journal_token)),
                ("token_type", Tree::text("bearer")),
                ("expires_in", Tree::number(86_399)),
            ]))
        }
        _ => Answer::no_route(),
    }
}

fn key(shared: &Shared, path: &str) -> Answer {
    let keys = shared.adobe.keys.get().map(|keys| keys.lock().unwrap_or_else(PoisonError::into_inner));
    let Some(keys) = keys else { return Answer::no_route() };
    if keys.down {
        return Answer::plain(503, "text/html", "");
    }
    keys.pem(path).map_or_else(Answer::no_route, |pem| Answer::plain(200, "application/x-pem-file", pem))
}
