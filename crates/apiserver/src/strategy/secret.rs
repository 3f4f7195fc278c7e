//! Secret: `stringData` is a client's convenience and never kept; keys follow a narrow alphabet, which is why a token
//! map can never come out of one under its own key. No error shows a value.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tokenward_kube_rules::{FeatureGates, FieldError};

use super::config_map::{MOST_BYTES, decoded_length, frozen, key_faults};
use super::field::Field;
use super::{Check, Strategy};
use crate::object::{Object, child_mut, set_default_text};

pub(super) struct SecretStrategy;

const ACCOUNT_NAME: &str = "kubernetes.io/service-account.name";

impl Strategy for SecretStrategy {
    fn checks_of_change(&self) -> &'static [Check] {
        &[Check::MetadataChange, Check::ContentChange, Check::Metadata, Check::Content]
    }

    fn set_defaults(&self, object: &mut Object) {
        set_default_text(object, "type", "Opaque");
        if let Some(Value::Object(plain)) = object.remove("stringData") {
            let data = child_mut(object, "data");
            for (key, value) in plain {
                let encoded = STANDARD.encode(value.as_str().unwrap_or(""));
                data.insert(key, encoded.into());
            }
        }
    }

    fn prepare_update(&self, new: &mut Object, old: &Object, _gates: &FeatureGates) {
        // A write that leaves the type out keeps it.
        if new.get("type").and_then(Value::as_str).is_none_or(str::is_empty)
            && let Some(kind) = old.get("type")
        {
            new.insert("type".to_owned(), kind.clone());
        }
    }

    fn validate(&self, object: &Object) -> Vec<FieldError> {
        let data = Field::of(object, "data");
        let mut errors: Vec<FieldError> = data.keys().flat_map(|key| key_faults(&data, key)).collect();
        if data.keys().map(|key| decoded_length(data.key(key).text())).sum::<usize>() > MOST_BYTES {
            errors.push(FieldError::too_long("data", MOST_BYTES));
        }
        errors.extend(content_faults(object, &data));
        errors
    }

    fn validate_update(&self, new: &Object, old: &Object) -> Vec<FieldError> {
        let immutable = Field::of(new, "type").immutable(&Field::of(old, "type"));
        immutable.into_iter().chain(frozen(new, old, &["data"])).collect()
    }
}

/// What each type of secret has to hold.
fn content_faults(object: &Object, data: &Field<'_>) -> Vec<FieldError> {
    let missing = |key: &str| (!data.key(key).is_set()).then(|| data.key(key).required(""));
    match Field::of(object, "type").text() {
        "kubernetes.io/service-account-token" => {
            let account = Field::of(object, "metadata").child("annotations").key(ACCOUNT_NAME);
            account.require_text().into_iter().collect()
        }
        "kubernetes.io/dockercfg" => json_faults(data, ".dockercfg"),
        "kubernetes.io/dockerconfigjson" => json_faults(data, ".dockerconfigjson"),
        "kubernetes.io/basic-auth" => match (missing("username"), missing("password")) {
            (Some(username), Some(password)) => vec![username, password],
            _ => Vec::new(),
        },
        "kubernetes.io/ssh-auth" => data.key("ssh-privatekey").require_text().into_iter().collect(),
        "kubernetes.io/tls" => missing("tls.crt").into_iter().chain(missing("tls.key")).collect(),
        _ => Vec::new(),
    }
}

fn json_faults(data: &Field<'_>, key: &str) -> Vec<FieldError> {
    let content = data.key(key);
    if !content.is_set() {
        return vec![content.required("")];
    }
    let decoded = STANDARD.decode(content.text()).unwrap_or_default();
    match serde_json::from_slice::<serde_json::Map<String, Value>>(&decoded) {
        Ok(_) => Vec::new(),
        // The reader's own text would quote the secret.
        Err(error) => {
            let detail =
                format!("no JSON object: a fault in line {}, column {}", error.line(), error.column());
            vec![FieldError::invalid(content.path(), "<secret contents redacted>", &detail)]
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::texts;
    use super::*;

    fn object(value: &Value) -> Object {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn plain_data_is_merged_into_the_encoded() {
        let mut secret = object(&json!({"data": {"a": "b2xk", "b": "b2xk"}, "stringData": {"a": "new"}}));
        SecretStrategy.set_defaults(&mut secret);
        assert_eq!(Value::Object(secret), json!({"data": {"a": "bmV3", "b": "b2xk"}, "type": "Opaque"}));
    }

    #[test]
    fn every_type_has_its_content() {
        let table = [
            (json!({"type": "Opaque"}), vec![]),
            (json!({"type": "example.com/own"}), vec![]),
            (
                json!({"type": "kubernetes.io/service-account-token"}),
                vec!["metadata.annotations[kubernetes.io/service-account.name]: Required value"],
            ),
            (
                json!({"type": "kubernetes.io/service-account-token",
                    "metadata": {"annotations": {"kubernetes.io/service-account.name": "web"}}}),
                vec![],
            ),
            (json!({"type": "kubernetes.io/dockercfg"}), vec!["data[.dockercfg]: Required value"]),
            (
                json!({"type": "kubernetes.io/dockerconfigjson", "data": {".dockerconfigjson": "Y2FuYXJ5"}}),
                vec![
                    "data[.dockerconfigjson]: Invalid value: \"<secret contents redacted>\": no JSON object: \
                      a fault in line 1, column 1",
                ],
            ),
            (
                json!({"type": "kubernetes.io/dockerconfigjson", "data": {".dockerconfigjson": "e30="}}),
                vec![],
            ),
            (
                json!({"type": "kubernetes.io/basic-auth"}),
                vec!["data[username]: Required value", "data[password]: Required value"],
            ),
            (json!({"type": "kubernetes.io/basic-auth", "data": {"password": ""}}), vec![]),
            (json!({"type": "kubernetes.io/ssh-auth"}), vec!["data[ssh-privatekey]: Required value"]),
            (
                json!({"type": "kubernetes.io/tls", "data": {"tls.crt": ""}}),
                vec!["data[tls.key]: Required value"],
            ),
        ];
        for (secret, faults) in table {
            let secret = object(&secret);
            assert_eq!(texts(&SecretStrategy.validate(&secret)), faults, "{secret:?}");
        }
    }

    #[test]
    fn type_and_frozen_data_stay() {
        let old = object(&json!({"type": "Opaque", "immutable": true, "data": {"a": "YQ=="}}));
        let new = object(&json!({"type": "other", "immutable": true, "data": {"a": "Yg=="}}));
        assert_eq!(
            texts(&SecretStrategy.validate_update(&new, &old)),
            [
                "type: Invalid value: \"other\": field is immutable",
                "data: Forbidden: field is immutable when `immutable` is set"
            ]
        );
    }
}
