//! Request bodies: objects in all encodings, patches, delete options.

use bytes::{Buf, Bytes};
use http::HeaderMap;
use serde_json::Value;
use tokenward_kube_rules::FieldError;
use tokenward_kube_schema::{self as schema, Kind, PatchBody};

use crate::body;
use crate::media::{BodyFormat, PatchFormat};
use crate::object::Object;
use crate::query::{FieldValidation, Query};
use crate::registry::{Change, DeleteOptions, JsonOperation, Patch, Registry, json_type};
use crate::status::ApiError;
use crate::token_request::Asked;
use crate::yaml::{self, FromYaml};

/// Reads a patch; whether it fits an object shows later.
pub(super) fn parse_patch(format: PatchFormat, body: &[u8]) -> Result<Patch, ApiError> {
    const MOST_OPERATIONS: usize = 10_000;
    let decoding = |fault: &str| ApiError::bad_request(format!("error decoding patch: {fault}"));
    let PatchBody { value, duplicate } = schema::read_patch(body).map_err(|fault| match format {
        PatchFormat::Strategic => ApiError::bad_request(fault),
        PatchFormat::Json | PatchFormat::Merge | PatchFormat::Apply => decoding(&fault),
    })?;
    let change = match (format, value) {
        (PatchFormat::Merge, value @ Value::Object(_)) => Change::Merge(value),
        (PatchFormat::Strategic, Value::Object(patch)) => Change::Strategic(patch),
        (PatchFormat::Json, Value::Array(operations)) if operations.len() > MOST_OPERATIONS => {
            return Err(ApiError::entity_too_large(&format!(
                "The allowed maximum operations in a JSON patch is {MOST_OPERATIONS}, got {}",
                operations.len()
            )));
        }
        (PatchFormat::Json, Value::Array(operations)) => {
            let operations: Result<Vec<_>, String> = operations.iter().map(JsonOperation::read).collect();
            Change::Json(operations.map_err(|fault| decoding(&fault))?)
        }
        (PatchFormat::Json | PatchFormat::Strategic, Value::Null) => Change::None,
        (PatchFormat::Merge, Value::Null) => return Err(ApiError::bad_request("Invalid JSON Patch")),
        (format, value) => {
            let wanted = match format {
                PatchFormat::Json => "[]handlers.jsonPatchOp",
                PatchFormat::Merge | PatchFormat::Strategic | PatchFormat::Apply => "map[string]interface {}",
            };
            let fault =
                format!("json: cannot unmarshal {} into Go value of type {wanted}", json_type(&value));
            return Err(if format == PatchFormat::Strategic {
                ApiError::bad_request(fault)
            } else {
                decoding(&fault)
            });
        }
    };
    Ok(Patch { change, duplicate })
}

/// Reads a configuration to apply: YAML, of which JSON is a part. Keys that stand there more than once are told as unknown
/// fields of other bodies are; those that no field is of are refused later, whatever the validation.
pub(super) fn parse_configuration(
    body: &[u8],
    validation: FieldValidation,
    warnings: &mut Vec<String>,
) -> Result<Object, ApiError> {
    let (value, repeated) = match schema::read_patch(body) {
        Ok(PatchBody { value, duplicate }) if duplicate.is_empty() => (value, None),
        _ => {
            let decoding = |fault: &dyn std::fmt::Display| {
                ApiError::bad_request(format!("error decoding YAML: {fault}"))
            };
            let FromYaml { json, repeated } = yaml::to_json(body).map_err(|fault| decoding(&fault))?;
            let PatchBody { value, .. } = schema::read_patch(&json).map_err(|fault| decoding(&fault))?;
            (value, repeated)
        }
    };
    let object = match value {
        Value::Object(object) => object,
        // It is read, and then of no kind.
        Value::Null => Object::new(),
        _ => {
            return Err(ApiError::bad_request(format!(
                "error decoding YAML: error unmarshaling JSON: while decoding JSON: json: cannot unmarshal {} into Go \
             value of type map[string]interface {{}}",
                json_type(&value)
            )));
        }
    };
    match repeated {
        Some(fault) if validation == FieldValidation::Strict => {
            let message = format!("error strict decoding YAML: error converting YAML to JSON: {fault}");
            return Err(ApiError::bad_request(message));
        }
        Some(fault) if validation == FieldValidation::Warn => {
            // Under a heading, which goes.
            warnings.extend(fault.lines().skip(1).map(|line| line.trim().to_owned()));
        }
        _ => {}
    }
    Ok(object)
}

/// The options of a DELETE, which stand in the body or in the query.
pub(super) async fn delete_options<B>(
    query: &Query,
    headers: &HeaderMap,
    body: B,
) -> Result<DeleteOptions, ApiError>
where
    B: http_body::Body<Data: Buf>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let bytes = body::read(body).await?;
    let mut options = if bytes.is_empty() {
        DeleteOptions::default()
    } else {
        match BodyFormat::of(headers)? {
            BodyFormat::Json => DeleteOptions::parse(&bytes)?,
            BodyFormat::Yaml => DeleteOptions::parse(&yaml::to_json(&bytes)?.json)?,
            BodyFormat::Protobuf => DeleteOptions::parse_protobuf(&bytes)?,
        }
    };
    // Who sends a body says everything there.
    if bytes.is_empty() {
        options.grace_period_seconds = query.number("gracePeriodSeconds")?;
        options.propagation_policy = query.text("propagationPolicy").map(str::to_owned);
        options.orphan_dependents = query.flag("orphanDependents");
        options.dry_run = query.all_of("dryRun").map(str::to_owned).collect();
    }
    if let (Some(_), Some(policy)) = (options.orphan_dependents, &options.propagation_policy) {
        let why = "orphanDependents and deletionPropagation cannot be both set";
        let error = FieldError::invalid("propagationPolicy", policy.as_str(), why);
        return Err(ApiError::invalid_options("DeleteOptions", &[error]));
    }
    if options.dry_run.iter().any(|value| value != "All") {
        let error = FieldError::not_supported("dryRun", options.dry_run.clone(), &["All"]);
        return Err(ApiError::invalid_options("DeleteOptions", &[error]));
    }
    if let Some(policy) = &options.propagation_policy
        && !matches!(policy.as_str(), "Background" | "Foreground" | "Orphan")
    {
        let supported = ["Foreground", "Background", "Orphan", "nil"];
        let error = FieldError::not_supported("propagationPolicy", policy.as_str(), &supported);
        return Err(ApiError::invalid_options("DeleteOptions", &[error]));
    }
    Ok(options)
}

/// The body of a request that carries an object.
pub(super) enum ObjectBody {
    Json(Bytes),
    Yaml(FromYaml),
    Protobuf(Bytes),
}

impl ObjectBody {
    pub(super) async fn read<B>(headers: &HeaderMap, body: B) -> Result<Self, ApiError>
    where
        B: http_body::Body<Data: Buf>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let format = BodyFormat::of(headers)?;
        let bytes = body::read(body).await?;
        match format {
            BodyFormat::Json => Ok(Self::Json(bytes)),
            BodyFormat::Yaml => yaml::to_json(&bytes).map(Self::Yaml),
            BodyFormat::Protobuf => Ok(Self::Protobuf(bytes)),
        }
    }

    /// The object as the registry's release knows it.
    pub(super) fn decode(
        &self,
        registry: &Registry,
        kind: &'static Kind,
        validation: FieldValidation,
        warnings: &mut Vec<String>,
    ) -> Result<Object, ApiError> {
        match self {
            Self::Json(json) => registry.decode(kind, json, None, validation, warnings),
            Self::Yaml(FromYaml { json, repeated }) => {
                registry.decode(kind, json, repeated.as_deref(), validation, warnings)
            }
            Self::Protobuf(bytes) => registry.decode_protobuf(kind, bytes),
        }
    }

    /// What a token request asks for.
    pub(super) fn asked(&self) -> Option<Asked> {
        match self {
            Self::Json(json) => Asked::read_plain(json),
            // Rare, and it may have faults to be told of.
            Self::Yaml(_) => None,
            Self::Protobuf(bytes) => Asked::read_protobuf(bytes),
        }
    }
}
