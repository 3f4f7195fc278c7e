//! Which driver serves which CSIDriver on a node.

use std::collections::{BTreeMap, BTreeSet};

use tokenward_transport::SocketPath;

/// One driver that is to be registered on every node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedDriver {
    /// The driver's name, as in the CSIDriver and in pods' volumes.
    pub name: String,
    /// Who serves it.
    pub server: DriverServer,
}

/// Who serves a driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DriverServer {
    /// A driver that runs elsewhere, on this socket (`--driver-endpoint NAME=SOCKET`).
    Endpoint(SocketPath),
    /// An instance of token-files in this process.
    TokenFiles,
}

/// Plans the drivers: one for each applied CSIDriver and each endpoint, whose names are sorted.
///
/// An endpoint needs no CSIDriver, as in any cluster: such a driver is registered and gets no tokens.
#[must_use]
pub fn plan<'a>(
    csi_drivers: impl IntoIterator<Item = &'a str>,
    endpoints: &'a BTreeMap<String, SocketPath>,
) -> Vec<PlannedDriver> {
    let names: BTreeSet<&str> = csi_drivers.into_iter().chain(endpoints.keys().map(String::as_str)).collect();
    names
        .into_iter()
        .map(|name| PlannedDriver {
            name: name.to_owned(),
            server: endpoints
                .get(name)
                .map_or(DriverServer::TokenFiles, |endpoint| DriverServer::Endpoint(endpoint.clone())),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_csi_driver_is_served_and_endpoints_go_before_our_own() {
        let socket = SocketPath::parse("/run/mine.sock").unwrap();
        let endpoints = BTreeMap::from([
            ("mine.example".to_owned(), socket.clone()),
            ("unknown.example".to_owned(), socket.clone()),
        ]);
        let planned = plan(["ours.example", "mine.example", "ours.example"], &endpoints);
        let endpoint = || DriverServer::Endpoint(socket.clone());
        assert_eq!(
            planned,
            [
                PlannedDriver { name: "mine.example".to_owned(), server: endpoint() },
                PlannedDriver { name: "ours.example".to_owned(), server: DriverServer::TokenFiles },
                PlannedDriver { name: "unknown.example".to_owned(), server: endpoint() },
            ]
        );
    }
}
