//! What one call costs inside a process: sanitizing, the token map, placing, granting and signing, the store.
#![expect(clippy::print_stdout, reason = "the result goes to standard output")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use clap::Parser;
use prost::Message as _;
use tokenward_benches::rows::{self, Row};
use tokenward_benches::{Failure, machine, publish};
use tokenward_issuer::{
    Algorithm, BoundObject, Issuer, IssuerConfig, ObjectRef, ServiceAccount, SigningKey, TokenRequestSpec,
};
use tokenward_sanitize::{Sanitizer, to_json};
use tokenward_store::{Key, Scope, Start, Store, Unstamped};
use tokenward_tokens::{Clock, Placement, TokenMap, place};
use tokio::runtime::Runtime;

/// What single calls cost.
#[derive(Debug, Parser)]
struct Arguments {
    /// Rounds that count, after one that does not.
    #[arg(long, default_value_t = 9)]
    rounds: usize,
    /// How long each round of each row takes, about, in milliseconds.
    #[arg(long, default_value_t = 50)]
    round: u64,
    /// Watchers of one collection.
    #[arg(long, default_value_t = 1_000)]
    watchers: usize,
}

fn main() -> Result<(), Failure> {
    let arguments = Arguments::parse();
    println!("{}", machine::heading("micro"));
    let mut rows = Vec::new();
    rows.extend(sanitizing());
    rows.extend(token_map());
    rows.extend(signing()?);
    rows.extend(storing(arguments.watchers)?);
    println!("{}", rows::measured(rows, arguments.rounds, Duration::from_millis(arguments.round)));
    Ok(())
}

fn sanitizing() -> Vec<Row> {
    let mut rows = Vec::new();
    let tokens = publish::tokens(&["vault", "sts.example", "https://kubernetes.default.svc"]);
    for placement in [Placement::Secrets, Placement::VolumeContext] {
        let wire = publish::request(&tokens, placement).encode_to_vec();
        let Some(message) = tokenward_csi::TABLE.find("csi.v1.NodePublishVolumeRequest") else { continue };
        let clean = to_json(&tokenward_csi::TABLE, message, &wire);
        let name = format!(
            "sanitize one NodePublishVolume, 3 tokens in {placement}: {} bytes to {}",
            wire.len(),
            clean.len()
        );
        let mut sanitizer = Sanitizer::new();
        rows.push(Row::new(name, move || {
            sanitizer.json(&tokenward_csi::TABLE, message, black_box(&wire)).len()
        }));
        let name = format!("floor: writing those {} bytes", clean.len());
        let mut text = String::new();
        rows.push(Row::new(name, move || {
            text.clear();
            text.push_str(black_box(&clean));
            black_box(&text).len()
        }));
    }
    rows
}

fn token_map() -> Vec<Row> {
    let map = publish::tokens(&["vault", "sts.example"]);
    let value = map.to_value();
    let length = value.expose_value().len();
    let text = value.expose_value().to_owned();
    let request = publish::request(&map, Placement::Secrets);
    let (mut secrets, mut volume_context) = (request.secrets, request.volume_context);
    vec![
        Row::new(format!("parse a token map: 2 tokens, {length} bytes"), move || {
            TokenMap::parse(black_box(&text))
        }),
        Row::new("serialize it", move || black_box(&map).to_value()),
        Row::new("place it", move || {
            place(black_box(&value), Placement::Secrets, &mut secrets, &mut volume_context);
        }),
    ]
}

fn signing() -> Result<Vec<Row>, Failure> {
    let account = ServiceAccount {
        namespace: "quickstart".to_owned(),
        name: "shop".to_owned(),
        uid: "5b0d4a3c-0c39-4c3e-8b7d-6f3b0f6a9c11".to_owned(),
    };
    let bound = BoundObject::Pod {
        pod: ObjectRef::new("shop-6f7c9d5b8-x2v9k", "0b1d0f5e-6f7a-4bb5-9f2e-3f0c6c1f1d8a"),
        node: Some(ObjectRef::new("node-1", "d0c1b2a3-94a5-4e6f-8a7b-0c1d2e3f4a5b")),
    };
    let spec = TokenRequestSpec { audiences: vec!["vault".to_owned()], expiration_seconds: Some(3600) };
    let now = Clock::system().now();
    let mut rows = Vec::new();
    let mut payload = 0;
    for algorithm in [Algorithm::Rs256, Algorithm::Es256] {
        let issuer = Issuer::new(IssuerConfig::new(["https://kubernetes.default.svc"])?);
        issuer.set_signing_key(SigningKey::generate(algorithm)?);
        let (account, bound, spec) = (account.clone(), bound.clone(), spec.clone());
        payload = issuer.grant(&spec, &account, Some(&bound), now).claims.to_json().len();
        if rows.is_empty() {
            let issuer = Issuer::new(IssuerConfig::new(["https://kubernetes.default.svc"])?);
            let (account, bound, spec) = (account.clone(), bound.clone(), spec.clone());
            rows.push(Row::new("grant a pod-bound token: the claims", move || {
                issuer.grant(black_box(&spec), &account, Some(&bound), now)
            }));
        }
        rows.push(Row::new(format!("grant and sign, {}", algorithm.as_str()), move || {
            let granted = issuer.grant(black_box(&spec), &account, Some(&bound), now);
            issuer.sign(&granted.claims)
        }));
    }
    let message = vec![b'a'; (payload + 90) * 4 / 3];
    let length = message.len();
    let rsa = RsaKeyPair::generate(KeySize::Rsa2048).map_err(|_| "no RSA key")?;
    let mut signature = vec![0; rsa.public_modulus_len()];
    let same = message.clone();
    rows.push(Row::new(format!("floor: an RS256 signature of {length} bytes"), move || {
        rsa.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), black_box(&message), &mut signature)
    }));
    let ecdsa = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(|_| "no ECDSA key")?;
    rows.push(Row::new(format!("floor: an ES256 signature of {length} bytes"), move || {
        ecdsa.sign(&SystemRandom::new(), black_box(&same))
    }));
    Ok(rows)
}

/// A pod is 2 KB encoded.
fn object() -> Unstamped {
    Unstamped::new(vec![b'x'; 2048], 100)
}

fn storing(watchers: usize) -> Result<Vec<Row>, Failure> {
    let runtime = || tokio::runtime::Builder::new_current_thread().build();
    Ok(vec![creating(runtime()?), updating(runtime()?)?, watching(runtime()?, watchers)?])
}

fn creating(runtime: Runtime) -> Row {
    let run = move |times: usize| {
        // A new store each time: what is created stays, and a store that grows would slow the later rounds.
        let store = Store::memory(|_, _| ());
        let keys: Vec<Key> = (0..times)
            .map(|number| Key::new("pods", Some("bench"), &format!("pod-{number}")).expect("a name"))
            .collect();
        let objects: Vec<Unstamped> = (0..times).map(|_| object()).collect();
        runtime.block_on(async {
            let started = Instant::now();
            for (key, object) in keys.into_iter().zip(objects) {
                store.create(key, object).await.expect("the key is free");
            }
            started.elapsed()
        })
    };
    Row::timed("store: create 2 KiB, nobody watches", 1, run)
}

fn updating(runtime: Runtime) -> Result<Row, Failure> {
    let store = Store::memory(|_, _| ());
    let key = Key::new("pods", Some("bench"), "app")?;
    let mut entry =
        runtime.block_on(store.create(key.clone(), object())).map_err(|_| "a new store has the key")?;
    let mut turn = 0_u8;
    let run = move |times: usize| {
        let started = Instant::now();
        runtime.block_on(async {
            for _ in 0..times {
                // Another byte each time: an update that changes nothing is not written.
                turn = turn.wrapping_add(1);
                let object = Unstamped::new(vec![turn; 2048], 100);
                entry = store.update(&key, entry.revision, object).await.expect("the revision is known");
            }
        });
        started.elapsed()
    };
    Ok(Row::timed("store: update 2 KiB, nobody watches", 1, run))
}

/// Every watcher is a task of its own that is woken, takes the event and sleeps again.
fn watching(runtime: Runtime, watchers: usize) -> Result<Row, Failure> {
    let store = Store::memory(|_, _| ());
    let key = Key::new("pods", Some("bench"), "app")?;
    let mut entry =
        runtime.block_on(store.create(key.clone(), object())).map_err(|_| "a new store has the key")?;
    let (seen, mut all_seen) = tokio::sync::mpsc::unbounded_channel();
    for _ in 0..watchers {
        let mut watch = store.watch(&Scope::collection("pods"), Start::Now)?;
        let seen = seen.clone();
        runtime.spawn(async move {
            while let Ok(batch) = watch.next().await {
                if seen.send(batch.events.len()).is_err() {
                    return;
                }
            }
        });
    }
    let mut turn = 0_u8;
    let run = move |times: usize| {
        let started = Instant::now();
        runtime.block_on(async {
            for _ in 0..times {
                turn = turn.wrapping_add(1);
                let object = Unstamped::new(vec![turn; 2048], 100);
                entry = store.update(&key, entry.revision, object).await.expect("the revision is known");
                let mut delivered = 0;
                while delivered < watchers {
                    delivered += all_seen.recv().await.expect("a watcher holds a sender");
                }
            }
        });
        started.elapsed()
    };
    let name = format!("store: one delivery of an update to {watchers} watchers");
    Ok(Row::timed(name, watchers, run))
}
