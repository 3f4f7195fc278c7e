use proptest::prelude::*;

use super::*;
use crate::{Jwk, JwkError, JwkSet};

/// Made with OpenSSL for this test: `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256`, public half.
const P256_SPKI: &str = "\
    3059301306072a8648ce3d020106082a8648ce3d030107034200046da3c4b45ffbdc0d3946edeb6fa94d0006515ffc9bbf8e\
    c6e1f99f895dcf8e7294f664dc2ede81734d1684f0e2e66547dbc0210af3803a4590ecca06911839c1";
/// SHA-256 of those bytes by another program, base64url.
const P256_ID: &str = "FC8ad4nMur10TrN5yrd7A4Sdb1H93cQUlj1o3DfFWQk";
/// `openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048`, public half.
const RSA_SPKI: &str = "\
    30820122300d06092a864886f70d01010105000382010f003082010a0282010100bcb54173012de86042fb8e44d6534194aa\
    ac44896dd9fb18c65c99679a615040cd8a5d55da385d937d63287648fdcfae10df1a7a890916406f85ecfb14aed3a5509dc0\
    04ac7ef5d2e7bc82cc997de7803327e882f97457816b08222a3e1816e72bc07d7e5c7a0bc6f7fb75c9470402ab3f0e3073a8\
    f0e5ed6399272cdaaae1d43babc32363e6c529f0a7f26306b8eb407db71c9d6ef0f46576d2b36c7a5257821ee49d0ee99f2d\
    b0c39e580001bd34ce2e273eeea0a1403a20c3a6124c1371ee5ed636011f8c9a232e35922e25ab0a05fc89516ff1f288750f\
    a3428b54fe62df20883e7c7230dfab29d214b29ea52734c48612bbcf350269e7e57eebd950925f0203010001";
const RSA_ID: &str = "0Cz2m1kNPVWv7cJNLjJ-OhH99-Xj3n3wDZttyvYuLTY";
/// Modulus by `openssl rsa -modulus`, first bytes.
const RSA_MODULUS_START: &str = "bcb54173012de86042fb8e44d6534194";
/// `openssl genpkey -algorithm ed25519`, public half.
const ED25519_SPKI: &str =
    "302a300506032b6570032100f8b8ff64b14a329b51544d6f46de537ddfc0d747e1a83bc9c60dfb0706ebdf49";
/// On secp256k1, public half.
const SECP256K1_SPKI: &str = "\
    3056301006072a8648ce3d020106052b8104000a03420004ff8c068807849bca0c9514a919b29eacf2c9e4e38e119fd2dd5b\
    07e4270337012a9fc5b2e23e3ad9d59fe9945f2bede189d04b9f89f43c6bf0509b80af8ed0d0";

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn read(spki: &str) -> Result<PublicKey, SpkiError> {
    PublicKey::from_spki_der(&hex(spki))
}

#[test]
fn ids_are_those_of_an_independent_hash() {
    assert_eq!(read(P256_SPKI).unwrap().id().as_str(), P256_ID);
    assert_eq!(read(RSA_SPKI).unwrap().id().as_str(), RSA_ID);
    assert_eq!(key_id(&hex(RSA_SPKI)).to_string().len(), 43);
}

#[test]
fn numbers_are_read() {
    let rsa = read(RSA_SPKI).unwrap();
    assert_eq!(rsa.algorithm(), Algorithm::Rs256);
    let KeyMaterial::Rsa { n, e } = rsa.material() else { panic!("an RSA key") };
    assert_eq!((n.len(), e.as_slice()), (256, &[1, 0, 1][..]));
    assert!(n.starts_with(&hex(RSA_MODULUS_START)));

    let ec = read(P256_SPKI).unwrap();
    assert_eq!(ec.algorithm(), Algorithm::Es256);
    let KeyMaterial::Ec { curve: Curve::P256, x, y } = ec.material() else { panic!("a P-256 key") };
    assert_eq!([x.as_slice(), y].concat(), hex(P256_SPKI)[27..]);
}

#[test]
fn other_algorithms_are_named_as_such() {
    assert_eq!(read(ED25519_SPKI), Err(SpkiError::Algorithm));
    assert_eq!(read(SECP256K1_SPKI), Err(SpkiError::Algorithm));
}

#[test]
fn every_cut_and_every_tail_is_refused() {
    for spki in [P256_SPKI, RSA_SPKI] {
        let der = hex(spki);
        for end in 0..der.len() {
            assert!(PublicKey::from_spki_der(&der[..end]).is_err(), "{end}");
        }
        assert_eq!(PublicKey::from_spki_der(&[&der[..], &[0]].concat()), Err(SpkiError::Der));
    }
}

#[test]
fn compressed_points_and_short_coordinates_are_refused() {
    let mut der = hex(P256_SPKI);
    der[26] = 2;
    assert_eq!(PublicKey::from_spki_der(&der), Err(SpkiError::Key("EC")));
    let long = KeyMaterial::Ec { curve: Curve::P256, x: vec![1; 33], y: vec![1; 32] };
    assert_eq!(PublicKey::from_material(&long), Err(SpkiError::Key("EC")));
}

#[test]
fn coordinates_are_padded_to_full_width() {
    let key =
        PublicKey::from_material(&KeyMaterial::Ec { curve: Curve::P521, x: vec![7], y: vec![] }).unwrap();
    let jwk = Jwk::from(&key);
    assert_eq!(jwk.x.as_deref().map(str::len), Some(88));
    assert_eq!(jwk.y, Some("A".repeat(88)));
}

#[test]
fn debug_and_errors_show_no_numbers() {
    let shown = format!("{:?} {:?}", read(RSA_SPKI).unwrap(), read(RSA_SPKI).unwrap().material());
    assert_eq!(shown, format!("PublicKey(RS256 {RSA_ID}) Rsa(2048 bits)"));
}

#[test]
fn jwks_members_come_in_upstreams_order() {
    let keys = [read(P256_SPKI).unwrap(), read(RSA_SPKI).unwrap()];
    let set = keys.iter().collect::<JwkSet>();
    let json = String::from_utf8(set.to_json()).unwrap();
    let KeyMaterial::Ec { x, y, .. } = keys[0].material() else { panic!("a P-256 key") };
    let KeyMaterial::Rsa { n, .. } = keys[1].material() else { panic!("an RSA key") };
    assert_eq!(
        json,
        format!(
            concat!(
                r#"{{"keys":[{{"use":"sig","kty":"EC","kid":"{}","crv":"P-256","alg":"ES256","x":"{}","y":"{}"}},"#,
                r#"{{"use":"sig","kty":"RSA","kid":"{}","alg":"RS256","n":"{}","e":"AQAB"}}]}}"#
            ),
            P256_ID,
            encode_segment(x),
            encode_segment(y),
            RSA_ID,
            encode_segment(n),
        )
    );
    let parsed = JwkSet::parse(json.as_bytes()).unwrap();
    assert_eq!(parsed, set);
    for (jwk, key) in parsed.keys.iter().zip(&keys) {
        assert_eq!(&jwk.public_key().unwrap(), key);
    }
    assert_eq!(parsed.find(RSA_ID), Some(&parsed.keys[1]));
    assert_eq!(parsed.find("x"), None);
}

#[test]
fn foreign_sets_are_read_and_bad_keys_refused() {
    let set = JwkSet::parse(
        br#"{"keys":[{"kty":"oct","k":"AA"},{"kty":"RSA","n":"AQ"},{"kty":"RSA","n":"=","e":"AQAB"},
            {"kty":"EC","crv":"P-256K","x":"AQ","y":"AQ"},{"kty":"RSA","n":"","e":"AQAB"}],"more":1}"#,
    )
    .unwrap();
    let errors = set.keys.iter().map(|jwk| jwk.public_key().unwrap_err()).collect::<Vec<_>>();
    assert_eq!(
        errors,
        [
            JwkError::Kind,
            JwkError::Member("e"),
            JwkError::Member("n"),
            JwkError::Kind,
            JwkError::Key(SpkiError::Key("RSA")),
        ]
    );
    for bad in ["", "[]", "{}", r#"{"keys":[{"kty":"eyJcanary",}]}"#, r#"{"keys":"eyJcanary"}"#] {
        let error = JwkSet::parse(bad.as_bytes()).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("canary"));
    }
}

#[test]
fn algorithms_parse_by_exact_name() {
    for algorithm in [Algorithm::Es256, Algorithm::Es384, Algorithm::Es512, Algorithm::Rs256] {
        assert_eq!(algorithm.to_string().parse(), Ok(algorithm));
    }
    for bad in ["none", "HS256", "rs256", "PS256", "RS512", "EdDSA", ""] {
        assert_eq!(bad.parse::<Algorithm>(), Err(UnknownAlgorithm), "{bad}");
    }
}

proptest! {
    #[test]
    fn any_bytes_never_panic(bytes: Vec<u8>) {
        let _ = PublicKey::from_spki_der(&bytes);
    }

    #[test]
    fn any_change_is_refused_or_another_key(at in 0usize..294, to: u8) {
        for spki in [P256_SPKI, RSA_SPKI] {
            let mut der = hex(spki);
            let at = at % der.len();
            let same = der[at] == to;
            der[at] = to;
            if let Ok(key) = PublicKey::from_spki_der(&der) {
                prop_assert_eq!(key.id().as_str() == P256_ID || key.id().as_str() == RSA_ID, same);
            }
        }
    }

    #[test]
    fn rsa_numbers_round_trip(n in proptest::collection::vec(any::<u8>(), 1..600), e in 1u32..) {
        prop_assume!(n[0] != 0);
        let e = e.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect::<Vec<_>>();
        let material = KeyMaterial::Rsa { n, e };
        let key = PublicKey::from_material(&material).unwrap();
        prop_assert_eq!(key.material(), &material);
        prop_assert_eq!(&PublicKey::from_spki_der(key.spki_der()).unwrap(), &key);
        prop_assert_eq!(Jwk::from(&key).public_key().unwrap(), key);
    }

    #[test]
    fn points_round_trip(curve in prop_oneof![Just(Curve::P256), Just(Curve::P384), Just(Curve::P521)], seed: u8) {
        let width = curve.coordinate_len();
        let material = KeyMaterial::Ec { curve, x: vec![seed; width], y: vec![!seed; width] };
        let key = PublicKey::from_material(&material).unwrap();
        prop_assert_eq!(key.material(), &material);
        prop_assert_eq!(Jwk::from(&key).public_key().unwrap(), key);
    }
}
