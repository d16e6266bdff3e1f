//! Where a call comes from: the page that made it, and the address that sent it (API-4).

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, Method, header};
use subtle::ConstantTimeEq as _;

/// What a call that changes something carries beside a session's cookie.
pub const CSRF_HEADER: HeaderName = HeaderName::from_static("x-csrf-token");

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Why a call under a session's cookie is not believed to be the person's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Forged {
    /// A page of another origin made it.
    #[error(
        "the call comes from a page of another origin; behind a proxy set access.public_url to the address people see"
    )]
    Origin,
    /// It does not say which page made it.
    #[error("a call under a session says where it comes from: send Origin, or use an API token")]
    Silent,
    /// It has no token, or one of another session.
    #[error("send the session's token in X-CSRF-Token; GET /api/v1/session shows it")]
    Token,
}

/// Whether a method changes nothing.
pub fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// Whether the call comes from a page of our own. `public`: our origin as people see it, where it is configured;
/// otherwise it is whatever host the call went to. `Ok(false)`: the call says nothing of it, so it is no browser's.
///
/// # Errors
/// When it says that it comes from elsewhere.
pub fn is_own_page(headers: &HeaderMap, public: Option<&str>) -> Result<bool, Forged> {
    let mut told = false;
    for site in headers.get_all(FETCH_SITE) {
        if site != "same-origin" {
            return Err(Forged::Origin);
        }
        told = true;
    }
    for origin in headers.get_all(header::ORIGIN) {
        let origin = origin.to_str().map_err(|_| Forged::Origin)?.to_ascii_lowercase();
        let own = match public {
            Some(public) => origin == public,
            None => origin.split_once("://").is_some_and(|(scheme, authority)| {
                matches!(scheme, "http" | "https") && host(headers).is_some_and(|host| host == authority)
            }),
        };
        if !own {
            return Err(Forged::Origin);
        }
        told = true;
    }
    Ok(told)
}

/// Whether a call under a cookie, which changes something, is the person's own: made by a page of ours that knows the
/// session's token.
///
/// # Errors
/// Why it is not believed.
pub fn check_csrf(headers: &HeaderMap, public: Option<&str>, expected: &str, token: &str) -> Result<(), Forged> {
    if !is_own_page(headers, public)? {
        return Err(Forged::Silent);
    }
    if bool::from(expected.as_bytes().ct_eq(token.as_bytes())) { Ok(()) } else { Err(Forged::Token) }
}

/// The token of a call that carries it in its head.
pub fn csrf_token(headers: &HeaderMap) -> &str {
    headers.get(CSRF_HEADER).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// Host and port that the call went to, in lower case; `None` when that is not one thing.
fn host(headers: &HeaderMap) -> Option<String> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return None };
    host.to_str().ok().map(str::to_ascii_lowercase)
}

/// Whether the call went to a name of this very machine.
pub fn is_sent_to_loopback(headers: &HeaderMap) -> bool {
    host(headers).is_some_and(|host| is_loopback(&host))
}

/// Our origin where the call went to a name of this very machine, over plain HTTP as such calls do.
pub fn on_loopback(headers: &HeaderMap) -> Option<String> {
    host(headers).filter(|host| is_loopback(host)).map(|host| format!("http://{host}"))
}

fn is_loopback(authority: &str) -> bool {
    let name = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Whether a session begun by this call lives on HTTPS: always, unless the page says that it is plain HTTP on this machine.
pub fn is_secure(headers: &HeaderMap, public: Option<&str>) -> bool {
    let origin = headers.get(header::ORIGIN).and_then(|value| value.to_str().ok());
    match (public, origin) {
        (Some(public), _) => public.starts_with("https://"),
        (None, Some(origin)) => !origin.strip_prefix("http://").is_some_and(is_loopback),
        (None, None) => !is_sent_to_loopback(headers),
    }
}

/// The address of the caller: the peer's, unless it is a proxy of ours that names another.
pub fn address(headers: &HeaderMap, peer: Option<IpAddr>, is_proxy: &dyn Fn(IpAddr) -> bool) -> String {
    let Some(peer) = peer else { return String::new() };
    let mut known = peer.to_canonical();
    let named: Vec<&str> = headers.get_all(FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok()).collect();
    // From the right: each is believed only if the one behind it is ours.
    for named in named.iter().rev().flat_map(|line| line.rsplit(',')) {
        if !is_proxy(known) {
            break;
        }
        let Ok(address) = named.trim().parse::<IpAddr>() else { break };
        known = address.to_canonical();
    }
    known.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn api_4_a_call_under_a_cookie_needs_our_own_page_and_the_sessions_token() {
        let host = ("host", "console.example.com");
        for (pairs, expected) in [
            (&[host, ("origin", "https://console.example.com")][..], Ok(())),
            (&[host, ("sec-fetch-site", "same-origin")], Ok(())),
            (&[host], Err(Forged::Silent)),
            (&[host, ("origin", "https://evil.example")], Err(Forged::Origin)),
            (&[host, ("origin", "null")], Err(Forged::Origin)),
            (&[host, ("origin", "https://console.example.com.evil.example")], Err(Forged::Origin)),
            (&[host, ("sec-fetch-site", "same-site"), ("origin", "https://console.example.com")], Err(Forged::Origin)),
            (&[host, ("sec-fetch-site", "none")], Err(Forged::Origin)),
            (&[host, ("host", "evil.example"), ("origin", "https://evil.example")], Err(Forged::Origin)),
        ] {
            assert_eq!(check_csrf(&headers(pairs), None, "t", "t"), expected, "{pairs:?}");
        }
        let own = headers(&[("host", "10.0.0.7:8081"), ("origin", "https://console.example.com")]);
        assert_eq!(check_csrf(&own, Some("https://console.example.com"), "t", "t"), Ok(()));
        assert_eq!(check_csrf(&own, None, "t", "t"), Err(Forged::Origin));
        for wrong in ["", "T", "tt"] {
            assert_eq!(check_csrf(&own, Some("https://console.example.com"), "t", wrong), Err(Forged::Token));
        }
    }

    #[test]
    fn api_4_only_plain_http_on_this_machine_goes_without_secure() {
        let secure = |pairs: &[(&'static str, &str)]| is_secure(&headers(pairs), None);
        assert!(!secure(&[("origin", "http://127.0.0.1:8080")]));
        assert!(!secure(&[("origin", "http://localhost:8080")]));
        assert!(secure(&[("origin", "https://localhost:8080")]));
        assert!(secure(&[("origin", "http://localhost.evil.example")]));
        assert!(secure(&[("host", "console.example.com")]));
        assert!(is_secure(&headers(&[("origin", "http://localhost")]), Some("https://console.example.com")));
    }

    #[test]
    fn api_4_a_forwarded_address_is_believed_from_our_proxy_alone() {
        let proxy: IpAddr = "10.0.0.1".parse().unwrap();
        let is_proxy = |address: IpAddr| address == proxy;
        let of = |peer: &str, forwarded: &[&str]| {
            let pairs: Vec<_> = forwarded.iter().map(|value| ("x-forwarded-for", *value)).collect();
            address(&headers(&pairs), Some(peer.parse().unwrap()), &is_proxy)
        };
        assert_eq!(of("192.0.2.1", &["198.51.100.1"]), "192.0.2.1", "anybody can write the header");
        assert_eq!(of("10.0.0.1", &["203.0.113.9, 198.51.100.1"]), "198.51.100.1", "the one our proxy saw");
        assert_eq!(of("10.0.0.1", &["203.0.113.9", "198.51.100.1, 10.0.0.1"]), "198.51.100.1");
        assert_eq!(of("10.0.0.1", &["nonsense"]), "10.0.0.1");
        assert_eq!(of("::ffff:10.0.0.1", &[]), "10.0.0.1");
    }
}
