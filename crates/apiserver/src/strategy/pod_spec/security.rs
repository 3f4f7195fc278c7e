//! What is wrong with whom the processes of a pod run as, and what they may do.

use tokenward_kube_rules::FieldError;

use super::super::field::Field;
use super::mounts::descending;

/// The errors of a container's `securityContext`.
pub(super) fn of_container(context: &Field<'_>, host_users: bool) -> Vec<FieldError> {
    let mut errors = identity_faults(context, &["runAsUser", "runAsGroup"]);
    let mount = context.child("procMount");
    if mount.is_set() {
        errors.extend(mount.one_of(&["Default", "Unmasked"]));
        if host_users && mount.text() == "Unmasked" {
            errors.push(mount.invalid("`hostUsers` must be false to use `Unmasked`"));
        }
    }
    errors.extend(seccomp_faults(&context.child("seccompProfile")));
    if context.child("allowPrivilegeEscalation").value().as_bool() == Some(false) {
        if context.child("privileged").flag() {
            errors.push(
                context.invalid("cannot set `allowPrivilegeEscalation` to false and `privileged` to true"),
            );
        }
        for added in context.child("capabilities").child("add").items() {
            if added.text() == "CAP_SYS_ADMIN" {
                errors.push(context.invalid(
                    "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN",
                ));
            }
        }
    }
    errors.extend(app_armor_faults(&context.child("appArmorProfile")));
    errors
}

/// The errors of a pod's `securityContext`, and of what upstream counts among it.
pub(super) fn of_pod(spec: &Field<'_>) -> Vec<FieldError> {
    let context = spec.child("securityContext");
    let mut errors = identity_faults(&context, &["fsGroup", "runAsUser", "runAsGroup"]);
    for group in context.child("supplementalGroups").items() {
        errors.extend(id_fault(&group));
    }
    if spec.child("shareProcessNamespace").flag() && spec.child("hostPID").flag() {
        let at = context.child("shareProcessNamespace").path();
        let why = "ShareProcessNamespace and HostPID cannot both be enabled";
        errors.push(FieldError::invalid(at, true, why));
    }
    errors.extend(sysctl_faults(&context.child("sysctls")));
    errors.extend(one_of_if_set(&context.child("fsGroupChangePolicy"), &["Always", "OnRootMismatch"]));
    errors.extend(seccomp_faults(&context.child("seccompProfile")));
    errors.extend(app_armor_faults(&context.child("appArmorProfile")));
    errors.extend(one_of_if_set(&context.child("supplementalGroupsPolicy"), &["Merge", "Strict"]));
    errors.extend(one_of_if_set(&context.child("seLinuxChangePolicy"), &["MountOption", "Recursive"]));
    errors
}

fn one_of_if_set(field: &Field<'_>, supported: &[&str]) -> Option<FieldError> {
    if field.is_set() { field.one_of(supported) } else { None }
}

fn identity_faults(context: &Field<'_>, members: &[&'static str]) -> Vec<FieldError> {
    members.iter().filter_map(|member| id_fault(&context.child(member))).collect()
}

fn id_fault(id: &Field<'_>) -> Option<FieldError> {
    let is_good = id.number().is_none_or(|id| (0..=i64::from(i32::MAX)).contains(&id));
    (!is_good).then(|| id.invalid("must be between 0 and 2147483647, inclusive"))
}

fn sysctl_faults(list: &Field<'_>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut seen = Vec::new();
    for sysctl in list.items() {
        let name = sysctl.child("name");
        if name.text().is_empty() {
            errors.push(name.required(""));
        } else if !is_sysctl(name.text()) {
            errors.push(name.invalid(
                "must have at most 253 characters and match regex \
                 ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$",
            ));
        } else if seen.contains(&name.text()) {
            errors.push(name.duplicate());
        }
        seen.push(name.text());
    }
    errors
}

fn is_sysctl(name: &str) -> bool {
    let is_end =
        |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let is_part = |part: &str| {
        let bytes = part.as_bytes();
        let inside =
            |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
        is_end(bytes.first()) && is_end(bytes.last()) && bytes.iter().all(inside)
    };
    name.len() <= 253 && name.split(['.', '/']).all(is_part)
}

fn seccomp_faults(profile: &Field<'_>) -> Vec<FieldError> {
    if !profile.is_set() {
        return Vec::new();
    }
    let (kind, local) = (profile.child("type"), profile.child("localhostProfile"));
    let mut errors = Vec::new();
    if kind.text().is_empty() {
        errors.push(kind.required("type is required when seccompProfile is set"));
    } else {
        errors.extend(kind.one_of(&["Localhost", "RuntimeDefault", "Unconfined"]));
    }
    match (kind.text() == "Localhost", local.is_set()) {
        (true, false) => errors.push(local.required("must be set when seccomp type is Localhost")),
        (true, true) => errors.extend(descending(local.text(), &local.path())),
        (false, true) => {
            let why = "can only be set when seccomp type is Localhost";
            errors.push(FieldError::invalid(local.path(), profile.value().clone(), why));
        }
        (false, false) => {}
    }
    errors
}

fn app_armor_faults(profile: &Field<'_>) -> Vec<FieldError> {
    const LONGEST: usize = 4095;
    if !profile.is_set() {
        return Vec::new();
    }
    let (kind, local) = (profile.child("type"), profile.child("localhostProfile"));
    let missing = "must be set when AppArmor type is Localhost";
    match kind.text() {
        "Localhost" if !local.is_set() => vec![local.required(missing)],
        "Localhost" => {
            let text = local.text();
            let mut errors = Vec::new();
            if text.trim() != text {
                errors.push(local.invalid("must not be padded with whitespace"));
            } else if text.is_empty() {
                errors.push(local.required(missing));
            }
            if text.len() > LONGEST {
                errors.push(FieldError::too_long(local.path(), LONGEST));
            }
            errors
        }
        "RuntimeDefault" | "Unconfined" if local.is_set() => {
            vec![local.invalid("can only be set when AppArmor type is Localhost")]
        }
        "" => vec![kind.required("type is required when appArmorProfile is set")],
        _ => kind.one_of(&["Localhost", "RuntimeDefault", "Unconfined"]).into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::strategy::tests::texts;

    #[test]
    fn containers_one_by_one() {
        let faults = |context: &Value| {
            let object = json!({"c": context});
            texts(&of_container(&Field::of(object.as_object().unwrap(), "c"), true))
        };
        for good in [
            json!({"privileged": true, "allowPrivilegeEscalation": true, "runAsUser": 0}),
            json!({"seccompProfile": {"type": "RuntimeDefault"}, "appArmorProfile": {"type": "Localhost", "localhostProfile": "p"}}),
            json!({"capabilities": {"add": ["SYS_ADMIN"]}, "allowPrivilegeEscalation": false}),
        ] {
            assert_eq!(faults(&good), [""; 0], "{good}");
        }
        let table = [
            (
                json!({"runAsUser": -1}),
                "c.runAsUser: Invalid value: -1: must be between 0 and 2147483647, inclusive",
            ),
            (
                json!({"procMount": "X"}),
                "c.procMount: Unsupported value: \"X\": supported values: \"Default\", \"Unmasked\"",
            ),
            (
                json!({"procMount": "Unmasked"}),
                "c.procMount: Invalid value: \"Unmasked\": `hostUsers` must be false to use `Unmasked`",
            ),
            (
                json!({"seccompProfile": {"type": "X"}}),
                "c.seccompProfile.type: Unsupported value: \"X\": supported values: \"Localhost\", \"RuntimeDefault\", \"Unconfined\"",
            ),
            (
                json!({"seccompProfile": {"type": "Localhost"}}),
                "c.seccompProfile.localhostProfile: Required value: must be set when seccomp type is Localhost",
            ),
            (
                json!({"appArmorProfile": {"type": "Localhost", "localhostProfile": " p"}}),
                "c.appArmorProfile.localhostProfile: Invalid value: \" p\": must not be padded with whitespace",
            ),
            (
                json!({"appArmorProfile": {}}),
                "c.appArmorProfile.type: Required value: type is required when appArmorProfile is set",
            ),
        ];
        for (context, wanted) in table {
            assert_eq!(faults(&context), [wanted], "{context}");
        }
        let found = faults(&json!({"privileged": true, "allowPrivilegeEscalation": false}));
        assert!(
            found[0].ends_with("cannot set `allowPrivilegeEscalation` to false and `privileged` to true")
        );
    }

    #[test]
    fn pods_one_by_one() {
        let faults = |spec: &Value| {
            let object = json!({"spec": spec});
            texts(&of_pod(&Field::of(object.as_object().unwrap(), "spec")))
        };
        let table = [
            (
                json!({"securityContext": {"fsGroup": -1}}),
                "fsGroup: Invalid value: -1: must be between 0 and 2147483647, inclusive",
            ),
            (
                json!({"securityContext": {"supplementalGroups": [1, -1]}}),
                "supplementalGroups[1]: Invalid value: -1: must be between 0 and 2147483647, inclusive",
            ),
            (
                json!({"hostPID": true, "shareProcessNamespace": true}),
                "shareProcessNamespace: Invalid value: true: ShareProcessNamespace and HostPID cannot both be enabled",
            ),
            (
                json!({"securityContext": {"sysctls": [{"name": "net.core.somaxconn"}, {"name": "a b"}]}}),
                "sysctls[1].name: Invalid value: \"a b\": must have at most 253 characters and match regex ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$",
            ),
            (
                json!({"securityContext": {"fsGroupChangePolicy": "X"}}),
                "fsGroupChangePolicy: Unsupported value: \"X\": supported values: \"Always\", \"OnRootMismatch\"",
            ),
        ];
        for (spec, wanted) in table {
            assert_eq!(faults(&spec), [format!("spec.securityContext.{wanted}")], "{spec}");
        }
    }
}
