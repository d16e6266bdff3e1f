//! The address guard (DAT-5): which addresses a destination may have.
//!
//! Public addresses over HTTPS are open. Private ones are named in `allow_private`, never assumed; loopback is private
//! too. Plain HTTP goes to named addresses alone. The metadata services of cloud machines can never be called, however
//! they are spelled: IPv4 inside IPv6 (mapped, compatible, 6to4, NAT64) is looked at as the IPv4 address it reaches.
//!
//! A name is checked after it was looked up and before anything connects: [`CheckedResolver`] hands out checked
//! addresses only, and the client connects to what it was handed. Numeric hosts never reach a resolver, so they are
//! checked where the URL is read.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// A block of addresses, `10.0.0.0/8` or a single one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

/// A text that is not a block of addresses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a network: write an address block such as 10.0.0.0/8 or 127.0.0.1/32")]
pub struct InvalidNetwork(String);

impl Network {
    /// Whether the address lies in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0);
                own.to_bits() & mask == other.to_bits() & mask
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix)).unwrap_or(0);
                own.to_bits() & mask == other.to_bits() & mask
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

impl FromStr for Network {
    type Err = InvalidNetwork;

    fn from_str(text: &str) -> Result<Self, InvalidNetwork> {
        let wrong = || InvalidNetwork(text.chars().take(64).collect());
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let widest = if address.is_ipv4() { 32 } else { 128 };
        let prefix: u8 = prefix.map_or(Ok(widest), str::parse).map_err(|_| wrong())?;
        if prefix > widest { Err(wrong()) } else { Ok(Network { address, prefix }) }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.address, self.prefix)
    }
}

/// Why an address may not be called.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is private and not named.
    #[error("{address} is {what}: destinations on private addresses are named in allow_private")]
    Private {
        /// The address.
        address: IpAddr,
        /// What it is.
        what: &'static str,
    },
    /// Plain HTTP to an address that is not named.
    #[error("{0} would be called over plain http: use https, or name the address in allow_private")]
    Plain(IpAddr),
    /// Never, whatever is named.
    #[error("{0} belongs to the metadata service of a cloud machine, which is never called")]
    Metadata(IpAddr),
}

/// The rule for one destination.
#[derive(Clone, Debug)]
pub struct AddressGuard {
    allowed: Vec<Network>,
    plain: bool,
}

impl AddressGuard {
    /// For URLs of that scheme.
    pub fn new(allowed: &[Network], plain: bool) -> Self {
        AddressGuard { allowed: allowed.to_vec(), plain }
    }

    /// Whether this address may be connected to.
    pub fn check(&self, address: IpAddr) -> Result<(), Refusal> {
        let reached = reached(address);
        if is_metadata(address) || is_metadata(reached) {
            return Err(Refusal::Metadata(address));
        }
        if self.allowed.iter().any(|network| network.contains(address) || network.contains(reached)) {
            return Ok(());
        }
        if let Some(what) = private(reached) {
            return Err(Refusal::Private { address, what });
        }
        if self.plain { Err(Refusal::Plain(address)) } else { Ok(()) }
    }

    /// Whether a numeric host of this URL may be connected to; names are left to the resolver.
    pub fn check_host(&self, url: &Url) -> Result<(), Refusal> {
        numeric_host(url).map_or(Ok(()), |address| self.check(address))
    }
}

/// The address of a URL whose host is one.
fn numeric_host(url: &Url) -> Option<IpAddr> {
    let host = url.host_str()?;
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host).parse().ok()
}

/// The IPv4 address that an IPv6 address leads to, if it is such a one; else the address itself.
fn reached(address: IpAddr) -> IpAddr {
    let IpAddr::V6(six) = address else {
        return address;
    };
    let segments = six.segments();
    let [.., high, low] = segments;
    let four = |high: u16, low: u16| IpAddr::V4(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)));
    match segments {
        // ::ffff:0:0/96 mapped, ::ffff:0:0:0/96 translated, 64:ff9b::/96 NAT64.
        [0, 0, 0, 0, 0, 0xffff, ..] | [0, 0, 0, 0, 0xffff, 0, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => four(high, low),
        // ::/96 compatible, but for :: and ::1.
        [0, 0, 0, 0, 0, 0, ..] if !six.is_unspecified() && !six.is_loopback() => four(high, low),
        // 2002::/16, 6to4.
        [0x2002, high, low, ..] => four(high, low),
        _ => address,
    }
}

/// Amazon (instance, container, pod), Google, Azure, Alibaba, Oracle; IPv4 and IPv6.
fn is_metadata(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(four) => matches!(
            four.octets(),
            [169, 254, 169, 254]
                | [169, 254, 170, 2 | 23]
                | [100, 100, 100, 200]
                | [168, 63, 129, 16]
                | [192, 0, 0, 192]
        ),
        IpAddr::V6(six) => matches!(
            six.segments(),
            [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254 | 0x23] | [0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254]
        ),
    }
}

/// What keeps an address from being public; `None` if nothing does.
fn private(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(four) => private_four(four),
        IpAddr::V6(six) => private_six(six),
    }
}

fn private_four(address: Ipv4Addr) -> Option<&'static str> {
    match address.octets() {
        [0, ..] => Some("an address of this network"),
        [127, ..] => Some("a loopback address"),
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => Some("a private address"),
        [100, 64..=127, ..] => Some("an address shared by carriers"),
        [169, 254, ..] => Some("a link-local address"),
        [192, 0, 0, _] => Some("an address for protocol assignments"),
        [192, 88, 99, _] => Some("a 6to4 relay"),
        [198, 18 | 19, ..] => Some("a benchmarking address"),
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => Some("a documentation address"),
        [224..=239, ..] => Some("a multicast address"),
        [240..=255, ..] => Some("a reserved address"),
        _ => None,
    }
}

fn private_six(address: Ipv6Addr) -> Option<&'static str> {
    let [a, b, c, ..] = address.segments();
    match (a, b, c) {
        _ if address.is_loopback() => Some("a loopback address"),
        _ if address.is_unspecified() => Some("the unspecified address"),
        (0xfc00..=0xfdff, ..) => Some("a private address"),
        (0xfe80..=0xfebf, ..) => Some("a link-local address"),
        (0xfec0..=0xfeff, ..) => Some("a site-local address"),
        (0xff00..=0xffff, ..) => Some("a multicast address"),
        (0x2001, 0, _) => Some("a Teredo tunnel"),
        (0x2001, 0x2, 0) => Some("a benchmarking address"),
        (0x2001, 0xdb8, _) | (0x3fff, 0..=0xfff, _) => Some("a documentation address"),
        (0x2000..=0x3fff, ..) => None,
        _ => Some("not a public address"),
    }
}

/// The URL of a destination: absolute, http or https, no user info, no fragment; a numeric host passes the guard.
pub fn destination_url(text: &str, allowed: &[Network]) -> Result<Url, Vec<String>> {
    let url = Url::parse(text).map_err(|error| vec![format!("url \"{text}\" is not an absolute URL: {error}")])?;
    let mut problems = Vec::new();
    let plain = url.scheme() == "http";
    if !plain && url.scheme() != "https" {
        problems.push(format!("url has the scheme \"{}\": only https and http are known", url.scheme()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        problems.push("url holds a user or password: use auth instead".to_owned());
    }
    if url.fragment().is_some() {
        problems.push("url holds a fragment, which is never sent: remove it".to_owned());
    }
    if url.host_str().is_none_or(str::is_empty) {
        problems.push("url has no host".to_owned());
    } else if let Err(refusal) = AddressGuard::new(allowed, plain).check_host(&url) {
        problems.push(format!("url: {refusal}"));
    } else if plain && allowed.is_empty() {
        problems.push("url is plain http: use https, or name the destination's addresses in allow_private".to_owned());
    }
    if problems.is_empty() { Ok(url) } else { Err(problems) }
}

/// Looks names up and hands out only addresses that pass the guard.
#[derive(Clone, Debug)]
pub struct CheckedResolver {
    guard: AddressGuard,
}

impl CheckedResolver {
    /// For one destination.
    pub fn new(guard: AddressGuard) -> Self {
        CheckedResolver { guard }
    }
}

impl Resolve for CheckedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.guard.clone();
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            Ok(Box::new(checked(&guard, &found)?.into_iter()) as Addrs)
        })
    }
}

/// Those that pass; the first refusal if none does.
fn checked(guard: &AddressGuard, found: &[SocketAddr]) -> Result<Vec<SocketAddr>, std::io::Error> {
    let mut refusal = None;
    let mut passed = Vec::with_capacity(found.len());
    for address in found {
        match guard.check(address.ip()) {
            Ok(()) => passed.push(*address),
            Err(reason) => refusal = refusal.or(Some(reason)),
        }
    }
    match (passed.is_empty(), refusal) {
        (true, Some(reason)) => Err(std::io::Error::other(reason)),
        (true, None) => Err(std::io::Error::other("the name has no address")),
        (false, _) => Ok(passed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(texts: &[&str]) -> Vec<Network> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn tls(allowed: &[&str]) -> AddressGuard {
        AddressGuard::new(&networks(allowed), false)
    }

    #[test]
    fn dat_5_private_addresses_in_every_spelling_are_refused_unless_named() {
        let private = [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.1.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.51.100.7",
            "203.0.113.9",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:10.0.0.1",
            "::ffff:127.0.0.1",
            "::127.0.0.1",
            "64:ff9b::10.0.0.1",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "2002:a00:1::1",
            "2001::1",
            "2001:db8::1",
            "100::1",
            "fc00::1",
            "fdff::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "4000::1",
            "5f00::1",
            "::ffff:0:7f00:1",
            "3fff::1",
        ];
        for text in private {
            let address: IpAddr = text.parse().unwrap();
            assert!(matches!(tls(&[]).check(address), Err(Refusal::Private { .. })), "{text}");
            assert_eq!(tls(&["0.0.0.0/0", "::/0"]).check(address), Ok(()), "{text} when named");
        }
        assert_eq!(tls(&["127.0.0.0/8"]).check("::ffff:127.0.0.1".parse().unwrap()), Ok(()));
        assert!(tls(&["127.0.0.0/8"]).check("::1".parse().unwrap()).is_err());
        assert!(tls(&["10.0.0.0/24"]).check("10.0.1.1".parse().unwrap()).is_err());
    }

    #[test]
    fn dat_5_public_addresses_are_open_over_https_and_named_over_http() {
        for text in [
            "1.1.1.1",
            "172.15.0.1",
            "172.32.0.1",
            "100.63.0.1",
            "2606:4700::1111",
            "64:ff9b::1.1.1.1",
            "2002:101:101::",
        ] {
            let address: IpAddr = text.parse().unwrap();
            assert_eq!(tls(&[]).check(address), Ok(()), "{text}");
            let plain = AddressGuard::new(&[], true);
            assert_eq!(plain.check(address), Err(Refusal::Plain(address)), "{text}");
        }
        let named = AddressGuard::new(&networks(&["1.1.1.1"]), true);
        assert_eq!(named.check("1.1.1.1".parse().unwrap()), Ok(()));
    }

    #[test]
    fn dat_5_metadata_addresses_cannot_be_allowed() {
        for text in [
            "169.254.169.254",
            "::ffff:169.254.169.254",
            "64:ff9b::169.254.169.254",
            "2002:a9fe:a9fe::1",
            "::169.254.169.254",
            "169.254.170.2",
            "100.100.100.200",
            "168.63.129.16",
            "fd00:ec2::254",
            "fd20:ce::254",
        ] {
            let address: IpAddr = text.parse().unwrap();
            let guard = tls(&["0.0.0.0/0", "::/0", "169.254.169.254/32"]);
            assert_eq!(guard.check(address), Err(Refusal::Metadata(address)), "{text}");
        }
    }

    #[test]
    fn dat_5_urls_of_destinations() {
        let loopback = networks(&["127.0.0.0/8"]);
        for (url, allowed, sound) in [
            ("https://erp.example.com/orders", &[][..], true),
            ("https://1.1.1.1/orders", &[], true),
            ("https://10.0.0.1/orders", &[], false),
            ("https://0x7f000001/orders", &[], false),
            ("https://2130706433/", &[], false),
            ("https://127.1/", &[], false),
            ("https://[::1]/orders", &[], false),
            ("https://[::ffff:169.254.169.254]/", &loopback, false),
            ("http://erp.example.com/orders", &[], false),
            ("http://127.0.0.1:9000/orders", &[], false),
            ("http://127.0.0.1:9000/orders", &loopback, true),
            ("http://10.0.0.1/orders", &loopback, false),
            ("https://user:pass@erp.example.com/", &[], false),
            ("https://erp.example.com/#x", &[], false),
            ("ftp://erp.example.com/", &[], false),
            ("/orders", &[], false),
            ("https://", &[], false),
        ] {
            assert_eq!(destination_url(url, allowed).is_ok(), sound, "{url}");
        }
    }

    #[test]
    fn dat_5_only_checked_addresses_leave_the_resolver() {
        let at = |text: &str| SocketAddr::new(text.parse().unwrap(), 0);
        let mixed = [at("10.0.0.1"), at("1.1.1.1"), at("169.254.169.254")];
        assert_eq!(checked(&tls(&[]), &mixed).unwrap(), [at("1.1.1.1")]);
        let refused = checked(&tls(&[]), &mixed[..1]).unwrap_err();
        assert!(refused.to_string().contains("allow_private"), "{refused}");
        assert!(checked(&tls(&[]), &[]).is_err());
    }

    #[test]
    fn networks_are_read_strictly() {
        for text in ["10.0.0.0/33", "10.0.0/8", "::/129", "x", "", "10.0.0.0/", "10.0.0.0/-1"] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
        assert_eq!("10.0.0.0/8".parse::<Network>().unwrap().to_string(), "10.0.0.0/8");
        assert!("::1".parse::<Network>().unwrap().contains("::1".parse().unwrap()));
    }
}
