//! Users and roles of etcd: the part of its service `Auth` that the tests need
//! (<https://etcd.io/docs/v3.5/learning/api/>, `rpc.proto`).

use std::sync::Arc;

use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::client::Grpc;
use tonic::transport::{Channel, Endpoint};
use tonic_prost::ProstCodec;

use super::etcd::EtcdServer;

#[derive(Clone, PartialEq, prost::Message)]
struct Nothing {}

#[derive(Clone, PartialEq, prost::Message)]
struct UserAdd {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    password: String,
    #[prost(message, optional, tag = "3")]
    options: Option<UserAddOptions>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct UserAddOptions {
    #[prost(bool, tag = "1")]
    no_password: bool,
}

/// Of a user and a role, or of a role alone.
#[derive(Clone, PartialEq, prost::Message)]
struct Names {
    #[prost(string, tag = "1")]
    first: String,
    #[prost(string, tag = "2")]
    second: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Grant {
    #[prost(string, tag = "1")]
    role: String,
    #[prost(message, optional, tag = "2")]
    permission: Option<Permission>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Permission {
    #[prost(int32, tag = "1")]
    kind: i32,
    #[prost(bytes = "vec", tag = "2")]
    key: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    range_end: Vec<u8>,
}

/// What a role may do with keys.
#[derive(Clone, Copy, Debug)]
pub(crate) enum May {
    Read = 0,
    ReadAndWrite = 2,
}

/// The administration of an etcd's users.
pub(crate) struct EtcdUsers(Grpc<Channel>);

impl EtcdUsers {
    /// Comes to an etcd behind TLS as `root`, who may do everything once that matters.
    pub(crate) fn of(server: &EtcdServer) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(server.authority().certificate()).unwrap();
        let (chain, key) = server.authority().client("root");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.unwrap().with_root_certificates(roots).with_client_auth_cert(chain, key);
        let mut config = config.unwrap();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let tls = TlsConnector::from(Arc::new(config));
        let (address, name) = (server.address(), "127.0.0.1".try_into().unwrap());
        let connect = move |_| {
            let (tls, name) = (tls.clone(), rustls_pki_types::ServerName::clone(&name));
            async move { tls.connect(name, TcpStream::connect(address).await?).await.map(TokioIo::new) }
        };
        let endpoint = Endpoint::from_static("https://127.0.0.1");
        Self(Grpc::new(endpoint.connect_with_connector_lazy(tower::service_fn(connect))))
    }

    /// Without a password a user can come by a certificate alone.
    pub(crate) async fn add_user(&mut self, name: &str, password: Option<&str>) {
        let options = password.is_none().then_some(UserAddOptions { no_password: true });
        let password = password.unwrap_or_default().to_owned();
        self.call("UserAdd", UserAdd { name: name.to_owned(), password, options }).await;
    }

    pub(crate) async fn add_role(&mut self, name: &str) {
        self.call("RoleAdd", Names { first: name.to_owned(), second: String::new() }).await;
    }

    pub(crate) async fn give_role(&mut self, user: &str, role: &str) {
        self.call("UserGrantRole", Names { first: user.to_owned(), second: role.to_owned() }).await;
    }

    pub(crate) async fn take_role(&mut self, user: &str, role: &str) {
        self.call("UserRevokeRole", Names { first: user.to_owned(), second: role.to_owned() }).await;
    }

    /// Of all keys that begin so.
    pub(crate) async fn permit(&mut self, role: &str, may: May, prefix: &str) {
        let mut range_end = prefix.as_bytes().to_vec();
        *range_end.last_mut().unwrap() += 1;
        let permission = Permission { kind: may as i32, key: prefix.into(), range_end };
        self.call("RoleGrantPermission", Grant { role: role.to_owned(), permission: Some(permission) }).await;
    }

    /// From now on nobody may do anything without being permitted to.
    pub(crate) async fn enable(&mut self) {
        self.call("AuthEnable", Nothing {}).await;
    }

    async fn call(&mut self, method: &str, request: impl prost::Message + 'static) {
        self.0.ready().await.unwrap();
        let path = format!("/etcdserverpb.Auth/{method}").parse().unwrap();
        let codec: ProstCodec<_, Nothing> = ProstCodec::default();
        self.0.unary(tonic::Request::new(request), path, codec).await.unwrap();
    }
}
