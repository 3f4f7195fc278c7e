//! Who a plugin says it is, whether it is ready, and how it registers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokenward_driver::csi::v1::identity_client::IdentityClient;
use tokenward_driver::csi::v1::*;
use tokenward_driver::{Endpoint, Plugin, Readiness, ServeError};
use tokenward_transport::registration::registration_client::RegistrationClient;
use tokenward_transport::registration::{InfoRequest, RegistrationStatus};
use tokio_util::sync::CancellationToken;
use tonic::Code;

use crate::world::{Scripted, connected, name, start, within};

#[tokio::test]
async fn identity_and_registration() {
    let running = start(|plugin| plugin).await;
    let mut identity = IdentityClient::new(running.channel.clone());
    let info = identity.get_plugin_info(GetPluginInfoRequest {}).await.unwrap().into_inner();
    assert_eq!((info.name.as_str(), info.vendor_version.as_str()), ("scripted.tokenward.dev", "1.2.3"));
    assert_eq!(identity.probe(ProbeRequest {}).await.unwrap().into_inner().ready, Some(true));
    let capabilities =
        identity.get_plugin_capabilities(GetPluginCapabilitiesRequest {}).await.unwrap().into_inner();
    let Some(plugin_capability::Type::Service(service)) = &capabilities.capabilities[0].r#type else {
        panic!("{capabilities:?}")
    };
    assert_eq!(service.r#type(), plugin_capability::service::Type::ControllerService);

    let mut registration = RegistrationClient::new(connected(&running.registration_socket()).await);
    let info = registration.get_info(InfoRequest {}).await.unwrap().into_inner();
    assert_eq!((info.r#type.as_str(), info.name.as_str()), ("CSIPlugin", "scripted.tokenward.dev"));
    assert_eq!(info.endpoint, running.socket().as_path().to_str().unwrap());
    assert_eq!(info.supported_versions, ["1.0.0"]);
    let good = RegistrationStatus { plugin_registered: true, error: String::new() };
    registration.notify_registration_status(good).await.unwrap();
    running.stop().await;
}

/// The kubelet looks at a plugin that it has refused again only when the socket is another one.
#[tokio::test]
async fn a_refused_registration_makes_the_socket_anew() {
    use std::os::unix::fs::MetadataExt;
    let running = start(|plugin| plugin).await;
    let socket = running.registration_socket();
    let mut registration = RegistrationClient::new(connected(&socket).await);
    let made = |metadata: std::fs::Metadata| (metadata.ino(), metadata.ctime(), metadata.ctime_nsec());
    let first = made(std::fs::metadata(socket.as_path()).unwrap());
    let refusal = RegistrationStatus { plugin_registered: false, error: "not now".to_owned() };
    registration.notify_registration_status(refusal).await.unwrap();
    drop(registration);
    within(async {
        while std::fs::metadata(socket.as_path()).map_or(true, |metadata| made(metadata) == first) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    RegistrationClient::new(connected(&socket).await).get_info(InfoRequest {}).await.unwrap();
    running.stop().await;
}

#[tokio::test]
async fn a_socket_that_somebody_serves_is_an_error_that_says_so() {
    let running = start(|plugin| plugin).await;
    let second = Plugin::new(name(), "1.2.3", running.socket().clone(), Scripted::default());
    let error = second.serve(CancellationToken::new()).await.unwrap_err();
    assert!(matches!(error, ServeError::Bind { .. }));
    let text = tokenward_driver::with_causes(&error);
    assert!(text.contains("scripted.tokenward.dev") && text.contains("in use"), "{text}");
    running.stop().await;
}

#[tokio::test]
async fn a_probe_says_whether_the_driver_is_ready() {
    let state = Arc::new(AtomicUsize::new(0));
    let asked = Arc::clone(&state);
    let running = start(|plugin| {
        plugin.ready_when(move || match asked.load(Ordering::Acquire) {
            0 => Readiness::Starting,
            1 => Readiness::Ready,
            _ => {
                Readiness::Broken("refused with eyJhbGciOiJub25lIn0.eyJzdWIiOiJjYW5hcnkifQ.canary".to_owned())
            }
        })
    })
    .await;
    let mut identity = IdentityClient::new(running.channel.clone());
    assert_eq!(identity.probe(ProbeRequest {}).await.unwrap().into_inner().ready, Some(false));
    state.store(1, Ordering::Release);
    assert_eq!(identity.probe(ProbeRequest {}).await.unwrap().into_inner().ready, Some(true));
    state.store(2, Ordering::Release);
    let status = identity.probe(ProbeRequest {}).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert!(
        status.message().starts_with("refused with") && !status.message().contains("canary"),
        "{status:?}"
    );
    running.stop().await;
}

#[tokio::test]
async fn a_plugin_is_served_over_tcp_and_not_registered_there() {
    let endpoint: Endpoint = "tcp://127.0.0.1:0".parse().unwrap();
    let plugin = || Plugin::new(name(), "1.2.3", endpoint.clone(), Scripted::default());
    let bound = plugin().bind().await.unwrap();
    let Endpoint::Tcp(address) = bound.endpoint() else { panic!("{}", bound.endpoint()) };
    let stop = CancellationToken::new();
    let served = tokio::spawn(bound.serve(stop.clone()));
    let channel = tonic::transport::Endpoint::from_shared(format!("http://{address}")).unwrap();
    let mut identity = IdentityClient::new(within(channel.connect()).await.unwrap());
    let info = identity.get_plugin_info(GetPluginInfoRequest {}).await.unwrap().into_inner();
    assert_eq!(info.name, "scripted.tokenward.dev");
    drop(identity);
    stop.cancel();
    within(served).await.unwrap().unwrap();

    let refused = plugin().register_in("/registry").bind().await.unwrap_err();
    assert!(matches!(refused, ServeError::RegistrationEndpoint { .. }));
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = Endpoint::Tcp(taken.local_addr().unwrap());
    let error = Plugin::new(name(), "1", endpoint, Scripted::default()).bind().await.unwrap_err();
    assert!(matches!(error, ServeError::Tcp { .. }), "{error}");
}
