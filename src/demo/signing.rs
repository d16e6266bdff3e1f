//! The senders' signatures: Commerce's RSA over the base64 text of the body, Patchworks' HMAC over the bytes.

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// An RSA-2048 key pair that signs as a Commerce instance does.
pub struct CommerceSigner(KeyPair);

impl CommerceSigner {
    /// A new pair; takes tens of milliseconds.
    pub fn generate() -> Self {
        CommerceSigner(KeyPair::generate(KeySize::Rsa2048).expect("the cryptography library can make a key"))
    }

    /// The public half as PEM, as Commerce's configuration page shows it.
    pub fn public_key_pem(&self) -> String {
        let der = self.0.public_key().as_der().expect("a key just made has an encoding");
        let encoded = STANDARD.encode(der.as_ref());
        let lines: Vec<&str> =
            (0..encoded.len()).step_by(64).map(|at| &encoded[at..encoded.len().min(at + 64)]).collect();
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"))
    }

    /// The header value for a body: RSA PKCS#1 v1.5 with SHA-256 over the body's base64 text.
    pub fn sign(&self, body: &[u8]) -> String {
        let mut signature = vec![0; self.0.public_modulus_len()];
        self.0
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), STANDARD.encode(body).as_bytes(), &mut signature)
            .expect("the buffer is as long as the modulus");
        STANDARD.encode(signature)
    }
}

/// The value of `X-HMAC-HASH`: lower-case hex of HMAC-SHA256.
pub fn hmac_hex(secret: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(body);
    data_encoding::HEXLOWER.encode(&mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};

    use super::*;

    #[test]
    fn sig_7_commerce_signs_the_base64_text_of_the_body() {
        let signer = CommerceSigner::generate();
        let body = br#"{"a":"\/\u00e9"}"#;
        let pem = signer.public_key_pem();
        assert!(pem.lines().all(|line| line.len() <= 64));
        let der = STANDARD.decode(pem.lines().filter(|line| !line.starts_with('-')).collect::<String>()).unwrap();
        let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, der);
        let signature = STANDARD.decode(signer.sign(body)).unwrap();
        key.verify(STANDARD.encode(body).as_bytes(), &signature).unwrap();
        key.verify(body, &signature).unwrap_err();
    }

    #[test]
    fn hmac_agrees_with_rfc_4231() {
        // Test case 2 of RFC 4231.
        let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(hmac_hex("Jefe", b"what do ya want for nothing?"), expected);
    }
}
