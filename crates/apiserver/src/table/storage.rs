//! Volumes, claims, classes, and CSI drivers with the place that their tokens go to.

use serde_json::Value;
use tokenward_kube_rules::placement;
use tokenward_tokens::Placement;

use super::column::{AGE, Layout, NAME, boolean, integer, text};
use super::seen::{NONE, Seen, UNSET, joined, text_in};

pub(super) static CSI_DRIVER: Layout = Layout {
    columns: &[
        NAME,
        boolean("AttachRequired", "Whether volumes are attached before they are mounted."),
        boolean("PodInfoOnMount", "Whether a mount says which pod it is for."),
        boolean("StorageCapacity", "Whether the scheduler looks at the driver's capacity."),
        text("TokenRequests", "The audiences of the tokens that the driver asks for."),
        boolean("RequiresRepublish", "Whether volumes are mounted again from time to time."),
        text("Modes", "How volumes may come to be."),
        AGE,
        text(
            "TokenPlacement",
            "Where in NodePublishVolume the kubelet puts the tokens, with this server's release and feature gates.",
        )
        .wide(),
    ],
    cells: |driver| {
        vec![
            driver.name().into(),
            driver.is("/spec/attachRequired").into(),
            driver.is("/spec/podInfoOnMount").into(),
            driver.is("/spec/storageCapacity").into(),
            audiences(driver).into(),
            driver.is("/spec/requiresRepublish").into(),
            modes(driver).into(),
            driver.age(),
            token_placement(driver).into(),
        ]
    },
};

fn audiences(driver: &Seen<'_>) -> String {
    match driver.at("/spec/tokenRequests").and_then(Value::as_array) {
        None => UNSET.to_owned(),
        Some(requests) => joined(requests.iter().map(|request| text_in(request, "/audience"))),
    }
}

fn modes(driver: &Seen<'_>) -> String {
    let modes = joined(driver.items("/spec/volumeLifecycleModes").iter().filter_map(Value::as_str));
    if modes.is_empty() { NONE.to_owned() } else { modes }
}

/// What upstream has no column for: the field alone does not say it, since the gate has a word too.
fn token_placement(driver: &Seen<'_>) -> &'static str {
    if driver.items("/spec/tokenRequests").is_empty() {
        return NONE;
    }
    let opted_in = driver.at("/spec/serviceAccountTokenInSecrets").and_then(Value::as_bool);
    match placement(opted_in, driver.gates) {
        Placement::Secrets => "secrets",
        Placement::VolumeContext => "volume context",
    }
}

pub(super) static CSI_NODE: Layout = Layout {
    columns: &[NAME, integer("Drivers", "How many drivers have registered with the node's kubelet."), AGE],
    cells: |node| vec![node.name().into(), node.items("/spec/drivers").len().into(), node.age()],
};

pub(super) static STORAGE_CLASS: Layout = Layout {
    columns: &[
        NAME,
        text("Provisioner", "Who makes the volumes."),
        text("ReclaimPolicy", "What becomes of a volume when its claim is gone."),
        text("VolumeBindingMode", "When a claim gets its volume."),
        text("AllowVolumeExpansion", "Whether claims may be made larger later."),
        AGE,
    ],
    cells: |class| {
        const DEFAULT: [&str; 2] = [
            "storageclass.kubernetes.io/is-default-class",
            "storageclass.beta.kubernetes.io/is-default-class",
        ];
        let is_default = DEFAULT.iter().any(|name| class.annotation(name) == Some("true"));
        let name = class.name();
        vec![
            if is_default { format!("{name} (default)") } else { name.to_owned() }.into(),
            class.text("/provisioner").into(),
            class.text_or("/reclaimPolicy", "Delete").into(),
            class.text_or("/volumeBindingMode", "Immediate").into(),
            class.is("/allowVolumeExpansion").into(),
            class.age(),
        ]
    },
};

pub(super) static VOLUME_ATTACHMENT: Layout = Layout {
    columns: &[
        NAME,
        text("Attacher", "The driver that attaches.").naming(),
        text("PV", "The volume."),
        text("Node", "The node."),
        boolean("Attached", "Whether the volume is attached."),
        AGE,
    ],
    cells: |attachment| {
        vec![
            attachment.name().into(),
            attachment.text("/spec/attacher").into(),
            attachment.text("/spec/source/persistentVolumeName").into(),
            attachment.text("/spec/nodeName").into(),
            attachment.is("/status/attached").into(),
            attachment.age(),
        ]
    },
};

pub(super) static PERSISTENT_VOLUME: Layout = Layout {
    columns: &[
        NAME,
        text("Capacity", "How large the volume is."),
        text("Access Modes", "How it can be mounted."),
        text("Reclaim Policy", "What becomes of it when the claim is gone."),
        text("Status", "Whether a claim has it."),
        text("Claim", "The claim that has it."),
        text("StorageClass", "Its class."),
        text("VolumeAttributesClass", "The class of its attributes."),
        text("Reason", "Why it is as it is, in one word."),
        AGE,
        text("VolumeMode", "Filesystem or Block.").wide(),
    ],
    cells: |volume| {
        let claim = volume.at("/spec/claimRef").map_or_else(String::new, |claim| {
            format!("{}/{}", text_in(claim, "/namespace"), text_in(claim, "/name"))
        });
        vec![
            volume.name().into(),
            quantity(volume.at("/spec/capacity/storage")).into(),
            access_modes(volume.items("/spec/accessModes")).into(),
            volume.text("/spec/persistentVolumeReclaimPolicy").into(),
            phase(volume).into(),
            claim.into(),
            storage_class(volume).into(),
            volume.text_or("/spec/volumeAttributesClassName", UNSET).into(),
            volume.text("/status/reason").into(),
            volume.age(),
            volume.text_or("/spec/volumeMode", UNSET).into(),
        ]
    },
};

pub(super) static PERSISTENT_VOLUME_CLAIM: Layout = Layout {
    columns: &[
        NAME,
        text("Status", "Whether the claim has a volume."),
        text("Volume", "The volume."),
        text("Capacity", "How large the volume is."),
        text("Access Modes", "How it can be mounted."),
        text("StorageClass", "The class that was asked for."),
        text("VolumeAttributesClass", "The class of attributes that was asked for."),
        AGE,
        text("VolumeMode", "Filesystem or Block.").wide(),
    ],
    cells: |claim| {
        let volume = claim.text("/spec/volumeName");
        let (capacity, modes) = if volume.is_empty() {
            (String::new(), String::new())
        } else {
            (quantity(claim.at("/status/capacity/storage")), access_modes(claim.items("/status/accessModes")))
        };
        vec![
            claim.name().into(),
            phase(claim).into(),
            volume.into(),
            capacity.into(),
            modes.into(),
            storage_class(claim).into(),
            claim.text_or("/spec/volumeAttributesClassName", UNSET).into(),
            claim.age(),
            claim.text_or("/spec/volumeMode", UNSET).into(),
        ]
    },
};

fn phase<'a>(object: &Seen<'a>) -> &'a str {
    if object.is_terminating() { "Terminating" } else { object.text("/status/phase") }
}

/// The class, by the older annotation first.
fn storage_class<'a>(object: &Seen<'a>) -> &'a str {
    let annotated = object.annotation("volume.beta.kubernetes.io/storage-class");
    annotated.unwrap_or_else(|| object.text("/spec/storageClassName"))
}

/// An amount as it was written; nothing is none of it.
fn quantity(amount: Option<&Value>) -> String {
    match amount {
        None => "0".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// `RWO,ROX`: each once, in this order.
fn access_modes(modes: &[Value]) -> String {
    const SHORT: [(&str, &str); 4] = [
        ("ReadWriteOnce", "RWO"),
        ("ReadOnlyMany", "ROX"),
        ("ReadWriteMany", "RWX"),
        ("ReadWriteOncePod", "RWOP"),
    ];
    let has = |wanted: &str| modes.iter().any(|mode| mode == wanted);
    joined(SHORT.into_iter().filter(|(mode, _)| has(mode)).map(|(_, short)| short))
}
