//! Patches of an object, in every language that the server knows: the first byte says which, the second of what.
#![no_main]

use std::sync::Arc;

use http::Request;
use http_body_util::{BodyExt, Full};
use libfuzzer_sys::fuzz_target;
use tokenward_apiserver::PeerIdentity;
use tokenward_fuzz::World;

const LANGUAGES: [&str; 4] = [
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
];

fuzz_target!(|data: &[u8]| {
    let [language, object, patch @ ..] = data else { return };
    let world = World::get();
    let path = World::OBJECTS[usize::from(*object) % World::OBJECTS.len()];
    let request = Request::patch(format!("{path}?dryRun=All&fieldManager=fuzz"))
        .header("content-type", LANGUAGES[usize::from(*language) % LANGUAGES.len()])
        .body(Full::new(bytes::Bytes::copy_from_slice(patch)));
    let mut request = request.expect("a constant path");
    request.extensions_mut().insert(PeerIdentity(Arc::new(World::admin())));
    world.runtime.block_on(async {
        let response = world.server.handle(request).await;
        let is_internal = response.status().as_u16() == 500;
        let body = response.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        // With this one 500 upstream tells an applier that the patch is not of the object's type.
        let untyped = b"failed to create typed patch object";
        let is_upstreams = body.windows(untyped.len()).any(|window| window == untyped);
        assert!(!is_internal || is_upstreams, "an internal error");
    });
});
