//! What people do about exceptions short of replaying them, and what the catalogue tells them.

use axum::http::StatusCode;
use crossdock::domain::defect::ExceptionCode;

use crate::support::Site;

#[tokio::test]
async fn every_code_has_its_page_over_the_api() {
    let site = Site::open().await;
    let all = site.get("/exceptions/catalogue").await.json();
    let items = all["items"].as_array().unwrap();
    assert_eq!(items.len(), ExceptionCode::ALL.len());
    for entry in items {
        let code = entry["code"].as_str().unwrap();
        let one = site.get(&format!("/exceptions/catalogue/{code}")).await;
        assert_eq!((one.status, one.json()), (StatusCode::OK, entry.clone()));
        for text in ["title", "remedy", "meaning", "arises", "fix", "if_ignored"] {
            assert!(!entry[text].as_str().unwrap().is_empty(), "{code}: {text}");
        }
    }
    let unknown = site.get("/exceptions/catalogue/no_such_code").await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
}
