//! Ports of nodes that pods ask for (upstream's plugin NodePorts).

use crate::objects::PodSpec;

/// A port of a node, taken by one pod at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HostPort {
    /// `0.0.0.0` for every address of the node.
    address: String,
    protocol: String,
    port: u16,
}

const EVERY_ADDRESS: &str = "0.0.0.0";

impl HostPort {
    /// Those that the pod's containers ask for, and its init containers that stay beside them.
    pub(super) fn of(spec: &PodSpec) -> Vec<Self> {
        let staying = spec.init_containers.iter().filter(|container| container.restart_policy == "Always");
        let asked = spec.containers.iter().chain(staying).flat_map(|container| &container.ports);
        let or = |text: &str, default: &str| if text.is_empty() { default } else { text }.to_owned();
        asked
            .filter(|port| port.host_port != 0)
            .map(|port| Self {
                address: or(&port.host_ip, EVERY_ADDRESS),
                protocol: or(&port.protocol, "TCP"),
                port: port.host_port,
            })
            .collect()
    }

    /// Whether two pods cannot both have theirs.
    pub(super) fn conflicts_with(&self, other: &Self) -> bool {
        let same_address =
            self.address == other.address || [self, other].iter().any(|one| one.address == EVERY_ADDRESS);
        self.port == other.port && self.protocol == other.protocol && same_address
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn which_ports_are_in_each_others_way() {
        let port = |spec: serde_json::Value| {
            let spec = serde_json::from_value(json!({"containers": [{"ports": [spec]}]})).unwrap();
            HostPort::of(&spec).into_iter().next()
        };
        assert_eq!(port(json!({"containerPort": 80})), None);
        for (one, other, conflict) in [
            (json!({"hostPort": 80}), json!({"hostPort": 80, "protocol": "TCP"}), true),
            (json!({"hostPort": 80}), json!({"hostPort": 81}), false),
            (json!({"hostPort": 80}), json!({"hostPort": 80, "protocol": "UDP"}), false),
            (json!({"hostPort": 80, "hostIP": "10.0.0.1"}), json!({"hostPort": 80}), true),
            (
                json!({"hostPort": 80, "hostIP": "10.0.0.1"}),
                json!({"hostPort": 80, "hostIP": "10.0.0.2"}),
                false,
            ),
        ] {
            let (a, b) = (port(one.clone()).unwrap(), port(other.clone()).unwrap());
            assert_eq!((a.conflicts_with(&b), b.conflicts_with(&a)), (conflict, conflict), "{one} {other}");
        }
    }

    #[test]
    fn init_containers_that_end_give_their_ports_back() {
        let spec = json!({"initContainers": [
            {"ports": [{"hostPort": 1}]}, {"restartPolicy": "Always", "ports": [{"hostPort": 2}]},
        ]});
        let found = HostPort::of(&serde_json::from_value(spec).unwrap());
        assert_eq!(found.iter().map(|port| port.port).collect::<Vec<_>>(), [2]);
    }
}
