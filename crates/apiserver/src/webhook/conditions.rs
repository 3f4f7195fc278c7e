//! The match conditions of a webhook: expressions over a proposal, all of which must be true for the webhook to be asked.

use serde::Deserialize;
use serde_json::{Map, Value};
use tokenward_cel::{
    Authorizer, Check, CompileError, Decision, EvaluationError, Object, Program, Step, Type, Variable,
};

use super::{Proposal, review};
use crate::authentication::User;
use crate::authorization::{self, Attributes, ResourceAttributes};
use crate::cluster_view::ClusterView;

/// What all conditions of a webhook may cost together, and each of them: a quarter and a tenth of a second's work at most.
const ALL: u64 = 2_500_000;
const EACH: u64 = 1_000_000;
const EXHAUSTED: &str =
    "validation failed due to running out of cost budget, no further validation rules will be run";

/// The conditions of a webhook; none are always met.
#[derive(Default, Deserialize)]
#[serde(from = "Vec<Source>")]
pub(super) struct Conditions(Vec<Condition>);

#[derive(Deserialize)]
struct Source {
    #[serde(default)]
    expression: String,
}

struct Condition {
    expression: String,
    program: Result<Program, CompileError>,
}

/// Whether a webhook is asked.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Met,
    NotMet,
    /// It cannot be said; why.
    Unknown(String),
}

impl From<Vec<Source>> for Conditions {
    fn from(sources: Vec<Source>) -> Self {
        let variables = if sources.is_empty() { Vec::new() } else { variables() };
        let read = |Source { expression }: Source| {
            let program = Program::compile(expression.trim(), &variables);
            Condition { expression, program }
        };
        Self(sources.into_iter().map(read).collect())
    }
}

impl Conditions {
    /// One that is not met decides, whatever is wrong with the others.
    pub(super) fn check(&self, proposal: &Proposal<'_>, asking: &Asking<'_>) -> Verdict {
        if self.0.is_empty() {
            return Verdict::Met;
        }
        let request = review::attributes(proposal);
        let subject = &proposal.subject;
        let request_resource = [
            subject.group,
            subject.resource,
            subject.subresource,
            subject.namespace.unwrap_or_default(),
            subject.name,
        ];
        let variables = [
            ("object", shown(proposal.object)),
            ("oldObject", shown(proposal.old)),
            ("namespaceObject", Variable::Null),
            ("request", Variable::Object(&request)),
            ("authorizer", Variable::Authorizer { authorizer: asking, request_resource }),
        ];
        let mut left = ALL;
        let mut faults = Vec::new();
        for Condition { expression, program } in &self.0 {
            let program = match program {
                Ok(program) => program,
                Err(error) => {
                    faults.push(format!("compilation error: {error}"));
                    continue;
                }
            };
            let (outcome, spent) = program.evaluate(&variables, left.min(EACH));
            left -= spent;
            match outcome {
                Ok(true) => {}
                Ok(false) => return Verdict::NotMet,
                Err(EvaluationError::TooCostly) if left == 0 => {
                    return Verdict::Unknown(EXHAUSTED.to_owned());
                }
                Err(error) => faults.push(format!("expression '{expression}' resulted in error: {error}")),
            }
        }
        match &*faults {
            [] => Verdict::Met,
            [fault] => Verdict::Unknown(fault.clone()),
            _ => Verdict::Unknown(format!("[{}]", faults.join(", "))),
        }
    }
}

fn shown(object: Option<&Map<String, Value>>) -> Variable<'_> {
    object.map_or(Variable::Null, Variable::Object)
}

/// What conditions may speak of.
pub(crate) fn variables() -> Vec<(&'static str, Type)> {
    let text = |name| (name, Type::Text);
    let kind =
        Type::record("kubernetes.GroupVersionKind", vec![text("group"), text("version"), text("kind")]);
    let resource = Type::record(
        "kubernetes.GroupVersionResource",
        vec![text("group"), text("version"), text("resource")],
    );
    let user = Type::record(
        "kubernetes.UserInfo",
        vec![
            text("username"),
            text("uid"),
            ("groups", Type::list(Type::Text)),
            ("extra", Type::map(Type::Text, Type::list(Type::Text))),
        ],
    );
    let request = Type::record(
        "kubernetes.AdmissionRequest",
        vec![
            ("kind", kind.clone()),
            ("resource", resource.clone()),
            text("subResource"),
            ("requestKind", kind),
            ("requestResource", resource),
            text("requestSubResource"),
            text("name"),
            text("namespace"),
            text("operation"),
            ("userInfo", user),
            ("dryRun", Type::Bool),
            ("options", Type::Dyn),
        ],
    );
    vec![
        ("object", Type::Dyn),
        ("oldObject", Type::Dyn),
        ("namespaceObject", Type::Dyn),
        ("request", request),
        ("authorizer", Type::Authority(Step::Authorizer)),
    ]
}

/// Who asks what is allowed: the user of the request, or a service account that the expression names.
pub(super) struct Asking<'a> {
    pub(super) user: &'a User,
    pub(super) cluster: &'a ClusterView,
}

impl Authorizer for Asking<'_> {
    fn decide(&self, check: &Check<'_>) -> Decision {
        let account = check.service_account.map(|(namespace, name)| User {
            username: format!("system:serviceaccount:{namespace}:{name}"),
            uid: String::new(),
            groups: vec!["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{namespace}")],
            extra: std::collections::BTreeMap::new(),
        });
        let attributes = match check.to {
            Object::Path(path) => Attributes::NonResource { path, verb: check.verb },
            Object::Resource { group, resource, subresource, namespace, name } => {
                Attributes::Resource(ResourceAttributes {
                    verb: check.verb,
                    group,
                    resource,
                    subresource,
                    namespace,
                    name,
                })
            }
        };
        let user = account.as_ref().unwrap_or(self.user);
        match authorization::decide(user, &attributes.into(), self.cluster) {
            authorization::Decision::Allowed(reason) => Decision { allowed: true, reason },
            authorization::Decision::Refused(reason) => Decision { allowed: false, reason },
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokenward_kube_schema::find_resource;
    use tokenward_store::Store;

    use super::*;
    use crate::index::Index;
    use crate::webhook::{Operation, Subject};

    fn verdict(expressions: &[&str], username: &str, groups: &[&str]) -> Verdict {
        let sources: Vec<Value> =
            expressions.iter().map(|expression| json!({"name": "c", "expression": expression})).collect();
        let conditions: Conditions = serde_json::from_value(sources.into()).unwrap();
        let object = json!({"metadata": {"name": "p", "labels": {"tier": "web"}}, "spec": {"nodeName": "n"}});
        let user = User::authenticated(username, groups.iter().map(|group| (*group).to_owned()));
        let proposal = Proposal {
            subject: Subject {
                operation: Operation::Create,
                group: "",
                version: "v1",
                resource: "pods",
                subresource: "",
                namespace: Some("ns"),
                name: "p",
            },
            kind: find_resource("", "v1", "pods").unwrap(),
            user: &user,
            object: object.as_object(),
            old: None,
            dry_run: false,
            options: json!({"kind": "CreateOptions"}),
        };
        let cluster = ClusterView::new(Store::memory(Index::of));
        conditions.check(&proposal, &Asking { user: &user, cluster: &cluster })
    }

    #[test]
    fn all_must_be_true_and_one_that_is_false_decides() {
        let missing = "expression 'object.spec.nothing == 1' resulted in error: no such key: nothing";
        for (expressions, wanted) in [
            (&[][..], Verdict::Met),
            (&["true"], Verdict::Met),
            (&["object.metadata.labels.tier == 'web'", "oldObject == null"], Verdict::Met),
            (&["request.operation == 'DELETE'"], Verdict::NotMet),
            (&["true", "false"], Verdict::NotMet),
            (&["object.spec.nothing == 1", "false"], Verdict::NotMet),
            (&["object.spec.nothing == 1"], Verdict::Unknown(missing.to_owned())),
            (
                &["object.spec.nothing == 1", "1 / 0 == 1"],
                Verdict::Unknown(format!(
                    "[{missing}, expression '1 / 0 == 1' resulted in error: division by zero]"
                )),
            ),
            (&["request.namespace == 'ns' && request.resource.resource == 'pods'"], Verdict::Met),
            (&["!has(request.subResource) && !request.dryRun"], Verdict::Met),
            (&["'system:authenticated' in request.userInfo.groups"], Verdict::Met),
            (&["request.options.kind == 'CreateOptions'"], Verdict::Met),
            (&["namespaceObject == null"], Verdict::Met),
        ] {
            assert_eq!(verdict(expressions, "alice", &[]), wanted, "{expressions:?}");
        }
    }

    #[test]
    fn the_user_s_rights_may_be_asked_for() {
        let may = "authorizer.group('').resource('pods').namespace('ns').check('delete').allowed()";
        assert_eq!(verdict(&[may], "alice", &[]), Verdict::NotMet);
        assert_eq!(verdict(&[may], "root", &["system:masters"]), Verdict::Met);
        let own = "authorizer.requestResource.check('create').allowed()";
        assert_eq!(verdict(&[own], "root", &["system:masters"]), Verdict::Met);
        let account = "authorizer.serviceAccount('ns', 'web').path('/metrics').check('get').allowed()";
        assert_eq!(verdict(&[account], "root", &["system:masters"]), Verdict::NotMet);
    }

    #[test]
    fn what_costs_too_much_is_unknown() {
        let list = format!("[{}]", vec!["1"; 2_000].join(","));
        let much = format!("{list}.all(a, {list}.all(b, a + b > 0))");
        let one = verdict(&[&much], "alice", &[]);
        let Verdict::Unknown(why) = one else { panic!("{one:?}") };
        assert!(why.ends_with("resulted in error: operation cancelled: actual cost limit exceeded"));
        assert_eq!(verdict(&[&much, &much, &much], "alice", &[]), Verdict::Unknown(EXHAUSTED.to_owned()));
        assert_eq!(verdict(&[&much, "false"], "alice", &[]), Verdict::NotMet);
    }
}
