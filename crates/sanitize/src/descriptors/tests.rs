use super::*;

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

fn number(field: u64, value: u64) -> Vec<u8> {
    [varint(field << 3), varint(value)].concat()
}

fn part(field: u64, value: impl AsRef<[u8]>) -> Vec<u8> {
    let value = value.as_ref();
    [varint(field << 3 | 2), varint(value.len() as u64), value.to_vec()].concat()
}

/// A field of `FieldDescriptorProto.Type` 9, a string, with options.
fn string(name: &str, at: u64, options: &[u8]) -> Vec<u8> {
    part(2, [part(1, name), number(3, at), number(4, 1), number(5, 9), part(8, options)].concat())
}

fn set(message: &[Vec<u8>]) -> Vec<u8> {
    let message = [part(1, "M"), message.concat()].concat();
    part(1, [part(2, "p"), part(12, "proto3"), part(4, message)].concat())
}

#[track_caller]
fn refused(set: &[u8], marks: &Marks) -> DescriptorError {
    match Table::from_descriptor_set(set, marks) {
        Ok(_) => panic!("it was taken"),
        Err(error) => error,
    }
}

fn invalid(name: &str, problem: &'static str) -> DescriptorError {
    DescriptorError::Invalid { name: name.to_owned(), problem }
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let one = set(&[string("text", 1, b"")]);
    let none = Marks::new();
    assert_eq!(refused(b"\x0a\x05abc", &none), DescriptorError::Malformed);
    assert_eq!(refused(&set(&[part(2, part(1, b"\xff"))]), &none), DescriptorError::Malformed);
    let path = "p.M.password".to_owned();
    assert_eq!(refused(&one, &none.clone().field("p.M.password")), DescriptorError::UnknownField { path });
    let name = "p.secret".to_owned();
    assert_eq!(
        refused(&one, &none.clone().extension_named("p.secret")),
        DescriptorError::UnknownExtension { name }
    );
    let marked_by_text = set(&[string("text", 1, &part(1000, "yes"))]);
    let option = "1000".to_owned();
    assert_eq!(refused(&marked_by_text, &none.clone().extension(1000)), DescriptorError::NotBool { option });
    let twice = "two of its fields have one ";
    let names = set(&[string("text", 1, b""), string("text", 2, b"")]);
    assert!(refused(&names, &none).to_string().contains(&format!("{twice}name")));
    let numbers = set(&[string("text", 1, b""), string("more", 1, b"")]);
    assert!(refused(&numbers, &none).to_string().contains(&format!("{twice}number")));
    assert_eq!(refused(&[one.clone(), one].concat(), &none), invalid("p.M", "it is declared twice"));
    for name in ["", "a\"b", "a b", "ä"] {
        let wanted = invalid(&format!("p.M.{name}"), "its name is no identifier");
        assert_eq!(refused(&set(&[string(name, 1, b"")]), &none), wanted);
    }
    for number in [0, 1 << 29, u64::MAX] {
        let wanted = invalid("p.M.text", "its number is not between 1 and 536870911");
        assert_eq!(refused(&set(&[string("text", number, b"")]), &none), wanted);
    }
    let child = [part(1, "child"), number(3, 1), number(5, 11), part(6, ".other.Message")].concat();
    let (field, type_name) = ("p.M.child".to_owned(), "other.Message".to_owned());
    assert_eq!(refused(&set(&[part(2, child)]), &none), DescriptorError::UnknownType { field, type_name });
    let odd = [part(1, "odd"), number(3, 1), number(5, 99)].concat();
    assert_eq!(
        refused(&set(&[part(2, odd)]), &none),
        invalid("p.M.odd", "its type is none that protobuf has")
    );
}

#[test]
fn a_rule_that_came_later_is_refused_by_name() {
    let file = |syntax: &str, options: &[u8], field: &[u8]| {
        let message = [part(1, "M"), string("text", 1, field)].concat();
        part(
            1,
            [part(1, "f.proto"), part(2, "p"), part(12, syntax), part(8, options), part(4, message)].concat(),
        )
    };
    let not_understood = |name: &str, rule, value: &str| DescriptorError::NotUnderstood {
        name: name.to_owned(),
        rule,
        value: value.to_owned(),
    };
    let none = Marks::new();
    assert_eq!(refused(&file("proto4", b"", b""), &none), not_understood("f.proto", "syntax", "proto4"));
    for (feature, rule) in [(1, "features.field_presence"), (5, "features.message_encoding")] {
        let unknown = number(feature, 4);
        let of_file = file("editions", &part(50, &unknown), b"");
        assert_eq!(refused(&of_file, &none), not_understood("f.proto", rule, "4"));
        let of_field = file("editions", b"", &part(21, &unknown));
        assert_eq!(refused(&of_field, &none), not_understood("p.M.text", rule, "4"));
        // They are features of editions alone.
        assert!(Table::from_descriptor_set(&file("proto3", &part(50, &unknown), b""), &none).is_ok());
        let unset = file("editions", &part(50, number(feature, 0)), &part(21, number(feature, 0)));
        assert!(Table::from_descriptor_set(&unset, &none).is_ok());
    }
}

#[test]
fn of_an_option_that_is_there_again_the_last_counts() {
    for (options, is_secret) in [
        (number(16, 1), true),
        (number(16, 0), false),
        ([number(16, 1), number(16, 0)].concat(), false),
        ([number(16, 0), number(16, 2)].concat(), true),
        (number(17, 1), false),
    ] {
        let set = set(&[string("text", 1, &options)]);
        let table = Table::from_descriptor_set(&set, &Marks::new().debug_redact()).unwrap();
        let json = crate::to_json(&table, table.find("p.M").unwrap(), &part(1, "tiger!"));
        assert_eq!(!json.contains("tiger!"), is_secret, "{options:?}");
    }
}

#[test]
fn nesting_without_end_is_refused() {
    let mut message = part(1, "M");
    for _ in 0..MOST_NESTED {
        message = [part(1, "M"), part(3, message)].concat();
    }
    let file = |message: &[u8]| part(1, part(4, message));
    assert!(Table::from_descriptor_set(&file(&message), &Marks::new()).is_ok());
    message = [part(1, "M"), part(3, message)].concat();
    assert_eq!(refused(&file(&message), &Marks::new()), DescriptorError::Malformed);
}

const MOST_NESTED: usize = 100;

proptest::proptest! {
    #[test]
    fn noise_does_no_harm(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
        if let Ok(table) = Table::from_descriptor_set(&bytes, &Marks::new().extension(1059)) {
            table.check().unwrap();
        }
    }

    #[test]
    fn spoilt_descriptors_do_no_harm(at: proptest::sample::Index, byte: u8) {
        let mut bytes = set(&[string("text", 1, &number(16, 1)), string("more", 2, b"")]);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(table) = Table::from_descriptor_set(&bytes, &Marks::new().debug_redact()) {
            table.check().unwrap();
        }
    }
}
