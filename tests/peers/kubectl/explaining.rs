//! `kubectl explain`: the server's types in words. Without these, the documents have types that kubectl cannot follow.

use super::each_with_server;

#[test]
fn a_field() {
    each_with_server(|kubectl| {
        let text = kubectl.ok("explain csidriver.spec.serviceAccountTokenInSecrets");
        let head = "GROUP:      storage.k8s.io\nKIND:       CSIDriver\nVERSION:    v1\n\n\
                    FIELD: serviceAccountTokenInSecrets <boolean>\n\n";
        assert!(text.starts_with(head), "{text}");
        let (_, description) = text.split_once("DESCRIPTION:\n").unwrap();
        assert!(description.to_lowercase().contains("secrets"), "{text}");
    });
}

#[test]
fn kinds_and_their_parts() {
    each_with_server(|kubectl| {
        let text = kubectl.ok("explain csidriver");
        assert!(
            text.starts_with("GROUP:      storage.k8s.io\nKIND:       CSIDriver\nVERSION:    v1\n"),
            "{text}"
        );
        assert!(text.contains("\n  spec\t<CSIDriverSpec> -required-\n"), "{text}");
        for (path, wanted) in [
            ("csidriver.spec", "  tokenRequests\t<[]TokenRequest>\n"),
            ("csidriver.spec.tokenRequests", "  audience\t<string> -required-\n"),
            ("pod.spec.volumes.csi", "  driver\t<string> -required-\n"),
            ("pod.spec.containers", "  name\t<string> -required-\n"),
            ("serviceaccount", "  automountServiceAccountToken\t<boolean>\n"),
            ("daemonset.spec.updateStrategy.rollingUpdate", "  maxUnavailable\t<IntOrString>\n"),
            ("storageclass", "  provisioner\t<string> -required-\n"),
        ] {
            let text = kubectl.ok(&format!("explain {path}"));
            assert!(text.contains(wanted), "{path}:\n{text}");
        }
        let all = kubectl.ok("explain csidriver --recursive");
        assert!(all.contains("    serviceAccountTokenInSecrets\t<boolean>\n"), "{all}");
        assert!(all.contains("      audience\t<string> -required-\n"), "{all}");
        kubectl.fails("explain csidriver.spec.gadget", "error: field \"gadget\" does not exist");
    });
}
