//! The rules, row by row, and what holds for any spec.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::aggregate;

fn spec(value: &Value) -> CsiDriverSpec {
    let mut spec = CsiDriverSpec::from_value(value).expect("a test's own spec");
    set_defaults(&mut spec);
    spec
}

fn gates(release: Release) -> FeatureGates {
    FeatureGates::for_release(release)
}

fn gate_off() -> FeatureGates {
    FeatureGates::parse(Release::V1_35, "CSIServiceAccountTokenSecrets=false")
        .expect("beta: may be switched off")
}

fn texts(errors: &[FieldError]) -> Vec<String> {
    errors.iter().map(ToString::to_string).collect()
}

#[test]
fn defaults_fill_what_is_absent_and_nothing_else() {
    assert_eq!(
        spec(&json!({})).to_value(),
        json!({"attachRequired": true, "podInfoOnMount": false, "volumeLifecycleModes": ["Persistent"],
            "storageCapacity": false, "fsGroupPolicy": "ReadWriteOnceWithFSType", "requiresRepublish": false,
            "seLinuxMount": false})
    );
    let full = json!({"attachRequired": false, "podInfoOnMount": true, "volumeLifecycleModes": ["Ephemeral"],
        "storageCapacity": true, "fsGroupPolicy": "None", "tokenRequests": [{"audience": "", "expirationSeconds": 600}],
        "requiresRepublish": true, "seLinuxMount": true, "nodeAllocatableUpdatePeriodSeconds": 10,
        "serviceAccountTokenInSecrets": false, "preventPodSchedulingIfMissing": true});
    assert_eq!(spec(&full).to_value(), full);
}

#[test]
fn trees_that_are_no_spec_are_refused_without_quoting_them() {
    assert_eq!(CsiDriverSpec::from_value(&Value::Null), Ok(CsiDriverSpec::default()));
    assert_eq!(
        CsiDriverSpec::from_value(&json!({"tokenRequests": null, "unknown": 1})),
        Ok(CsiDriverSpec::default())
    );
    let error = CsiDriverSpec::from_value(&json!({"fsGroupPolicy": ["canary"]})).expect_err("a list");
    assert!(!format!("{error} {error:?}").contains("canary"));
}

#[test]
fn each_rule_has_its_words_and_its_bounds() {
    let requests = |seconds: i64| json!({"tokenRequests": [{"audience": "a", "expirationSeconds": seconds}]});
    let rows = [
        (json!({}), vec![]),
        (requests(600), vec![]),
        (requests(1 << 32), vec![]),
        (
            json!({"tokenRequests": [{"audience": ""}, {"audience": "any \u{1} text, \u{e9}ven this"}]}),
            vec![],
        ),
        (json!({"volumeLifecycleModes": ["Ephemeral", "Persistent", "Ephemeral"]}), vec![]),
        (json!({"nodeAllocatableUpdatePeriodSeconds": 10}), vec![]),
        (json!({"tokenRequests": [{"audience": "a"}], "serviceAccountTokenInSecrets": false}), vec![]),
        (
            json!({"fsGroupPolicy": "Never"}),
            vec![
                "spec.fsGroupPolicy: Unsupported value: \"Never\": supported values: \"File\", \"None\", \"ReadWriteOnceWithFSType\"",
            ],
        ),
        (
            requests(599),
            vec![
                "spec.tokenRequests[0].expirationSeconds: Invalid value: 599: may not specify a duration less than 10 minutes",
            ],
        ),
        (
            requests((1 << 32) + 1),
            vec![
                "spec.tokenRequests[0].expirationSeconds: Invalid value: 4294967297: may not specify a duration larger than 2^32 seconds",
            ],
        ),
        (
            json!({"tokenRequests": [{}, {"audience": "", "expirationSeconds": 1}, {"expirationSeconds": -1}]}),
            vec![
                "spec.tokenRequests[1].audience: Duplicate value: \"\"",
                "spec.tokenRequests[2].audience: Duplicate value: \"\"",
            ],
        ),
        (
            json!({"volumeLifecycleModes": ["Forever", "Persistent", "Never"]}),
            vec![
                "spec.volumeLifecycleModes: Unsupported value: \"Forever\": supported values: \"Persistent\", \"Ephemeral\"",
                "spec.volumeLifecycleModes: Unsupported value: \"Never\": supported values: \"Persistent\", \"Ephemeral\"",
            ],
        ),
        (
            json!({"nodeAllocatableUpdatePeriodSeconds": 9}),
            vec![
                "spec.nodeAllocatableUpdatePeriodSeconds: Invalid value: 9: must be greater than or equal to 10 seconds",
            ],
        ),
        (
            json!({"serviceAccountTokenInSecrets": true}),
            vec![
                "spec.serviceAccountTokenInSecrets: Invalid value: true: serviceAccountTokenInSecrets is set but no tokenRequests are specified",
            ],
        ),
        (
            json!({"serviceAccountTokenInSecrets": false, "tokenRequests": []}),
            vec![
                "spec.serviceAccountTokenInSecrets: Invalid value: false: serviceAccountTokenInSecrets is set but no tokenRequests are specified",
            ],
        ),
    ];
    for (value, wanted) in rows {
        assert_eq!(texts(&validate_create("files.csi.example", &spec(&value))), wanted, "{value}");
        assert_eq!(texts(&validate_update(&spec(&value), &spec(&value))), wanted, "no ratcheting: {value}");
    }
}

#[test]
fn errors_come_in_upstreams_order() {
    let bad = CsiDriverSpec {
        volume_lifecycle_modes: vec!["Forever".to_owned()],
        token_requests: vec![TokenRequest { audience: "a".to_owned(), expiration_seconds: Some(1) }],
        node_allocatable_update_period_seconds: Some(0),
        ..CsiDriverSpec::default()
    };
    let errors = validate_create("A", &bad);
    let fields: Vec<_> = errors.iter().map(|error| (error.field(), error.reason())).collect();
    assert_eq!(
        fields,
        [
            ("metadata.name", "FieldValueInvalid"),
            ("spec.attachedRequired", "FieldValueRequired"),
            ("spec.podInfoOnMount", "FieldValueRequired"),
            ("spec.storageCapacity", "FieldValueRequired"),
            ("spec.fsGroupPolicy", "FieldValueRequired"),
            ("spec.tokenRequests[0].expirationSeconds", "FieldValueInvalid"),
            ("spec.volumeLifecycleModes", "FieldValueNotSupported"),
            ("spec.seLinuxMount", "FieldValueRequired"),
            ("spec.nodeAllocatableUpdatePeriodSeconds", "FieldValueInvalid"),
        ]
    );
}

/// As recorded from a running kube-apiserver.
#[test]
fn many_faults_make_one_message() {
    let bad = spec(&json!({"fsGroupPolicy": "Never", "tokenRequests": [{"audience": "a"},
        {"audience": "a", "expirationSeconds": 1}, {"audience": "b", "expirationSeconds": 599}],
        "volumeLifecycleModes": ["Forever"], "nodeAllocatableUpdatePeriodSeconds": 1}));
    assert_eq!(
        aggregate(&validate_create("pub-bad3", &bad)),
        "[spec.fsGroupPolicy: Unsupported value: \"Never\": supported values: \"File\", \"None\", \"ReadWriteOnceWithFSType\", \
         spec.tokenRequests[1].audience: Duplicate value: \"a\", \
         spec.tokenRequests[2].expirationSeconds: Invalid value: 599: may not specify a duration less than 10 minutes, \
         spec.volumeLifecycleModes: Unsupported value: \"Forever\": supported values: \"Persistent\", \"Ephemeral\", \
         spec.nodeAllocatableUpdatePeriodSeconds: Invalid value: 1: must be greater than or equal to 10 seconds]"
    );
}

#[test]
fn two_fields_never_change() {
    let old = spec(&json!({"volumeLifecycleModes": ["Persistent", "Ephemeral"]}));
    let rows = [
        (
            json!({"volumeLifecycleModes": ["Persistent", "Ephemeral"], "podInfoOnMount": true, "storageCapacity": true,
            "fsGroupPolicy": "File", "requiresRepublish": true, "seLinuxMount": true, "tokenRequests": [{}]}),
            vec![],
        ),
        (
            json!({"attachRequired": false, "volumeLifecycleModes": ["Ephemeral", "Persistent"]}),
            vec![
                "spec.attachedRequired: Invalid value: false: field is immutable",
                "spec.volumeLifecycleModes: Invalid value: [\"Ephemeral\",\"Persistent\"]: field is immutable",
            ],
        ),
    ];
    for (value, wanted) in rows {
        assert_eq!(texts(&validate_update(&spec(&value), &old)), wanted, "{value}");
    }
}

#[test]
fn the_gate_drops_the_field_on_a_create() {
    for (gates, kept) in [
        (gates(Release::V1_34), false),
        (gate_off(), false),
        (gates(Release::V1_35), true),
        (gates(Release::V1_36), true),
    ] {
        for value in [true, false] {
            let mut new = spec(&json!({"serviceAccountTokenInSecrets": value}));
            prepare_create(&mut new, &gates);
            assert_eq!(new.service_account_token_in_secrets, kept.then_some(value), "{gates:?}");
            // What was dropped cannot be wrong any more.
            assert_eq!(validate_create("a", &new).is_empty(), !kept, "{gates:?}");
        }
    }
}

/// Section 2.4: gate, stored value, submitted value; what is stored then.
#[test]
fn the_gate_table_of_an_update() {
    let all = [None, Some(true), Some(false)];
    let stored = |gates: &FeatureGates, old: Option<bool>, submitted: Option<bool>| {
        let with = |value| CsiDriverSpec {
            service_account_token_in_secrets: value,
            ..spec(&json!({"tokenRequests": [{}]}))
        };
        let mut new = with(submitted);
        let change = prepare_update(&mut new, &with(old), gates);
        (new.service_account_token_in_secrets, change == SpecChange::Changed)
    };
    for old in all {
        for submitted in all {
            let changed = old != submitted;
            let row = format!("stored {old:?}, submitted {submitted:?}");
            assert_eq!(stored(&gates(Release::V1_35), old, submitted), (submitted, changed), "{row}");
            assert_eq!(stored(&gates(Release::V1_36), old, submitted), (submitted, changed), "{row}");
            let wanted = if old.is_some() { (submitted, changed) } else { (None, false) };
            assert_eq!(stored(&gate_off(), old, submitted), wanted, "gate off, {row}");
            assert_eq!(stored(&gates(Release::V1_34), old, submitted), (None, false), "1.34, {row}");
        }
    }
}

#[test]
fn a_kept_value_without_requests_is_refused_with_the_gate_off_as_well() {
    let old = spec(&json!({"tokenRequests": [{"audience": "vault"}], "serviceAccountTokenInSecrets": true}));
    let mut new = spec(&json!({"serviceAccountTokenInSecrets": true}));
    assert_eq!(prepare_update(&mut new, &old, &gate_off()), SpecChange::Changed);
    assert_eq!(
        texts(&validate_update(&new, &old)),
        [
            "spec.serviceAccountTokenInSecrets: Invalid value: true: serviceAccountTokenInSecrets is set but no tokenRequests are specified"
        ]
    );
    let mut both = spec(&json!({}));
    assert_eq!(prepare_update(&mut both, &old, &gate_off()), SpecChange::Changed);
    assert_eq!(validate_update(&both, &old), []);
}

#[test]
fn an_alpha_field_is_not_taken_but_kept_where_it_is_known() {
    let with = |value| CsiDriverSpec { prevent_pod_scheduling_if_missing: value, ..spec(&json!({})) };
    let mut new = with(Some(true));
    prepare_create(&mut new, &gates(Release::V1_36));
    assert_eq!(new, with(None));
    for (release, old, kept) in [
        (Release::V1_36, Some(true), Some(false)),
        (Release::V1_36, None, None),
        (Release::V1_35, Some(true), None),
    ] {
        let mut new = with(Some(false));
        let _ = prepare_update(&mut new, &with(old), &gates(release));
        assert_eq!(new.prevent_pod_scheduling_if_missing, kept, "{release} {old:?}");
    }
}

#[test]
fn generation_counts_changes_of_the_spec() {
    let old = spec(&json!({"tokenRequests": [{"audience": "a"}]}));
    let rows = [
        (json!({"tokenRequests": [{"audience": "a"}]}), SpecChange::Unchanged),
        (json!({"tokenRequests": [{"audience": "a"}], "attachRequired": true}), SpecChange::Unchanged),
        (json!({"tokenRequests": [{"audience": "a"}], "requiresRepublish": true}), SpecChange::Changed),
        (json!({"tokenRequests": [{"audience": "a", "expirationSeconds": 600}]}), SpecChange::Changed),
        (json!({"tokenRequests": []}), SpecChange::Changed),
        (
            json!({"tokenRequests": [{"audience": "a"}], "serviceAccountTokenInSecrets": true}),
            SpecChange::Changed,
        ),
    ];
    for (value, wanted) in rows {
        assert_eq!(prepare_update(&mut spec(&value), &old, &gates(Release::V1_35)), wanted, "{value}");
    }
    // nil and empty lists are equal, and what the gate drops makes no change.
    assert_eq!(
        prepare_update(&mut spec(&json!({"tokenRequests": []})), &spec(&json!({})), &gates(Release::V1_35)),
        SpecChange::Unchanged
    );
    assert_eq!(SpecChange::Changed.next_generation(0), 1);
    assert_eq!(SpecChange::Changed.next_generation(4), 5);
    assert_eq!(SpecChange::Unchanged.next_generation(0), 0);
}

#[test]
fn drivers_that_do_not_say_where_are_warned_once() {
    const WARNING: &str = "spec.serviceAccountTokenInSecrets is unset; if supported by this CSI driver, set to true to prevent possible logging of tokens in volume attributes";
    let create = [
        (json!({}), false),
        (json!({"tokenRequests": [{}]}), true),
        (json!({"tokenRequests": [{}], "serviceAccountTokenInSecrets": false}), false),
        (json!({"tokenRequests": [{}], "serviceAccountTokenInSecrets": true}), false),
    ];
    for (value, warned) in &create {
        let found = warnings_create(&spec(value), &gates(Release::V1_35));
        assert_eq!(found, if *warned { vec![WARNING] } else { vec![] }, "{value}");
        assert_eq!(warnings_create(&spec(value), &gates(Release::V1_36)), found);
        assert!(warnings_create(&spec(value), &gate_off()).is_empty());
        assert!(warnings_create(&spec(value), &gates(Release::V1_34)).is_empty());
    }
    let (a, b) =
        (json!({"tokenRequests": [{"audience": "a"}]}), json!({"tokenRequests": [{"audience": "b"}]}));
    let set = json!({"tokenRequests": [{"audience": "a"}], "serviceAccountTokenInSecrets": true});
    let update = [
        (&json!({}), &a, true),
        (&a, &b, true),
        (&a, &a, false),
        (&set, &a, false),
        (&a, &json!({}), false),
        (&json!({}), &json!({"tokenRequests": []}), false),
        (&b, &set, false),
    ];
    for (old, new, warned) in update {
        let found = warnings_update(&spec(new), &spec(old), &gates(Release::V1_35));
        assert_eq!(found, if warned { vec![WARNING] } else { vec![] }, "{old} -> {new}");
        assert!(warnings_update(&spec(new), &spec(old), &gate_off()).is_empty());
    }
}

fn any_spec() -> impl Strategy<Value = CsiDriverSpec> {
    let request = (any::<String>(), any::<Option<i64>>())
        .prop_map(|(audience, expiration_seconds)| TokenRequest { audience, expiration_seconds });
    let modes = prop::collection::vec(prop_oneof!["Persistent", "Ephemeral", ".*"], 0..4);
    let bools = any::<[Option<bool>; 7]>();
    (bools, modes, any::<Option<String>>(), prop::collection::vec(request, 0..4), any::<Option<i64>>())
        .prop_map(|(bools, volume_lifecycle_modes, fs_group_policy, token_requests, period)| CsiDriverSpec {
            attach_required: bools[0],
            pod_info_on_mount: bools[1],
            volume_lifecycle_modes,
            storage_capacity: bools[2],
            fs_group_policy,
            token_requests,
            requires_republish: bools[3],
            se_linux_mount: bools[4],
            node_allocatable_update_period_seconds: period,
            service_account_token_in_secrets: bools[5],
            prevent_pod_scheduling_if_missing: bools[6],
        })
}

proptest! {
    #[test]
    fn a_spec_survives_its_tree(spec in any_spec()) {
        prop_assert_eq!(CsiDriverSpec::from_value(&spec.to_value()), Ok(spec));
    }

    #[test]
    fn whatever_is_written_follows_the_gate(new in any_spec(), old in any_spec(), name in any::<String>()) {
        for gates in [gates(Release::V1_34), gate_off(), gates(Release::V1_35), gates(Release::V1_36)] {
            let on = gates.enabled(FeatureGate::CsiServiceAccountTokenSecrets);
            let mut created = new.clone();
            prepare_create(&mut created, &gates);
            prop_assert!(on || created.service_account_token_in_secrets.is_none());
            let mut updated = new.clone();
            let change = prepare_update(&mut updated, &old, &gates);
            let known = gates.release() >= Release::V1_35;
            let kept = on || (known && old.service_account_token_in_secrets.is_some());
            let wanted = if kept { new.service_account_token_in_secrets } else { None };
            prop_assert_eq!(updated.service_account_token_in_secrets, wanted);
            if gates.release() == Release::V1_36 {
                prop_assert_eq!(change == SpecChange::Unchanged, updated == old);
            }
            for spec in [&created, &updated] {
                let errors = [validate_create(&name, spec), validate_update(spec, &old)].concat();
                prop_assert!(errors.iter().all(|error| error.to_string().starts_with(error.field())));
                prop_assert!(warnings_update(spec, &old, &gates).len() <= 1);
                // Whoever set the field without requests is always told.
                let told = errors.iter().any(|error| error.field() == "spec.serviceAccountTokenInSecrets");
                prop_assert_eq!(told, spec.token_requests.is_empty() && spec.service_account_token_in_secrets.is_some());
            }
        }
    }
}
