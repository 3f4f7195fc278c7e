//! `tokenward node status` beside a `tokenward up`. Without these, the nodes of a run have volumes and tokens that nobody can ask
//! for, and a socket that stays behind answers nobody.

use serde_json::Value;

use crate::support::manifests::{csi_driver, file, pod};
use crate::support::place::Place;
use crate::support::run::{Ended, Signal};

const DRIVER: &str = "files.csi.example";

fn status(place: &Place, more: &[&str]) -> Ended {
    place.tokenward(["node", "status"].iter().chain(more)).run()
}

#[test]
fn each_node_of_a_run_can_be_asked() {
    let place = Place::new();
    let on = |node: &str| {
        let mut pod = pod(&format!("on-{node}"), DRIVER);
        pod["spec"]["nodeName"] = node.into();
        pod
    };
    let objects = [csi_driver(DRIVER, Some(true)), on("node-1"), on("node-2")];
    let manifests = place.write("manifests.yaml", &file(&objects));
    let root = place.file("nodes").display().to_string();
    let apply = format!("--apply={}", manifests.display());
    let below = format!("--root-dir={root}");
    let run = place.tokenward(["up", "--nodes=2", "--wait", &apply, &below]).start();
    run.ready();

    let both = status(&place, &[&below, "-o", "json"]);
    assert_eq!((both.code, both.stderr.as_str()), (Some(0), ""));
    let told: Vec<Value> =
        serde_json::Deserializer::from_str(&both.stdout).into_iter().collect::<Result<_, _>>().unwrap();
    let volumes = |status: &Value| {
        let volume = &status["volumes"][0];
        (status["node"].clone(), volume["pod"].clone(), volume["state"].clone(), volume["placement"].clone())
    };
    let wanted = |node: &str| (node.into(), format!("on-{node}").into(), "mounted".into(), "secrets".into());
    assert_eq!(told.iter().map(volumes).collect::<Vec<_>>(), [wanted("node-1"), wanted("node-2")]);

    let second = status(&place, &[&format!("{below}/2")]);
    assert_eq!((second.code, second.stderr.as_str()), (Some(0), ""));
    assert!(second.stdout.starts_with("node node-2: 1 drivers, 1 volumes (0 waiting), 2 tokens in memory\n"));
    assert!(second.stdout.contains("on-node-2") && !second.stdout.contains("on-node-1"), "{}", second.stdout);

    run.signal(Signal::TERM);
    let ended = run.wait();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stderr.lines().any(|line| line == format!("nodes below {root}")), "{}", ended.stderr);
    place.assert_nothing_is_left();
    let nobody = status(&place, &[&below]);
    assert_eq!(nobody.code, Some(2));
    assert!(nobody.stderr.contains(&format!("no node runs with the root directory `{root}`")));
}

#[test]
fn a_run_says_where_its_nodes_are() {
    let place = Place::new();
    // A node that has mounted something can be asked; without pods `ready` may come before its socket.
    let manifests = place.write("manifests.yaml", &file(&[csi_driver(DRIVER, None), pod("web", DRIVER)]));
    let run = place.tokenward(["up".to_owned(), "--wait".into(), format!("--apply={}", manifests.display())]);
    let run = run.start();
    run.ready();
    let line = run.stderr_line(|line| line.starts_with("nodes below "));
    let root = line.strip_prefix("nodes below ").unwrap();
    let one = status(&place, &["--root-dir", root]);
    assert_eq!((one.code, one.stderr.as_str()), (Some(0), ""));
    assert!(one.stdout.starts_with("node node-1: 1 drivers, 1 volumes (0 waiting)"), "{}", one.stdout);
    run.signal(Signal::TERM);
    assert_eq!(run.wait().code, Some(0));
    place.assert_nothing_is_left();
}
