//! PATCH: by its Content-Type a change to an object, or a configuration to apply.

use bytes::Buf;
use tokenward_kube_schema::Verb;

use super::bodies::{parse_configuration, parse_patch};
use super::{ApiServer, ResourceRequest, part};
use crate::body;
use crate::media::PatchFormat;
use crate::registry::{Configuration, Target, Written};
use crate::status::ApiError;

impl ApiServer {
    pub(super) async fn patch<B>(
        &self,
        request: ResourceRequest<'_>,
        target: Target<'_>,
        body: B,
        warnings: &mut Vec<String>,
    ) -> Result<Written, ApiError>
    where
        B: http_body::Body<Data: Buf>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let ResourceRequest { parts, user, query, path, .. } = request;
        let registry = &self.shared.registry;
        let format = PatchFormat::of(&parts.headers)?;
        let options = query.patch_options(&parts.headers, format == PatchFormat::Apply)?;
        let body = body::read(body).await?;
        if format != PatchFormat::Apply {
            let patch = parse_patch(format, &body)?;
            return registry.patch(target, part(path), user, &patch, &options, warnings).await;
        }
        let configuration = Configuration {
            object: parse_configuration(&body, options.field_validation, warnings)?,
            force: query.force().unwrap_or(false),
            // Who may change objects may not therefore make them.
            may_create: self.authorize_resource(user, Verb::Create, path, query),
        };
        registry.apply(target, part(path), user, &configuration, &options, warnings).await
    }
}
