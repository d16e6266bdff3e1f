//! Sends orders to our intake as Commerce and as a Patchworks flow would: signed, one request each.

use std::io;
use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;

use crate::clock::Entropy;
use crate::config::SignedBytes;
use crate::intake::signature::sign::{CommerceSigner, hmac_hex};

/// The two senders with keys made for this run.
pub struct Sender {
    client: reqwest::Client,
    commerce: CommerceSigner,
    api_key: String,
    hmac_secret: String,
}

/// What our intake said.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The body; `null` when it is not JSON.
    pub body: serde_json::Value,
    /// From the first byte out to the last byte in.
    pub took: Duration,
}

impl Sender {
    /// New keys and secrets.
    pub fn new(entropy: &dyn Entropy) -> reqwest::Result<Self> {
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(Duration::from_secs(30))
            .build()?;
        Ok(Sender {
            client,
            commerce: CommerceSigner::generate(),
            api_key: secret(entropy),
            hmac_secret: secret(entropy),
        })
    }

    /// Commerce's public key, PEM.
    pub fn public_key_pem(&self) -> String {
        self.commerce.public_key_pem()
    }

    /// Writes Commerce's public key where the configuration expects it.
    pub fn write_public_key(&self, path: &Path) -> io::Result<()> {
        std::fs::write(path, self.public_key_pem())
    }

    /// What the flow sends as `X-Api-Key`.
    pub fn api_key(&self) -> &str {
        &self.api_key
    }

    /// The secret under `X-HMAC-HASH`.
    pub fn hmac_secret(&self) -> &str {
        &self.hmac_secret
    }

    /// Posts as Commerce does.
    pub async fn as_commerce(&self, url: &str, body: String) -> reqwest::Result<Answer> {
        let signature = self.commerce.sign(body.as_bytes(), SignedBytes::Base64Body);
        self.post(url, body, &[("x-adobe-commerce-webhook-signature", &signature)]).await
    }

    /// Posts as a flow's connector does.
    pub async fn as_patchworks(&self, url: &str, body: String) -> reqwest::Result<Answer> {
        let hash = hmac_hex(&self.hmac_secret, body.as_bytes());
        self.post(url, body, &[("X-Api-Key", &self.api_key), ("X-HMAC-HASH", &hash)]).await
    }

    /// Posts with credentials that were made for another body, as somebody would who saw one request and wants more.
    pub async fn as_stranger(&self, url: &str, body: String) -> reqwest::Result<Answer> {
        let hash = hmac_hex(&self.hmac_secret, b"another body");
        let signature = self.commerce.sign(b"another body", SignedBytes::Base64Body);
        let signed = ("x-adobe-commerce-webhook-signature", signature.as_str());
        self.post(url, body, &[signed, ("X-Api-Key", &self.api_key), ("X-HMAC-HASH", &hash)]).await
    }

    async fn post(&self, url: &str, body: String, headers: &[(&str, &str)]) -> reqwest::Result<Answer> {
        let started = Instant::now();
        let mut request = self.client.post(url).header("content-type", "application/json").body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await?;
        let status = response.status().as_u16();
        let bytes = response.bytes().await?;
        let body = serde_json::from_slice(&bytes).unwrap_or(serde_json::Value::Null);
        Ok(Answer { status, body, took: started.elapsed() })
    }
}

/// 32 random bytes in hex.
fn secret(entropy: &dyn Entropy) -> String {
    let mut bytes = [0; 32];
    entropy.fill(&mut bytes);
    data_encoding::HEXLOWER.encode(&bytes)
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::routing::post;
    use http::HeaderMap;

    use super::*;
    use crate::clock::SystemEntropy;

    async fn mirror() -> String {
        let app = Router::new().route(
            "/in/{origin}",
            post(|headers: HeaderMap, body: String| async move {
                let header = |name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
                let seen = ["x-adobe-commerce-webhook-signature", "x-api-key", "x-hmac-hash"].map(header);
                (http::StatusCode::ACCEPTED, serde_json::json!([seen, body]).to_string())
            }),
        );
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, app).await });
        format!("http://{address}/in/hooks")
    }

    #[tokio::test]
    async fn each_sender_carries_its_own_credentials_and_the_exact_body() {
        let url = mirror().await;
        let sender = Sender::new(&SystemEntropy).unwrap();
        let commerce = sender.as_commerce(&url, "{\"a\":1}".to_owned()).await.unwrap();
        assert_eq!(commerce.status, 202);
        assert_eq!(commerce.body[0][0].as_str().unwrap().len(), 344);
        assert_eq!(commerce.body[0][1], serde_json::Value::Null);
        assert_eq!(commerce.body[1], "{\"a\":1}");

        let flow = sender.as_patchworks(&url, "[]".to_owned()).await.unwrap();
        assert_eq!(flow.body[0][0], serde_json::Value::Null);
        assert_eq!(flow.body[0][1], sender.api_key());
        assert_eq!(flow.body[0][2], hmac_hex(sender.hmac_secret(), b"[]"));
    }
}
