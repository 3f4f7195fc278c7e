//! A CSI driver in a process of its own that mounts nothing: it looks at the tokens that it is given, and counts.

use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokenward_csi::v1::node_server::{Node, NodeServer};
use tokenward_csi::v1::*;
use tokenward_tokens::{Clock, TokenMap, find};
use tokenward_transport::registration::registration_server::{Registration, RegistrationServer};
use tokenward_transport::registration::{
    InfoRequest, PluginInfo, RegistrationStatus, RegistrationStatusResponse,
};
use tokenward_transport::{Services, SocketPath, bind, serve};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use crate::aside::{self, Aside};
use crate::{Failure, process};

/// What a driver is to be.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Setup {
    /// Its name.
    pub name: String,
    /// Where it serves.
    pub socket: PathBuf,
    /// Where it registers itself with a node, if it does.
    pub registration: Option<PathBuf>,
    /// The processor that it may use, if not any.
    pub cpu: Option<usize>,
    /// Seconds: a token that has less life left when it is delivered has too little.
    pub enough: i64,
}

/// What a driver has seen.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub struct Counts {
    /// Calls of NodePublishVolume.
    pub publishes: u64,
    /// Tokens in them.
    pub tokens: u64,
    /// Of these, tokens that an API server has made, and that say themselves until when they are good.
    pub signed: u64,
    /// Publishes with a token that had too little life left, or whose life could not be told, or without any token.
    pub too_little: u64,
    /// Calls of NodeUnpublishVolume.
    pub unpublishes: u64,
    /// Milliseconds: the least life that a token had left.
    pub least_left: Option<i64>,
}

impl Counts {
    /// The counts of two drivers together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            publishes: self.publishes + other.publishes,
            tokens: self.tokens + other.tokens,
            signed: self.signed + other.signed,
            too_little: self.too_little + other.too_little,
            unpublishes: self.unpublishes + other.unpublishes,
            least_left: self.least_left.into_iter().chain(other.least_left).min(),
        }
    }

    fn take_in(&mut self, tokens: Option<&TokenMap>, now: jiff::Timestamp, enough: i64) {
        self.publishes += 1;
        let mut is_enough = tokens.is_some_and(|tokens| !tokens.is_empty());
        for (_, entry) in tokens.into_iter().flatten() {
            self.tokens += 1;
            let claimed =
                tokenward_jose::peek_claims(entry.token.expose_token()).ok().map(|claims| claims.exp);
            self.signed += u64::from(claimed.is_some());
            // What the token says counts for whoever verifies it; it must be what the node was told.
            let agrees = claimed.is_none_or(|exp| exp == entry.expires.map(jiff::Timestamp::as_second));
            let left = entry.expires.map(|expires| expires.duration_since(now).as_millis());
            let left = left.and_then(|left| i64::try_from(left).ok());
            is_enough &= agrees && left.is_some_and(|left| left >= enough * 1000);
            self.least_left = self.least_left.into_iter().chain(left).min();
        }
        self.too_little += u64::from(!is_enough);
    }
}

/// A driver of this kind, running. It ends when this is dropped.
pub struct DriverDouble(Aside);

impl DriverDouble {
    /// Starts this program with `argument`, which must make it call [`run`], and waits until it serves.
    ///
    /// # Errors
    /// When it does not.
    pub fn start(argument: &str, setup: &Setup) -> Result<Self, Failure> {
        let mut aside = Aside::start(argument, setup)?;
        let _: Counts = aside.hear()?;
        Ok(Self(aside))
    }

    /// What it has seen so far.
    ///
    /// # Errors
    /// When it has ended.
    pub fn counts(&mut self) -> Result<Counts, Failure> {
        self.0.ask()
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.0.id()
    }
}

/// The child's side: serves until it is killed.
///
/// # Errors
/// When its sockets cannot be served.
pub fn run() -> Result<(), Failure> {
    let setup: Setup = aside::setup()?;
    if let Some(cpu) = setup.cpu {
        process::pin(cpu)?;
    }
    let driver = Driver { setup: setup.clone(), counts: Arc::default(), clock: Clock::system() };
    let counts = Arc::clone(&driver.counts);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async move {
        let socket = bind(&SocketPath::new(setup.socket)?).await?;
        let node =
            serve(socket, Services::new().with(NodeServer::new(driver.clone())), CancellationToken::new());
        let registration = match setup.registration {
            Some(path) => Some(bind(&SocketPath::new(path)?).await?),
            None => None,
        };
        aside::say(&Counts::default())?;
        aside::answer(move || *counts.lock());
        let Some(registration) = registration else { return Ok(node.await?) };
        let services = Services::new().with(RegistrationServer::new(driver));
        tokio::try_join!(node, serve(registration, services, CancellationToken::new()))?;
        Ok(())
    })
}

#[derive(Clone)]
struct Driver {
    setup: Setup,
    counts: Arc<Mutex<Counts>>,
    clock: Clock,
}

fn not_served<T>() -> Result<Response<T>, Status> {
    Err(Status::unimplemented("this driver only publishes"))
}

#[tonic::async_trait]
impl Node for Driver {
    async fn node_publish_volume(
        &self,
        request: Request<NodePublishVolumeRequest>,
    ) -> Result<Response<NodePublishVolumeResponse>, Status> {
        let request = request.into_inner();
        let tokens = find(&request.secrets, &request.volume_context).and_then(|found| found.parse().ok());
        self.counts.lock().take_in(tokens.as_ref(), self.clock.now(), self.setup.enough);
        Ok(Response::new(NodePublishVolumeResponse {}))
    }

    async fn node_unpublish_volume(
        &self,
        _: Request<NodeUnpublishVolumeRequest>,
    ) -> Result<Response<NodeUnpublishVolumeResponse>, Status> {
        self.counts.lock().unpublishes += 1;
        Ok(Response::new(NodeUnpublishVolumeResponse {}))
    }

    async fn node_get_capabilities(
        &self,
        _: Request<NodeGetCapabilitiesRequest>,
    ) -> Result<Response<NodeGetCapabilitiesResponse>, Status> {
        Ok(Response::new(NodeGetCapabilitiesResponse::default()))
    }

    async fn node_get_info(
        &self,
        _: Request<NodeGetInfoRequest>,
    ) -> Result<Response<NodeGetInfoResponse>, Status> {
        Ok(Response::new(NodeGetInfoResponse { node_id: "double".to_owned(), ..Default::default() }))
    }

    async fn node_stage_volume(
        &self,
        _: Request<NodeStageVolumeRequest>,
    ) -> Result<Response<NodeStageVolumeResponse>, Status> {
        not_served()
    }

    async fn node_unstage_volume(
        &self,
        _: Request<NodeUnstageVolumeRequest>,
    ) -> Result<Response<NodeUnstageVolumeResponse>, Status> {
        not_served()
    }

    async fn node_get_volume_stats(
        &self,
        _: Request<NodeGetVolumeStatsRequest>,
    ) -> Result<Response<NodeGetVolumeStatsResponse>, Status> {
        not_served()
    }

    async fn node_expand_volume(
        &self,
        _: Request<NodeExpandVolumeRequest>,
    ) -> Result<Response<NodeExpandVolumeResponse>, Status> {
        not_served()
    }
}

#[tonic::async_trait]
impl Registration for Driver {
    async fn get_info(&self, _: Request<InfoRequest>) -> Result<Response<PluginInfo>, Status> {
        Ok(Response::new(PluginInfo {
            r#type: "CSIPlugin".to_owned(),
            name: self.setup.name.clone(),
            endpoint: self.setup.socket.display().to_string(),
            supported_versions: vec!["1.0.0".to_owned()],
        }))
    }

    async fn notify_registration_status(
        &self,
        _: Request<RegistrationStatus>,
    ) -> Result<Response<RegistrationStatusResponse>, Status> {
        Ok(Response::new(RegistrationStatusResponse {}))
    }
}

#[cfg(test)]
mod tests {
    use tokenward_tokens::{Audience, Token, TokenEntry};

    use super::*;

    #[test]
    fn only_tokens_with_enough_life_left_are_enough() {
        let at = |second| jiff::Timestamp::from_second(second).unwrap();
        let token = |exp: i64| {
            let segment = |text: String| tokenward_jose::encode_segment(text.as_bytes());
            let header = segment(r#"{"alg":"none"}"#.to_owned());
            Token::new(format!(
                "{header}.{}.{}",
                segment(format!(r#"{{"exp":{exp}}}"#)),
                segment("s".to_owned())
            ))
        };
        let map = |token: Token, expires| {
            TokenMap::from_iter([(Audience::new("a"), TokenEntry { token, expires: Some(at(expires)) })])
        };
        let opaque = || Token::new("opaque".to_owned());
        for (tokens, too_little, signed) in [
            (Some(map(token(190), 190)), 0, 1),
            (Some(map(token(189), 189)), 1, 1),
            (Some(map(opaque(), 190)), 0, 0),
            // It says of itself that it ends earlier than the node was told.
            (Some(map(token(150), 190)), 1, 1),
            (Some(TokenMap::new()), 1, 0),
            (None, 1, 0),
        ] {
            let mut counts = Counts::default();
            counts.take_in(tokens.as_ref(), at(100), 90);
            assert_eq!((counts.publishes, counts.too_little, counts.signed), (1, too_little, signed));
        }
    }
}
