use aws_lc_rs::signature::{ECDSA_P521_SHA512_ASN1, UnparsedPublicKey};

use super::*;

/// The ids were taken by another program from the same keys.
const RSA_ID: &str = "aPtQ-0LqLeD1L4D4fuB4WqVTkQibJ2qbps24m2lPOIo";
const P256_ID: &str = "eEcwnAxQHshjq4Ux3eLNl60w0CCJfi_5fDSGL5KaTL8";
const P384_ID: &str = "ZY5oBxQ6K8efngQWN5QXjgwNoHvGYVtKAgSSn4QvbPI";
const P521_ID: &str = "XAbVYs8KT7hwpdqEhmo2bd4nw1o9dRzmnYmq1bWW4uU";

macro_rules! file {
    ($name:literal) => {
        include_bytes!(concat!("../../tests/keys/", $name, ".pem")).as_slice()
    };
}

#[test]
fn every_form_of_private_key_is_read() {
    for (pem, algorithm, id) in [
        (file!("rsa-pkcs1"), Algorithm::Rs256, RSA_ID),
        (file!("rsa-pkcs8"), Algorithm::Rs256, RSA_ID),
        (file!("p256-sec1"), Algorithm::Es256, P256_ID),
        (file!("p256-pkcs8"), Algorithm::Es256, P256_ID),
        (file!("p384-sec1"), Algorithm::Es384, P384_ID),
        (file!("p384-pkcs8"), Algorithm::Es384, P384_ID),
        (file!("p521-pkcs8"), Algorithm::Es512, P521_ID),
    ] {
        let key = SigningKey::from_pem(pem).unwrap();
        assert_eq!((key.algorithm(), key.verifying_key().public_key().id().as_str()), (algorithm, id));
        let again = SigningKey::from_pem(key.to_pem().unwrap().as_bytes()).unwrap();
        assert_eq!(again.verifying_key().public_key(), key.verifying_key().public_key());
    }
}

#[test]
fn a_pem_text_is_pkcs8_as_openssl_writes_it() {
    for pem in [file!("rsa-pkcs8"), file!("p384-pkcs8"), file!("p521-pkcs8")] {
        let text = SigningKey::from_pem(pem).unwrap().to_pem().unwrap();
        assert_eq!(text.as_bytes(), pem);
    }
}

#[test]
fn several_keys_of_all_kinds_in_one_file() {
    let text = [
        b"some text before\n".as_slice(),
        file!("p256-certificate"),
        file!("p384-public"),
        file!("rsa-public"),
        file!("p521-pkcs8"),
        file!("p256-sec1"),
    ]
    .concat();
    let keys = VerifyingKey::all_from_pem(&text).unwrap();
    let ids = keys.iter().map(|key| key.public_key().id().as_str()).collect::<Vec<_>>();
    assert_eq!(ids, [P256_ID, P384_ID, RSA_ID, P521_ID, P256_ID]);
    assert_eq!(SigningKey::from_pem(&text).unwrap().algorithm(), Algorithm::Es512);
}

#[test]
fn unusable_texts_are_named() {
    let signing = |pem: &[u8]| SigningKey::from_pem(pem).map(|_| ()).unwrap_err();
    let verifying = |pem: &[u8]| VerifyingKey::all_from_pem(pem).map(|_| ()).unwrap_err();
    assert_eq!(signing(b""), KeyError::None("private key"));
    assert_eq!(signing(file!("rsa-public")), KeyError::None("private key"));
    assert_eq!(verifying(b"no pem"), KeyError::None("key"));
    assert_eq!(signing(file!("ed25519")), KeyError::Private);
    assert_eq!(verifying(file!("ed25519-certificate")), KeyError::Public(SpkiError::Algorithm));
    assert!(matches!(signing(file!("rsa-1024")), KeyError::Private | KeyError::RsaSize(1024)));

    let whole = file!("p256-pkcs8");
    assert_eq!(signing(&whole[..whole.len() - 30]), KeyError::Pem);
    let broken = String::from_utf8(whole.to_vec()).unwrap().replacen('M', "*", 1);
    assert_eq!(signing(broken.as_bytes()), KeyError::Pem);
    let other = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert_eq!(verifying(other.as_bytes()), KeyError::Certificate);
    let other = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    assert_eq!(verifying(other.as_bytes()), KeyError::Private);
}

#[test]
fn debug_and_errors_show_no_key_material() {
    let pem = String::from_utf8(file!("p256-pkcs8").to_vec()).unwrap();
    let key = SigningKey::from_pem(pem.as_bytes()).unwrap();
    assert_eq!(format!("{key:?}"), format!("SigningKey(PublicKey(ES256 {P256_ID}))"));
    let broken = pem.replacen("-----END", "*****END", 1);
    let error = SigningKey::from_pem(broken.as_bytes()).unwrap_err();
    for line in pem.lines().filter(|line| !line.is_empty()) {
        assert!(!format!("{key:?} {error} {error:?}").contains(line));
    }
}

/// No independent JWT library at hand knows P-521: its fixed-width signature, turned into ASN.1 here, must satisfy the
/// verifier of that other form.
#[test]
fn es512_signatures_are_r_and_s_in_full_width() {
    let key = SigningKey::generate(Algorithm::Es512).unwrap();
    for _ in 0..20 {
        let token = key.sign(&Claims { sub: "s".into(), ..Claims::default() }).unwrap();
        let jws = tokenward_jose::CompactJws::parse(token.expose_token()).unwrap();
        let signature = jws.signature().unwrap();
        assert_eq!(signature.len(), 132);
        let integer = |number: &[u8]| {
            let mut content = number.iter().copied().skip_while(|byte| *byte == 0).collect::<Vec<_>>();
            if content[0] >= 0x80 {
                content.insert(0, 0);
            }
            [&[2, content.len() as u8], content.as_slice()].concat()
        };
        let numbers = [integer(&signature[..66]), integer(&signature[66..])].concat();
        let length =
            if numbers.len() < 128 { vec![numbers.len() as u8] } else { vec![0x81, numbers.len() as u8] };
        let asn1 = [&[0x30], length.as_slice(), &numbers].concat();
        UnparsedPublicKey::new(&ECDSA_P521_SHA512_ASN1, key.verifying_key().public_key().spki_der())
            .verify(jws.signing_input().as_bytes(), &asn1)
            .unwrap();
        assert!(key.verifying_key().verifies(jws.signing_input().as_bytes(), &signature));
    }
}

#[test]
fn tokens_are_written_without_growing_and_without_room_to_spare() {
    let claims = Claims { sub: "s".repeat(700), ..Claims::default() };
    for pem in [file!("rsa-pkcs8"), file!("p256-pkcs8"), file!("p384-pkcs8"), file!("p521-pkcs8")] {
        let key = SigningKey::from_pem(pem).unwrap();
        let signature_len = key.private.signature_len(key.algorithm());
        let token = key.sign(&claims).unwrap();
        let signature = tokenward_jose::CompactJws::parse(token.expose_token()).unwrap().signature().unwrap();
        assert_eq!(signature.len(), signature_len);
        let size = key.header.len() + (claims.to_json().len() + signature_len) * 4 / 3 + 8;
        assert!((size - 8..=size).contains(&token.expose_token().len()));
    }
}
