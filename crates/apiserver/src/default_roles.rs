//! The roles and bindings that every cluster has, made at the first start and put right at every other.

use futures_util::future::{try_join, try_join_all};
use tokenward_kube_rules::rbac::{GROUP, MASTERS, bootstrap, reconciled_binding, reconciled_role};
use tokenward_kube_schema::{Kind, find_resource, parse};

use crate::authentication::User;
use crate::object::{Metadata, Object};
use crate::query::WriteOptions;
use crate::registry::{DeleteOptions, Part, Registry, Target};
use crate::status::ApiError;

/// Makes what is missing. What somebody added stays; whoever keeps an object from being updated, keeps it.
pub(crate) async fn establish(registry: &Registry) -> Result<(), ApiError> {
    let establishing =
        Establishing { registry, user: User::authenticated("system:apiserver", [MASTERS.to_owned()]) };
    // All at once: a store on disk makes them durable together.
    let roles = bootstrap::cluster_roles().into_iter().map(|role| establishing.role(role));
    let bindings =
        bootstrap::cluster_role_bindings().into_iter().map(|binding| establishing.binding(binding));
    try_join(try_join_all(roles), try_join_all(bindings)).await?;
    Ok(())
}

struct Establishing<'a> {
    registry: &'a Registry,
    user: User,
}

impl Establishing<'_> {
    async fn role(&self, default: Object) -> Result<(), ApiError> {
        let kind = served("clusterroles")?;
        match self.existing(kind, &default)? {
            None => self.create(kind, default).await,
            Some(existing) => match reconciled_role(&existing, &default) {
                Some(role) => self.update(kind, role).await,
                None => Ok(()),
            },
        }
    }

    async fn binding(&self, default: Object) -> Result<(), ApiError> {
        let kind = served("clusterrolebindings")?;
        let Some(existing) = self.existing(kind, &default)? else { return self.create(kind, default).await };
        match reconciled_binding(&existing, &default) {
            Ok(Some(binding)) => self.update(kind, binding).await,
            Ok(None) => Ok(()),
            Err(default) => {
                let name = default.name().to_owned();
                let target = Target { kind, namespace: None, name: &name };
                self.registry.delete(target, &self.user, &DeleteOptions::default(), &mut Vec::new()).await?;
                self.create(kind, default).await
            }
        }
    }

    fn existing(&self, kind: &'static Kind, default: &Object) -> Result<Option<Object>, ApiError> {
        let collection = match kind.kind {
            "ClusterRole" => "rbac.authorization.k8s.io/clusterroles",
            _ => "rbac.authorization.k8s.io/clusterrolebindings",
        };
        let Some(entry) = self.registry.view().entry(collection, None, default.name()) else {
            return Ok(None);
        };
        parse(&entry.value).map(Some).map_err(|error| ApiError::internal(&error.to_string()))
    }

    async fn create(&self, kind: &'static Kind, object: Object) -> Result<(), ApiError> {
        let options = WriteOptions::of_the_server();
        match self.registry.create(kind, None, &self.user, object.into(), &options, &mut Vec::new()).await {
            Ok(_) => Ok(()),
            // Another server over the same store was faster.
            Err(error) if error.reason() == "AlreadyExists" => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn update(&self, kind: &'static Kind, object: Object) -> Result<(), ApiError> {
        let name = object.name().to_owned();
        let target = Target { kind, namespace: None, name: &name };
        let options = WriteOptions::of_the_server();
        match self.registry.update(target, Part::Object, &self.user, object, &options, &mut Vec::new()).await
        {
            Ok(_) => Ok(()),
            // Somebody else wrote it just now; the next start looks again.
            Err(error) if error.reason() == "Conflict" => Ok(()),
            Err(error) => Err(error),
        }
    }
}

fn served(plural: &str) -> Result<&'static Kind, ApiError> {
    find_resource(GROUP, "v1", plural).ok_or_else(ApiError::unknown_resource)
}
