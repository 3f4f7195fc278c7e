//! Reads a kubeconfig with embedded credentials, as `tokenward up --kubeconfig-out` writes it.

use std::net::SocketAddr;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::Value;

use crate::Failure;
use crate::client::Credentials;

/// The first cluster's address and the first user's credentials.
///
/// # Errors
/// When the file cannot be read, or has its credentials elsewhere.
pub fn load(path: &Path) -> Result<(SocketAddr, Credentials), Failure> {
    parse(&std::fs::read_to_string(path)?)
}

fn parse(text: &str) -> Result<(SocketAddr, Credentials), Failure> {
    // The reader's own error would quote the line at fault, which may hold the key.
    let document: Value = serde_saphyr::from_str(text).map_err(|_| "the kubeconfig is not YAML")?;
    let text = |pointer: &str| {
        let wanted = || format!("the kubeconfig has no {pointer}; wanted embedded credentials");
        document.pointer(pointer).and_then(Value::as_str).ok_or_else(wanted)
    };
    let pem = |pointer: &str| -> Result<Vec<u8>, Failure> {
        Ok(STANDARD
            .decode(text(pointer)?)
            .map_err(|_| format!("{pointer} of the kubeconfig is not base64"))?)
    };
    let server = text("/clusters/0/cluster/server")?;
    let address = server.strip_prefix("https://").and_then(|address| address.parse().ok());
    let credentials = Credentials {
        authority: CertificateDer::from_pem_slice(&pem("/clusters/0/cluster/certificate-authority-data")?)?,
        certificate: CertificateDer::from_pem_slice(&pem("/users/0/user/client-certificate-data")?)?,
        key: PrivateKeyDer::from_pem_slice(&pem("/users/0/user/client-key-data")?)?,
    };
    Ok((address.ok_or_else(|| format!("wanted https://ADDRESS:PORT, found {server}"))?, credentials))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certificates::Authority;

    #[test]
    fn address_and_credentials_are_read() {
        let authority = Authority::generate().unwrap();
        let node = authority.node("a").unwrap();
        let encode = |text: &str| STANDARD.encode(text);
        let text = format!(
            "clusters:\n- cluster:\n    server: https://127.0.0.1:6443\n    certificate-authority-data: {}\nusers:\n- user:\n    client-certificate-data: {}\n    client-key-data: {}\n",
            encode(&authority.certificate),
            encode(&node.certificate),
            encode(&node.key),
        );
        let (address, credentials) = parse(&text).unwrap();
        assert_eq!(address.port(), 6443);
        assert!(credentials.into_http2().is_ok());
        let without = parse("clusters: []").err().map(|error| error.to_string());
        assert!(without.is_some_and(|text| text.contains("/clusters/0/cluster/server")));
    }
}
