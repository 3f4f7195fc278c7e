//! The certificates of one cluster: an authority made for the run, and what it signs.
//!
//! ECDSA P-256 throughout: a key pair is made in tens of microseconds, where RSA would take most of the start-up time.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SanType,
};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use x509_parser::prelude::{FromDer as _, GeneralName, ParsedExtension, X509Certificate};
use zeroize::Zeroizing;

/// How long an authority is valid, as kubeadm has it: ten years.
pub const AUTHORITY_LIFETIME: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);
/// How long a signed certificate is valid, as kubeadm has it: one year.
pub const LEAF_LIFETIME: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// A serving certificate that was kept is replaced at a start that is nearer to its end than this.
pub const RENEW_BEFORE_END: Duration = Duration::from_secs(90 * 24 * 60 * 60);
/// How far validity reaches back, so that a client whose clock is a little slow accepts the certificate.
pub const CLOCK_SKEW: Duration = Duration::from_secs(5 * 60);

/// The names that every server certificate bears: those by which programs on this machine and pods call the server.
pub const SERVER_NAMES: [&str; 4] =
    ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"];

/// A certificate authority that lives as long as its cluster.
///
/// ```
/// use tokenward_cluster::pki::Authority;
///
/// let now = "2026-01-01T00:00:00Z".parse()?;
/// let authority = Authority::generate(now)?;
/// let server = authority.server(&[], now)?;
/// let admin = authority.client("kubernetes-admin", Some("system:masters"), now)?;
/// assert_ne!(server.certificate_der(), admin.certificate_der());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
}

impl Authority {
    /// Makes a new authority, `kubernetes` by name, valid from `now`.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn generate(now: Timestamp) -> Result<Self, PkiError> {
        let mut params = params("kubernetes", None, now, AUTHORITY_LIFETIME);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages =
            vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = key_pair()?;
        let certificate = params.self_signed(&key).map_err(PkiError::Sign)?.der().clone();
        Ok(Self { issuer: Issuer::new(params, key), certificate })
    }

    /// The authority that has this certificate and this key, both in PEM.
    ///
    /// # Errors
    /// When either cannot be read, or the key is another's.
    pub fn from_pem(certificate: &[u8], key: &[u8]) -> Result<Self, PkiError> {
        let (certificate, key) = pair_from_pem(certificate, key)?;
        let issuer = Issuer::from_ca_cert_der(&certificate, key).map_err(|_| PkiError::Unreadable)?;
        Ok(Self { issuer, certificate })
    }

    /// The authority's own private key, PKCS#8 in PEM, for a file that only its owner reads.
    #[must_use]
    pub fn expose_key_pem(&self) -> Zeroizing<String> {
        pem("PRIVATE KEY", &Zeroizing::new(self.issuer.key().serialize_der()))
    }

    /// Whether a server certificate of these names would be no better than this one: signed by this authority, for all
    /// of the names, and good for [`RENEW_BEFORE_END`] or more.
    #[must_use]
    pub fn would_sign_again(&self, identity: &Identity, names: &[String], now: Timestamp) -> bool {
        let (Ok((_, own)), Ok((_, leaf))) =
            (X509Certificate::from_der(&self.certificate), X509Certificate::from_der(&identity.certificate))
        else {
            return false;
        };
        let signer = leaf.extensions().iter().find_map(|extension| match extension.parsed_extension() {
            ParsedExtension::AuthorityKeyIdentifier(id) => id.key_identifier.as_ref().map(|id| id.0),
            _ => None,
        });
        let signs_as = own.extensions().iter().find_map(|extension| match extension.parsed_extension() {
            ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0),
            _ => None,
        });
        let renew = leaf.validity().not_after.timestamp()
            - i64::try_from(RENEW_BEFORE_END.as_secs()).unwrap_or(i64::MAX);
        let is_fresh = leaf.validity().not_before.timestamp() <= now.as_second() && now.as_second() < renew;
        let Ok(Some(bears)) = leaf.subject_alternative_name() else { return false };
        let has = |name: &String| match name.parse::<IpAddr>() {
            Ok(IpAddr::V4(address)) => {
                bears.value.general_names.contains(&GeneralName::IPAddress(&address.octets()))
            }
            Ok(IpAddr::V6(address)) => {
                bears.value.general_names.contains(&GeneralName::IPAddress(&address.octets()))
            }
            Err(_) => bears.value.general_names.contains(&GeneralName::DNSName(name)),
        };
        signer.is_some() && signer == signs_as && is_fresh && names.iter().all(has)
    }

    /// The authority's own certificate: what servers and clients trust.
    #[must_use]
    pub fn certificate_der(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// The authority's own certificate as PEM.
    #[must_use]
    pub fn certificate_pem(&self) -> String {
        pem("CERTIFICATE", &self.certificate).to_string()
    }

    /// Signs a server certificate for [`SERVER_NAMES`], both loopback addresses and `names` (DNS names or addresses).
    ///
    /// # Errors
    /// When a name is neither an address nor a DNS name.
    pub fn server(&self, names: &[String], now: Timestamp) -> Result<Identity, PkiError> {
        let mut params = params("kube-apiserver", None, now, LEAF_LIFETIME);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let loopback = [IpAddr::from([127, 0, 0, 1]), IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1])];
        params.subject_alt_names = loopback.into_iter().map(SanType::IpAddress).collect();
        for name in SERVER_NAMES.into_iter().chain(names.iter().map(String::as_str)) {
            let name = server_name(name)?;
            if !params.subject_alt_names.contains(&name) {
                params.subject_alt_names.push(name);
            }
        }
        self.sign(params)
    }

    /// Signs a client certificate: `user` is its common name, `group` its organization, as kube-apiserver reads them.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn client(&self, user: &str, group: Option<&str>, now: Timestamp) -> Result<Identity, PkiError> {
        let mut params = params(user, group, now, LEAF_LIFETIME);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(params)
    }

    /// The client certificate of the cluster's administrator: `kubernetes-admin` in `system:masters`.
    ///
    /// # Errors
    /// As [`Authority::client`].
    pub fn admin(&self, now: Timestamp) -> Result<Identity, PkiError> {
        self.client("kubernetes-admin", Some("system:masters"), now)
    }

    /// The client certificate of a node: `system:node:NAME` in `system:nodes`, what the Node authorizer looks for.
    ///
    /// # Errors
    /// As [`Authority::client`].
    pub fn node(&self, name: &str, now: Timestamp) -> Result<Identity, PkiError> {
        self.client(&format!("system:node:{name}"), Some("system:nodes"), now)
    }

    fn sign(&self, mut params: CertificateParams) -> Result<Identity, PkiError> {
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let key = key_pair()?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(PkiError::Sign)?.der().clone();
        Ok(Identity { certificate, key: Zeroizing::new(key.serialize_der()) })
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}

/// A certificate and its private key. The key is zeroized on drop and is in no `Debug`.
#[derive(Clone)]
pub struct Identity {
    certificate: CertificateDer<'static>,
    key: Zeroizing<Vec<u8>>,
}

impl Identity {
    /// The certificate and the key that these PEM texts hold.
    ///
    /// # Errors
    /// When either cannot be read, or the key is another's.
    pub fn from_pem(certificate: &[u8], key: &[u8]) -> Result<Self, PkiError> {
        let (certificate, key) = pair_from_pem(certificate, key)?;
        Ok(Self { certificate, key: Zeroizing::new(key.serialize_der()) })
    }

    /// The certificate; the authority that signed it is not part of the chain.
    #[must_use]
    pub fn certificate_der(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// The certificate as PEM.
    #[must_use]
    pub fn certificate_pem(&self) -> String {
        pem("CERTIFICATE", &self.certificate).to_string()
    }

    /// The private key, PKCS#8, for a TLS configuration.
    #[must_use]
    pub fn expose_key_der(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.key.to_vec()).into()
    }

    /// The private key, PKCS#8 in PEM, for a file that only its owner reads.
    #[must_use]
    pub fn expose_key_pem(&self) -> Zeroizing<String> {
        pem("PRIVATE KEY", &self.key)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}

/// Why a certificate could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PkiError {
    /// The system gave no randomness.
    #[error("could not make an ECDSA P-256 key")]
    Key(#[source] rcgen::Error),
    /// A name for the server certificate cannot stand in one.
    #[error("`{0}` is neither an address nor a DNS name, so it cannot stand in the server certificate")]
    Name(String, #[source] rcgen::Error),
    /// A certificate and a key that were kept, and do not belong together.
    #[error("the private key is not that of the certificate")]
    Mismatch,
    /// What was kept is no certificate, or no key.
    #[error("wanted a certificate and its private key in PEM, found something else")]
    Unreadable,
    /// The certificate could not be encoded or signed.
    #[error("could not sign a certificate")]
    Sign(#[source] rcgen::Error),
}

fn pair_from_pem(certificate: &[u8], key: &[u8]) -> Result<(CertificateDer<'static>, KeyPair), PkiError> {
    // No source: the libraries' errors may quote a line of a key.
    let certificate = CertificateDer::from_pem_slice(certificate).map_err(|_| PkiError::Unreadable)?;
    let key = std::str::from_utf8(key).ok().and_then(|text| KeyPair::from_pem(text).ok());
    let key = key.ok_or(PkiError::Unreadable)?;
    let (_, parsed) = X509Certificate::from_der(&certificate).map_err(|_| PkiError::Unreadable)?;
    if parsed.public_key().subject_public_key.data != key.public_key_raw() {
        return Err(PkiError::Mismatch);
    }
    Ok((certificate, key))
}

fn params(
    common_name: &str,
    organization: Option<&str>,
    now: Timestamp,
    lifetime: Duration,
) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    if let Some(organization) = organization {
        params.distinguished_name.push(DnType::OrganizationName, organization);
    }
    params.distinguished_name.push(DnType::CommonName, common_name);
    let now = Duration::from_secs(u64::try_from(now.as_second()).unwrap_or(0));
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch + now.saturating_sub(CLOCK_SKEW);
    params.not_after = epoch + now + lifetime;
    params
}

fn key_pair() -> Result<KeyPair, PkiError> {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(PkiError::Key)
}

fn server_name(name: &str) -> Result<SanType, PkiError> {
    match name.parse::<IpAddr>() {
        Ok(address) => Ok(SanType::IpAddress(address)),
        Err(_) => {
            Ok(SanType::DnsName(name.try_into().map_err(|error| PkiError::Name(name.to_owned(), error))?))
        }
    }
}

/// RFC 7468: 64 characters a line.
pub(crate) fn pem(label: &str, der: &[u8]) -> Zeroizing<String> {
    use base64::Engine as _;
    let body = Zeroizing::new(base64::engine::general_purpose::STANDARD.encode(der));
    // Room for everything at once: growing would leave copies of a key behind.
    let mut text = Zeroizing::new(String::with_capacity(body.len() + body.len() / 64 + 2 * label.len() + 40));
    text.push_str("-----BEGIN ");
    text.push_str(label);
    text.push_str("-----\n");
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, tail) = rest.split_at(rest.len().min(64));
        text.push_str(line);
        text.push('\n');
        rest = tail;
    }
    text.push_str("-----END ");
    text.push_str(label);
    text.push_str("-----\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-03-01T12:00:00Z".parse().unwrap()
    }

    fn parse(der: &[u8]) -> X509Certificate<'_> {
        X509Certificate::from_der(der).unwrap().1
    }

    #[test]
    fn the_authority_signs_what_it_issues_and_nothing_below() {
        let authority = Authority::generate(now()).unwrap();
        let root = parse(authority.certificate_der());
        let constraints = root.basic_constraints().unwrap().unwrap().value;
        assert!(constraints.ca);
        assert_eq!(constraints.path_len_constraint, Some(0));
        assert_eq!(root.subject().to_string(), "CN=kubernetes");
        let leaf = authority.server(&[], now()).unwrap();
        let leaf = parse(leaf.certificate_der());
        assert_eq!(leaf.issuer(), root.subject());
        let authority_key = |certificate: &X509Certificate<'_>| {
            certificate.extensions().iter().find_map(|extension| match extension.parsed_extension() {
                ParsedExtension::AuthorityKeyIdentifier(id) => Some(id.key_identifier.clone()?.0.to_vec()),
                _ => None,
            })
        };
        let subject_key = root.extensions().iter().find_map(|extension| match extension.parsed_extension() {
            ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0.to_vec()),
            _ => None,
        });
        assert!(subject_key.is_some());
        assert_eq!(authority_key(&leaf), subject_key);
    }

    #[test]
    fn a_server_is_known_by_loopback_cluster_and_given_names() {
        let authority = Authority::generate(now()).unwrap();
        let given = ["192.0.2.7".to_owned(), "api.example".to_owned(), "localhost".to_owned()];
        let server = authority.server(&given, now()).unwrap();
        let certificate = parse(server.certificate_der());
        let names = &certificate.subject_alternative_name().unwrap().unwrap().value.general_names;
        let mut shown: Vec<String> = names
            .iter()
            .map(|name| match name {
                GeneralName::DNSName(name) => (*name).to_owned(),
                GeneralName::IPAddress(octets) => format!("{octets:?}"),
                other => panic!("a name of another kind: {other}"),
            })
            .collect();
        shown.sort();
        assert_eq!(
            shown,
            [
                "[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]",
                "[127, 0, 0, 1]",
                "[192, 0, 2, 7]",
                "api.example",
                "kubernetes",
                "kubernetes.default",
                "kubernetes.default.svc",
                "localhost",
            ]
        );
        let usage = certificate.extended_key_usage().unwrap().unwrap().value;
        assert!(usage.server_auth && !usage.client_auth);
    }

    #[test]
    fn clients_carry_user_and_group() {
        let authority = Authority::generate(now()).unwrap();
        let admin = authority.admin(now()).unwrap();
        let node = authority.node("worker", now()).unwrap();
        for (identity, subject) in [
            (&admin, "O=system:masters, CN=kubernetes-admin"),
            (&node, "O=system:nodes, CN=system:node:worker"),
        ] {
            let certificate = parse(identity.certificate_der());
            assert_eq!(certificate.subject().to_string(), subject);
            let usage = certificate.extended_key_usage().unwrap().unwrap().value;
            assert!(usage.client_auth && !usage.server_auth);
        }
    }

    #[test]
    fn validity_counts_from_the_time_handed_in() {
        let authority = Authority::generate(now()).unwrap();
        let admin = authority.admin(now()).unwrap();
        let validity = parse(admin.certificate_der()).validity().clone();
        let from = now().as_second();
        assert_eq!(validity.not_before.timestamp(), from - 300);
        assert_eq!(validity.not_after.timestamp(), from + 365 * 24 * 60 * 60);
    }

    #[test]
    fn a_name_that_cannot_stand_in_a_certificate_is_refused() {
        let authority = Authority::generate(now()).unwrap();
        let error = authority.server(&["héllo".to_owned()], now()).unwrap_err();
        assert!(error.to_string().starts_with("`héllo` is neither an address nor a DNS name"), "{error}");
    }

    #[test]
    fn pem_is_what_rustls_reads_and_debug_shows_no_key() {
        let identity = Authority::generate(now()).unwrap().admin(now()).unwrap();
        let certificate = CertificateDer::from_pem_slice(identity.certificate_pem().as_bytes()).unwrap();
        assert_eq!(&certificate, identity.certificate_der());
        let key = PrivateKeyDer::from_pem_slice(identity.expose_key_pem().as_bytes()).unwrap();
        assert_eq!(key, identity.expose_key_der());
        assert!(identity.expose_key_pem().lines().all(|line| line.len() <= 64));
        assert_eq!(format!("{identity:?}"), "Identity { .. }");
    }
}
