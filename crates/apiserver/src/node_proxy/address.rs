//! Which addresses requests are passed on to. A node says itself where it is, so what it says is not trusted.
//!
//! The decision falls on addresses, after names have been looked up, and the connection is made to just these.

use std::net::{IpAddr, SocketAddr, UdpSocket};

/// Why nothing is sent to an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("address not allowed: {0} is unspecified")]
    Unspecified(IpAddr),
    #[error("address not allowed: {0} is link-local")]
    LinkLocal(IpAddr),
    #[error("address not allowed: {0} is no address of a single host")]
    Multicast(IpAddr),
    #[error("address not allowed: an API server listens on {0}")]
    ApiServer(SocketAddr),
}

/// Those of the addresses that may be connected to. `listening` is where API servers listen, this one and others, and
/// `is_of_this_machine` tells whether a listener on every address is reached at one.
///
/// # Errors
/// The first refusal, when nothing else is left.
pub(super) fn permitted(
    found: impl IntoIterator<Item = SocketAddr>,
    listening: &[SocketAddr],
    is_of_this_machine: impl Fn(IpAddr) -> bool,
) -> Result<Vec<SocketAddr>, Refusal> {
    let mut kept = Vec::new();
    let mut refused = None;
    for address in found {
        match refusal(address, listening, &is_of_this_machine) {
            None => kept.push(address),
            Some(why) => refused = refused.or(Some(why)),
        }
    }
    match refused {
        Some(why) if kept.is_empty() => Err(why),
        _ => Ok(kept),
    }
}

fn refusal(
    address: SocketAddr,
    listening: &[SocketAddr],
    is_of_this_machine: impl Fn(IpAddr) -> bool,
) -> Option<Refusal> {
    let ip = address.ip().to_canonical();
    let is_link_local = match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    let is_broadcast = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
    let is_server = |listener: &SocketAddr| {
        let own = listener.ip().to_canonical();
        listener.port() == address.port() && (own == ip || own.is_unspecified() && is_of_this_machine(ip))
    };
    if ip.is_unspecified() {
        Some(Refusal::Unspecified(ip))
    } else if is_link_local {
        Some(Refusal::LinkLocal(ip))
    } else if ip.is_multicast() || is_broadcast {
        Some(Refusal::Multicast(ip))
    } else if listening.iter().any(is_server) {
        Some(Refusal::ApiServer(SocketAddr::new(ip, address.port())))
    } else {
        None
    }
}

/// Whether packets to an address stay on this machine: only then can a socket have it.
pub(super) fn is_of_this_machine(ip: IpAddr) -> bool {
    ip.is_loopback() || UdpSocket::bind((ip, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(addresses: &[&str], listening: &[&str]) -> Result<Vec<String>, Refusal> {
        let parse =
            |texts: &[&str]| -> Vec<SocketAddr> { texts.iter().map(|text| text.parse().unwrap()).collect() };
        let own: [IpAddr; 3] =
            ["127.0.0.1".parse().unwrap(), "::1".parse().unwrap(), "192.0.2.1".parse().unwrap()];
        permitted(parse(addresses), &parse(listening), |ip| own.contains(&ip))
            .map(|kept| kept.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn what_is_no_node_is_refused() {
        for refused in [
            "0.0.0.0:10250",
            "[::]:10250",
            "[::ffff:0.0.0.0]:10250",
            "169.254.169.254:80",
            "[::ffff:169.254.169.254]:80",
            "[fe80::1]:10250",
            "224.0.0.1:10250",
            "255.255.255.255:10250",
            "[ff02::1]:10250",
        ] {
            judged(&[refused], &[]).unwrap_err();
        }
        for kept in ["127.0.0.1:10250", "[::1]:10250", "10.0.0.1:10250", "[fd00::1]:10250"] {
            assert_eq!(judged(&[kept], &[]).unwrap(), [kept]);
        }
    }

    #[test]
    fn this_server_is_not_called_by_itself() {
        let itself = |address: &str, listener: &str| {
            matches!(judged(&[address], &[listener]), Err(Refusal::ApiServer(_)))
        };
        for (address, listener, wanted) in [
            ("127.0.0.1:6443", "127.0.0.1:6443", true),
            ("[::ffff:127.0.0.1]:6443", "127.0.0.1:6443", true),
            ("127.0.0.1:10250", "127.0.0.1:6443", false),
            ("192.0.2.1:6443", "127.0.0.1:6443", false),
            ("192.0.2.1:6443", "0.0.0.0:6443", true),
            ("192.0.2.1:6443", "[::]:6443", true),
            ("[::1]:6443", "[::]:6443", true),
            ("192.0.2.2:6443", "0.0.0.0:6443", false),
            ("192.0.2.1:10250", "0.0.0.0:6443", false),
        ] {
            assert_eq!(itself(address, listener), wanted, "{address} with a listener on {listener}");
        }
    }

    #[test]
    fn of_a_name_s_addresses_the_permitted_ones_remain() {
        assert_eq!(judged(&["[fe80::1]:1", "10.0.0.1:1"], &[]).unwrap(), ["10.0.0.1:1"]);
        let error = judged(&["[fe80::1]:1", "0.0.0.0:1"], &[]).unwrap_err();
        assert_eq!(error, Refusal::LinkLocal("fe80::1".parse().unwrap()));
    }

    #[test]
    fn this_machine_knows_itself() {
        assert!(is_of_this_machine("127.0.0.1".parse().unwrap()));
        assert!(!is_of_this_machine("192.0.2.77".parse().unwrap()), "an address for documentation");
    }
}
