//! Styles and script, in the binary. An address names the content, so that it may be kept for ever and is never stale.

use axum::extract::Path;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sha2::{Digest as _, Sha256};
use std::sync::LazyLock;

struct Asset {
    name: &'static str,
    kind: &'static str,
    body: &'static [u8],
}

const ASSETS: [Asset; 3] = [
    Asset { name: "console.css", kind: "text/css; charset=utf-8", body: include_bytes!("assets/console.css") },
    Asset { name: "console.js", kind: "text/javascript; charset=utf-8", body: include_bytes!("assets/console.js") },
    Asset { name: "mark.svg", kind: "image/svg+xml", body: include_bytes!("assets/mark.svg") },
];

static NAMED: LazyLock<Vec<(String, &'static Asset)>> = LazyLock::new(|| {
    let named = |asset: &'static Asset| {
        let digest = data_encoding::HEXLOWER.encode(&Sha256::digest(asset.body)[..6]);
        let (stem, kind) = asset.name.rsplit_once('.').unwrap_or((asset.name, ""));
        (format!("{stem}-{digest}.{kind}"), asset)
    };
    ASSETS.iter().map(named).collect()
});

/// Where an asset is.
pub fn address(name: &str) -> String {
    let found = NAMED.iter().find(|(_, asset)| asset.name == name);
    found.map_or_else(String::new, |(named, _)| format!("{}/assets/{named}", super::PREFIX))
}

/// `GET /console/assets/{file}`
pub async fn file(Path(file): Path<String>) -> Response {
    let Some((_, asset)) = NAMED.iter().find(|(named, _)| *named == file) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(asset.kind)),
        (header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable")),
    ];
    (headers, asset.body).into_response()
}
