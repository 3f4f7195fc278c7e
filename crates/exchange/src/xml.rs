//! The few texts that are wanted of a small XML answer.

use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::Event;
use zeroize::Zeroizing;

/// Deeper elements are nobody's answer.
const DEEPEST: usize = 16;

/// Not a well-formed XML document without surprises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unreadable;

/// The text of the first element at each of these paths (local names, without prefixes), in their order; none where there is no such
/// element.
///
/// Entities are the five of XML and character references; a document type, which could declare others, is refused.
pub(crate) fn texts<const N: usize>(
    document: &[u8],
    paths: [&[&str]; N],
) -> Result<[Option<Zeroizing<String>>; N], Unreadable> {
    let document = std::str::from_utf8(document).map_err(|_| Unreadable)?;
    let mut reader = Reader::from_str(document);
    let mut found = [const { None::<Zeroizing<String>> }; N];
    // Whether the element that the text was begun in is still open.
    let mut complete = [false; N];
    let mut open: Vec<String> = Vec::new();
    let mut has_root = false;
    loop {
        let at = |open: &[String]| paths.iter().position(|path| open.iter().eq(path.iter()));
        match reader.read_event().map_err(|_| Unreadable)? {
            Event::Start(start) => {
                if open.len() == DEEPEST || (open.is_empty() && has_root) {
                    return Err(Unreadable);
                }
                has_root = true;
                open.push(start.local_name().into_inner().to_owned());
                // The document bounds every text in it: no text grows, which would leave copies behind.
                if let Some(path) = at(&open)
                    && found[path].is_none()
                {
                    found[path] = Some(Zeroizing::new(String::with_capacity(document.len())));
                }
            }
            Event::Empty(empty) => {
                if open.is_empty() && has_root {
                    return Err(Unreadable);
                }
                has_root = true;
                open.push(empty.local_name().into_inner().to_owned());
                if let Some(path) = at(&open) {
                    found[path].get_or_insert_with(Zeroizing::default);
                    complete[path] = true;
                }
                open.pop();
            }
            Event::End(_) => {
                if let Some(path) = at(&open) {
                    complete[path] = true;
                }
                open.pop().ok_or(Unreadable)?;
            }
            Event::Text(text) => push(&mut found, &complete, at(&open), &text),
            Event::CData(text) => push(&mut found, &complete, at(&open), &text),
            Event::GeneralRef(reference) => {
                let mut buffer = [0; 4];
                let text = match reference.resolve_char_ref().map_err(|_| Unreadable)? {
                    Some(char) => char.encode_utf8(&mut buffer),
                    None => resolve_predefined_entity(&reference).ok_or(Unreadable)?,
                };
                push(&mut found, &complete, at(&open), text);
            }
            Event::DocType(_) => return Err(Unreadable),
            Event::Eof => break,
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
        }
    }
    if has_root && open.is_empty() { Ok(found) } else { Err(Unreadable) }
}

fn push<const N: usize>(
    found: &mut [Option<Zeroizing<String>>; N],
    complete: &[bool; N],
    path: Option<usize>,
    text: &str,
) {
    if let Some(path) = path.filter(|path| !complete[*path])
        && let Some(found) = &mut found[path]
    {
        found.push_str(text);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ab(document: &str) -> Result<Option<String>, Unreadable> {
        let [found] = texts(document.as_bytes(), [&["a", "b"]])?;
        Ok(found.map(|text| text.to_string()))
    }

    #[test]
    fn a_text_is_found_by_its_path() {
        let table = [
            ("<a><b>x</b></a>", Ok(Some("x"))),
            ("<?xml version=\"1.0\"?>\n<a xmlns='urn:y'>\n <b>x</b>\n</a>\n", Ok(Some("x"))),
            ("<n:a xmlns:n='urn:y'><n:b>x</n:b></n:a>", Ok(Some("x"))),
            ("<a><b>x&amp;&#x79;&lt;<!-- no -->z</b></a>", Ok(Some("x&y<z"))),
            ("<a><b><![CDATA[<x>]]></b></a>", Ok(Some("<x>"))),
            ("<a><b>1</b><b>2</b></a>", Ok(Some("1"))),
            ("<a><b/><b>2</b></a>", Ok(Some(""))),
            ("<a><c><b>x</b></c></a>", Ok(None)),
            ("<a><b>x<c>y</c>z</b></a>", Ok(Some("xz"))),
            ("<a/>", Ok(None)),
            ("", Err(Unreadable)),
            ("text", Err(Unreadable)),
            ("<a><b>x</b>", Err(Unreadable)),
            ("<a><b>x</a></b>", Err(Unreadable)),
            ("<a/><a><b>x</b></a>", Err(Unreadable)),
            ("<!DOCTYPE a [<!ENTITY e 'x'>]><a><b>&e;</b></a>", Err(Unreadable)),
            ("<a><b>&e;</b></a>", Err(Unreadable)),
        ];
        for (document, expected) in table {
            assert_eq!(
                ab(document).as_ref().map(|found| found.as_deref()),
                expected.as_ref().copied(),
                "{document}"
            );
        }
        let deep = "<a>".repeat(DEEPEST + 1);
        assert_eq!(ab(&deep), Err(Unreadable));
        assert_eq!(texts(b"<a>\xff</a>", [&["a"]]).map(|_| ()), Err(Unreadable));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in "[<>/ab&;!\\[\\]C#x0-9'\" -]{0,80}") {
            let _ = texts(&bytes, [&["a"]]);
            let _ = texts(text.as_bytes(), [&["a"], &["a", "b"]]);
        }

        #[test]
        fn what_was_escaped_comes_back(text in "[ -~]{1,60}") {
            let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
            prop_assert_eq!(ab(&format!("<a><b>{escaped}</b></a>")), Ok(Some(text)));
        }
    }
}
