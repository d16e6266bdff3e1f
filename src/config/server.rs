//! `[server]`, `[store]` and `[retention]`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::available;
use super::problem::Complaint;
use super::read::{Field, Report, Section};
use super::secret::Secret;

const SECOND: Duration = Duration::from_secs(1);
const MIB: u64 = 1 << 20;

/// Where we listen and what a single client may cost (ACK-8, POI-3, PRS-1, RUN-2).
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// Intake, and everything else where `admin_listen` is not set.
    pub listen: SocketAddr,
    /// `/api`, `/console` and `/metrics` on an address of their own.
    pub admin_listen: Option<SocketAddr>,
    /// Where people reach the API and the console, for links in messages; without a slash at its end.
    pub public_url: Option<String>,
    /// All request headers must have arrived by then.
    pub header_timeout: Duration,
    /// How long a connection may rest between requests: longer than load balancers keep theirs.
    pub idle_timeout: Duration,
    /// The whole body must have arrived by then.
    pub body_timeout: Duration,
    /// Deadline of an answer.
    pub handler_timeout: Duration,
    /// Deadline of an answer to a Commerce hook, which may hold a shopper's checkout.
    pub hook_timeout: Duration,
    /// Largest body.
    pub body_bytes_max: u64,
    /// Largest body on origins of type `commerce-events`, whose batches reach 2 MB.
    pub events_body_bytes_max: u64,
    /// Open connections.
    pub connections_max: u32,
    /// Requests being handled.
    pub requests_max: u32,
    /// Bytes of bodies in memory.
    pub bodies_bytes_max: u64,
    /// Envelopes waiting for their commit.
    pub commit_queue_max: u32,
    /// How long intake goes on after SIGTERM while `ready` already says no.
    pub drain_intake: Duration,
    /// How long requests to destinations may still run after that.
    pub drain_requests: Duration,
}

pub(super) fn server(mut section: Section<'_>, report: &mut Report<'_>) -> ServerSettings {
    let listen = address(&mut section, "listen", report);
    let admin_listen = address(&mut section, "admin_listen", report);
    let timeouts = (SECOND / 10, SECOND * 60);
    let sizes = (1024, 10 * MIB);
    let settings = ServerSettings {
        listen: listen.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 8080))),
        admin_listen,
        public_url: section.field("public_url").and_then(|field| field.parse(report, public_url)),
        header_timeout: section.duration_or("header_timeout", SECOND * 5, timeouts, report),
        idle_timeout: section.duration_or("idle_timeout", SECOND * 75, (SECOND, SECOND * 3600), report),
        body_timeout: section.duration_or("body_timeout", SECOND * 10, timeouts, report),
        handler_timeout: section.duration_or("handler_timeout", SECOND * 8, timeouts, report),
        hook_timeout: section.duration_or("hook_timeout", SECOND * 2, timeouts, report),
        body_bytes_max: section.bytes_or("body_bytes_max", MIB, sizes, report),
        events_body_bytes_max: section.bytes_or("events_body_bytes_max", 4 * MIB, sizes, report),
        connections_max: section.count_or("connections_max", 2048, (1, 65_536), report),
        requests_max: section.count_or("requests_max", 512, (1, 65_536), report),
        bodies_bytes_max: section.bytes_or("bodies_bytes_max", 16 * MIB, (MIB, 1024 * MIB), report),
        commit_queue_max: section.count_or("commit_queue_max", 1024, (1, 65_536), report),
        drain_intake: section.duration_or("drain_intake", SECOND * 5, (Duration::ZERO, SECOND * 60), report),
        drain_requests: section.duration_or("drain_requests", SECOND * 15, (Duration::ZERO, SECOND * 120), report),
    };
    // Port 0 means "any free one" and may stand twice.
    if settings.admin_listen.is_some_and(|admin| admin == settings.listen && admin.port() != 0) {
        let place = section.place.below("admin_listen");
        report.error(&place, "is the same address as listen", "choose another port, or remove it");
    }
    let largest = settings.body_bytes_max.max(settings.events_body_bytes_max);
    if settings.bodies_bytes_max < largest {
        let place = section.place.below("bodies_bytes_max");
        report.error(&place, "is smaller than one body may be", format!("raise it to at least {largest} bytes"));
    }
    section.finish(report);
    settings
}

fn public_url(text: &str) -> Result<String, Complaint> {
    let wrong = || Complaint::new("is not an address of a site", "write it as https://crossdock.example.com");
    let url = reqwest::Url::parse(text).map_err(|_| wrong())?;
    let plain = matches!(url.scheme(), "http" | "https") && url.has_host() && url.username().is_empty();
    let bare = url.password().is_none() && url.query().is_none() && url.fragment().is_none();
    if plain && bare { Ok(url.as_str().trim_end_matches('/').to_owned()) } else { Err(wrong()) }
}

fn address(section: &mut Section<'_>, name: &'static str, report: &mut Report<'_>) -> Option<SocketAddr> {
    section.field(name)?.parse(report, |text| {
        text.parse().map_err(|_| Complaint::new("is not an address with a port", "write 127.0.0.1:8080 or [::]:8080"))
    })
}

/// Where everything durable lives.
#[derive(Clone, Debug)]
pub struct StoreSettings {
    /// Which backend.
    pub url: StoreUrl,
    /// Room kept on the store's disk, to be let go when it is full (RUN-4).
    pub ballast_bytes: u64,
    /// Wraps the data keys of payloads at rest (DAT-1): the first seals, all open. Empty: nothing is encrypted.
    pub encryption_keys: Vec<Secret<[u8; 32]>>,
    /// Who was erased: a list beside each key file, then one beside the store; never empty. The first is written, all are
    /// read, so that neither another key nor a restored store forgets anyone.
    pub erased_lists: Vec<PathBuf>,
    /// Scheduled copies; `None`: none.
    pub backup: Option<BackupSettings>,
}

/// `[store] backup`: the service's own copies of its store (BAK-1).
#[derive(Clone, Debug)]
pub struct BackupSettings {
    /// A folder, made if it is not there.
    pub dir: PathBuf,
    /// How often.
    pub every: Duration,
    /// How long each is kept; the newest always is.
    pub keep: Duration,
}

/// `[retention]` (DAT-2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetentionSettings {
    /// Bodies of requests, documents and sealed requests, after everything about them was final.
    pub payloads: Duration,
    /// Attempts with their answers, after their delivery was final.
    pub attempts: Duration,
}

const DAY: Duration = Duration::from_hours(24);

pub(super) fn retention(mut section: Section<'_>, report: &mut Report<'_>) -> RetentionSettings {
    let bounds = (DAY, DAY * 3650);
    let settings = RetentionSettings {
        payloads: section.duration_or("payloads", DAY * 30, bounds, report),
        attempts: section.duration_or("attempts", DAY * 90, bounds, report),
    };
    section.finish(report);
    settings
}

fn backup(section: &mut Section<'_>, report: &mut Report<'_>) -> Option<BackupSettings> {
    let Some(field) = section.field("backup") else {
        let place = section.place.below("backup");
        let remedy = "write backup = { dir = \"backups\" }, on another disk where there is one";
        report.warn(&place, "is not set: the service makes no copies of its store", remedy);
        return None;
    };
    let mut section = field.section("a backup", report)?;
    let dir = section.required("dir", "name a folder for the copies", report).and_then(|dir| dir.text(report));
    let settings = BackupSettings {
        dir: report.resolve(dir.unwrap_or_default()),
        every: section.duration_or("every", SECOND * 900, (SECOND * 10, DAY), report),
        keep: section.duration_or("keep", DAY * 14, (SECOND * 3600, DAY * 3650), report),
    };
    section.finish(report);
    dir.is_some().then_some(settings)
}

/// The backend and where to find it.
#[derive(Clone, Debug)]
pub enum StoreUrl {
    /// A file on this machine; absolute, or relative to the working directory if the configuration's path was.
    Sqlite(PathBuf),
    /// A server; may carry a password, hence secret.
    Postgres(Secret<String>),
}

pub(super) fn store(mut section: Section<'_>, report: &mut Report<'_>) -> StoreSettings {
    let default = || StoreUrl::Sqlite(PathBuf::from("crossdock.db"));
    let url = match section.field("url") {
        None => StoreUrl::Sqlite(report.resolve("crossdock.db")),
        Some(field) => {
            let text = field.text(report).unwrap_or_default();
            let url = store_url(text, report);
            match url.and_then(|url| available::store(&url).map(|()| url)) {
                Ok(url) => url,
                Err(complaint) => {
                    // An empty or mistyped value has been reported already.
                    if !text.is_empty() {
                        report.complain(&field.place, complaint);
                    }
                    default()
                }
            }
        }
    };
    let (encryption_keys, key_files) = encryption_keys(&mut section, report);
    let backup = backup(&mut section, report);
    let ballast_bytes = section.bytes_or("ballast", 256 * MIB, (0, 16 * 1024 * MIB), report);
    section.finish(report);
    let beside = match &url {
        StoreUrl::Sqlite(path) => path.clone(),
        StoreUrl::Postgres(_) => report.resolve("crossdock"),
    };
    let erased_lists = key_files.into_iter().chain([beside]).map(|path| {
        let mut list = path.into_os_string();
        list.push(".erased");
        PathBuf::from(list)
    });
    let erased_lists = erased_lists.collect();
    StoreSettings { url, ballast_bytes, encryption_keys, erased_lists, backup }
}

fn store_url(text: &str, report: &Report<'_>) -> Result<StoreUrl, Complaint> {
    if let Some(path) = text.strip_prefix("sqlite:") {
        let path = path.strip_prefix("//").unwrap_or(path);
        if path.is_empty() || path.contains(['?', '\0']) || path == ":memory:" {
            return Err(Complaint::new("names no database file", "write sqlite:crossdock.db"));
        }
        return Ok(StoreUrl::Sqlite(report.resolve(path)));
    }
    if text.starts_with("postgres://") || text.starts_with("postgresql://") {
        return Ok(StoreUrl::Postgres(Secret::new(text.to_owned())));
    }
    Err(Complaint::new("is not a store we know", "write sqlite:FILE or postgres://user@host/database"))
}

/// The wrapping keys, and the files they are in.
fn encryption_keys(section: &mut Section<'_>, report: &mut Report<'_>) -> (Vec<Secret<[u8; 32]>>, Vec<PathBuf>) {
    let Some(field) = section.field("encryption_key") else {
        let place = section.place.below("encryption_key");
        let remedy = "keep the file on an encrypted disk, or make a key: crossdock keys new FILE";
        report.warn(&place, "is not set: payloads are stored unencrypted", remedy);
        return (Vec::new(), Vec::new());
    };
    let fields = field.list(true, report);
    if fields.is_empty() {
        report.error(&field.place, "is an empty list", "name at least one key, or remove it");
    }
    let files = fields.iter().filter_map(|field| field.value.as_str()?.strip_prefix("file:"));
    let files = files.map(|path| report.resolve(path)).collect();
    let keys = fields.iter().filter_map(|field| wrapping_key(field, report)).map(Secret::new);
    (keys.collect(), files)
}

fn wrapping_key(field: &Field<'_>, report: &mut Report<'_>) -> Option<[u8; 32]> {
    let text = field.secret(report)?;
    let text = text.expose().trim();
    let bytes = data_encoding::HEXLOWER_PERMISSIVE
        .decode(text.as_bytes())
        .or_else(|_| data_encoding::BASE64.decode(text.as_bytes()))
        .ok()
        .and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    if bytes.is_none() {
        report.error(&field.place, "is not 32 bytes", "write 64 hex digits or base64: crossdock keys new FILE");
    }
    bytes
}
