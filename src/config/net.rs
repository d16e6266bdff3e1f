//! Addresses in the file: URLs we call, and networks that may be called although they are private.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use reqwest::Url;

use super::problem::Complaint;
use super::units::shown;

/// A block of addresses, `10.0.0.0/8` or a single address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// Whether `address` lies in it. An IPv4 address mapped into IPv6 counts as the IPv4 address.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0);
                own.to_bits() & mask == other.to_bits() & mask
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix)).unwrap_or(0);
                own.to_bits() & mask == other.to_bits() & mask
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = Complaint;

    fn from_str(text: &str) -> Result<Self, Complaint> {
        let wrong = || {
            Complaint::new(
                format!("\"{}\" is not a network", shown(text)),
                "write an address block such as 10.0.0.0/8 or 127.0.0.1/32",
            )
        };
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let widest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Ok(widest), |prefix| prefix.parse().map_err(|_| wrong()))?;
        if prefix > widest {
            return Err(wrong());
        }
        let network = Network { address, prefix };
        if is_metadata(address) {
            return Err(Complaint::new(
                format!("{} holds the metadata addresses of cloud machines", shown(text)),
                "such addresses can never be allowed: remove it",
            ));
        }
        Ok(network)
    }
}

/// Link-local addresses, where clouds keep their metadata services (DAT-5).
fn is_metadata(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => {
            address.is_unicast_link_local() || address == Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)
        }
    }
}

/// Where plain http may go.
#[derive(Clone, Copy)]
pub(super) enum PlainHttp<'n> {
    /// To this machine only.
    Loopback,
    /// To addresses these networks name, and nowhere private unless they name it.
    Named(&'n [Network]),
}

/// A URL that we may call: https, or http where `plain` allows; no user info, no fragment.
pub(super) fn outbound_url(text: &str, plain: PlainHttp<'_>) -> Result<Url, Complaint> {
    let url = Url::parse(text).map_err(|error| {
        Complaint::new(format!("is not a URL: {error}"), "write it whole, such as https://erp.example.com/sales-orders")
    })?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Complaint::new("carries a user or password", "put credentials into auth"));
    }
    if url.fragment().is_some() {
        return Err(Complaint::new("carries a fragment (#…)", "remove it, it is never sent"));
    }
    let address = host_address(&url);
    match url.scheme() {
        "https" => {}
        "http" => plain_http(address, plain)?,
        _ => {
            return Err(Complaint::new(
                format!("uses the scheme {}", shown(url.scheme())),
                "only https is called (http on loopback)",
            ));
        }
    }
    if let (Some(address), PlainHttp::Named(networks)) = (address, plain)
        && is_private(address)
        && !networks.iter().any(|network| network.contains(address))
    {
        return Err(Complaint::new(
            format!("goes to {address}, a private address that allow_private does not name"),
            format!("add allow_private = [\"{address}\"] if that is meant"),
        ));
    }
    Ok(url)
}

fn plain_http(address: Option<IpAddr>, plain: PlainHttp<'_>) -> Result<(), Complaint> {
    let loopback = address.is_some_and(|address| address.is_loopback());
    let named = match (plain, address) {
        (PlainHttp::Loopback, _) => false,
        (PlainHttp::Named(networks), Some(address)) => networks.iter().any(|network| network.contains(address)),
        // A name: every address it resolves to is checked again when it is called (DAT-5).
        (PlainHttp::Named(networks), None) => !networks.is_empty(),
    };
    if loopback || named {
        return Ok(());
    }
    let remedy = match plain {
        PlainHttp::Loopback => "use https; plain http is for loopback",
        PlainHttp::Named(_) => "use https; plain http is for loopback and addresses named in allow_private",
    };
    Err(Complaint::new("uses plain http", remedy))
}

/// The address where the URL names one instead of a host name; `localhost` counts as one.
fn host_address(url: &Url) -> Option<IpAddr> {
    let host = url.host_str()?;
    if host == "localhost" {
        return Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

/// Addresses that the open internet does not route to.
fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            address.is_private()
                || address.is_loopback()
                || address.is_link_local()
                || address.is_unspecified()
                || address.octets()[0] == 0
                || (address.octets()[0] == 100 && address.octets()[1] & 0xc0 == 64)
                || address == Ipv4Addr::BROADCAST
        }
        IpAddr::V6(address) => {
            address.is_loopback()
                || address.is_unspecified()
                || address.is_unique_local()
                || address.is_unicast_link_local()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_know_what_they_hold() {
        let network: Network = "10.0.0.0/8".parse().unwrap();
        assert!(network.contains("10.1.2.3".parse().unwrap()));
        assert!(network.contains("::ffff:10.1.2.3".parse().unwrap()));
        assert!(!network.contains("11.0.0.1".parse().unwrap()));
        assert!("0.0.0.0/0".parse::<Network>().unwrap().contains("8.8.8.8".parse().unwrap()));
        assert!("::1".parse::<Network>().unwrap().contains("::1".parse().unwrap()));
        for wrong in ["10.0.0.0/33", "ten/8", "10.0.0.0/", "10.0.0.0/-1", "169.254.169.254/32", "fd00:ec2::254"] {
            assert!(wrong.parse::<Network>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn dat_5_urls_are_https_or_named() {
        let loopback: Network = "127.0.0.0/8".parse().unwrap();
        let named = [loopback];
        let accepted = [
            ("https://erp.example.com/x?y=1", PlainHttp::Named(&[])),
            ("http://127.0.0.1:9000/x", PlainHttp::Named(&named)),
            ("http://localhost:9000/x", PlainHttp::Named(&named)),
            ("http://erp:9000/x", PlainHttp::Named(&named)),
            ("http://127.0.0.1/rest", PlainHttp::Loopback),
            ("http://[::1]/rest", PlainHttp::Loopback),
        ];
        for (url, plain) in accepted {
            assert!(outbound_url(url, plain).is_ok(), "{url}");
        }
        let refused = [
            ("http://erp.example.com/x", PlainHttp::Named(&[]), "plain http"),
            ("http://shop.example.com/rest", PlainHttp::Loopback, "plain http"),
            ("https://10.0.0.1/x", PlainHttp::Named(&named), "allow_private"),
            ("http://127.0.0.1/x", PlainHttp::Named(&[]), "allow_private"),
            ("http://localhost/x", PlainHttp::Named(&[]), "allow_private"),
            ("http://0x7f.1/x", PlainHttp::Named(&[]), "allow_private"),
            ("https://me:you@erp.example.com/", PlainHttp::Named(&[]), "user or password"),
            ("https://erp.example.com/#top", PlainHttp::Named(&[]), "fragment"),
            ("ftp://erp.example.com/", PlainHttp::Named(&[]), "scheme"),
            ("erp.example.com", PlainHttp::Named(&[]), "not a URL"),
        ];
        for (url, plain, word) in refused {
            let complaint = outbound_url(url, plain).unwrap_err();
            assert!(complaint.message.contains(word), "{url}: {complaint:?}");
        }
    }
}
