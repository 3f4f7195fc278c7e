//! The priority classes that every cluster has, made at each start if they are missing.

use futures_util::future::try_join_all;
use tokenward_kube_rules::priority::system_classes;
use tokenward_kube_schema::find_resource;

use crate::authentication::User;
use crate::object::Metadata;
use crate::query::WriteOptions;
use crate::registry::Registry;
use crate::status::ApiError;

/// Makes what is missing. As upstream, one that is there is left as it is: its value cannot change.
pub(crate) async fn establish(registry: &Registry) -> Result<(), ApiError> {
    let kind = find_resource("scheduling.k8s.io", "v1", "priorityclasses");
    let kind = kind.ok_or_else(ApiError::unknown_resource)?;
    let user = User::authenticated("system:apiserver", ["system:masters".to_owned()]);
    let options = WriteOptions::of_the_server();
    let missing = system_classes().filter(|class| {
        registry.view().entry("scheduling.k8s.io/priorityclasses", None, class.name()).is_none()
    });
    try_join_all(missing.map(async |class| {
        match registry.create(kind, None, &user, class.into(), &options, &mut Vec::new()).await {
            // Another server over the same store was faster.
            Err(error) if error.reason() != "AlreadyExists" => Err(error),
            _ => Ok(()),
        }
    }))
    .await?;
    Ok(())
}
