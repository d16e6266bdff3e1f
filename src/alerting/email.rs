//! E-mail over SMTP: implicit TLS, STARTTLS, or plain to an address that is named.

use std::error::Error as _;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use lettre::message::header::ContentType;
use lettre::message::{Mailbox, Mailboxes};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};

use super::channel::{Hidden, Sent};
use super::notice::{Notice, one_line};
use crate::destinations::Network;
use crate::destinations::private::AddressGuard;

/// How the connection is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// TLS from the first byte.
    Tls,
    /// TLS after a word in the clear; without it nothing is sent.
    StartTls,
    /// Not at all.
    Plain,
}

/// A mail server and whom to write to.
#[derive(Clone, Debug)]
pub struct EmailSettings {
    /// Name or address of the server.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is protected.
    pub security: Security,
    /// User and password, if it asks for them.
    pub login: Option<(String, Hidden)>,
    /// Who writes.
    pub from: Mailbox,
    /// To whom.
    pub to: Vec<Mailbox>,
    /// PEM of a certificate authority that is trusted beside the public ones.
    pub authority: Option<Vec<u8>>,
    /// Private addresses that may be called.
    pub allow_private: Vec<Network>,
    /// Longest wait for the whole of it.
    pub timeout: Duration,
}

impl EmailSettings {
    /// The server: the receivers are people, and their addresses nobody else's business.
    pub(super) fn address(&self) -> String {
        let many = self.to.len();
        format!("{}:{}, {many} {}", self.host, self.port, if many == 1 { "receiver" } else { "receivers" })
    }
}

/// A mail server that can be used.
pub struct Email {
    settings: EmailSettings,
    guard: AddressGuard,
    tls: Tls,
}

impl Email {
    pub(super) fn new(settings: &EmailSettings) -> Result<Self, Vec<String>> {
        let parameters = || {
            let mut builder = TlsParameters::builder(settings.host.clone());
            if let Some(pem) = &settings.authority {
                let certificate =
                    Certificate::from_pem(pem).map_err(|_| vec!["ca is not a PEM certificate".to_owned()])?;
                builder = builder.add_root_certificate(certificate);
            }
            builder.build().map_err(|error| vec![format!("no TLS can be made: {error}")])
        };
        let tls = match settings.security {
            Security::Tls => Tls::Wrapper(parameters()?),
            Security::StartTls => Tls::Required(parameters()?),
            Security::Plain => Tls::None,
        };
        let guard = AddressGuard::new(&settings.allow_private, settings.security == Security::Plain);
        Ok(Email { settings: settings.clone(), guard, tls })
    }

    pub(super) async fn send(&self, id: &str, notice: &Notice) -> Sent {
        match tokio::time::timeout(self.settings.timeout, self.try_to(id, notice)).await {
            Ok(sent) => sent,
            Err(_) => Sent::Later { why: "the mail server did not answer in time".to_owned(), after: None },
        }
    }

    async fn try_to(&self, id: &str, notice: &Notice) -> Sent {
        let message = match self.message(id, notice) {
            Ok(message) => message,
            Err(error) => return Sent::Refused { why: format!("no e-mail can be made of it: {error}") },
        };
        let addresses = match self.look_up().await {
            Ok(addresses) => addresses,
            Err(sent) => return sent,
        };
        let mut sent = Sent::Later { why: "the mail server's name has no address".to_owned(), after: None };
        for address in addresses {
            match self.transport(address).send(message.clone()).await {
                Ok(response) => {
                    let said: String = response.message().collect::<Vec<_>>().join(" ");
                    return Sent::Accepted { answer: shortened(&format!("{} {said}", response.code())) };
                }
                Err(error) if error.is_permanent() => return Sent::Refused { why: said(&error) },
                Err(error) => {
                    let why = said(&error);
                    // Only where nobody listens another address of the name is worth a try.
                    let unreached = why.starts_with("Connection error");
                    sent = Sent::Later { why, after: None };
                    if !unreached {
                        break;
                    }
                }
            }
        }
        sent
    }

    fn transport(&self, address: SocketAddr) -> AsyncSmtpTransport<Tokio1Executor> {
        let builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(address.ip().to_string())
            .port(address.port())
            .hello_name(ClientId::Domain(self.settings.from.email.domain().to_owned()))
            .timeout(Some(self.settings.timeout))
            .tls(self.tls.clone());
        match &self.settings.login {
            Some((user, password)) => builder.credentials(Credentials::new(user.clone(), password.0.clone())).build(),
            None => builder.build(),
        }
    }

    /// DAT-5: the name is looked up once, and the addresses that were checked are those that are called.
    async fn look_up(&self) -> Result<Vec<SocketAddr>, Sent> {
        let host = self.settings.host.trim_start_matches('[').trim_end_matches(']');
        let found = tokio::net::lookup_host((host, self.settings.port)).await;
        let found = found.map_err(|error| Sent::Later {
            why: format!("the mail server's name was not found: {error}"),
            after: None,
        })?;
        let (mut addresses, mut refusal) = (Vec::new(), None);
        for address in found {
            match self.guard.check(address.ip()) {
                Ok(()) => addresses.push(address),
                Err(refused) => refusal = Some(refused.to_string()),
            }
        }
        match (addresses.is_empty(), refusal) {
            (true, Some(why)) => Err(Sent::Refused { why }),
            _ => Ok(addresses),
        }
    }

    fn message(&self, id: &str, notice: &Notice) -> Result<Message, lettre::error::Error> {
        let to: Mailboxes = self.settings.to.iter().cloned().collect();
        let domain = self.settings.from.email.domain();
        Message::builder()
            .from(self.settings.from.clone())
            .mailbox(lettre::message::header::To::from(to))
            .subject(one_line(&notice.headline()))
            // The same at every try: a mail reader shows it once.
            .message_id(Some(format!("<{id}@{domain}>")))
            .header(ContentType::TEXT_PLAIN)
            .body(notice.text())
    }
}

/// The error and the cause behind its own words.
fn said(error: &lettre::transport::smtp::Error) -> String {
    let mut why = error.to_string();
    let cause = error.source().and_then(std::error::Error::source).map(ToString::to_string);
    if let Some(cause) = cause.filter(|cause| !why.contains(cause.as_str())) {
        let _ = write!(why, ": {cause}");
    }
    shortened(&why)
}

fn shortened(text: &str) -> String {
    one_line(text).trim().chars().take(200).collect()
}
