//! The generated table against one that is made of the descriptors while the test runs: two ways to the same output. What
//! would break without it: protocols that have no generated table would be shown by other rules than CSI.
#![expect(clippy::unwrap_used, reason = "a test's own world that does not stand up should stop the test")]

mod messages;

use tokenward_csi::TABLE;
use tokenward_sanitize::{Marks, Table, to_json};
use tokenward_tokens::TOKENS_KEY;

#[test]
fn the_descriptors_give_what_the_generator_gave() {
    let set = messages::descriptor_set();
    for marks in [Marks::new().extension(1059), Marks::new().extension_named("csi.v1.csi_secret")] {
        let compiled = Table::from_descriptor_set(&set, &marks.token_key(TOKENS_KEY)).unwrap();
        compiled.check().unwrap();
        let mut stripped = 0;
        for (name, wire) in messages::all() {
            let json = to_json(&TABLE, TABLE.find(&name).unwrap(), &wire);
            assert_eq!(to_json(&compiled, compiled.find(&name).unwrap(), &wire), json, "{name}");
            stripped += json.matches(r#""secrets":"***stripped***""#).count();
        }
        // 19 messages have secrets, and each is there twice.
        assert!(stripped >= 38, "{stripped}");
    }
}
