//! Paths of requests, and what a server says to a GET of them: a line of path and query.
#![no_main]

use std::sync::Arc;

use http::Request;
use http_body_util::{BodyExt, Full};
use libfuzzer_sys::fuzz_target;
use tokenward_apiserver::PeerIdentity;
use tokenward_apiserver::request::Route;
use tokenward_fuzz::World;

fuzz_target!(|path: &str| {
    let _ = Route::parse(path);
    let Ok(mut request) = Request::get(path).body(Full::new(bytes::Bytes::new())) else { return };
    let world = World::get();
    request.extensions_mut().insert(PeerIdentity(Arc::new(World::admin())));
    world.runtime.block_on(async {
        // A watch ends by its own time, which here runs ahead.
        let response = world.server.handle(request).await;
        let code = response.status().as_u16();
        let _ = response.into_body().collect().await;
        assert!(code != 500 || path.contains("resourceVersion"), "an internal error");
    });
});
