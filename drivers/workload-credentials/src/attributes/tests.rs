//! Tables of attributes: what they mean, and what is said of those that mean nothing.

use std::sync::LazyLock;

use proptest::prelude::*;
use tokenward_driver::with_causes;

use super::*;

type Attributes<'a> = &'a [(&'a str, &'a str)];

const ROLE: &str = "arn:aws:iam::123456789012:role/shop";

/// Exchanges of each kind, which believe an authority of their own: what the machine believes makes no difference.
static CONFIGURATION: LazyLock<Configuration> = LazyLock::new(|| {
    let text = "
        exchanges:
          aws:
            {kind: assumeRoleWithWebIdentity, url: 'https://sts.example/', audiences: [sts.example], certificateAuthority: ca.pem}
          vault:
            {kind: jwtLogin, url: 'https://vault.example/v1/auth/jwt/login', audiences: [vault, other], certificateAuthority: ca.pem}
          sts:
            {kind: tokenExchange, url: 'https://token.example/', audiences: [sts], clientId: me, certificateAuthority: ca.pem}
    ";
    let directory = tempfile::tempdir().unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let authority = rcgen::CertificateParams::new(Vec::new()).unwrap().self_signed(&key).unwrap();
    std::fs::write(directory.path().join("ca.pem"), authority.pem()).unwrap();
    Configuration::parse(text, directory.path()).unwrap()
});

fn pod() -> Pod {
    Pod {
        namespace: "apps".to_owned(),
        name: "shop-0".to_owned(),
        uid: "uid".to_owned(),
        service_account: "shop".to_owned(),
    }
}

fn read(attributes: &[(&str, &str)]) -> Result<VolumePlan, AttributeError> {
    let mut map: BTreeMap<String, String> =
        attributes.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    map.insert("csi.storage.k8s.io/pod.name".to_owned(), "shop-0".to_owned());
    map.insert("csi.storage.k8s.io/ephemeral".to_owned(), "true".to_owned());
    map.insert("storage.kubernetes.io/csiProvisionerIdentity".to_owned(), "p".to_owned());
    parse(&map, "volume", &pod(), &CONFIGURATION)
}

fn refused(attributes: &[(&str, &str)]) -> String {
    with_causes(&read(attributes).unwrap_err())
}

#[test]
fn token_files_with_their_modes() {
    let plan = read(&[
        ("tokenFile.vault-token", "vault"),
        ("tokenFile.aws/token", "sts.amazonaws.com"),
        ("tokenFile.api", ""),
        ("fileMode", "0440"),
        ("fileMode.api", "400"),
    ])
    .unwrap();
    let found: Vec<(&str, &str, u32)> =
        plan.token_files.iter().map(|file| (file.path.as_str(), file.audience.as_str(), file.mode)).collect();
    assert_eq!(
        found,
        [("api", "", 0o400), ("aws/token", "sts.amazonaws.com", 0o440), ("vault-token", "vault", 0o440)]
    );
    assert!(plan.exchange.is_none());
}

#[test]
fn exchanges_of_each_kind() {
    let table: [(Attributes<'_>, &str, Format); 5] = [
        (&[("exchange", "aws"), ("role", ROLE)], "sts.example", Format::AwsCredentials),
        (
            &[("exchange", "aws"), ("role", ROLE), ("durationSeconds", "900"), ("credentialsFormat", "json")],
            "sts.example",
            Format::Json,
        ),
        (&[("exchange", "vault"), ("role", "shop"), ("exchangeAudience", "other")], "other", Format::Raw),
        (&[("exchange", "sts")], "sts", Format::Raw),
        (
            &[("exchange", "sts"), ("targetAudience", "a"), ("scope", "b c"), ("credentialsFormat", "env")],
            "sts",
            Format::Env,
        ),
    ];
    for (attributes, audience, format) in table {
        let attributes = [attributes, &[("credentialsFile", "c"), ("fileMode.c", "0444")]].concat();
        let exchange = read(&attributes).unwrap().exchange.unwrap();
        assert_eq!((exchange.audience.as_str(), exchange.format), (audience, format), "{attributes:?}");
        assert_eq!((exchange.path.as_str(), exchange.mode), ("c", 0o444));
    }
}

#[test]
fn what_cannot_be_meant_is_said() {
    let file = ("credentialsFile", "c");
    let aws = ("exchange", "aws");
    let role = ("role", ROLE);
    let table: [(Attributes<'_>, &str); 33] = [
        (&[], "nothing is asked for"),
        (&[("fileMode", "0600")], "nothing is asked for"),
        (&[("tokenfile.a", "b")], "`tokenfile.a` is not an attribute of this driver"),
        (&[("url", "https://evil.example/")], "`url` is not an attribute of this driver"),
        (&[("tokenFile.", "b")], "tokenFile.: the path of a file in a volume is empty"),
        (&[("tokenFile./etc/passwd", "b")], "must be relative"),
        (&[("tokenFile.../b", "b")], "leads out of the volume"),
        (&[("tokenFile...data", "b")], "names that begin with `..` are kept"),
        (
            &[("tokenFile.a", "b"), ("tokenFile.a/b", "b")],
            "the files `a/b` and `a` cannot stand side by side",
        ),
        (&[("tokenFile.a", "b"), ("fileMode.b", "0600")], "`fileMode.b` says something of a file"),
        (&[("tokenFile.a", "b"), ("fileMode", "0666")], "fileMode: wanted an octal number"),
        (&[("tokenFile.a", "b"), ("fileMode", "0200")], "fileMode: wanted an octal number"),
        (&[("tokenFile.a", "b"), ("fileMode", "4755")], "fileMode: wanted an octal number"),
        (&[("tokenFile.a", "b"), ("fileMode", "rw-")], "fileMode: wanted an octal number"),
        (&[("tokenFile.a", "b"), ("fileMode", "+644")], "fileMode: wanted an octal number"),
        (&[("tokenFile.a", "b"), ("fileMode.a", "")], "fileMode.a: wanted an octal number"),
        (&[("tokenFile.a", "b"), role], "`role` says something of an exchange, and no `exchange` is named"),
        (&[("tokenFile.a", "b"), file], "`credentialsFile` says something of an exchange"),
        (&[("exchange", "gcp"), file], "has no exchange `gcp`; it has `aws`, `sts`, `vault`"),
        (&[("exchange", "https://evil.example/"), file], "has no exchange `https://evil.example/`"),
        (&[aws, role], "`credentialsFile` is missing"),
        (&[aws, file], "`role` is missing"),
        (&[aws, file, ("role", "shop")], "exchange `aws`: RoleArn: wanted the ARN of a role"),
        (&[aws, file, role, ("durationSeconds", "1h")], "durationSeconds: wanted a whole number of seconds"),
        (&[aws, file, role, ("durationSeconds", "60")], "DurationSeconds: wanted 900 to 43200 seconds"),
        (
            &[aws, file, role, ("scope", "a")],
            "`scope` is not for exchanges of the kind assumeRoleWithWebIdentity",
        ),
        (
            &[aws, file, role, ("exchangeAudience", "vault")],
            "does not take tokens for `vault`; it takes those for `sts.example`",
        ),
        (&[aws, file, role, ("credentialsFormat", "raw")], "wanted one of `aws-credentials`, `env`, `json`"),
        (
            &[aws, role, ("credentialsFile", "a"), ("tokenFile.a", "b")],
            "the files `a` and `a` cannot stand side by side",
        ),
        (&[("exchange", "vault"), file, ("role", "shop")], "takes tokens for `vault`, `other`: say which"),
        (
            &[("exchange", "vault"), file, ("exchangeAudience", "vault"), ("role", "a b")],
            "exchange `vault`: role: wanted visible ASCII",
        ),
        (&[("exchange", "sts"), file, role], "`role` is not for exchanges of the kind tokenExchange"),
        (&[("exchange", "sts"), file, ("scope", "a  b")], "exchange `sts`: scope: wanted visible ASCII"),
    ];
    for (attributes, expected) in table {
        let found = refused(attributes);
        assert!(found.contains(expected), "{attributes:?}: {found}");
    }
    let many: Vec<(String, String)> =
        (0..=MOST_FILES).map(|number| (format!("tokenFile.{number}"), "a".to_owned())).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    assert_eq!(refused(&many), "more than 64 files are asked for");
}

#[test]
fn what_decides_the_credentials_is_in_the_fingerprint() {
    let of = |attributes: &[(&str, &str)], pod: &Pod, volume: &str| {
        let map = attributes.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        parse(&map, volume, pod, &CONFIGURATION).unwrap().exchange.unwrap().fingerprint
    };
    let own = [("exchange", "aws"), ("role", ROLE), ("credentialsFile", "c")];
    let base = of(&own, &pod(), "v");
    assert_eq!(base, of(&own, &pod(), "v"));
    let with = |key, value| [&own[..], &[(key, value)]].concat();
    assert_eq!(base, of(&with("tokenFile.t", "x"), &pod(), "v"), "token files have nothing to do with it");
    for other in [
        of(&own, &pod(), "w"),
        of(&own, &Pod { uid: "other".to_owned(), ..pod() }, "v"),
        of(&own, &Pod { service_account: "other".to_owned(), ..pod() }, "v"),
        of(&with("durationSeconds", "900"), &pod(), "v"),
        of(&with("credentialsFormat", "json"), &pod(), "v"),
        of(&[own[0], ("role", "arn:aws:iam::123456789012:role/till"), own[2]], &pod(), "v"),
        of(&[own[0], own[1], ("credentialsFile", "d")], &pod(), "v"),
    ] {
        assert_ne!(base, other);
    }
}

proptest! {
    #[test]
    fn any_attributes_are_read_or_refused(
        attributes in proptest::collection::btree_map(
            prop_oneof!["\\PC{0,20}", "tokenFile\\.[a./]{0,6}", "fileMode(\\.[ab])?", Just("exchange".to_owned()), Just("role".to_owned()), Just("credentialsFile".to_owned())],
            prop_oneof!["\\PC{0,20}", "[0-7]{3,4}", Just("aws".to_owned()), Just(ROLE.to_owned()), Just("a".to_owned())],
            0..6,
        ),
    ) {
        match parse(&attributes, "v", &pod(), &CONFIGURATION) {
            // The message goes into a status, and from there into an Event.
            Err(error) => prop_assert!(with_causes(&error).len() < 900),
            Ok(plan) => {
                prop_assert!(!plan.token_files.is_empty() || plan.exchange.is_some());
                for file in &plan.token_files {
                    prop_assert!(file.mode & 0o7022 == 0 && file.mode & 0o400 != 0);
                }
            }
        }
    }
}
