//! Role and ClusterRole: rules, and who binds them to whom.

use tokenward_kube_rules::FieldError;
use tokenward_kube_rules::metadata::NameRule;
use tokenward_kube_rules::rbac::validation;

use super::{Check, Strategy};
use crate::object::Object;

/// Role, if `namespaced`, or ClusterRole.
pub(super) struct RoleStrategy {
    pub(super) namespaced: bool,
}

impl Strategy for RoleStrategy {
    fn checks_of_change(&self) -> &'static [Check] {
        &[Check::Metadata, Check::Content, Check::MetadataChange, Check::ContentChange]
    }

    fn name_rule(&self) -> NameRule {
        validation::NAME_RULE
    }

    fn validate(&self, object: &Object) -> Vec<FieldError> {
        validation::validate_role(object, self.namespaced)
    }
}

/// RoleBinding, if `namespaced`, or ClusterRoleBinding.
pub(super) struct BindingStrategy {
    pub(super) namespaced: bool,
}

impl Strategy for BindingStrategy {
    fn checks_of_change(&self) -> &'static [Check] {
        &[Check::Metadata, Check::Content, Check::MetadataChange, Check::ContentChange]
    }

    fn name_rule(&self) -> NameRule {
        validation::NAME_RULE
    }

    fn set_defaults(&self, object: &mut Object) {
        validation::set_binding_defaults(object);
    }

    fn validate(&self, object: &Object) -> Vec<FieldError> {
        validation::validate_binding(object, self.namespaced)
    }

    fn validate_update(&self, new: &Object, old: &Object) -> Vec<FieldError> {
        validation::validate_binding_update(new, old)
    }
}
