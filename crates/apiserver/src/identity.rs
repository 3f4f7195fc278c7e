//! What says that an API server is there: its identity Lease, and the EndpointSlice `kubernetes` that leads to all of them.
//!
//! Both are made from what is stored and the time alone; [`keep`] is the shell that writes them, again and again.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokenward_tokens::Clock;
use tokio_util::sync::CancellationToken;

use crate::client::{Client, ClientError};
use crate::cluster_view::ClusterView;

/// How often a server says that it is there.
const PERIOD: Duration = Duration::from_secs(10);
/// For how long it is believed to be.
const DURATION_SECONDS: i64 = 3600;
/// A server that has said nothing for so long is led to no more. Its Lease stays for the rest of its time.
const REACHABLE: SignedDuration = SignedDuration::from_secs(60);
const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases";
const SLICES: &str = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices";
const IDENTITY: (&str, &str) = ("apiserver.kubernetes.io/identity", "kube-apiserver");
const HOSTNAME: &str = "kubernetes.io/hostname";
/// Where the server of a Lease listens.
const ADDRESS: &str = "tokenward.dev/advertised-address";
/// The service that leads to the servers.
const SERVICE: &str = "kubernetes";

/// Which server it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerIdentity {
    /// The machine's name.
    pub hostname: String,
    /// Where clients reach it.
    pub address: SocketAddr,
}

impl ServerIdentity {
    /// The name of its Lease. One machine may have several servers, on different ports.
    fn lease_name(&self) -> String {
        const LENGTH: usize = 26;
        const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
        let hash = Sha256::digest(format!("{}:{}", self.hostname, self.address.port()));
        let bits = |position: usize| {
            (position * 5..position * 5 + 5).map(|bit| (hash[bit / 8] >> (7 - bit % 8)) & 1)
        };
        let digit = |position: usize| bits(position).fold(0, |value, bit| value << 1 | usize::from(bit));
        let name: String = (0..LENGTH).map(|position| char::from(ALPHABET[digit(position)])).collect();
        format!("apiserver-{name}")
    }

    /// The whole Lease. `holder` is this run of the server.
    fn lease(&self, holder: &str, now: Timestamp) -> Value {
        json!({
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {
                "name": self.lease_name(),
                "namespace": "kube-system",
                "labels": {IDENTITY.0: IDENTITY.1, HOSTNAME: self.hostname},
                "annotations": {ADDRESS: self.address.to_string()},
            },
            "spec": {"holderIdentity": holder, "leaseDurationSeconds": DURATION_SECONDS, "renewTime": micro_time(now)},
        })
    }
}

/// Where the servers over this store say that they are reached, for as long as their Leases are there. Nobody but
/// administrators writes Leases beside these servers.
pub(crate) fn advertised(cluster: &ClusterView) -> Vec<SocketAddr> {
    #[derive(Deserialize)]
    struct Lease {
        metadata: Metadata,
    }
    #[derive(Deserialize)]
    struct Metadata {
        #[serde(default)]
        annotations: BTreeMap<String, String>,
    }
    let leases = cluster.entries_in("coordination.k8s.io/leases", "kube-system");
    let address = |value: &[u8]| {
        let lease: Lease = serde_json::from_slice(value).ok()?;
        lease.metadata.annotations.get(ADDRESS)?.parse().ok()
    };
    leases.iter().filter_map(|entry| address(&entry.value)).collect()
}

fn micro_time(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}

fn renewed(lease: &Value) -> Option<Timestamp> {
    lease.pointer("/spec/renewTime")?.as_str()?.parse().ok()
}

/// Whether the time of a Lease is over. One that says no time is.
fn is_expired(lease: &Value, now: Timestamp) -> bool {
    let seconds = lease.pointer("/spec/leaseDurationSeconds").and_then(Value::as_i64).unwrap_or_default();
    let end = renewed(lease).and_then(|renewed| renewed.checked_add(SignedDuration::from_secs(seconds)).ok());
    end.is_none_or(|end| end < now)
}

/// The slice that leads to the servers of these Leases which are there now.
fn slice(leases: &[Value], own: SocketAddr, now: Timestamp) -> Value {
    let is_there =
        |lease: &&Value| renewed(lease).is_some_and(|renewed| now.duration_since(renewed) <= REACHABLE);
    let address = |lease: &Value| -> Option<SocketAddr> {
        lease.pointer("/metadata/annotations")?.get(ADDRESS)?.as_str()?.parse().ok()
    };
    let others = leases.iter().filter(is_there).filter_map(address);
    // One slice is of one family and has the same port everywhere.
    let fits = |address: &SocketAddr| address.is_ipv4() == own.is_ipv4() && address.port() == own.port();
    let addresses: BTreeSet<String> =
        others.filter(fits).chain([own]).map(|address| address.ip().to_string()).collect();
    let endpoints: Vec<Value> = addresses
        .iter()
        .map(|address| json!({"addresses": [address], "conditions": {"ready": true}}))
        .collect();
    json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": SERVICE,
            "namespace": "default",
            "labels": {"kubernetes.io/service-name": SERVICE},
        },
        "addressType": if own.is_ipv4() { "IPv4" } else { "IPv6" },
        "endpoints": endpoints,
        "ports": [{"name": "https", "port": own.port(), "protocol": "TCP"}],
    })
}

/// Says that a server is there until it is told to stop: at once, and then every ten seconds. Removes the Leases of servers
/// whose time is over.
pub async fn keep(client: Client, identity: ServerIdentity, clock: Clock, stop: CancellationToken) {
    let holder = format!("{}_{}", identity.lease_name(), uuid::Uuid::new_v4());
    loop {
        if let Err(error) = say(&client, &identity, &holder, clock.now()).await {
            tracing::warn!(%error, "cannot say that this server is there; it is said again soon");
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(PERIOD) => {}
        }
    }
}

async fn say(
    client: &Client,
    identity: &ServerIdentity,
    holder: &str,
    now: Timestamp,
) -> Result<(), ClientError> {
    let name = identity.lease_name();
    put(client, LEASES, &name, &identity.lease(holder, now)).await?;
    let list = client.get(&format!("{LEASES}?labelSelector={}%3D{}", IDENTITY.0, IDENTITY.1)).await?;
    let leases = list.get("items").and_then(Value::as_array).cloned().unwrap_or_default();
    for lease in leases.iter().filter(|lease| is_expired(lease, now)) {
        let Some(expired) = lease.pointer("/metadata/name").and_then(Value::as_str) else { continue };
        let options =
            json!({"preconditions": {"resourceVersion": lease.pointer("/metadata/resourceVersion")}});
        match client.delete(&format!("{LEASES}/{expired}"), Some(&options)).await {
            Ok(_) => tracing::info!(lease = expired, "removed the Lease of a server that is gone"),
            // Another server was faster, or it has come back.
            Err(error) if is_race(&error) => {}
            Err(error) => return Err(error),
        }
    }
    put(client, SLICES, SERVICE, &slice(&leases, identity.address, now)).await
}

/// Makes an object, or changes what is not as it should be.
async fn put(client: &Client, collection: &str, name: &str, object: &Value) -> Result<(), ClientError> {
    let path = format!("{collection}/{name}");
    match client.get(&path).await {
        Ok(stored) if has_content_of(&stored, object) => return Ok(()),
        Ok(_) => {}
        Err(error) if error.code() == Some(StatusCode::NOT_FOUND) => {
            match client.create(collection, object).await {
                Ok(_) => return Ok(()),
                Err(error) if is_race(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Err(error) => return Err(error),
    }
    let mut patch = object.clone();
    if let Some(patch) = patch.as_object_mut() {
        patch.remove("kind");
        patch.remove("apiVersion");
    }
    client.merge_patch(&path, &patch).await.map(|_| ())
}

/// Whether everything wanted is there already.
fn has_content_of(stored: &Value, wanted: &Value) -> bool {
    match (stored, wanted) {
        (Value::Object(stored), Value::Object(wanted)) => wanted
            .iter()
            .all(|(name, wanted)| stored.get(name).is_some_and(|stored| has_content_of(stored, wanted))),
        (Value::Array(stored), Value::Array(wanted)) => {
            stored.len() == wanted.len()
                && stored.iter().zip(wanted).all(|(stored, wanted)| has_content_of(stored, wanted))
        }
        (stored, wanted) => stored == wanted,
    }
}

fn is_race(error: &ClientError) -> bool {
    matches!(error.code(), Some(StatusCode::CONFLICT | StatusCode::NOT_FOUND))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(port: u16) -> ServerIdentity {
        ServerIdentity { hostname: "host".to_owned(), address: SocketAddr::from(([192, 0, 2, 1], port)) }
    }

    #[test]
    fn a_lease_has_a_name_of_its_own() {
        let name = identity(6443).lease_name();
        assert_eq!(name, identity(6443).lease_name());
        assert_ne!(name, identity(6444).lease_name());
        let hash = name.strip_prefix("apiserver-").unwrap();
        assert!(
            hash.len() == 26
                && hash.bytes().all(|byte| byte.is_ascii_lowercase() || (b'2'..=b'7').contains(&byte))
        );
    }

    #[test]
    fn a_lease_lasts_an_hour() {
        let start = Timestamp::from_second(1_000_000).unwrap();
        let lease = identity(1).lease("me", start);
        assert_eq!(lease["spec"]["renewTime"], "1970-01-12T13:46:40.000000Z");
        for (seconds, expired) in [(0, false), (3600, false), (3601, true)] {
            assert_eq!(is_expired(&lease, start + SignedDuration::from_secs(seconds)), expired, "{seconds}");
        }
        assert!(is_expired(&json!({"spec": {}}), start));
    }

    #[test]
    fn the_slice_leads_to_all_that_are_there() {
        let now = Timestamp::from_second(1_000_000).unwrap();
        let at = |address: &str, ago: i64| {
            let address = address.parse().unwrap();
            let identity = ServerIdentity { hostname: "other".to_owned(), address };
            identity.lease("them", now - SignedDuration::from_secs(ago))
        };
        let leases = [
            at("192.0.2.3:6443", 60),
            at("192.0.2.2:6443", 61),
            at("[::1]:6443", 0),
            at("192.0.2.4:1", 0),
            at("192.0.2.1:6443", 0),
        ];
        let slice = slice(&leases, identity(6443).address, now);
        let addresses: Vec<&Value> =
            slice["endpoints"].as_array().unwrap().iter().map(|endpoint| &endpoint["addresses"][0]).collect();
        assert_eq!(addresses, ["192.0.2.1", "192.0.2.3"]);
        assert_eq!(slice["ports"][0]["port"], 6443);
        assert!(has_content_of(&slice, &slice));
        assert!(!has_content_of(&json!({"endpoints": []}), &json!({"endpoints": [1]})));
    }
}
