//! How many connections come from where: whoever has many takes no places from the others.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use parking_lot::Mutex;

/// The connections that are open, by where they come from.
pub(super) struct Sources {
    /// At most so many from one.
    most: usize,
    open: Mutex<HashMap<IpAddr, usize>>,
}

/// One open connection; it counts until this is dropped.
pub(super) struct Place {
    sources: Arc<Sources>,
    source: IpAddr,
}

impl Sources {
    /// None open yet, and at most `most` from one source.
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, open: Mutex::default() })
    }

    /// A place for a connection of this peer; none when its source has as many as it may.
    pub(super) fn place(self: &Arc<Self>, peer: IpAddr) -> Option<Place> {
        let source = source(peer);
        let mut open = self.open.lock();
        let count = open.entry(source).or_default();
        if *count >= self.most {
            return None;
        }
        *count += 1;
        drop(open);
        Some(Place { sources: self.clone(), source })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.sources.open.lock();
        if let Some(count) = open.get_mut(&self.source) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.source);
            }
        }
    }
}

/// What counts as one source: an IPv4 address, or the network of 64 bits that anybody with IPv6 has to himself.
fn source(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) if !address.is_loopback() => {
            let network = u128::from(address) >> 64 << 64;
            IpAddr::V6(Ipv6Addr::from(network))
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_source_takes_no_places_from_another() {
        let sources = Sources::new(2);
        let stranger = ip("192.0.2.1");
        let mut held: Vec<Place> = (0..2).map(|_| sources.place(stranger).unwrap()).collect();
        assert!(sources.place(stranger).is_none());
        let other = sources.place(ip("192.0.2.2")).unwrap();
        held.pop();
        let again = sources.place(stranger).unwrap();
        assert!(sources.place(stranger).is_none());
        drop((held, other, again));
        assert!(sources.open.lock().is_empty(), "nothing is kept of those that have gone");
    }

    #[test]
    fn a_network_of_ipv6_is_one_source() {
        for (one, other, same) in [
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "::ffff:192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("2001:db8::1", "2001:db8::ffff:0:0:1", true),
            ("2001:db8::1", "2001:db8:0:1::1", false),
            ("::1", "::2", false),
            ("127.0.0.1", "127.0.0.2", false),
        ] {
            assert_eq!(source(ip(one)) == source(ip(other)), same, "{one} {other}");
        }
    }
}
