//! What is wrong with the resources that a container asks for and is held to.

use tokenward_kube_rules::quantity::Quantity;
use tokenward_kube_rules::{FieldError, names};

use super::super::field::Field;

/// What a container can be given by its plain name, beside huge pages.
const OF_CONTAINERS: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];

/// What has a plain name elsewhere: a container cannot have it, but it is known.
const ELSEWHERE: [&str; 17] = [
    "requests.cpu",
    "requests.memory",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "storage",
    "requests.storage",
    "services.nodeports",
    "services.loadbalancers",
];

const HUGE_PAGES: &str = "hugepages-";

/// The errors of `resources`.
pub(super) fn validate(resources: &Field<'_>) -> Vec<FieldError> {
    let (limits, requests) = (resources.child("limits"), resources.child("requests"));
    let mut errors = Vec::new();
    for name in limits.keys() {
        errors.extend(amount_faults(&limits, name));
    }
    for name in requests.keys() {
        let (request, limit) = (requests.child(name), limits.child(name));
        let mut own = amount_faults(&requests, name);
        // What is wrong with the number of huge pages comes last.
        let pages = own.iter().position(|error| error.message().contains("integer multiple"));
        let pages = pages.map(|at| own.remove(at));
        errors.extend(own);
        match (amount(&request), amount(&limit)) {
            (Some(wanted), Some(most)) if wanted != most && !may_be_overcommitted(name) => {
                let why = format!("must be equal to {name} limit of {}", limit.text());
                errors.push(FieldError::invalid(requests.path(), request.text(), &why));
            }
            (Some(wanted), Some(most)) if wanted > most => {
                let why = format!("must be less than or equal to {name} limit of {}", limit.text());
                errors.push(FieldError::invalid(requests.path(), request.text(), &why));
            }
            (Some(_), None) if !may_be_overcommitted(name) => {
                errors.push(limits.required("Limit must be set for non overcommitable resources"));
            }
            _ => {}
        }
        errors.extend(pages);
    }
    let mut names = limits.keys().chain(requests.keys());
    let mut others = limits.keys().chain(requests.keys());
    if names.any(|name| name.starts_with(HUGE_PAGES)) && !others.any(|name| matches!(name, "cpu" | "memory"))
    {
        errors.push(resources.forbidden("HugePages require cpu or memory"));
    }
    errors
}

fn amount(field: &Field<'_>) -> Option<Quantity> {
    Quantity::parse(field.text()).ok()
}

fn amount_faults<'a>(list: &Field<'a>, name: &'a str) -> Vec<FieldError> {
    let at = list.key(name);
    let refuse = |why: &str| FieldError::invalid(at.path(), name, why);
    let mut errors: Vec<FieldError> = names::qualified_name(name).iter().map(|fault| refuse(fault)).collect();
    let is_plain = !name.contains('/');
    let is_huge_page = name.starts_with(HUGE_PAGES);
    if is_plain {
        let is_own = OF_CONTAINERS.contains(&name) || is_huge_page;
        if errors.is_empty()
            && !is_own
            && !ELSEWHERE.contains(&name)
            && !name.starts_with("requests.hugepages-")
        {
            errors.push(refuse("must be a standard resource type or fully qualified"));
        }
        if !is_own {
            errors.push(refuse("must be a standard resource for containers"));
        }
    } else if !is_native(name) && !is_extended(name) {
        errors.push(refuse("doesn't follow extended resource name standard"));
    }
    let Some(amount) = amount(&at) else { return errors };
    if amount < Quantity::ZERO {
        errors.push(at.invalid("must be greater than or equal to 0"));
    }
    let is_counted =
        is_extended(name) || (is_plain && ELSEWHERE[6..].contains(&name) && !name.contains("storage"));
    if is_counted && !is_whole(amount) {
        errors.push(at.invalid("must be an integer"));
    }
    if is_huge_page && !is_whole_number_of_pages(name, amount) {
        errors.push(at.invalid(&format!("{} is not positive integer multiple of {name}", at.text())));
    }
    errors
}

/// Whether an amount has no fraction.
pub(super) fn is_whole(amount: Quantity) -> bool {
    Quantity::parse(&amount.units().to_string()).is_ok_and(|whole| whole == amount)
}

/// Whether a resource is Kubernetes' own.
fn is_native(name: &str) -> bool {
    !name.contains('/') || name.contains("kubernetes.io/")
}

/// Whether a resource is somebody else's, such as a device.
fn is_extended(name: &str) -> bool {
    let of_quota = format!("requests.{name}");
    !is_native(name) && !name.starts_with("requests.") && names::qualified_name(&of_quota).is_empty()
}

/// Whether more may be requested than there is.
fn may_be_overcommitted(name: &str) -> bool {
    is_native(name) && !name.starts_with(HUGE_PAGES)
}

fn is_whole_number_of_pages(name: &str, amount: Quantity) -> bool {
    let page = name.strip_prefix(HUGE_PAGES).and_then(|size| Quantity::parse(size).ok());
    let Some(page) = page.filter(|page| *page > Quantity::ZERO && is_whole(*page)) else { return false };
    is_whole(amount) && amount.units() % page.units() == 0
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::strategy::tests::texts;

    fn faults(resources: &Value) -> Vec<String> {
        let object = json!({"r": resources});
        texts(&validate(&Field::of(object.as_object().unwrap(), "r")))
    }

    #[test]
    fn what_is_good() {
        for resources in [
            json!({}),
            json!({"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"cpu": "1", "ephemeral-storage": "1Gi"}}),
            json!({"requests": {"cpu": "1", "hugepages-2Mi": "4Mi"}, "limits": {"hugepages-2Mi": "4Mi"}}),
            json!({"requests": {"vendor.example/gpu": "1"}, "limits": {"vendor.example/gpu": "1"}}),
        ] {
            assert_eq!(faults(&resources), [""; 0], "{resources}");
        }
    }

    #[test]
    fn what_is_not() {
        let table: [(Value, &[&str]); 9] = [
            (
                json!({"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}),
                &["r.requests: Invalid value: \"2\": must be less than or equal to cpu limit of 1"],
            ),
            (
                json!({"limits": {"cpu": "-1"}}),
                &["r.limits[cpu]: Invalid value: \"-1\": must be greater than or equal to 0"],
            ),
            (
                json!({"limits": {"foo": "1"}}),
                &[
                    "r.limits[foo]: Invalid value: \"foo\": must be a standard resource type or fully qualified",
                    "r.limits[foo]: Invalid value: \"foo\": must be a standard resource for containers",
                ],
            ),
            (
                json!({"limits": {"storage": "1"}}),
                &[
                    "r.limits[storage]: Invalid value: \"storage\": must be a standard resource for containers",
                ],
            ),
            (
                json!({"limits": {"requests.example/x": "1"}}),
                &[
                    "r.limits[requests.example/x]: Invalid value: \"requests.example/x\": doesn't follow extended resource name standard",
                ],
            ),
            (
                json!({"limits": {"a.example/b": "1500m"}}),
                &["r.limits[a.example/b]: Invalid value: \"1500m\": must be an integer"],
            ),
            (
                json!({"requests": {"a.example/b": "1"}}),
                &["r.limits: Required value: Limit must be set for non overcommitable resources"],
            ),
            (
                json!({"requests": {"a.example/b": "1"}, "limits": {"a.example/b": "2"}}),
                &["r.requests: Invalid value: \"1\": must be equal to a.example/b limit of 2"],
            ),
            (
                json!({"requests": {"hugepages-2Mi": "3Mi"}}),
                &[
                    "r.limits: Required value: Limit must be set for non overcommitable resources",
                    "r.requests[hugepages-2Mi]: Invalid value: \"3Mi\": 3Mi is not positive integer multiple of hugepages-2Mi",
                    "r: Forbidden: HugePages require cpu or memory",
                ],
            ),
        ];
        for (resources, wanted) in table {
            assert_eq!(faults(&resources), wanted, "{resources}");
        }
    }
}
