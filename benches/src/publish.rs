//! A NodePublishVolume request as a kubelet sends it, with tokens in either place.

use std::collections::BTreeMap;

use tokenward_csi::v1::volume_capability::{AccessMode, AccessType, MountVolume, access_mode::Mode};
use tokenward_csi::v1::{NodePublishVolumeRequest, VolumeCapability};
use tokenward_tokens::{Audience, Placement, Token, TokenEntry, TokenMap, place};

/// A token for each of the audiences, as long as those of kube-apiserver, which are RS256 and bound to a pod.
pub fn tokens(audiences: &[&str]) -> TokenMap {
    let expires = "2026-06-01T12:00:00Z".parse().ok();
    let mut tokens = TokenMap::new();
    for (audience, letter) in audiences.iter().zip('a'..) {
        let claims = letter.to_string().repeat(540);
        let token = Token::new(format!("eyJhbGciOiJSUzI1NiJ9.{claims}.{}", "c".repeat(342)));
        tokens.insert(Audience::new(*audience), TokenEntry { token, expires });
    }
    tokens
}

/// The request of an inline volume whose driver asked for these tokens.
pub fn request(tokens: &TokenMap, placement: Placement) -> NodePublishVolumeRequest {
    let context = [
        ("csi.storage.k8s.io/ephemeral", "true"),
        ("csi.storage.k8s.io/pod.name", "shop-6f7c9d5b8-x2v9k"),
        ("csi.storage.k8s.io/pod.namespace", "quickstart"),
        ("csi.storage.k8s.io/pod.uid", "0b1d0f5e-6f7a-4bb5-9f2e-3f0c6c1f1d8a"),
        ("csi.storage.k8s.io/serviceAccount.name", "shop"),
    ];
    let mut volume_context = context.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    let mut secrets = BTreeMap::new();
    place(&tokens.to_value(), placement, &mut secrets, &mut volume_context);
    let target =
        "/var/lib/kubelet/pods/0b1d0f5e-6f7a-4bb5-9f2e-3f0c6c1f1d8a/volumes/kubernetes.io~csi/tokens/mount";
    NodePublishVolumeRequest {
        volume_id: "csi-3f1c9a4e5d6b7c8d9e0f1a2b3c4d5e6f7a8b9c0d1e2f3a4b5c6d7e8f9a0b1c2d".to_owned(),
        target_path: target.to_owned(),
        volume_capability: Some(VolumeCapability {
            access_mode: Some(AccessMode { mode: Mode::SingleNodeWriter.into() }),
            access_type: Some(AccessType::Mount(MountVolume::default())),
        }),
        readonly: true,
        secrets,
        volume_context,
        ..NodePublishVolumeRequest::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tokens_are_in_one_place() {
        let tokens = tokens(&["vault", "sts.example"]);
        for (placement, secrets, context) in [(Placement::Secrets, 1, 5), (Placement::VolumeContext, 0, 6)] {
            let request = request(&tokens, placement);
            assert_eq!((request.secrets.len(), request.volume_context.len()), (secrets, context));
        }
    }
}
