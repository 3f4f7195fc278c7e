//! Kubernetes' libraries of addresses and networks.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// Reads an address: no zone, and no address of version 4 in one of version 6.
pub(crate) fn address(text: &str) -> Option<IpAddr> {
    let address: IpAddr = text.parse().ok()?;
    let is_mapped = matches!(address, IpAddr::V6(address) if address.to_ipv4_mapped().is_some());
    (!is_mapped).then_some(address)
}

/// Whether an address is written as it would be shown.
pub(crate) fn is_canonical(address: &IpAddr, text: &str) -> bool {
    address.to_string() == text
}

/// What can be asked of an address. None is asked for that there is not.
pub(crate) fn is(address: &IpAddr, name: &str) -> Option<bool> {
    Some(match name {
        "isUnspecified" => address.is_unspecified(),
        "isLoopback" => address.is_loopback(),
        "isLinkLocalMulticast" => match address {
            IpAddr::V4(address) => address.octets()[..3] == [224, 0, 0],
            IpAddr::V6(address) => address.segments()[0] & 0xff0f == 0xff02,
        },
        "isLinkLocalUnicast" => is_link_local(address),
        "isGlobalUnicast" => {
            let is_broadcast = matches!(address, IpAddr::V4(address) if address.is_broadcast());
            !(is_broadcast
                || address.is_unspecified()
                || address.is_loopback()
                || address.is_multicast()
                || is_link_local(address))
        }
        _ => return None,
    })
}

fn is_link_local(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

/// A network: an address in it, and how many of its first bits all its addresses have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Network {
    address: IpAddr,
    length: u8,
}

impl Network {
    /// Reads `10.0.0.0/8`.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let (of, length) = text.rsplit_once('/')?;
        let of = address(of)?;
        let is_written_so = !length.is_empty()
            && length.bytes().all(|digit| digit.is_ascii_digit())
            && (length == "0" || !length.starts_with('0'));
        let length: u8 = is_written_so.then(|| length.parse().ok()).flatten()?;
        (length <= most(&of)).then_some(Self { address: of, length })
    }

    pub(crate) fn address(&self) -> IpAddr {
        self.address
    }

    pub(crate) fn length(&self) -> u8 {
        self.length
    }

    /// The same network, written with its first address.
    pub(crate) fn masked(&self) -> Self {
        let keep = |width: u32| match u32::from(self.length) {
            0 => 0,
            length => u128::MAX << (width - length),
        };
        let address = match self.address {
            IpAddr::V4(address) => {
                // Only the lower half of the mask is used.
                IpAddr::V4((address.to_bits() & (keep(32) & u128::from(u32::MAX)) as u32).into())
            }
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & keep(128))),
        };
        Self { address, ..*self }
    }

    pub(crate) fn contains(&self, address: &IpAddr) -> bool {
        self.address.is_ipv4() == address.is_ipv4()
            && Self { address: *address, ..*self }.masked() == self.masked()
    }

    pub(crate) fn contains_network(&self, other: &Self) -> bool {
        self.length <= other.length && self.contains(&other.address)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

fn most(address: &IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn addresses_are_read_and_told_apart() {
        for (text, wanted) in [
            ("127.0.0.1", "isLoopback"),
            ("::1", "isLoopback"),
            ("0.0.0.0", "isUnspecified"),
            ("::", "isUnspecified"),
            ("224.0.0.1", "isLinkLocalMulticast"),
            ("ff02::1", "isLinkLocalMulticast"),
            ("169.254.1.1", "isLinkLocalUnicast"),
            ("fe80::1", "isLinkLocalUnicast"),
            ("10.0.0.1", "isGlobalUnicast"),
            ("fd00::1", "isGlobalUnicast"),
            ("255.255.255.255", ""),
            ("239.1.1.1", ""),
            ("ff05::1", ""),
        ] {
            let address = address(text).unwrap_or_else(|| panic!("{text}"));
            for name in [
                "isLoopback",
                "isUnspecified",
                "isLinkLocalMulticast",
                "isLinkLocalUnicast",
                "isGlobalUnicast",
            ] {
                assert_eq!(is(&address, name), Some(name == wanted), "{text} {name}");
            }
            assert!(is_canonical(&address, text), "{text}");
            assert_eq!(is(&address, "isNice"), None);
        }
        for text in ["", "1.2.3", "01.2.3.4", "1.2.3.4 ", "fe80::1%eth0", "::ffff:1.2.3.4", "1.2.3.4/8", "x"]
        {
            assert_eq!(address(text), None, "{text}");
        }
        assert!(!is_canonical(&address("FD00:0::1").expect("an address"), "FD00:0::1"));
    }

    #[test]
    fn networks_contain_what_is_in_them() {
        let network = |text: &str| Network::read(text).unwrap_or_else(|| panic!("{text}"));
        for (one, other, contains) in [
            ("10.0.0.0/8", "10.1.0.0/16", true),
            ("10.0.0.0/8", "10.0.0.0/8", true),
            ("10.0.0.0/8", "10.0.0.0/7", false),
            ("10.0.0.0/8", "11.0.0.0/16", false),
            ("0.0.0.0/0", "255.255.255.255/32", true),
            ("::/0", "fd00::/8", true),
            ("::/0", "10.0.0.0/8", false),
            ("fd00::/8", "fdff:1::/32", true),
            ("10.9.9.9/8", "10.1.0.0/16", true),
        ] {
            assert_eq!(network(one).contains_network(&network(other)), contains, "{one} {other}");
            assert_eq!(
                network(one).contains(&network(other).address()),
                contains || one == "10.0.0.0/8" && other.ends_with("/7"),
                "{one} {other}"
            );
        }
        assert_eq!(network("192.0.2.129/25").masked().to_string(), "192.0.2.128/25");
        assert_eq!(network("2001:db8::ffff/112").masked().to_string(), "2001:db8::/112");
        for text in [
            "10.0.0.0",
            "10.0.0.0/",
            "10.0.0.0/33",
            "10.0.0.0/08",
            "10.0.0.0/+8",
            "::/129",
            "10.0.0/8",
            "::ffff:1.2.3.4/96",
        ] {
            assert_eq!(Network::read(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_network_contains_its_own_address(bits in any::<u128>(), length in 0..=128_u8, is_new in any::<bool>()) {
            let (address, length) = match is_new {
                true => (IpAddr::V6(Ipv6Addr::from_bits(bits)), length),
                false => (IpAddr::V4((bits as u32).into()), length % 33),
            };
            let network = Network { address, length };
            prop_assert!(network.contains(&address) && network.contains_network(&network.masked()));
            prop_assert_eq!(network.masked().masked(), network.masked());
        }

        #[test]
        fn nothing_panics(text in "[0-9a-f:./%]{0,50}") {
            let _ = (address(&text), Network::read(&text));
        }
    }
}
