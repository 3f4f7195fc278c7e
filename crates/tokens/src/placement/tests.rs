use proptest::prelude::*;

use super::*;
use crate::{Audience, Token, TokenEntry};

type Map = BTreeMap<String, String>;

fn map(entries: &[(&str, &str)]) -> Map {
    entries.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn present_in_secrets_never_falls_through() {
    let context = map(&[(TOKENS_KEY, "{}")]);
    for unusable in ["", "null", "not json"] {
        let secrets = map(&[(TOKENS_KEY, unusable)]);
        let found = find(&secrets, &context).unwrap();
        assert_eq!((found.placement, found.value), (Placement::Secrets, unusable));
    }
    let other = map(&[("password", "x")]);
    assert_eq!(find(&other, &context).unwrap().placement, Placement::VolumeContext);
    assert_eq!(find(&other, &other), None);
}

#[test]
fn the_key_is_matched_exactly() {
    let near = map(&[(&TOKENS_KEY.to_lowercase(), "{}"), (&format!("{TOKENS_KEY} "), "{}")]);
    assert_eq!(find(&near, &near), None);
}

#[test]
fn an_old_driver_looks_in_one_place() {
    let (secrets, context) = (map(&[(TOKENS_KEY, "s")]), map(&[]));
    assert_eq!(find_in(Placement::VolumeContext, &secrets, &context), None);
    assert_eq!(find_in(Placement::Secrets, &secrets, &context).unwrap().value, "s");
    let (secrets, context) = (map(&[(TOKENS_KEY, "s")]), map(&[(TOKENS_KEY, "c")]));
    assert_eq!(find_in(Placement::VolumeContext, &secrets, &context).unwrap().value, "c");
}

#[test]
fn taking_leaves_nothing_in_either_map() {
    let (mut secrets, mut context) = (map(&[(TOKENS_KEY, "s"), ("k", "v")]), map(&[(TOKENS_KEY, "c")]));
    let (placement, value) = take(&mut secrets, &mut context).unwrap();
    assert_eq!((placement, value.expose_value()), (Placement::Secrets, "s"));
    assert_eq!((secrets.len(), context.len()), (1, 0));
    assert!(take(&mut secrets, &mut context).is_none());
}

#[test]
fn relocating_says_what_it_did() {
    let both = [Placement::Secrets, Placement::VolumeContext];
    for (in_secrets, in_context) in [(false, false), (true, false), (false, true), (true, true)] {
        for to in both {
            let mut secrets = if in_secrets { map(&[(TOKENS_KEY, "s")]) } else { Map::new() };
            let mut context = if in_context { map(&[(TOKENS_KEY, "c")]) } else { Map::new() };
            let done = relocate(to, &mut secrets, &mut context);
            let from = if in_secrets { Placement::Secrets } else { Placement::VolumeContext };
            let expected = match (in_secrets || in_context, from == to) {
                (false, _) => Relocation::Absent,
                (true, true) => Relocation::InPlace,
                (true, false) => Relocation::MovedFrom(from),
            };
            assert_eq!(done, expected, "{in_secrets} {in_context} {to}");
            let found = find(&secrets, &context).map(|found| (found.placement, found.value));
            let value = if in_secrets { "s" } else { "c" };
            assert_eq!(found, (in_secrets || in_context).then_some((to, value)));
        }
    }
}

#[test]
fn names_are_those_of_the_proto_fields() {
    for placement in [Placement::Secrets, Placement::VolumeContext] {
        assert_eq!(placement.to_string().parse(), Ok(placement));
        let json = format!("\"{placement}\"");
        assert_eq!(serde_json::to_string(&placement).unwrap(), json);
        assert_eq!(serde_json::from_str::<Placement>(&json).unwrap(), placement);
    }
    assert_eq!("Secrets".parse::<Placement>(), Err(UnknownPlacement));
}

#[test]
fn debug_shows_no_value() {
    let secrets = map(&[(TOKENS_KEY, "canary")]);
    let found = find(&secrets, &secrets).unwrap();
    assert_eq!(format!("{found:?}"), "Found(secrets, 6 bytes)");
    assert_eq!(format!("{:?}", TokensValue::new("canary".into())), "TokensValue(6 bytes)");
}

/// Maps with ordinary entries, and perhaps with the token key.
fn any_map() -> impl Strategy<Value = Map> {
    let key = prop_oneof![4 => "[a-z./]{1,8}", 1 => Just(TOKENS_KEY.to_owned())];
    proptest::collection::btree_map(key, ".{0,8}", 0..5)
}

fn any_placement() -> impl Strategy<Value = Placement> {
    prop_oneof![Just(Placement::Secrets), Just(Placement::VolumeContext)]
}

fn without_tokens(map: &Map) -> Map {
    map.iter()
        .filter(|(key, _)| *key != TOKENS_KEY)
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

proptest! {
    #[test]
    fn what_is_placed_is_found_there_and_only_there(
        mut secrets in any_map(), mut context in any_map(), to in any_placement(), token in ".{0,20}",
    ) {
        let before = (without_tokens(&secrets), without_tokens(&context));
        let tokens = [(Audience::new("a"), TokenEntry { token: Token::new(token), expires: None })]
            .into_iter().collect::<TokenMap>();
        place(&tokens.to_value(), to, &mut secrets, &mut context);
        let found = find(&secrets, &context).unwrap();
        prop_assert_eq!(found.placement, to);
        prop_assert_eq!(found.parse().unwrap(), tokens);
        prop_assert!(secrets.contains_key(TOKENS_KEY) != context.contains_key(TOKENS_KEY));
        prop_assert_eq!((without_tokens(&secrets), without_tokens(&context)), before);
    }

    #[test]
    fn relocating_keeps_everything_else(mut secrets in any_map(), mut context in any_map(), to in any_placement()) {
        let before = (without_tokens(&secrets), without_tokens(&context));
        let found = find(&secrets, &context).map(|found| found.value.to_owned());
        relocate(to, &mut secrets, &mut context);
        prop_assert_eq!(find_in(to, &secrets, &context).map(|found| found.value.to_owned()), found);
        prop_assert!(!(secrets.contains_key(TOKENS_KEY) && context.contains_key(TOKENS_KEY)));
        prop_assert_eq!((without_tokens(&secrets), without_tokens(&context)), before);
        prop_assert!(matches!(relocate(to, &mut secrets, &mut context), Relocation::Absent | Relocation::InPlace));
    }
}
