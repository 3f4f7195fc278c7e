//! Scenarios by hand, and a model: random events and outcomes, after which every invariant holds and the world settles.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;
use proptest::prelude::*;

use super::*;
use crate::cluster::PodReference;
use crate::failure::Failure;
use crate::objects::{InlineSource, PersistentSource};
use crate::volume::{PersistentParts, PublishedVolume, VolumeSecurity, VolumeSource};

const START: i64 = 1_800_000_000;

pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(START + seconds).unwrap()
}

fn reference(uid: &str) -> PodReference {
    PodReference { namespace: "ns".into(), name: format!("pod-{uid}"), uid: uid.into() }
}

pub(super) fn inline(uid: &str, volume: &str, driver: &str) -> Arc<VolumeSpec> {
    Arc::new(VolumeSpec {
        pod: reference(uid),
        service_account: "web".into(),
        security: VolumeSecurity::default(),
        volume: volume.into(),
        spec_name: volume.into(),
        volume_handle: format!("csi-{uid}-{volume}"),
        read_only: false,
        source: VolumeSource::Inline(InlineSource { driver: driver.into(), ..Default::default() }),
    })
}

pub(super) fn persistent(uid: &str, volume: &str, driver: &str, pv: &str) -> Arc<VolumeSpec> {
    Arc::new(VolumeSpec {
        spec_name: pv.into(),
        volume_handle: pv.into(),
        source: VolumeSource::Persistent(Box::new(PersistentParts {
            source: PersistentSource {
                driver: driver.into(),
                volume_handle: pv.into(),
                ..Default::default()
            },
            ..PersistentParts::default()
        })),
        ..VolumeSpec::clone(&inline(uid, volume, driver))
    })
}

pub(super) fn claim(uid: &str, volume: &str) -> Arc<ClaimLookup> {
    Arc::new(ClaimLookup {
        pod: reference(uid),
        service_account: "web".into(),
        security: VolumeSecurity::default(),
        volume: volume.into(),
        claim_name: volume.into(),
        read_only: false,
        owned_by_pod: false,
    })
}

pub(super) fn pod(uid: &str, volumes: Vec<VolumeIntent>) -> PodIntent {
    PodIntent { pod: reference(uid), volumes, wanted: true, terminating: false }
}

pub(super) fn terminating(uid: &str) -> PodIntent {
    PodIntent { wanted: false, terminating: true, ..pod(uid, Vec::new()) }
}

pub(super) fn planner() -> Planner {
    Planner::new(Pace::default(), Dice::seeded(7))
}

/// Plans, expects this and nothing else to start, and gives it back.
pub(super) fn only(planner: &mut Planner, now: Timestamp) -> Action {
    let mut actions = planner.plan(now).actions;
    assert_eq!(actions.len(), 1, "{actions:?}");
    actions.remove(0)
}

pub(super) fn finish(planner: &mut Planner, action: &Action, result: Result<Done, Failure>, now: Timestamp) {
    planner.finished(&action.subject(), result, now);
}

#[test]
fn a_volume_by_claim_is_resolved_staged_published_and_all_the_way_back() {
    let mut planner = planner();
    planner.pod_seen(pod("u", vec![VolumeIntent::Claim(claim("u", "c"))]), at(0));
    let action = only(&mut planner, at(0));
    assert!(matches!(action, Action::Resolve(_)));
    assert!(planner.plan(at(0)).actions.is_empty(), "nothing is started twice");
    finish(&mut planner, &action, Ok(Done::Resolved(persistent("u", "c", "d", "pv"))), at(0));
    let action = only(&mut planner, at(0));
    assert!(matches!(action, Action::Stage { .. }));
    finish(&mut planner, &action, Ok(Done::Ok), at(0));
    let action = only(&mut planner, at(1));
    assert!(matches!(action, Action::Publish { remount: false, .. }));
    finish(&mut planner, &action, Ok(Done::Ok), at(1));
    assert_eq!(planner.volumes_of("u"), [VolumeView { volume: "c".into(), pending: None, problem: None }]);
    assert!(planner.plan(at(1)).actions.is_empty());

    planner.pod_seen(terminating("u"), at(2));
    let action = only(&mut planner, at(2));
    assert!(matches!(action, Action::Unpublish { .. }));
    finish(&mut planner, &action, Ok(Done::Ok), at(2));
    let mut actions = planner.plan(at(3)).actions;
    actions.extend(planner.plan(at(3)).actions);
    assert!(
        matches!(actions.as_slice(), [Action::Unstage(_), Action::ClosePod { finish_deletion: true, .. }]),
        "{actions:?}"
    );
    for action in &actions {
        finish(&mut planner, action, Ok(Done::Ok), at(3));
    }
    planner.pod_gone("u");
    assert!(planner.plan(at(4)).actions.is_empty() && planner.is_empty());
    assert_eq!(planner.first_seen("u"), None);
}

#[test]
fn a_pod_deleted_while_it_is_published_is_unpublished_afterwards() {
    let mut planner = planner();
    planner.pod_seen(pod("u", vec![VolumeIntent::Known(inline("u", "v", "d"))]), at(0));
    let action = only(&mut planner, at(0));
    planner.pod_gone("u");
    assert!(planner.plan(at(1)).actions.is_empty());
    finish(&mut planner, &action, Ok(Done::Ok), at(1));
    assert!(matches!(only(&mut planner, at(1)), Action::Unpublish { .. }));
}

#[test]
fn a_pod_that_ends_does_not_come_back() {
    for gone in [true, false] {
        let mut planner = planner();
        let volumes = vec![VolumeIntent::Known(inline("u", "v", "d"))];
        planner.pod_seen(pod("u", volumes.clone()), at(0));
        let action = only(&mut planner, at(0));
        if gone {
            planner.pod_gone("u");
        } else {
            planner.pod_seen(terminating("u"), at(0));
        }
        planner.pod_seen(pod("u", volumes), at(0));
        finish(&mut planner, &action, Ok(Done::Ok), at(0));
        assert!(matches!(only(&mut planner, at(0)), Action::Unpublish { .. }), "gone: {gone}");
    }
}

#[test]
fn what_a_failure_leaves_behind_depends_on_its_class() {
    for (failure, unpublished) in
        [(Failure::last("no"), false), (Failure::transient("no"), false), (Failure::uncertain("no"), true)]
    {
        let mut planner = planner();
        planner.pod_seen(pod("u", vec![VolumeIntent::Known(inline("u", "v", "d"))]), at(0));
        let action = only(&mut planner, at(0));
        finish(&mut planner, &action, Err(failure.clone()), at(0));
        assert_eq!(planner.volumes_of("u")[0].problem.as_deref(), Some("no"));
        planner.pod_gone("u");
        let action = only(&mut planner, at(0));
        assert_eq!(matches!(action, Action::Unpublish { .. }), unpublished, "{failure:?}: {action:?}");
    }
}

#[test]
fn an_uncertain_volume_stays_so_until_the_driver_has_spoken() {
    let mut planner = planner();
    planner.pod_seen(pod("u", vec![VolumeIntent::Known(inline("u", "v", "d"))]), at(0));
    for failure in [Failure::uncertain("maybe"), Failure::transient("no driver")] {
        let action = only(&mut planner, at(0));
        finish(&mut planner, &action, Err(failure), at(0));
        planner.driver_registered("d");
    }
    planner.pod_gone("u");
    assert!(matches!(only(&mut planner, at(0)), Action::Unpublish { .. }), "no lost unpublish");
}

#[test]
fn only_drivers_that_want_it_are_republished_each_within_its_time() {
    let mut planner = planner();
    planner.driver_changed("again", true, at(0));
    planner.driver_changed("once", false, at(0));
    let volumes =
        vec![VolumeIntent::Known(inline("u", "a", "again")), VolumeIntent::Known(inline("u", "b", "once"))];
    planner.pod_seen(pod("u", volumes), at(0));
    for action in planner.plan(at(0)).actions {
        finish(&mut planner, &action, Ok(Done::Ok), at(0));
    }
    let wake = planner.plan(at(0)).wake.unwrap();
    let wait = wake.duration_since(at(0));
    assert!((60..=90).contains(&wait.as_secs()), "{wait:?}");
    assert!(planner.plan(wake - SignedDuration::from_millis(1)).actions.is_empty());
    let action = only(&mut planner, wake);
    assert!(matches!(&action, Action::Publish { remount: true, spec } if spec.volume == "a"));
    finish(&mut planner, &action, Err(Failure::last("no")), wake);
    assert!(
        planner.volumes_of("u").iter().all(VolumeView::is_mounted),
        "a failed republish unmounts nothing"
    );
    // Toggling works both ways for what is mounted.
    planner.driver_changed("again", false, wake);
    assert!(planner.plan(wake + SignedDuration::from_hours(1)).actions.is_empty());
    planner.driver_changed("once", true, wake);
    let soon = wake + SignedDuration::from_secs(5);
    assert!(
        matches!(only(&mut planner, soon), Action::Publish { remount: true, spec } if spec.volume == "b")
    );
}

#[test]
fn a_change_during_a_publish_is_not_lost() {
    let mut planner = planner();
    planner.driver_changed("d", true, at(0));
    planner.pod_seen(pod("u", vec![VolumeIntent::Known(inline("u", "v", "d"))]), at(0));
    let mut now = at(0);
    for remounted in [false, true] {
        let action = only(&mut planner, now);
        assert!(matches!(&action, Action::Publish { remount, .. } if *remount == remounted));
        // The publish may have read the CSIDriver before this.
        planner.driver_changed("d", true, now);
        finish(&mut planner, &action, Ok(Done::Ok), now);
        now += SignedDuration::from_secs(5);
    }
    let action = only(&mut planner, now);
    finish(&mut planner, &action, Ok(Done::Ok), now);
    assert!(
        planner.plan(now + SignedDuration::from_secs(59)).actions.is_empty(),
        "and not repeated for ever"
    );
}

#[test]
fn one_broken_volume_never_holds_up_another() {
    let mut planner = planner();
    planner.driver_changed("d", true, at(0));
    let volumes =
        vec![VolumeIntent::Known(inline("u", "good", "d")), VolumeIntent::Claim(claim("u", "broken"))];
    planner.pod_seen(pod("u", volumes), at(0));
    for action in planner.plan(at(0)).actions {
        let result = match action {
            Action::Resolve(_) => Err(Failure::transient("PVC is being deleted")),
            _ => Ok(Done::Ok),
        };
        finish(&mut planner, &action, result, at(0));
    }
    let republished = planner.plan(at(120)).actions;
    assert!(
        republished.iter().any(|action| matches!(action, Action::Publish { remount: true, .. })),
        "{republished:?}"
    );
}

#[test]
fn one_volume_under_two_names_is_mounted_once() {
    let mut planner = planner();
    planner.pod_seen(
        pod("u", vec![VolumeIntent::Claim(claim("u", "a")), VolumeIntent::Claim(claim("u", "b"))]),
        at(0),
    );
    for action in planner.plan(at(0)).actions {
        let Action::Resolve(lookup) = &action else { panic!("{action:?}") };
        let spec = persistent("u", &lookup.volume, "d", "pv");
        finish(&mut planner, &action, Ok(Done::Resolved(spec)), at(0));
    }
    let action = only(&mut planner, at(0));
    finish(&mut planner, &action, Ok(Done::Ok), at(0));
    let action = only(&mut planner, at(0));
    finish(&mut planner, &action, Ok(Done::Ok), at(0));
    assert!(planner.volumes_of("u").iter().all(VolumeView::is_mounted));
    assert!(planner.plan(at(0)).actions.is_empty());
}

#[test]
fn two_volumes_of_a_pod_never_share_a_directory() {
    let mut planner = planner();
    let volumes = vec![VolumeIntent::Known(inline("u", "pv", "d")), VolumeIntent::Claim(claim("u", "c"))];
    planner.pod_seen(pod("u", volumes), at(0));
    for action in planner.plan(at(0)).actions {
        let result = match action {
            Action::Resolve(_) => Done::Resolved(persistent("u", "c", "d", "pv")),
            _ => Done::Ok,
        };
        finish(&mut planner, &action, Ok(result), at(0));
    }
    let view = planner.volumes_of("u").into_iter().find(|view| view.volume == "c").unwrap();
    assert!(!view.is_mounted() && view.problem.unwrap().contains("share a directory"));
    assert!(planner.plan(at(0)).actions.is_empty());
}

#[test]
fn a_driver_that_hangs_takes_only_its_own_places() {
    let pace = Pace { operations_per_driver: 2, ..Pace::default() };
    let mut planner = Planner::new(pace, Dice::seeded(1));
    for number in 0..5 {
        let uid = format!("slow-{number}");
        planner.pod_seen(pod(&uid, vec![VolumeIntent::Known(inline(&uid, "v", "slow"))]), at(0));
    }
    assert_eq!(planner.plan(at(0)).actions.len(), 2);
    planner.pod_seen(pod("u", vec![VolumeIntent::Known(inline("u", "v", "quick"))]), at(0));
    assert!(matches!(only(&mut planner, at(0)), Action::Publish { spec, .. } if spec.driver() == "quick"));
}

#[test]
fn draining_unpublishes_all_and_leaves_pods_alone() {
    let mut planner = planner();
    planner.pod_seen(pod("u", vec![VolumeIntent::Known(inline("u", "v", "d"))]), at(0));
    let action = only(&mut planner, at(0));
    finish(&mut planner, &action, Ok(Done::Ok), at(0));
    planner.pod_seen(pod("w", vec![VolumeIntent::Known(inline("w", "v", "d"))]), at(0));
    planner.drain();
    let action = only(&mut planner, at(0));
    assert!(matches!(action, Action::Unpublish { .. }));
    finish(&mut planner, &action, Ok(Done::Ok), at(0));
    assert!(planner.plan(at(0)).actions.is_empty() && planner.is_empty());
}

/// One thing that happens to the model.
#[derive(Clone, Debug)]
enum Step {
    See(usize),
    Terminate(usize),
    Remove(usize),
    Finish { which: usize, outcome: u8 },
    Advance(i64),
    Driver { which: usize, republish: bool },
    Register(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => (0..4_usize).prop_map(Step::See),
        1 => (0..4_usize).prop_map(Step::Terminate),
        1 => (0..4_usize).prop_map(Step::Remove),
        8 => (any::<usize>(), 0..6_u8).prop_map(|(which, outcome)| Step::Finish { which, outcome }),
        3 => (-30..200_i64).prop_map(Step::Advance),
        1 => (0..2_usize, any::<bool>()).prop_map(|(which, republish)| Step::Driver { which, republish }),
        1 => (0..2_usize).prop_map(Step::Register),
    ]
}

const DRIVERS: [&str; 2] = ["d0", "d1"];

/// Each pod has an inline volume, and a claim; pods 0 and 1 share a PersistentVolume.
fn model_pod(number: usize) -> PodIntent {
    let uid = number.to_string();
    let driver = DRIVERS[number % 2];
    pod(
        &uid,
        vec![VolumeIntent::Known(inline(&uid, "in", driver)), VolumeIntent::Claim(claim(&uid, "claim"))],
    )
}

fn model_volume(number: usize) -> Arc<VolumeSpec> {
    persistent(&number.to_string(), "claim", "d0", if number < 2 { "pv-shared" } else { "pv-own" })
}

/// What is really there, in the worst case that the outcomes allow.
#[derive(Default)]
struct World {
    running: Vec<Action>,
    /// May be published: pod uid and volume.
    published: BTreeMap<VolumeKey, PublishedVolume>,
    staged: BTreeSet<DeviceKey>,
    /// Pods that exist, and those that terminate.
    pods: BTreeSet<usize>,
    terminating: BTreeSet<usize>,
    /// Pods that once existed: a uid is never used again.
    used: BTreeSet<usize>,
    now: i64,
}

impl World {
    fn check(&self, action: &Action) {
        for other in &self.running {
            assert_ne!(other.subject(), action.subject(), "one action at a time");
        }
        match action {
            Action::Publish { spec, remount } => {
                if let Some(device) = spec.device() {
                    assert!(self.staged.contains(&device), "published before it is staged");
                }
                assert!(!remount || self.published.contains_key(&spec.key()), "a remount of nothing");
                let uid: usize = spec.pod.uid.parse().unwrap();
                assert!(self.pods.contains(&uid) && !self.terminating.contains(&uid), "nobody wants it");
            }
            Action::Unstage(device) => {
                let used = self.published.values().any(|volume| volume.volume_handle == device.volume_handle);
                assert!(!used, "unstaged before it is unpublished");
                let publishing = self.running.iter().any(|other| matches!(other, Action::Publish { spec, .. } if spec.device().as_ref() == Some(device)));
                assert!(!publishing, "unstaged while it is published");
            }
            Action::ClosePod { pod, .. } => {
                assert!(!self.published.keys().any(|key| key.pod_uid == pod.uid), "closed while mounted");
            }
            _ => {}
        }
    }

    fn plan(&mut self, planner: &mut Planner) {
        for action in planner.plan(at(self.now)).actions {
            self.check(&action);
            self.running.push(action);
        }
    }

    /// Ends an action; outcome 0..3 is a success, then final, transient, uncertain.
    fn finish(&mut self, planner: &mut Planner, which: usize, outcome: u8) {
        if self.running.is_empty() {
            return;
        }
        let action = self.running.remove(which % self.running.len());
        let result = match outcome {
            0..3 => Ok(Done::Ok),
            3 => Err(Failure::last("refused")),
            4 => Err(Failure::transient("not now")),
            _ => Err(Failure::uncertain("maybe")),
        };
        let result = match (&action, result) {
            (Action::Resolve(lookup), Ok(_)) => {
                let number: usize = lookup.pod.uid.parse().unwrap();
                Ok(if number == 3 { Done::NotCsi } else { Done::Resolved(model_volume(number)) })
            }
            (Action::Resolve(_) | Action::ClosePod { .. }, Err(_)) => Err(Failure::transient("not now")),
            (Action::Publish { spec, remount }, result) => {
                let may_be_there =
                    result.as_ref().map_or_else(|failure| failure.class == Class::Uncertain, |_| true);
                let refused = result.as_ref().is_err_and(|failure| failure.class == Class::Final);
                if may_be_there {
                    self.published.insert(spec.key(), spec.published());
                } else if refused && !remount {
                    self.published.remove(&spec.key());
                }
                result
            }
            (Action::Unpublish { key, .. }, Ok(done)) => {
                self.published.remove(key);
                Ok(done)
            }
            (Action::Stage { spec, .. }, Ok(done)) => {
                self.staged.insert(spec.device().unwrap());
                Ok(done)
            }
            (Action::Unstage(device), Ok(done)) => {
                self.staged.remove(device);
                Ok(done)
            }
            (Action::ClosePod { pod, finish_deletion: true }, Ok(done)) => {
                let number: usize = pod.uid.parse().unwrap();
                self.pods.remove(&number);
                planner.finished(&action.subject(), Ok(done), at(self.now));
                planner.pod_gone(&pod.uid);
                return;
            }
            (_, result) => result,
        };
        planner.finished(&action.subject(), result, at(self.now));
    }

    fn step(&mut self, planner: &mut Planner, step: &Step) {
        match *step {
            Step::See(number) if self.used.insert(number) || self.pods.contains(&number) => {
                self.pods.insert(number);
                if !self.terminating.contains(&number) {
                    planner.pod_seen(model_pod(number), at(self.now));
                }
            }
            Step::See(_) => {}
            Step::Terminate(number) if self.pods.contains(&number) => {
                self.terminating.insert(number);
                planner.pod_seen(terminating(&number.to_string()), at(self.now));
            }
            Step::Terminate(_) => {}
            Step::Remove(number) => {
                if self.pods.remove(&number) {
                    planner.pod_gone(&number.to_string());
                }
            }
            Step::Finish { which, outcome } => self.finish(planner, which, outcome),
            Step::Advance(seconds) => self.now += seconds,
            Step::Driver { which, republish } => {
                planner.driver_changed(DRIVERS[which], republish, at(self.now));
            }
            Step::Register(which) => planner.driver_registered(DRIVERS[which]),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn random_events_keep_the_invariants_and_then_the_world_settles(steps in proptest::collection::vec(step(), 1..120)) {
        let mut planner = planner();
        let mut world = World::default();
        for step in steps {
            world.step(&mut planner, &step);
            world.plan(&mut planner);
        }
        // From here on everything succeeds: what is wanted gets mounted.
        planner.driver_changed("d0", false, at(world.now));
        planner.driver_changed("d1", false, at(world.now));
        settle(&mut planner, &mut world);
        for &number in &world.pods {
            if world.terminating.contains(&number) {
                continue;
            }
            let views = planner.volumes_of(&number.to_string());
            prop_assert!(views.len() == 2 && views.iter().all(VolumeView::is_mounted), "{number}: {views:?}");
        }
        let wanted: BTreeSet<String> =
            world.pods.difference(&world.terminating).map(usize::to_string).collect();
        prop_assert!(world.published.keys().all(|key| wanted.contains(&key.pod_uid)), "{:?}", world.published);
        // And when all pods go, so does everything else.
        for number in 0..4 {
            world.step(&mut planner, &Step::Remove(number));
        }
        settle(&mut planner, &mut world);
        prop_assert!(planner.is_empty() && world.published.is_empty() && world.staged.is_empty());
    }
}

/// Lets everything succeed until nothing more is to be done.
fn settle(planner: &mut Planner, world: &mut World) {
    for _ in 0..1000 {
        world.plan(planner);
        if world.running.is_empty() {
            match planner.plan(at(world.now)).wake {
                Some(_) => world.now += 10,
                None => return,
            }
        }
        world.finish(planner, 0, 0);
    }
    panic!("the world does not settle: {:?}", world.running);
}
