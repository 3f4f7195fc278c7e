//! Label and field selectors, and what they select.
#![no_main]

use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;
use tokenward_apiserver::selector::{FieldSelector, LabelSelector};

fuzz_target!(|text: &str| {
    if let Ok(labels) = LabelSelector::parse(text) {
        let some = BTreeMap::from([("app".to_owned(), "web".to_owned()), ("tier".to_owned(), String::new())]);
        let _ = labels.matches(&some);
        assert!(labels.is_everything() <= labels.matches(&BTreeMap::new()), "everything is selected");
    }
    if let Ok(fields) = FieldSelector::parse(text) {
        let _ = fields.check(&["metadata.name", "spec.nodeName"]);
        let _ = fields.exact("metadata.name");
        let _ = fields.matches(|field| Some(field.to_owned()));
    }
});
