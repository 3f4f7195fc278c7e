//! `nodes/NAME/proxy/...`: requests passed on to a node's own HTTPS server, with this server's client identity.
//!
//! Who may do so is decided before; the node decides once more, by the identity that it sees. That identity is shown to
//! nothing but nodes: only a node's own port is connected to, and never this server itself or another over its store.

mod address;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header};
use serde_json::Value;

use crate::body::Body;
use crate::cluster_view::ClusterView;
use crate::https::{self, Destination};
use crate::identity;
use crate::object::{Object, at};
use crate::status::{ApiError, Subject};

/// Where a node listens when it does not say.
const DEFAULT_PORT: u16 = 10_250;
/// The kinds of addresses, the most wanted first (upstream's `--kubelet-preferred-address-types`).
const PREFERRED: [&str; 5] = ["Hostname", "InternalDNS", "InternalIP", "ExternalDNS", "ExternalIP"];
/// A node that has not answered by then is not waited for.
const TIME_LIMIT: Duration = Duration::from_secs(30);
/// The most bytes of an answer that are passed on.
const LONGEST_ANSWER: usize = 32 << 20;
/// What belongs to one connection, or to this server alone: neither goes on.
const NOT_PASSED_ON: [HeaderName; 10] = [
    header::AUTHORIZATION,
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::HOST,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// How this server connects to nodes.
#[derive(Clone)]
pub struct NodeAccess {
    tls: Arc<rustls::ClientConfig>,
}

impl NodeAccess {
    /// With a TLS configuration that has the server's client certificate and the authorities of the nodes'.
    pub fn new(tls: Arc<rustls::ClientConfig>) -> Self {
        Self { tls }
    }
}

impl std::fmt::Debug for NodeAccess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NodeAccess").finish_non_exhaustive()
    }
}

/// Passes a request on. `path` is what stands behind `proxy`, and `listening` where this server listens.
pub(crate) async fn pass_on(
    access: Option<&NodeAccess>,
    listening: &[SocketAddr],
    cluster: &ClusterView,
    node: &str,
    path: &str,
    request: Request<Bytes>,
) -> Result<Response<Body>, ApiError> {
    let (name, port) = split(node)?;
    let missing = Subject { group: "", kind: "nodes", name };
    let entry = cluster.entry("nodes", None, name).ok_or_else(|| ApiError::not_found(missing))?;
    let object = tokenward_kube_schema::parse(&entry.value).unwrap_or_default();
    let destination = destination(&object, name, port)?;
    let access = access.ok_or_else(|| {
        unreachable("this server has no client identity for nodes: give it one to have requests passed on")
    })?;
    let (parts, body) = request.into_parts();
    let query = parts.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let mut onward = Request::builder()
        .method(parts.method)
        .uri(format!("/{}{query}", path.trim_start_matches('/')))
        .body(body)
        .map_err(|_| ApiError::bad_request("the path behind proxy is no path"))?;
    *onward.headers_mut() = passed_on(&parts.headers);
    let exchange = async {
        let call_failed = |error: https::CallError| unreachable(&error.to_string());
        let found = destination.addresses().await.map_err(call_failed)?;
        let servers = [listening, &identity::advertised(cluster)].concat();
        let addresses = address::permitted(found, &servers, address::is_of_this_machine)
            .map_err(|refusal| ApiError::bad_request(refusal.to_string()))?;
        https::exchange_at(&addresses, &destination, access.tls.clone(), onward, LONGEST_ANSWER)
            .await
            .map_err(call_failed)
    };
    let answer = tokio::time::timeout(TIME_LIMIT, exchange)
        .await
        .unwrap_or_else(|_| Err(unreachable(&format!("no answer within {} s", TIME_LIMIT.as_secs()))))?;
    let (parts, body) = answer.into_parts();
    let mut response = Response::new(Body::whole(body));
    *response.status_mut() = parts.status;
    *response.headers_mut() = passed_on(&parts.headers);
    Ok(response)
}

fn unreachable(why: &str) -> ApiError {
    let message = format!("error trying to reach service: {why}");
    ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", message)
}

fn passed_on(headers: &HeaderMap<HeaderValue>) -> HeaderMap<HeaderValue> {
    let mut kept = headers.clone();
    for name in NOT_PASSED_ON {
        kept.remove(name);
    }
    // Whom the client acts as has been decided here; the node is not to act on it again.
    let acting = |name: &&HeaderName| name.as_str().starts_with("impersonate-");
    let acting: Vec<HeaderName> = kept.keys().filter(acting).cloned().collect();
    for name in acting {
        kept.remove(name);
    }
    kept
}

/// `name`, or `name:port`.
fn split(node: &str) -> Result<(&str, Option<u16>), ApiError> {
    let Some((name, port)) = node.split_once(':') else { return Ok((node, None)) };
    match port.parse() {
        Ok(port) if !name.is_empty() => Ok((name, Some(port))),
        _ => Err(ApiError::bad_request(format!("invalid node request {}", crate::status::go_quote(node)))),
    }
}

/// Where a node listens: the first of its addresses in the order of preference. Another port than its own is refused,
/// since whatever listens there is not to see this server's identity.
fn destination(node: &Object, name: &str, port: Option<u16>) -> Result<Destination, ApiError> {
    let addresses =
        at(node, &["status", "addresses"]).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let of_type = |wanted: &str| {
        let found = addresses.iter().find(|address| address["type"] == wanted)?;
        found["address"].as_str().filter(|address| !address.is_empty())
    };
    let host = PREFERRED.into_iter().find_map(of_type).ok_or_else(|| {
        unreachable(&format!(
            "no preferred addresses found for node {name}; known are {} addresses",
            addresses.len()
        ))
    })?;
    let own = at(node, &["status", "daemonEndpoints", "kubeletEndpoint", "Port"]).and_then(Value::as_u64);
    let own = own.and_then(|own| u16::try_from(own).ok()).filter(|own| *own != 0);
    let own = own.unwrap_or(DEFAULT_PORT);
    if let Some(other) = port.filter(|port| *port != own) {
        return Err(ApiError::bad_request(format!(
            "port not allowed: requests to node {name} are passed on to its own port {own}, not to {other}"
        )));
    }
    let port = own;
    Ok(Destination { host: host.to_owned(), port, server_name: host.to_owned() })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_node_is_found_by_its_status() {
        let node = |status: &Value| json!({"status": status}).as_object().unwrap().clone();
        let addresses = json!([
            {"type": "ExternalIP", "address": "192.0.2.1"}, {"type": "InternalIP", "address": "10.0.0.1"},
        ]);
        let at = |host: &str, port| Destination { host: host.into(), port, server_name: host.into() };
        let endpoint = |port: u16| json!({"kubeletEndpoint": {"Port": port}});
        for (status, port, wanted) in [
            (
                json!({"addresses": addresses, "daemonEndpoints": endpoint(10_255)}),
                None,
                at("10.0.0.1", 10_255),
            ),
            (
                json!({"addresses": addresses, "daemonEndpoints": endpoint(0)}),
                None,
                at("10.0.0.1", DEFAULT_PORT),
            ),
            (json!({"addresses": addresses}), Some(DEFAULT_PORT), at("10.0.0.1", DEFAULT_PORT)),
            (json!({"addresses": addresses, "daemonEndpoints": endpoint(7)}), Some(7), at("10.0.0.1", 7)),
        ] {
            assert_eq!(destination(&node(&status), "n", port).unwrap(), wanted);
        }
        let error = destination(&node(&json!({})), "n", None).unwrap_err();
        assert_eq!((error.code().as_u16(), error.reason()), (503, "ServiceUnavailable"));
    }

    #[test]
    fn only_a_node_s_own_port_is_connected_to() {
        let status = json!({
            "addresses": [{"type": "InternalIP", "address": "10.0.0.1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 10_255}},
        });
        let node = json!({"status": status}).as_object().unwrap().clone();
        for other in [0, 22, 6443, DEFAULT_PORT] {
            let error = destination(&node, "n", Some(other)).unwrap_err();
            assert_eq!(error.code().as_u16(), 400, "{other}");
        }
    }

    #[test]
    fn a_port_may_stand_behind_the_name() {
        assert_eq!(split("n").unwrap(), ("n", None));
        assert_eq!(split("n:10255").unwrap(), ("n", Some(10_255)));
        for bad in ["n:", ":1", "n:x", "https:n:1", "n:99999"] {
            assert_eq!(split(bad).unwrap_err().code().as_u16(), 400, "{bad}");
        }
    }

    #[test]
    fn credentials_stay_here() {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, HeaderValue::from_static("Bearer canary"));
        headers.insert(header::ACCEPT, HeaderValue::from_static("text/plain"));
        headers.insert("impersonate-group", HeaderValue::from_static("system:masters"));
        let kept = passed_on(&headers);
        assert_eq!(kept.len(), 1);
        assert!(kept.contains_key(header::ACCEPT));
    }
}
