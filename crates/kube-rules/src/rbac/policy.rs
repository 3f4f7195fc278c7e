//! All roles and bindings of a cluster, indexed by whom they concern, so that a decision looks only at the bindings of
//! the one who asks.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use serde::Deserialize;

use super::rule::null_is_empty;
use super::{Attributes, GROUP, PolicyRule, Who};
use crate::field_error::quote;

/// Who is bound to which role; of a RoleBinding or a ClusterRoleBinding.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Binding {
    /// Whom it concerns.
    #[serde(deserialize_with = "null_is_empty")]
    pub subjects: Vec<Subject>,
    /// What they may do.
    pub role_ref: RoleRef,
}

/// A user, a group or a service account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Subject {
    /// `User`, `Group` or `ServiceAccount`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Of a service account; empty in a RoleBinding is the binding's own.
    pub namespace: String,
}

/// A role, named.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct RoleRef {
    /// `Role`, in the binding's namespace, or `ClusterRole`.
    pub kind: String,
    /// Its name.
    pub name: String,
}

/// The compiled policy. Roles and bindings come and go one by one; what a decision needs is kept ready.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    cluster_roles: HashMap<String, Arc<[PolicyRule]>>,
    /// By namespace and name.
    roles: HashMap<String, HashMap<String, Arc<[PolicyRule]>>>,
    cluster_bindings: Bindings,
    /// By namespace.
    role_bindings: HashMap<String, Bindings>,
}

/// The bindings of one namespace, or of the cluster.
#[derive(Clone, Debug, Default)]
struct Bindings {
    by_name: BTreeMap<String, Arc<Binding>>,
    /// Names of bindings by the user that they name, service accounts by their user names.
    by_user: HashMap<String, BTreeSet<String>>,
    by_group: HashMap<String, BTreeSet<String>>,
}

/// Why a request is allowed: shown as upstream words it.
#[derive(Clone, Copy, Debug)]
pub struct Grant<'a> {
    /// Empty for a ClusterRoleBinding.
    namespace: &'a str,
    name: &'a str,
    binding: &'a Binding,
    subject: &'a Subject,
}

/// A binding's role does not exist.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum RoleNotFound {
    /// There is no such ClusterRole.
    #[error("clusterrole.{GROUP} {} not found", quote(.0))]
    ClusterRole(String),
    /// There is no such Role in the binding's namespace.
    #[error("role.{GROUP} {} not found", quote(.0))]
    Role(String),
    /// A role of another kind, which validation does not let pass.
    #[error("unsupported role reference kind: {}", quote(.0))]
    UnsupportedKind(String),
}

/// What was wrong with the bindings that concern the one who asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults(Vec<RoleNotFound>);

impl Faults {
    /// Whether nothing was wrong: the refusal is all there is to say.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// One stands alone, several as `[a, b]`, each once.
impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut texts: Vec<String> = Vec::new();
        for text in self.0.iter().map(ToString::to_string) {
            if !texts.contains(&text) {
                texts.push(text);
            }
        }
        match texts.as_slice() {
            [single] => f.write_str(single),
            several => write!(f, "[{}]", several.join(", ")),
        }
    }
}

impl Policy {
    /// Adds or replaces a ClusterRole.
    pub fn put_cluster_role(&mut self, name: &str, rules: Arc<[PolicyRule]>) {
        self.cluster_roles.insert(name.to_owned(), rules);
    }

    /// Takes a ClusterRole away.
    pub fn remove_cluster_role(&mut self, name: &str) {
        self.cluster_roles.remove(name);
    }

    /// Adds or replaces a Role.
    pub fn put_role(&mut self, namespace: &str, name: &str, rules: Arc<[PolicyRule]>) {
        self.roles.entry(namespace.to_owned()).or_default().insert(name.to_owned(), rules);
    }

    /// Takes a Role away.
    pub fn remove_role(&mut self, namespace: &str, name: &str) {
        if let Some(roles) = self.roles.get_mut(namespace) {
            roles.remove(name);
            if roles.is_empty() {
                self.roles.remove(namespace);
            }
        }
    }

    /// Adds or replaces a ClusterRoleBinding.
    pub fn put_cluster_role_binding(&mut self, name: &str, binding: Arc<Binding>) {
        self.cluster_bindings.put("", name, binding);
    }

    /// Takes a ClusterRoleBinding away.
    pub fn remove_cluster_role_binding(&mut self, name: &str) {
        self.cluster_bindings.remove("", name);
    }

    /// Adds or replaces a RoleBinding.
    pub fn put_role_binding(&mut self, namespace: &str, name: &str, binding: Arc<Binding>) {
        self.role_bindings.entry(namespace.to_owned()).or_default().put(namespace, name, binding);
    }

    /// Takes a RoleBinding away.
    pub fn remove_role_binding(&mut self, namespace: &str, name: &str) {
        if let Some(bindings) = self.role_bindings.get_mut(namespace) {
            bindings.remove(namespace, name);
            if bindings.by_name.is_empty() {
                self.role_bindings.remove(namespace);
            }
        }
    }

    /// The rules of a role as a binding in `namespace` names it.
    ///
    /// # Errors
    /// When there is no such role.
    pub fn rules_of(&self, role: &RoleRef, namespace: &str) -> Result<&[PolicyRule], RoleNotFound> {
        match role.kind.as_str() {
            "ClusterRole" => self
                .cluster_roles
                .get(&role.name)
                .map(AsRef::as_ref)
                .ok_or_else(|| RoleNotFound::ClusterRole(role.name.clone())),
            "Role" => self
                .roles
                .get(namespace)
                .and_then(|roles| roles.get(&role.name))
                .map(AsRef::as_ref)
                .ok_or_else(|| RoleNotFound::Role(role.name.clone())),
            other => Err(RoleNotFound::UnsupportedKind(other.to_owned())),
        }
    }

    /// Whether a request is allowed, and by what.
    ///
    /// # Errors
    /// When nothing allows it, with what was wrong on the way.
    pub fn decide(&self, who: Who<'_>, attributes: &Attributes<'_>) -> Result<Grant<'_>, Faults> {
        let namespace = match attributes {
            Attributes::NonResource { .. } => "",
            Attributes::Resource(resource) => resource.namespace,
        };
        let mut faults = Faults::default();
        for grant in self.grants(who, namespace) {
            match self.rules_of(&grant.binding.role_ref, grant.namespace) {
                Ok(rules) if rules.iter().any(|rule| rule.allows(attributes)) => return Ok(grant),
                Ok(_) => {}
                Err(fault) => faults.0.push(fault),
            }
        }
        Err(faults)
    }

    /// All rules that hold for somebody in a namespace; an empty one is the cluster scope.
    #[must_use]
    pub fn rules_for(&self, who: Who<'_>, namespace: &str) -> (Vec<&PolicyRule>, Faults) {
        let (mut all, mut faults) = (Vec::new(), Faults::default());
        for grant in self.grants(who, namespace) {
            match self.rules_of(&grant.binding.role_ref, grant.namespace) {
                Ok(rules) => all.extend(rules),
                Err(fault) => faults.0.push(fault),
            }
        }
        (all, faults)
    }

    /// The bindings that concern somebody: the cluster's, then those of the namespace.
    fn grants(&self, who: Who<'_>, namespace: &str) -> Vec<Grant<'_>> {
        let mut grants = self.cluster_bindings.of("", who);
        if let Some((namespace, bindings)) = self.role_bindings.get_key_value(namespace) {
            grants.extend(bindings.of(namespace, who));
        }
        grants
    }
}

impl Bindings {
    fn put(&mut self, namespace: &str, name: &str, binding: Arc<Binding>) {
        self.remove(namespace, name);
        for subject in &binding.subjects {
            match subject.user_name(namespace) {
                Some(user) => self.by_user.entry(user).or_default(),
                None if subject.kind == "Group" => self.by_group.entry(subject.name.clone()).or_default(),
                None => continue,
            }
            .insert(name.to_owned());
        }
        self.by_name.insert(name.to_owned(), binding);
    }

    fn remove(&mut self, namespace: &str, name: &str) {
        let Some(binding) = self.by_name.remove(name) else { return };
        for subject in &binding.subjects {
            let (index, key) = match subject.user_name(namespace) {
                Some(user) => (&mut self.by_user, user),
                None => (&mut self.by_group, subject.name.clone()),
            };
            if let Some(names) = index.get_mut(&key) {
                names.remove(name);
                if names.is_empty() {
                    index.remove(&key);
                }
            }
        }
    }

    /// Each binding of somebody once, however often it names them.
    fn of<'a>(&'a self, namespace: &'a str, who: Who<'_>) -> Vec<Grant<'a>> {
        let user = self.by_user.get(who.name);
        let groups = who.groups.iter().filter_map(|group| self.by_group.get(group));
        let names: BTreeSet<&str> = user.into_iter().chain(groups).flatten().map(String::as_str).collect();
        let grants = names.into_iter().filter_map(|name| {
            let binding: &Binding = self.by_name.get(name)?;
            let subject = binding.subjects.iter().find(|subject| subject.is(who, namespace))?;
            Some(Grant { namespace, name, binding, subject })
        });
        grants.collect()
    }
}

impl Subject {
    /// The user name of a user or service account. A service account without a namespace is one of the binding's; in a
    /// ClusterRoleBinding it is nobody.
    fn user_name(&self, binding_namespace: &str) -> Option<String> {
        match self.kind.as_str() {
            "User" => Some(self.name.clone()),
            "ServiceAccount" => {
                let own = self.namespace.as_str();
                let namespace = if own.is_empty() { binding_namespace } else { own };
                (!namespace.is_empty()).then(|| format!("system:serviceaccount:{namespace}:{}", self.name))
            }
            _ => None,
        }
    }

    /// Whether this is the one who asks, or a group of theirs.
    #[must_use]
    pub fn is(&self, who: Who<'_>, binding_namespace: &str) -> bool {
        match self.kind.as_str() {
            "Group" => who.groups.contains(&self.name),
            _ => self.user_name(binding_namespace).is_some_and(|name| name == who.name),
        }
    }
}

impl fmt::Display for Grant<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let role = &self.binding.role_ref;
        if self.namespace.is_empty() {
            write!(f, "ClusterRoleBinding {}", quote(self.name))?;
        } else {
            write!(f, "RoleBinding {}", quote(&format!("{}/{}", self.name, self.namespace)))?;
        }
        write!(f, " of {} {} to {} ", role.kind, quote(&role.name), self.subject.kind)?;
        match self.subject.kind.as_str() {
            "ServiceAccount" => {
                let own = self.subject.namespace.as_str();
                let namespace = if own.is_empty() { self.namespace } else { own };
                f.write_str(&quote(&format!("{}/{namespace}", self.subject.name)))
            }
            _ => f.write_str(&quote(&self.subject.name)),
        }
    }
}

#[cfg(test)]
mod tests;
