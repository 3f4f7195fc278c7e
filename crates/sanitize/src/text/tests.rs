use super::*;

const TOKEN: &str = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln_-bmF0dXJl";

fn json(bytes: &[u8]) -> String {
    let mut out = Output::default();
    push_json(&mut out, bytes, Tokens::Stripped);
    String::from_utf8(out.as_bytes().to_owned()).unwrap()
}

#[test]
fn text_is_escaped_as_go_escapes_it() {
    let cases: [(&[u8], &str); 11] = [
        (b"", r#""""#),
        (b"plain text, longer than one chunk of bytes", r#""plain text, longer than one chunk of bytes""#),
        (b"a<b>&\"c\"\\", r#""a\u003cb\u003e\u0026\"c\"\\""#),
        (b"\x00\x01\x08\x09\x0a\x0c\x0d\x1f\x7f", "\"\\u0000\\u0001\\b\\t\\n\\f\\r\\u001f\x7f\""),
        ("J\u{2028}\u{2029}\u{2027}€é😀".as_bytes(), "\"J\\u2028\\u2029\u{2027}€é😀\""),
        (b"a\xffb", r#""a\ufffdb""#),
        // Go replaces each byte of a character that is cut off.
        (b"\xe2\x82", r#""\ufffd\ufffd""#),
        (b"\xed\xa0\x80x", r#""\ufffd\ufffd\ufffdx""#),
        (b"\xe2", r#""\ufffd""#),
        (b"eyJ", r#""eyJ""#),
        (b"0123456789abcde\n0123456789abcdef\"", r#""0123456789abcde\n0123456789abcdef\"""#),
    ];
    for (bytes, wanted) in cases {
        assert_eq!(json(bytes), wanted, "{bytes:x?}");
    }
}

#[test]
fn blocks_find_what_is_special() {
    for byte in 0..=u8::MAX {
        assert_eq!(distance(byte) == 0, is_special(byte), "{byte:#x}");
    }
    // Wherever it stands in a text of any length up to several blocks.
    for length in 1..100 {
        for at in 0..length {
            let mut text = vec![b'x'; length];
            text[at] = b'\n';
            let wanted = format!("\"{}\\n{}\"", "x".repeat(at), "x".repeat(length - at - 1));
            assert_eq!(json(&text), wanted);
        }
    }
}

#[test]
fn tokens_are_blanked_where_they_stand() {
    let cut_in_signature = &TOKEN[..TOKEN.len() - 5];
    let cut_before_signature = &TOKEN[..TOKEN.rfind('.').unwrap() + 1];
    let no_third_part = &TOKEN[..TOKEN.rfind('.').unwrap()];
    let headless = &TOKEN[4..];
    let unsigned = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.";
    let encrypted = "eyJhbGciOiJSU0EtT0FFUCJ9.a2V5.aXY.Y2lwaGVy.dGFn";
    for token in [TOKEN, cut_in_signature, cut_before_signature, no_third_part, unsigned, encrypted] {
        assert_eq!(blank_tokens(token), STRIPPED, "{token}");
        let line = format!("GET /?jwt={token}&x=1, again \\\"{token}\\\": é {token}");
        let wanted = format!("GET /?jwt={STRIPPED}&x=1, again \\\"{STRIPPED}\\\": é {STRIPPED}");
        assert_eq!(blank_tokens(&line), wanted);
        let escaped = wanted.replace('\\', "\\\\").replace('"', "\\\"").replace('&', "\\u0026");
        assert_eq!(json(line.as_bytes()), format!("\"{escaped}\""));
    }
    assert_eq!(blank_tokens(headless), format!("bGciOiJSUzI1NiJ9.{STRIPPED}"));
    assert_eq!(blank_tokens(&format!("Bearer{TOKEN}")), format!("Bearer{STRIPPED}"));
}

#[test]
fn what_is_no_token_stays() {
    let texts = [
        "",
        "eyJ",
        "eyJhbGciOiJSUzI1NiJ9",
        "eyJvZmZzZXQiOjEwfQ next page",
        "eyJhbGciOiJSUzI1NiJ9.",
        "eyJhbGciOiJSUzI1NiJ9.x",
        "eyJa.eyJb.c",
        "storage.example.com/eyrie.service.conf",
        "Joey Jones. Journal",
    ];
    for text in texts {
        assert!(matches!(blank_tokens(text), Cow::Borrowed(same) if same == text), "{text}");
        assert_eq!(json(text.as_bytes()), format!("\"{text}\""));
        assert!(!has_token(text.as_bytes()));
    }
}

#[test]
fn many_starts_without_a_token_take_one_pass() {
    // Quadratic work would be minutes.
    let text = "eyJ".repeat(1 << 20);
    assert_eq!(json(text.as_bytes()).len(), text.len() + 2);
    assert!(!has_token(text.as_bytes()));
}

proptest::proptest! {
    #[test]
    fn any_bytes_come_out_as_their_text(
        bytes in proptest::prelude::prop_oneof![
            proptest::collection::vec(proptest::num::u8::ANY, 0..60),
            proptest::strategy::Strategy::prop_map("[\\PC\u{2027}-\u{202a}\n\"J]{0,30}", String::into_bytes),
        ],
    ) {
        let mut wanted = String::new();
        for chunk in bytes.utf8_chunks() {
            wanted.push_str(chunk.valid());
            wanted.extend(chunk.invalid().iter().map(|_| '\u{fffd}'));
        }
        let text: String = serde_json::from_str(&json(&bytes)).unwrap();
        proptest::prop_assert_eq!(text, blank_tokens(&wanted).into_owned());
    }
}
