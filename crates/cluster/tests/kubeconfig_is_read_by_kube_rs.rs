//! What is written for kubectl is read by kube-rs too: server, authority, certificate and key arrive as they were made.

use kube::config::{KubeConfigOptions, Kubeconfig as Read};
use tokenward_cluster::kubeconfig::Kubeconfig;
use tokenward_cluster::pki::Authority;

#[tokio::test]
async fn a_client_is_made_of_it() {
    let now = "2026-03-01T12:00:00Z".parse().unwrap();
    let authority = Authority::generate(now).unwrap();
    let admin = authority.admin(now).unwrap();
    let written = Kubeconfig::new("https://127.0.0.1:16443", &authority, "kubernetes-admin", &admin);

    let read = Read::from_yaml(written.expose_yaml()).unwrap();
    assert_eq!(read.current_context.as_deref(), Some("tokenward"));
    let config = kube::Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await.unwrap();

    assert_eq!(config.cluster_url.to_string(), "https://127.0.0.1:16443/");
    assert_eq!(config.default_namespace, "default");
    assert_eq!(config.root_cert, Some(vec![authority.certificate_der().to_vec()]));
    assert!(config.auth_info.client_certificate_data.is_some());
    // Building the TLS configuration decodes certificate and key.
    kube::Client::try_from(config).unwrap();
}
