//! The administrator of a running cluster: kube-rs with the kubeconfig that the command wrote.

use std::fmt::Debug;
use std::path::Path;
use std::pin::pin;

use futures_util::StreamExt as _;
use k8s_openapi::api::core::v1::{Event, Pod};
use k8s_openapi::api::storage::v1::CSINode;
use kube::api::DeleteParams;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::wait::{await_condition, conditions};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::time::timeout;

use super::LIMIT;

pub(crate) struct Admin {
    runtime: Runtime,
    client: Client,
}

impl Admin {
    pub(crate) fn new(kubeconfig: &Path) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let client = runtime.block_on(async {
            let kubeconfig = Kubeconfig::read_from(kubeconfig).unwrap();
            let options = KubeConfigOptions::default();
            let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await.unwrap();
            Client::try_from(config).unwrap()
        });
        Self { runtime, client }
    }

    /// What the server answers to GET, byte for byte.
    pub(crate) fn text(&self, path: &str) -> String {
        self.request(http::Request::get(path))
    }

    /// What the server answers to a request without a body, byte for byte.
    pub(crate) fn request(&self, request: http::request::Builder) -> String {
        let request = request.body(Vec::new()).unwrap();
        self.runtime.block_on(self.client.request_text(request)).unwrap()
    }

    pub(crate) fn get(&self, path: &str) -> Value {
        serde_json::from_str(&self.text(path)).unwrap()
    }

    pub(crate) fn create(&self, collection: &str, object: &Value) -> Value {
        self.send(http::Request::post(collection), object)
    }

    pub(crate) fn create_pod(&self, pod: &Value) -> Value {
        self.create("/api/v1/namespaces/default/pods", pod)
    }

    pub(crate) fn merge_patch(&self, path: &str, patch: &Value) -> Value {
        self.send(http::Request::patch(path).header("content-type", "application/merge-patch+json"), patch)
    }

    fn send(&self, request: http::request::Builder, body: &Value) -> Value {
        let request = request.body(serde_json::to_vec(body).unwrap()).unwrap();
        self.runtime.block_on(self.client.request(request)).unwrap()
    }

    /// Asks the server whether a token is good for an audience.
    pub(crate) fn is_authenticated(&self, token: &str, audience: &str) -> bool {
        let review = json!({
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": token, "audiences": [audience]},
        });
        let status = self.create("/apis/authentication.k8s.io/v1/tokenreviews", &review)["status"].take();
        let is_authenticated = status["authenticated"] == json!(true);
        assert_eq!(status.pointer("/user/username").is_some(), is_authenticated, "{status}");
        assert_eq!(status.get("error").is_some(), !is_authenticated, "{status}");
        is_authenticated
    }

    /// Deletes a pod and waits until the node has let it go.
    pub(crate) fn delete_pod(&self, namespace: &str, name: &str) {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        self.runtime.block_on(async {
            let uid = pods.get(name).await.unwrap().metadata.uid.unwrap();
            pods.delete(name, &DeleteParams::default()).await.unwrap();
            let gone = await_condition(pods, name, conditions::is_deleted(&uid));
            timeout(LIMIT, gone).await.unwrap_or_else(|_| panic!("the pod {name} stays")).unwrap();
        });
    }

    /// Waits until a driver is registered on the only node.
    pub(crate) fn wait_for_registration(&self, driver: &str) {
        self.wait_for("the registration", |node: &CSINode| {
            node.spec.drivers.iter().any(|entry| entry.name == driver)
        });
    }

    /// Waits for an event that says why a pod's volume is not mounted, and returns its message.
    pub(crate) fn wait_for_mount_failure(&self, pod: &str, wanted: &str) -> String {
        let event = self.wait_for(wanted, |event: &Event| {
            event.reason.as_deref() == Some("FailedMount")
                && event.involved_object.name.as_deref() == Some(pod)
                && event.message.as_deref().unwrap_or_default().contains(wanted)
        });
        event.message.unwrap()
    }

    /// Waits for an event about a pod, by its reason.
    pub(crate) fn wait_for_event(&self, pod: &str, reason: &str) -> Event {
        self.wait_for(reason, |event: &Event| {
            event.reason.as_deref() == Some(reason) && event.involved_object.name.as_deref() == Some(pod)
        })
    }

    /// Waits until the node says that a pod runs: all of its volumes are mounted.
    pub(crate) fn wait_until_running(&self, name: &str) {
        self.wait_for("a running pod", |pod: &Pod| {
            pod.metadata.name.as_deref() == Some(name)
                && pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Running")
        });
    }

    fn wait_for<K>(&self, what: &str, condition: impl Fn(&K) -> bool) -> K
    where
        K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
    {
        let api: Api<K> = Api::all(self.client.clone());
        let found = self.runtime.block_on(async {
            let mut objects = pin!(watcher(api, watcher::Config::default()).applied_objects());
            timeout(LIMIT, async {
                loop {
                    match objects.next().await.unwrap() {
                        Ok(object) if condition(&object) => return object,
                        Ok(_) => {}
                        Err(error) => panic!("watching failed: {error}"),
                    }
                }
            })
            .await
        });
        found.unwrap_or_else(|_| panic!("waited in vain for {what}"))
    }

    /// Every object that can be listed, as the server shows it: path and text.
    pub(crate) fn everything(&self) -> Vec<(String, String)> {
        let mut roots = vec!["/api/v1".to_owned()];
        for group in self.get("/apis")["groups"].as_array().unwrap() {
            for version in group["versions"].as_array().unwrap() {
                roots.push(format!("/apis/{}", version["groupVersion"].as_str().unwrap()));
            }
        }
        let mut found = Vec::new();
        for root in roots {
            for resource in self.get(&root)["resources"].as_array().unwrap() {
                if resource["verbs"].as_array().unwrap().iter().any(|verb| verb == "list") {
                    let path = format!("{root}/{}", resource["name"].as_str().unwrap());
                    let text = self.text(&path);
                    found.push((path, text));
                }
            }
        }
        found
    }
}
