//! The HTTPS servers of nodes: where they listen, behind which certificates, and which address the Node object gives.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs as _, UdpSocket};
use std::sync::Arc;

use rustls_pki_types::CertificateDer;
use serde_json::json;
use tokenward_apiserver::Client;
use tokenward_node::Config;
use tokenward_node::status::StatusClient;
use tokenward_node_kube::KubeCluster;
use tokenward_node_server::tls::{self, Serving, TlsError};
use tokenward_node_server::{Configuration, Face, FaceConfig, serve};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::node_access::CLIENT;
use crate::pki::{Authority, PkiError};
use crate::serving::ServingCertificate;

/// Where a node's server listens and whom it believes.
pub struct NodeListen {
    /// Where it listens; port 0 is a free one.
    pub address: SocketAddr,
    /// The address that the Node object gives: another than that to listen on where this is every address.
    pub advertised: IpAddr,
    /// Its certificate; none is made here, self-signed as a kubelet's.
    pub serving: Option<Serving>,
    /// Whose client certificates it believes.
    pub client_authorities: Vec<CertificateDer<'static>>,
}

/// Why a node has no server.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NodeServerError {
    /// The address is taken, or not this machine's.
    #[error("the node's server cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// There is no TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The run's authority could not sign.
    #[error("cannot make the node's serving certificate")]
    Certificate(#[from] PkiError),
}

impl From<ServingCertificate> for Serving {
    fn from(certificate: ServingCertificate) -> Self {
        let (chain, key) = certificate.into_parts();
        Self { chain, key }
    }
}

impl NodeListen {
    /// On loopback, within a run: certificates are the run's own.
    pub(crate) fn of_run(
        authority: &Authority,
        node: &str,
        now: jiff::Timestamp,
    ) -> Result<Self, NodeServerError> {
        let identity = authority.server(&[node.to_owned()], now)?;
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        Ok(Self {
            address: SocketAddr::new(loopback, 0),
            advertised: loopback,
            serving: Some(Serving {
                chain: vec![identity.certificate_der().clone()],
                key: identity.expose_key_der(),
            }),
            client_authorities: vec![authority.certificate_der().clone()],
        })
    }
}

/// Starts the server of a node that is about to run with this configuration, which learns where it is.
///
/// # Errors
/// It cannot listen, or its certificates cannot be used.
pub async fn start(
    config: &mut Config,
    cluster: Arc<KubeCluster>,
    status: StatusClient,
    listen: NodeListen,
    stop: CancellationToken,
) -> Result<(), NodeServerError> {
    let failed = |source| NodeServerError::Listen { address: listen.address, source };
    let listener = TcpListener::bind(listen.address).await.map_err(failed)?;
    let endpoint = SocketAddr::new(listen.advertised, listener.local_addr().map_err(failed)?.port());
    let serving = match listen.serving {
        Some(serving) => serving,
        None => tls::self_signed(&config.node_name, listen.advertised)?,
    };
    let tls = tls::server_config(serving, listen.client_authorities)?;
    config.endpoint = Some(endpoint);
    let face = Face::new(FaceConfig {
        node: config.node_name.clone(),
        reviews: cluster,
        status,
        metrics: Arc::clone(&config.metrics),
        configuration: Configuration::of(config, endpoint),
        clock: config.clock.clone(),
    });
    tracing::info!(node = config.node_name, %endpoint, "serving /healthz, /metrics and /configz");
    tokio::spawn(serve(listener, tls, face, stop));
    Ok(())
}

/// The address of this machine from which a server is reached: the one where it finds us.
#[must_use]
pub fn address_towards(server: &str) -> Option<IpAddr> {
    let authority = server.split_once("://").map_or(server, |(_, rest)| rest).split('/').next()?;
    let found = match authority.to_socket_addrs() {
        Ok(mut found) => found.next()?,
        // Without a port it is that of HTTPS.
        Err(_) => format!("{authority}:443").to_socket_addrs().ok()?.next()?,
    };
    let any = if found.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any).ok()?;
    // Nothing is sent: the kernel only chooses the way.
    socket.connect(found).ok()?;
    socket.local_addr().ok().map(|address| address.ip())
}

/// Lets the API server's own identity read nodes, as every way to set up a cluster does.
pub(crate) async fn let_server_read_nodes(admin: &Client) {
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": { "name": CLIENT },
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:kubelet-api-admin",
        },
        "subjects": [{ "apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": CLIENT }],
    });
    let path = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings";
    // It may be there from an earlier run, and then is whatever somebody made of it.
    if let Err(error) = admin.create(path, &binding).await
        && error.code().is_none_or(|code| code.as_u16() != 409)
    {
        tracing::warn!(%error, "the API server may not read its nodes' metrics");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_to_a_server_on_this_machine_starts_on_it() {
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        for server in ["https://127.0.0.1:6443", "127.0.0.1:1", "https://127.0.0.1/path"] {
            assert_eq!(address_towards(server), Some(loopback), "{server}");
        }
        assert_eq!(address_towards("https://"), None);
    }
}
