//! A driver that repeats its whole request in its errors, and everything recorded that the node writes: logs at every
//! level (those of gRPC and HTTP/2 below it too), Events, pod statuses, observations, files, metrics, its status. No byte of a token in any.

#![expect(clippy::unwrap_used, reason = "a test that breaks is a failed test")]

mod support;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::json;
use support::driver::FakeDriver;
use support::eventually;
use support::world::World;
use tokenward_node::metrics::Metrics;
use tokenward_node::status::status_channel;
use tonic::Code;
use tracing_subscriber::fmt::MakeWriter;

/// One token that looks like one, and one that does not; each part of them is searched for.
const SHAPED: &str =
    "eyJhbGciOiJub25lIiwia2lkIjoiY2FuYXJ5In0.eyJzdWIiOiJjYW5hcnktc3ViamVjdCJ9.Y2FuYXJ5LXNpZ25hdHVyZQ";
const OPAQUE: &str = "canary0opaque0token0with0no0shape";
const SECRET: &str = "canary0publish0secret";

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn no_byte_of_a_token_is_written_anywhere() {
    let log = Log::default();
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(log.clone()).finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();

    let mut world = World::new(Box::new(|request, _| {
        if request.audience.as_str() == "shaped" { SHAPED.to_owned() } else { OPAQUE.to_owned() }
    }));
    world.cluster.put(
        "secrets",
        json!({ "metadata": { "name": "creds", "namespace": "ns" },
            "data": { "password": "Y2FuYXJ5MHB1Ymxpc2gwc2VjcmV0" } }),
    );
    let audiences = json!([{ "audience": "shaped" }, { "audience": "opaque" }]);
    world.csi_driver("in-context", &json!({ "tokenRequests": audiences }));
    world.csi_driver(
        "in-secrets",
        &json!({ "tokenRequests": audiences, "serviceAccountTokenInSecrets": true }),
    );
    for driver in ["in-context", "in-secrets"] {
        let volume = json!({ "name": "data", "csi": { "driver": driver, "nodePublishSecretRef": { "name": "creds" } } });
        world.pod(driver, &json!([volume]));
    }
    let metrics = Arc::new(Metrics::new());
    let (status, requests) = status_channel();
    world.start_with(|config| {
        config.metrics = Arc::clone(&metrics);
        config.status = Some(requests);
    });
    let mut drivers = Vec::new();
    for name in ["in-context", "in-secrets"] {
        let driver = FakeDriver::new(world.path(), name, &[]);
        driver.fail("NodePublishVolume", Code::Internal, "cannot use this");
        driver.echo_requests();
        drivers.push((driver.serve(world.path(), true).await, driver));
    }
    for (_, driver) in &drivers {
        eventually("an echoed request", || {
            let failures = world.failures();
            let echoed = failures
                .iter()
                .find(|failure| failure.driver == driver.name && failure.message.contains("cannot use this"));
            echoed.cloned().ok_or(format!("{failures:?}"))
        })
        .await;
        // What was echoed did hold the tokens.
        let request = driver.publishes().remove(0);
        let value =
            tokenward_tokens::find(&request.secrets, &request.volume_context).unwrap().value.to_owned();
        assert!(value.contains(SHAPED) && value.contains(OPAQUE) && request.secrets["password"] == SECRET);
        driver.recover();
    }
    world
        .pass_time_until("deliveries", Duration::from_millis(100), || match world.deliveries().len() {
            2.. => Ok(()),
            count => Err(format!("{count}, {:?}", world.failures())),
        })
        .await;
    world.phase("in-context", "Running").await;
    world.terminate("in-secrets");
    world.gone("in-secrets").await;
    eventually("Events", || if world.cluster.events().len() >= 2 { Ok(()) } else { Err(String::new()) })
        .await;

    let mut files = Vec::new();
    read_all(world.path(), &mut files);
    let status = status.status().await.unwrap();
    let metrics = metrics.render(&status);
    assert!(metrics.contains(r#"audience="shaped""#), "{metrics}");
    let status = format!("{status:?} {}", serde_json::to_string(&status).unwrap());
    let pod = world.cluster.get("pods", "ns", "in-context").unwrap().to_string();
    world.stop().await.unwrap();
    let observations = format!("{:?}", world.observations.lock());
    let events = format!("{:?}", world.cluster.events());
    let log = String::from_utf8(log.0.lock().clone()).unwrap();
    assert!(log.contains("cannot use this") && log.contains("***stripped***"), "the log was captured");
    assert!(log.contains("TRACE"), "at every level");
    let files = String::from_utf8_lossy(&files).into_owned();
    assert!(files.contains("volumeHandle"), "the files were read");
    for (place, text) in [
        ("log", log),
        ("files", files),
        ("pod", pod),
        ("observations", observations),
        ("events", events),
        ("metrics", metrics),
        ("status", status),
    ] {
        for canary in SHAPED.split('.').chain([OPAQUE, SECRET]) {
            assert!(!text.contains(canary), "{canary} in {place}");
        }
    }
    for (served, _) in drivers {
        served.stop().await;
    }
}

fn read_all(directory: &Path, content: &mut Vec<u8>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_all(&path, content);
        } else if path.is_file() {
            content.extend(std::fs::read(&path).unwrap());
        }
    }
}
