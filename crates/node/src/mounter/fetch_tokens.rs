//! The tokens of one publish: from the CSIDriver's `tokenRequests` and the pod to the token map and its placement.

use tokenward_kube_rules::csi_driver::CsiDriverSpec;
use tokenward_kube_rules::placement;
use tokenward_tokens::due::TokenLifetime;
use tokenward_tokens::{Audience, TokenEntry, TokenMap};

use super::{Mounter, Published};
use crate::cluster::{Cluster, TokenRequest};
use crate::token_manager::TokenError;
use crate::token_manager::cache::Holder;
use crate::volume::VolumeSpec;

/// What a CSIDriver wants for a volume, in its order.
pub fn token_requests<'a>(
    spec: &'a VolumeSpec,
    csi_driver: &'a CsiDriverSpec,
) -> impl Iterator<Item = TokenRequest> + use<'a> {
    csi_driver.token_requests.iter().map(|wanted| TokenRequest {
        pod: spec.pod.clone(),
        service_account: spec.service_account.clone(),
        audience: Audience::new(wanted.audience.clone()),
        expiration_seconds: wanted.expiration_seconds,
    })
}

impl<C: Cluster> Mounter<C> {
    /// The kubelet's decision: one token per audience, in order; the first that fails ends it.
    pub(super) async fn fetch_tokens(
        &self,
        spec: &VolumeSpec,
        csi_driver: &CsiDriverSpec,
    ) -> Result<(Option<TokenMap>, Published), TokenError> {
        let mut tokens = TokenMap::new();
        let mut published = Published {
            placement: Some(placement(csi_driver.service_account_token_in_secrets, &self.gates)),
            ..Published::default()
        };
        let holder = Holder {
            driver: spec.driver(),
            volume: &spec.volume,
            is_republished: csi_driver.requires_republish == Some(true),
        };
        let requests: Vec<TokenRequest> = token_requests(spec, csi_driver).collect();
        for request in &requests {
            let (granted, _origin) = self.tokens.token(holder, request).await?;
            published.expires = Some(published.expires.map_or(granted.expires, |at| at.min(granted.expires)));
            published
                .lives
                .push(TokenLifetime { expires: granted.expires, ttl_seconds: granted.ttl_seconds });
            published.audiences.push(request.audience.clone());
            let entry = TokenEntry { token: granted.token, expires: Some(granted.expires) };
            tokens.insert(request.audience.clone(), entry);
        }
        self.tokens.keep_only(&spec.pod.uid, &spec.volume, &requests);
        Ok((Some(tokens), published))
    }
}
