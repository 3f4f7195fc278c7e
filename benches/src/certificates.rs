//! Certificates for one run: an authority, a server on loopback, a node.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

use crate::Failure;

/// A certificate and its key, PEM.
pub struct Identity {
    /// The certificate.
    pub certificate: String,
    /// Its private key.
    pub key: String,
}

/// An authority that lives as long as a run.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its own certificate, PEM.
    pub certificate: String,
}

impl Authority {
    /// Makes one. Keys are ECDSA P-256, as those of `tokenward up` are.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn generate() -> Result<Self, Failure> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign];
        params.distinguished_name.push(DnType::CommonName, "benchmark");
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?.pem();
        Ok(Self { issuer: Issuer::new(params, key), certificate })
    }

    /// A server certificate for 127.0.0.1.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn server(&self) -> Result<Identity, Failure> {
        let mut params = CertificateParams::new(["127.0.0.1".to_owned()])?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.sign(&params)
    }

    /// The client certificate of a node.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn node(&self, name: &str) -> Result<Identity, Failure> {
        self.client(&format!("system:node:{name}"), "system:nodes")
    }

    /// The client certificate of somebody who may do everything.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn administrator(&self) -> Result<Identity, Failure> {
        self.client("administrator", "system:masters")
    }

    fn client(&self, user: &str, group: &str) -> Result<Identity, Failure> {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, group);
        params.distinguished_name.push(DnType::CommonName, user);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(&params)
    }

    fn sign(&self, params: &CertificateParams) -> Result<Identity, Failure> {
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?.pem();
        Ok(Identity { certificate, key: key.serialize_pem() })
    }
}
