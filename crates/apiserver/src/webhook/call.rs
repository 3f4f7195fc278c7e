//! One request to a webhook over HTTPS, bounded in time, in size and in number.

use std::time::Duration;

use bytes::Bytes;
use http::Uri;
use tokio::sync::Semaphore;

use super::configuration::{Client, Hook, Service};
use crate::cluster_view::ClusterView;
use crate::https::{self, CallError, Destination};
use crate::object::{Object, at};

/// At most this many calls at once; more wait, within their time.
const MOST_CALLS: usize = 64;
/// An answer that is longer is not read.
const LONGEST_ANSWER: usize = 3 << 20;

/// Calls webhooks.
pub(super) struct Caller {
    places: Semaphore,
}

impl Default for Caller {
    fn default() -> Self {
        Self { places: Semaphore::new(MOST_CALLS) }
    }
}

/// Why a webhook could not be asked. No text holds what was sent.
#[derive(Debug, thiserror::Error)]
pub(super) enum PostError {
    #[error(
        "clientConfig.caBundle holds no certificate that can be used: put the PEM of the webhook's authority there"
    )]
    NoAuthority,
    #[error("{url} is no URL that can be called")]
    Url { url: String },
    #[error("service {namespace}/{name} has no ready endpoint: there is no EndpointSlice that leads to it")]
    NoEndpoint { namespace: String, name: String },
    #[error("context deadline exceeded: no answer within {seconds} s")]
    TooSlow { seconds: u64 },
    #[error(transparent)]
    Call(#[from] CallError),
    #[error("the server answered {code}")]
    Refused { code: u16 },
}

impl Caller {
    /// Sends a body and gives that of the answer.
    pub(super) async fn post(
        &self,
        hook: &Hook,
        body: Bytes,
        cluster: &ClusterView,
    ) -> Result<Bytes, PostError> {
        let seconds = hook.timeout_seconds;
        let call = async {
            let _place = self.places.acquire().await.expect("nobody closes the semaphore");
            let tls = hook.tls.clone().ok_or(PostError::NoAuthority)?;
            let (destination, path) = destination(&hook.client, cluster)?;
            let request = http::Request::post(format!("{path}?timeout={seconds}s"))
                .header(http::header::CONTENT_TYPE, "application/json")
                .header(http::header::ACCEPT, "application/json")
                .body(body)
                .map_err(|_| PostError::Url { url: path })?;
            let answer = https::exchange(&destination, tls, request, LONGEST_ANSWER).await?;
            match answer.status() {
                code if code.is_success() => Ok(answer.into_body()),
                code => Err(PostError::Refused { code: code.as_u16() }),
            }
        };
        let limit = Duration::from_secs(seconds);
        tokio::time::timeout(limit, call).await.unwrap_or(Err(PostError::TooSlow { seconds }))
    }
}

/// Where to connect to, and the path to ask for there.
fn destination(client: &Client, cluster: &ClusterView) -> Result<(Destination, String), PostError> {
    match client {
        Client::Url(url) => {
            let no_url = || PostError::Url { url: url.clone() };
            let uri: Uri = url.parse().map_err(|_| no_url())?;
            let host = uri.host().ok_or_else(no_url)?.trim_matches(['[', ']']).to_owned();
            let port = uri.port_u16().unwrap_or(443);
            Ok((Destination { server_name: host.clone(), host, port }, uri.path().to_owned()))
        }
        Client::Service(service) => {
            let slices = cluster.entries("discovery.k8s.io/endpointslices");
            let own = slices.iter().filter(|entry| {
                entry.key.namespace() == Some(&service.namespace)
                    && entry.index.labels.get(SERVICE_NAME) == Some(&service.name)
            });
            let objects = own.filter_map(|entry| tokenward_kube_schema::parse(&entry.value).ok());
            let Service { namespace, name, path, .. } = service;
            let (host, port) = objects
                .filter_map(|slice| endpoint(&slice, service.port))
                .next()
                .ok_or_else(|| PostError::NoEndpoint { namespace: namespace.clone(), name: name.clone() })?;
            let path = if path.is_empty() { "/".to_owned() } else { path.clone() };
            Ok((Destination { server_name: format!("{name}.{namespace}.svc"), host, port }, path))
        }
    }
}

const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// A ready endpoint of a slice, and the port: the one that has the service's number, or the only one (which port a
/// service's is led to is said in Service objects, which are not served).
fn endpoint(slice: &Object, port: u16) -> Option<(String, u16)> {
    let list =
        |member: &str| at(slice, &[member]).and_then(|list| list.as_array()).map_or(&[][..], Vec::as_slice);
    let is_ready = |endpoint: &&serde_json::Value| {
        endpoint.pointer("/conditions/ready").and_then(serde_json::Value::as_bool).unwrap_or(true)
    };
    let address = list("endpoints").iter().find(is_ready)?.pointer("/addresses/0")?.as_str()?.to_owned();
    let ports: Vec<u16> =
        list("ports").iter().filter_map(|port| port.get("port")?.as_u64()?.try_into().ok()).collect();
    match ports.as_slice() {
        [only] => Some((address, *only)),
        several => several.contains(&port).then_some((address, port)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_endpoint_is_ready_and_has_the_port() {
        let slice = |ready: bool, ports: &[u16]| {
            let ports: Vec<_> = ports.iter().map(|port| json!({"port": port})).collect();
            let endpoints = json!([
                {"addresses": ["192.0.2.1"], "conditions": {"ready": false}},
                {"addresses": ["192.0.2.2"], "conditions": {"ready": ready}},
            ]);
            json!({"endpoints": endpoints, "ports": ports}).as_object().unwrap().clone()
        };
        let second = |port| Some(("192.0.2.2".to_owned(), port));
        for (ready, ports, wanted) in [
            (true, &[8443][..], second(8443)),
            (true, &[80, 443], second(443)),
            (true, &[80, 81], None),
            (true, &[], None),
            (false, &[443], None),
        ] {
            assert_eq!(endpoint(&slice(ready, ports), 443), wanted, "{ready} {ports:?}");
        }
    }
}
