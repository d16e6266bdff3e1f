//! Whom a destination is believed to be, and who we are to it: a certificate authority of its own, and a certificate of ours.

use std::fmt;

use reqwest::{Certificate, ClientBuilder, Identity};

/// What configuration says of TLS.
#[derive(Clone, Default)]
pub struct Tls {
    /// PEM of certificate authorities that are trusted beside the public ones: the token endpoint of a private system may
    /// well be public.
    pub authorities: Option<Vec<u8>>,
    /// PEM of our certificate, its chain, and its private key.
    pub identity: Option<ClientCertificate>,
}

/// Our certificate, for a destination that asks who we are.
#[derive(Clone)]
pub struct ClientCertificate {
    /// PEM, our own first.
    pub chain: Vec<u8>,
    /// PEM, not encrypted.
    pub private_key: Vec<u8>,
}

/// What stands in the way, without any of its bytes.
#[derive(Clone, Debug)]
pub struct TlsProblem {
    /// The member of configuration that it is about.
    pub member: &'static str,
    /// What, in a few words.
    pub detail: String,
}

impl TlsProblem {
    fn ca(detail: &str) -> TlsProblem {
        TlsProblem { member: "ca", detail: detail.to_owned() }
    }

    fn certificate(detail: &str) -> TlsProblem {
        TlsProblem { member: "client_certificate", detail: detail.to_owned() }
    }
}

impl fmt::Display for TlsProblem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.member, self.detail)
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (authorities, identity) = (self.authorities.is_some(), self.identity.is_some());
        write!(formatter, "Tls(authorities: {authorities}, identity: {identity}, ***)")
    }
}

impl Tls {
    /// A client that keeps to it.
    ///
    /// # Errors
    /// What cannot be read.
    pub fn apply(&self, mut builder: ClientBuilder) -> Result<ClientBuilder, TlsProblem> {
        if let Some(pem) = &self.authorities {
            let certificates = Certificate::from_pem_bundle(pem).map_err(|_| TlsProblem::ca("is not PEM"))?;
            if certificates.is_empty() {
                return Err(TlsProblem::ca("holds no certificate in PEM (\"-----BEGIN CERTIFICATE-----\")"));
            }
            builder = builder.tls_certs_merge(certificates);
        }
        if let Some(identity) = &self.identity {
            builder = builder.identity(identity.read()?);
        }
        Ok(builder)
    }

    /// Whether a client can be made with it.
    ///
    /// # Errors
    /// What stands in the way.
    pub fn check(&self) -> Result<(), TlsProblem> {
        let builder = self.apply(reqwest::Client::builder().no_proxy())?;
        match builder.build() {
            Ok(_) => Ok(()),
            Err(_) if self.identity.is_some() => Err(TlsProblem::certificate(
                "the private key is not that of the certificate, or of a kind nobody takes",
            )),
            Err(_) => Err(TlsProblem::ca("a certificate in it is not one of an authority")),
        }
    }
}

impl ClientCertificate {
    fn read(&self) -> Result<Identity, TlsProblem> {
        let told = |what: &str| Err(TlsProblem::certificate(what));
        let has = |pem: &[u8], words: &str| pem.windows(words.len()).any(|window| window == words.as_bytes());
        if !has(&self.chain, "-----BEGIN CERTIFICATE-----") {
            return told("certificate holds none in PEM (\"-----BEGIN CERTIFICATE-----\")");
        }
        if has(&self.private_key, "ENCRYPTED") {
            return told(
                "the private key is encrypted: store it without a pass phrase, readable for the service alone",
            );
        }
        if !has(&self.private_key, "PRIVATE KEY-----") {
            return told("private_key holds none in PEM (\"-----BEGIN PRIVATE KEY-----\")");
        }
        let whole = [self.chain.as_slice(), b"\n", &self.private_key].concat();
        Identity::from_pem(&whole).or_else(|_| told("certificate and key cannot be read as PEM"))
    }
}
