//! POST: a new object, or what is asked for below one: a token, a binding, an eviction, a review.

use bytes::Buf;
use tokenward_kube_schema::{Kind, find_resource};

use super::bodies::ObjectBody;
use super::{ApiServer, ResourceRequest};
use crate::admission::{namespace_lifecycle, node_restriction};
use crate::object::Metadata;
use crate::registry::{Target, Written};
use crate::status::ApiError;
use crate::token_request::{self, Asked};
use crate::{binding, eviction, review, token_review};

impl ApiServer {
    pub(super) async fn create<B>(
        &self,
        request: ResourceRequest<'_>,
        kind: &'static Kind,
        target: Option<Target<'_>>,
        body: B,
        warnings: &mut Vec<String>,
    ) -> Result<Written, ApiError>
    where
        B: http_body::Body<Data: Buf>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let ResourceRequest { parts, path, query, user, .. } = request;
        let registry = &self.shared.registry;
        let options = query.write_options("CreateOptions", &parts.headers)?;
        let body_kind = match &path.subresource {
            Some(name) => kind.subresource(name).ok_or_else(ApiError::unknown_resource)?.body_kind(),
            None => kind,
        };
        let body = ObjectBody::read(&parts.headers, body).await?;
        let decode =
            |warnings: &mut Vec<String>| body.decode(registry, body_kind, options.field_validation, warnings);
        let namespace = path.namespace.as_deref();
        if let (Some("token"), Some(target)) = (path.subresource.as_deref(), target) {
            let asked = match body.asked() {
                Some(asked) => asked,
                None => Asked::of_object(decode(warnings)?),
            };
            // What is sent is the request: there is no token yet.
            if !registry.webhooks().are_none() {
                let object = decode(&mut Vec::new())?;
                let asking = registry
                    .ask_about_creation(target, "token", body_kind, user, &object, &options, warnings);
                Box::pin(asking).await?;
            }
            self.wait_for_signing_key().await?;
            let granting = token_request::Granting {
                cluster: registry.view(),
                issuer: &self.shared.issuer,
                user,
                manager: &options.manager,
                now: registry.clock().now(),
            };
            return granting.create(namespace.unwrap_or(""), target.name, asked, warnings);
        }
        let mut object = decode(warnings)?;
        let is_token_review = kind.kind == "TokenReview";
        if is_token_review || review::is_review(kind) {
            registry.own_answer(kind, &options, &mut object)?;
        }
        match (path.subresource.as_deref(), target) {
            _ if body_kind.kind == "Binding" && user.node().is_some() => {
                let name = target.map_or_else(|| object.name(), |target| target.name);
                Err(node_restriction::binding_refused(name))
            }
            (None, _) if kind.kind == "Binding" => {
                let pods = find_resource("", "v1", "pods").ok_or_else(ApiError::unknown_resource)?;
                let name = object.name().to_owned();
                let own = Target { kind, namespace, name: &name };
                let asking = registry.ask_about_creation(own, "", kind, user, &object, &options, warnings);
                Box::pin(asking).await?;
                let target = Target { kind: pods, namespace, name: &name };
                Box::pin(binding::create(registry, target, &object, options.dry_run)).await
            }
            (None, _) if is_token_review => token_review::create(kind, &self.token_authenticators(), object),
            (None, _) if review::is_review(kind) => {
                let (cluster, now) = (registry.view(), registry.clock().now());
                review::Asking { user, namespace, cluster, now }.create(kind, object)
            }
            (None, _) => {
                Box::pin(registry.create(kind, namespace, user, object.into(), &options, warnings)).await
            }
            (Some("eviction"), Some(target)) => {
                namespace_lifecycle::admit_create(target.kind, namespace, &object, registry.view())?;
                if let Some(node) = user.node() {
                    eviction::admit_node(node, target, registry)?;
                }
                let asking = registry
                    .ask_about_creation(target, "eviction", body_kind, user, &object, &options, warnings);
                Box::pin(asking).await?;
                Box::pin(eviction::create(registry, target, &object, &options)).await
            }
            (Some("binding"), Some(target)) => {
                let asking = registry
                    .ask_about_creation(target, "binding", body_kind, user, &object, &options, warnings);
                Box::pin(asking).await?;
                Box::pin(binding::create(registry, target, &object, options.dry_run)).await
            }
            _ => Err(ApiError::method_not_allowed()),
        }
    }
}
