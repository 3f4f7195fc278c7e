use super::super::tests::{at, claim, finish, inline, only, persistent, planner, pod, terminating};
use super::super::{Action, Done, VolumeIntent};
use super::*;
use crate::failure::Failure;
use std::collections::HashSet;

fn found(spec: &VolumeSpec) -> FoundVolume {
    FoundVolume { published: spec.published(), device: spec.device() }
}

fn listed(planner: &mut Planner, uids: &[&str]) {
    planner.pods_listed(&uids.iter().copied().collect::<HashSet<_>>());
}

#[test]
fn what_a_pod_still_wants_is_published_anew_and_never_given_up() {
    let mut planner = planner();
    let spec = persistent("u", "c", "d", "pv");
    planner.found_volume(found(&spec), at(0));
    planner.found_device(spec.device().unwrap());
    listed(&mut planner, &["u"]);
    planner.pod_seen(pod("u", vec![VolumeIntent::Claim(claim("u", "c"))]), at(0));
    assert!(!planner.is_settled("u"));
    let action = only(&mut planner, at(0));
    finish(&mut planner, &action, Ok(Done::Resolved(spec)), at(0));
    let action = only(&mut planner, at(0));
    assert!(matches!(action, Action::Stage { again: true, .. }));
    finish(&mut planner, &action, Ok(Done::Ok), at(0));
    // Refused: what is mounted may be in use all the same.
    let action = only(&mut planner, at(0));
    assert!(matches!(action, Action::Publish { remount: true, .. }));
    finish(&mut planner, &action, Err(Failure::last("no")), at(0));
    assert_eq!((planner.mounted(), planner.is_settled("u")), (1, false));
    let action = only(&mut planner, at(1));
    assert!(matches!(action, Action::Publish { remount: true, .. }));
    finish(&mut planner, &action, Ok(Done::Ok), at(1));
    assert!(planner.is_settled("u") && planner.volumes_of("u")[0].is_mounted());
    planner.pod_gone("u");
    assert!(matches!(only(&mut planner, at(1)), Action::Unpublish { .. }));
}

#[test]
fn what_nobody_wants_goes_even_before_its_driver_is_back() {
    let mut planner = planner();
    let spec = persistent("u", "c", "d", "pv");
    planner.found_volume(found(&spec), at(0));
    planner.found_device(spec.device().unwrap());
    planner.found_pod("w", at(0));
    assert!(planner.plan(at(0)).actions.is_empty(), "not before the pods are known");
    listed(&mut planner, &[]);
    let mut actions = planner.plan(at(0)).actions;
    assert_eq!(actions.len(), 2, "{actions:?}");
    assert!(matches!(&actions[1], Action::ClosePod { pod, finish_deletion: false } if pod.uid == "w"));
    let action = actions.remove(0);
    assert_eq!(action, Action::Reclaim(spec.published()));
    finish(&mut planner, &action, Err(Failure::transient("driver name d not found")), at(0));
    finish(&mut planner, &actions[0], Ok(Done::Ok), at(0));
    assert!(planner.plan(at(0)).actions.is_empty());
    planner.driver_registered("d");
    let action = only(&mut planner, at(0));
    finish(&mut planner, &action, Ok(Done::Ok), at(0));
    let mut actions = planner.plan(at(0)).actions;
    assert_eq!(actions.len(), 2, "{actions:?}");
    assert!(matches!(actions[1], Action::ClosePod { .. }));
    let action = actions.remove(0);
    assert_eq!(action, Action::Unstage(spec.device().unwrap()));
    finish(&mut planner, &action, Ok(Done::Ok), at(0));
    assert!(planner.plan(at(0)).actions.is_empty() && planner.is_empty());
}

#[test]
fn a_pod_that_has_ended_meanwhile_is_taken_down_and_let_go() {
    let mut planner = planner();
    let spec = inline("u", "v", "d");
    planner.found_volume(found(&spec), at(0));
    listed(&mut planner, &["u"]);
    planner.pod_seen(terminating("u"), at(0));
    let action = only(&mut planner, at(0));
    assert_eq!(action, Action::Reclaim(spec.published()));
    finish(&mut planner, &action, Ok(Done::Ok), at(0));
    let action = only(&mut planner, at(0));
    assert!(matches!(&action, Action::ClosePod { pod, finish_deletion: true } if pod.name == "pod-u"));
}

#[test]
fn another_volume_in_the_same_place_waits_until_the_old_one_is_gone() {
    let mut planner = planner();
    let old = persistent("u", "c", "other", "v");
    planner.found_volume(found(&old), at(0));
    listed(&mut planner, &["u"]);
    let volumes = vec![VolumeIntent::Known(inline("u", "v", "d")), VolumeIntent::Claim(claim("u", "c"))];
    planner.pod_seen(pod("u", volumes), at(0));
    // The claim may yet turn out to be the one that was found.
    let action = only(&mut planner, at(0));
    finish(&mut planner, &action, Ok(Done::NotCsi), at(0));
    let action = only(&mut planner, at(0));
    assert_eq!(action, Action::Reclaim(old.published()));
    finish(&mut planner, &action, Ok(Done::Ok), at(0));
    let action = only(&mut planner, at(0));
    assert!(matches!(&action, Action::Publish { remount: false, spec } if spec.volume == "v"));
}
