//! What people type and write wrongly. Without these, a slip is met with half a cluster, a wrong exit code for the script
//! around it, or a message that does not say what to do.

use std::net::TcpListener;

use crate::support::place::Place;
use crate::support::run::Ended;

/// Runs `up`, which must refuse before it has made anything.
fn refused(place: &Place, arguments: &[&str]) -> Ended {
    let ended = place.tokenward(["up"].iter().chain(arguments)).run();
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{arguments:?}: {}", ended.stderr);
    place.assert_nothing_is_left();
    ended
}

#[test]
fn a_bad_manifest_is_named_with_its_line() {
    let place = Place::new();
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n---\n";
    for (text, at, wanted) in [
        (format!("{pod}kind: [\n"), ":5:", "is not valid YAML"),
        (
            format!("{pod}apiVersion: v1\nkind: Podd\nmetadata: {{name: a}}\n"),
            ":5",
            "is of the kind Podd in v1, which this server does not serve",
        ),
        (format!("{pod}apiVersion: v1\nkind: Pod\n"), ":5", "has no `metadata.name`"),
        (format!("{pod}{pod}"), ":5", "keep one of them"),
        ("just text\n".to_owned(), ":1", "not a Kubernetes object"),
    ] {
        let path = place.write("manifest.yaml", &text);
        let path = path.to_str().unwrap();
        let ended = refused(&place, &["--once", "--apply", path]);
        assert!(ended.stderr.starts_with("Error: "), "{}", ended.stderr);
        assert!(ended.stderr.contains(&format!("{path}{at}")), "wanted line {at} in {}", ended.stderr);
        assert!(ended.stderr.contains(wanted), "wanted {wanted:?} in {}", ended.stderr);
    }
}

#[test]
fn the_servers_refusal_names_the_object_and_its_place() {
    let place = Place::new();
    let text = "apiVersion: storage.k8s.io/v1\nkind: CSIDriver\nmetadata: {name: a.example}\nspec:\n  \
                tokenRequests: [{audience: a, expirationSeconds: 599}]\n";
    let path = place.write("manifest.yaml", text);
    let ended = refused(&place, &["--once", "--apply", path.to_str().unwrap()]);
    let wanted = format!("Error: {}:1: csidriver a.example was refused: ", path.display());
    assert!(ended.stderr.contains(&wanted), "{}", ended.stderr);
    assert!(ended.stderr.contains("spec.tokenRequests[0].expirationSeconds"), "{}", ended.stderr);
}

#[test]
fn files_that_cannot_be_read_are_named_with_the_reason() {
    let place = Place::unprivileged();
    let closed = place.write("closed.yaml", "");
    place.close(&closed);
    let (missing, directory) = (place.file("missing.yaml"), place.file(""));
    for (path, reason) in [
        (&missing, "No such file or directory"),
        (&directory, "Is a directory"),
        (&closed, "Permission denied"),
    ] {
        let ended = refused(&place, &["--once", "--apply", path.to_str().unwrap()]);
        let wanted = format!("Error: could not read the manifest `{}`: {reason}", path.display());
        assert!(ended.stderr.starts_with(&wanted), "{}", ended.stderr);
    }
}

#[test]
fn directories_that_cannot_be_used_are_named_with_the_reason() {
    let place = Place::unprivileged();
    let closed = place.file("closed");
    std::fs::create_dir(&closed).unwrap();
    let plain = place.write("plain", "");
    place.close(&closed);
    for (path, reason) in [
        (closed.clone(), "Permission denied"),
        (closed.join("below"), "Permission denied"),
        (plain.clone(), "Not a directory"),
        (place.file("no/such"), "No such file or directory"),
    ] {
        let ended = refused(&place, &["--once", "--root-dir", path.to_str().unwrap()]);
        let wanted =
            format!("Error: `{}` is no directory that `tokenward up` can use: {reason}", path.display());
        assert!(ended.stderr.starts_with(&wanted), "{}", ended.stderr);
    }
    let shared = place.file("shared");
    std::fs::create_dir(&shared).unwrap();
    std::fs::set_permissions(&shared, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let ended = refused(&place, &["--once", "--root-dir", shared.to_str().unwrap()]);
    assert!(ended.stderr.contains("choose a directory of your own"), "{}", ended.stderr);

    let place = Place::new();
    let occupied = place.file("occupied");
    std::fs::create_dir_all(occupied.join("1")).unwrap();
    let ended = refused(&place, &["--once", "--root-dir", occupied.to_str().unwrap()]);
    assert!(ended.stderr.contains("exists and was not made by `tokenward up`"), "{}", ended.stderr);
    assert_eq!(crate::support::place::names(&occupied), ["1"]);
}

#[test]
fn an_address_that_cannot_be_had_is_named_with_what_to_do() {
    let place = Place::new();
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = holder.local_addr().unwrap().to_string();
    let ended = refused(&place, &["--once", "--listen", &taken]);
    assert!(
        ended.stderr.starts_with(&format!("Error: cannot listen on {taken}: Address already in use")),
        "{}",
        ended.stderr
    );
    assert!(
        ended.stderr.contains(&format!("\nHint: Another program listens on {taken}")),
        "{}",
        ended.stderr
    );
    // An address for documentation (RFC 5737), which no machine has.
    let ended = refused(&place, &["--once", "--listen", "192.0.2.1:0"]);
    assert!(ended.stderr.starts_with("Error: cannot listen on 192.0.2.1:0: "), "{}", ended.stderr);
    assert!(ended.stderr.contains("\nHint: Name an address of this machine"), "{}", ended.stderr);
}

#[test]
fn a_kubeconfig_of_others_is_never_replaced() {
    let place = Place::new();
    let theirs = place.write("kubeconfig", "apiVersion: v1\nkind: Config\n");
    let ended = refused(&place, &["--once", "--kubeconfig-out", theirs.to_str().unwrap()]);
    let wanted =
        format!("Error: `{}` is a file that tokenward did not write; name another file", theirs.display());
    assert!(ended.stderr.contains(&wanted), "{}", ended.stderr);
    assert_eq!(std::fs::read_to_string(&theirs).unwrap(), "apiVersion: v1\nkind: Config\n");
    let nowhere = place.file("no/kubeconfig");
    let ended = refused(&place, &["--once", "--kubeconfig-out", nowhere.to_str().unwrap()]);
    assert!(ended.stderr.contains("is not a directory; create it"), "{}", ended.stderr);
}

#[test]
fn wrong_arguments_are_explained_and_end_with_two() {
    let place = Place::new();
    for (arguments, wanted) in [
        (vec!["--once", "--wait"], "the argument '--once' cannot be used with '--wait'"),
        (vec!["--kubernetes-version", "1.33"], "use one of 1.34, 1.35, 1.36"),
        (vec!["--feature-gates", "NoSuchGate=true"], "NoSuchGate"),
        (vec!["--feature-gates", "CSIServiceAccountTokenSecrets=maybe"], "CSIServiceAccountTokenSecrets"),
        (vec!["--once", "--timeout", "5"], "`5` is not a duration; write a number and its unit"),
        (vec!["--nodes", "0"], "0 is not in 1..=100"),
        (vec!["--driver-endpoint", "a.example"], "is not of the form NAME=SOCKET"),
        (vec!["--driver-endpoint", "a.example=relative"], "--driver-endpoint a.example: "),
        (vec!["--listen", "localhost"], "--listen"),
        (vec!["--no-such-flag"], "unexpected argument '--no-such-flag'"),
    ] {
        let ended = refused(&place, &arguments);
        assert!(ended.stderr.contains(wanted), "{arguments:?}: wanted {wanted:?} in {}", ended.stderr);
    }
    let nothing: [&str; 0] = [];
    let ended = place.tokenward(nothing).run();
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""));
    assert!(ended.stderr.contains("Usage: tokenward"), "{}", ended.stderr);
}
