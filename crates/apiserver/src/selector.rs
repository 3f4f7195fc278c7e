//! Label and field selectors: parsing with upstream's texts, and matching.

use std::collections::BTreeMap;

use tokenward_kube_rules::names;

/// Which objects by labels; empty selects all.
///
/// ```
/// use tokenward_apiserver::selector::LabelSelector;
///
/// let selector = LabelSelector::parse("team=storage,tier in (a,b),!old").unwrap();
/// let labels = [("team", "storage"), ("tier", "b")].map(|(key, value)| (key.to_owned(), value.to_owned()));
/// assert!(selector.matches(&labels.into()));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelSelector {
    requirements: Vec<LabelRequirement>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum LabelRequirement {
    Exists(String),
    Absent(String),
    In(String, Vec<String>),
    /// Also selects objects that do not have the label.
    NotIn(String, Vec<String>),
    Greater(String, i64),
    Less(String, i64),
}

/// Which objects by fields; empty selects all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSelector {
    terms: Vec<FieldTerm>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct FieldTerm {
    field: String,
    value: String,
    equal: bool,
}

impl LabelSelector {
    /// Whether every object is selected.
    pub fn is_everything(&self) -> bool {
        self.requirements.is_empty()
    }

    /// Reads the grammar of `labelSelector`. The error is upstream's text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let tokens = Token::scan(text);
        let mut parser = Parser { tokens, position: 0 };
        let mut requirements = Vec::new();
        if parser.peek() == &Token::End {
            return Ok(Self { requirements });
        }
        loop {
            match parser.peek() {
                Token::Not | Token::Word(_) => {
                    let requirement = parser.requirement();
                    requirements
                        .push(requirement.map_err(|why| format!("unable to parse requirement: {why}"))?);
                }
                other => {
                    return Err(format!(
                        "found '{}', expected: !, identifier, or 'end of string'",
                        other.text()
                    ));
                }
            }
            match parser.next() {
                Token::End => break,
                Token::Comma => {
                    if !matches!(parser.peek(), Token::Not | Token::Word(_)) {
                        return Err(format!(
                            "found '{}', expected: identifier after ','",
                            parser.peek().text()
                        ));
                    }
                }
                other => return Err(format!("found '{}', expected: ',' or 'end of string'", other.text())),
            }
        }
        Ok(Self { requirements })
    }

    /// Whether labels satisfy every requirement.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.requirements.iter().all(|requirement| match requirement {
            LabelRequirement::Exists(key) => labels.contains_key(key),
            LabelRequirement::Absent(key) => !labels.contains_key(key),
            LabelRequirement::In(key, values) => labels.get(key).is_some_and(|value| values.contains(value)),
            LabelRequirement::NotIn(key, values) => {
                labels.get(key).is_none_or(|value| !values.contains(value))
            }
            LabelRequirement::Greater(key, bound) => number(labels, key).is_some_and(|value| value > *bound),
            LabelRequirement::Less(key, bound) => number(labels, key).is_some_and(|value| value < *bound),
        })
    }
}

fn number(labels: &BTreeMap<String, String>, key: &str) -> Option<i64> {
    labels.get(key)?.parse().ok()
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Not,
    Equal,
    DoubleEqual,
    NotEqual,
    Greater,
    Less,
    Comma,
    Open,
    Close,
    End,
}

impl Token {
    fn text(&self) -> &str {
        match self {
            Self::Word(word) => word,
            Self::Not => "!",
            Self::Equal => "=",
            Self::DoubleEqual => "==",
            Self::NotEqual => "!=",
            Self::Greater => ">",
            Self::Less => "<",
            Self::Comma => ",",
            Self::Open => "(",
            Self::Close => ")",
            Self::End => "",
        }
    }

    fn scan(text: &str) -> Vec<Self> {
        let mut tokens = Vec::new();
        let mut characters = text.chars().peekable();
        while let Some(character) = characters.next() {
            let token = match character {
                ' ' | '\t' | '\n' | '\r' => continue,
                ',' => Self::Comma,
                '(' => Self::Open,
                ')' => Self::Close,
                '>' => Self::Greater,
                '<' => Self::Less,
                '=' => match characters.next_if_eq(&'=') {
                    Some(_) => Self::DoubleEqual,
                    None => Self::Equal,
                },
                '!' => match characters.next_if_eq(&'=') {
                    Some(_) => Self::NotEqual,
                    None => Self::Not,
                },
                first => {
                    let mut word = String::from(first);
                    while let Some(next) = characters.next_if(|next| !" \t\n\r,()<>=!".contains(*next)) {
                        word.push(next);
                    }
                    Self::Word(word)
                }
            };
            tokens.push(token);
        }
        tokens.push(Self::End);
        tokens
    }
}

struct Parser {
    tokens: Vec<Token>,
    position: usize,
}

impl Parser {
    fn peek(&self) -> &Token {
        self.tokens.get(self.position).unwrap_or(&Token::End)
    }

    fn next(&mut self) -> Token {
        let token = self.peek().clone();
        self.position += 1;
        token
    }

    fn requirement(&mut self) -> Result<LabelRequirement, String> {
        let absent = self.peek() == &Token::Not;
        if absent {
            self.next();
        }
        let key = match self.next() {
            Token::Word(key) => key,
            other => return Err(format!("found '{}', expected: identifier", other.text())),
        };
        check_key(&key)?;
        if absent {
            return Ok(LabelRequirement::Absent(key));
        }
        if matches!(self.peek(), Token::End | Token::Comma) {
            return Ok(LabelRequirement::Exists(key));
        }
        match self.next() {
            Token::Equal | Token::DoubleEqual => {
                let value = self.value(&key)?;
                Ok(LabelRequirement::In(key, vec![value]))
            }
            Token::NotEqual => {
                let value = self.value(&key)?;
                Ok(LabelRequirement::NotIn(key, vec![value]))
            }
            Token::Greater => self.bound(&key).map(|bound| LabelRequirement::Greater(key, bound)),
            Token::Less => self.bound(&key).map(|bound| LabelRequirement::Less(key, bound)),
            Token::Word(word) if word == "in" => {
                let values = self.values(&key)?;
                Ok(LabelRequirement::In(key, values))
            }
            Token::Word(word) if word == "notin" => {
                let values = self.values(&key)?;
                Ok(LabelRequirement::NotIn(key, values))
            }
            other => Err(format!("found '{}', expected: in, notin, =, ==, !=, gt, lt", other.text())),
        }
    }

    /// One value; an empty one is allowed, as in `key=`.
    fn value(&mut self, key: &str) -> Result<String, String> {
        let value = match self.peek() {
            Token::End | Token::Comma => return Ok(String::new()),
            Token::Word(value) => value.clone(),
            other => return Err(format!("found '{}', expected: identifier", other.text())),
        };
        self.next();
        check_value(key, 0, &value)?;
        Ok(value)
    }

    fn bound(&mut self, key: &str) -> Result<i64, String> {
        let value = self.value(key)?;
        value.parse().map_err(|_| {
            let value = crate::status::go_quote(&value);
            format!(
                "values[0]: Invalid value: {value}: for 'Gt', 'Lt' operators, the value \
                 must be an integer"
            )
        })
    }

    fn values(&mut self, key: &str) -> Result<Vec<String>, String> {
        match self.next() {
            Token::Open => {}
            other => return Err(format!("found '{}' expected: '('", other.text())),
        }
        let mut values = Vec::new();
        loop {
            match self.next() {
                Token::Word(value) => {
                    check_value(key, values.len(), &value)?;
                    values.push(value);
                    match self.next() {
                        Token::Comma => {}
                        Token::Close => return Ok(values),
                        other => return Err(format!("found '{}', expected: ',' or ')'", other.text())),
                    }
                }
                Token::Comma => values.push(String::new()),
                Token::Close => {
                    values.push(String::new());
                    return Ok(values);
                }
                other => return Err(format!("found '{}', expected: ',', ')' or identifier", other.text())),
            }
        }
    }
}

fn check_key(key: &str) -> Result<(), String> {
    refuse(key, &names::qualified_name(key), "<nil>")
}

/// `position` is that of the value in its list.
fn check_value(key: &str, position: usize, value: &str) -> Result<(), String> {
    refuse(value, &names::label_value(value), &format!("values[{position}][{key}]"))
}

fn refuse(value: &str, faults: &[String], path: &str) -> Result<(), String> {
    if faults.is_empty() {
        return Ok(());
    }
    let value = crate::status::go_quote(value);
    Err(format!("{path}: Invalid value: {value}: {}", faults.join("; ")))
}

impl FieldSelector {
    /// Reads `field=value,field!=value`. The error is upstream's text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut terms = Vec::new();
        for term in split_unescaped(text) {
            if term.is_empty() {
                continue;
            }
            let (field, value, equal) = split_term(&term)
                .ok_or_else(|| format!("invalid selector: '{text}'; can't understand '{term}'"))?;
            let value = unescape(value)?;
            // A term of nothing and nothing asks for nothing.
            if !(field.is_empty() && value.is_empty()) {
                terms.push(FieldTerm { field: field.to_owned(), value, equal });
            }
        }
        Ok(Self { terms })
    }

    /// This and one more term that wants `field` to be `value`.
    #[must_use]
    pub fn and(mut self, field: &str, value: &str) -> Self {
        self.terms.push(FieldTerm { field: field.to_owned(), value: value.to_owned(), equal: true });
        self
    }

    /// Whether every object is selected.
    pub fn is_everything(&self) -> bool {
        self.terms.is_empty()
    }

    /// The value that `field` must have, if the selector demands one.
    pub fn exact(&self, field: &str) -> Option<&str> {
        self.terms.iter().find(|term| term.equal && term.field == field).map(|term| term.value.as_str())
    }

    /// Refuses fields that the kind cannot be selected by.
    pub fn check(&self, known: &[&str]) -> Result<(), String> {
        let unknown = self.terms.iter().find(|term| !known.contains(&term.field.as_str()));
        match unknown {
            None => Ok(()),
            Some(term) if known == ["metadata.name", "metadata.namespace"] => Err(format!(
                "{} is not a known field selector: only \"metadata.name\", \"metadata.namespace\"",
                crate::status::go_quote(&term.field)
            )),
            Some(term) => Err(format!("field label not supported: {}", term.field)),
        }
    }

    /// Whether fields satisfy every term. A field that the object lacks is empty.
    pub fn matches(&self, field: impl Fn(&str) -> Option<String>) -> bool {
        self.terms.iter().all(|term| {
            let actual = field(&term.field).unwrap_or_default();
            (actual == term.value) == term.equal
        })
    }
}

/// Splits at commas that no backslash protects.
fn split_unescaped(text: &str) -> Vec<String> {
    let mut terms = vec![String::new()];
    let mut escaped = false;
    for character in text.chars() {
        if character == ',' && !escaped {
            terms.push(String::new());
            continue;
        }
        escaped = character == '\\' && !escaped;
        if let Some(last) = terms.last_mut() {
            last.push(character);
        }
    }
    terms
}

fn split_term(term: &str) -> Option<(&str, &str, bool)> {
    let position = term.find(['=', '!'])?;
    let (field, rest) = term.split_at(position);
    if let Some(value) = rest.strip_prefix("!=") {
        return Some((field, value, false));
    }
    let value = rest.strip_prefix("==").or_else(|| rest.strip_prefix('='))?;
    Some((field, value, true))
}

/// A term's value without the backslashes that let it hold commas, equals signs and backslashes.
fn unescape(value: &str) -> Result<String, String> {
    let mut text = String::with_capacity(value.len());
    let mut characters = value.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next() {
                Some(escaped @ ('\\' | ',' | '=')) => text.push(escaped),
                other => {
                    let rest = other.map(String::from).unwrap_or_default();
                    return Err(format!("invalid field selector: invalid escape sequence: \\{rest}"));
                }
            },
            // Upstream names it by its number.
            ',' | '=' => {
                let number = u32::from(character);
                return Err(format!("invalid field selector: unescaped character in value: {number}"));
            }
            other => text.push(other),
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn label_selectors_match() {
        let object = labels(&[("team", "storage"), ("size", "7"), ("k8s.io/app", "x")]);
        let table = [
            ("", true),
            ("team=storage", true),
            ("team==storage", true),
            ("team = storage", true),
            ("team!=storage", false),
            ("other!=x", true),
            ("team", true),
            ("!team", false),
            ("!other", true),
            ("team in (a, storage)", true),
            ("team notin (a,b)", true),
            ("other notin (a)", true),
            ("other in (a)", false),
            ("size>6,size<8", true),
            ("size>7", false),
            ("team>1", false),
            ("k8s.io/app=x,team", true),
            ("team=", false),
            ("other in ()", false),
        ];
        for (selector, expected) in table {
            let parsed = LabelSelector::parse(selector).unwrap_or_else(|error| panic!("{selector}: {error}"));
            assert_eq!(parsed.matches(&object), expected, "{selector}");
        }
    }

    #[test]
    fn bad_label_selectors_are_refused() {
        for selector in ["==", "a=b,", "a in b", "a in (b", "a b", "-a=b", "a=b/c", "a>x", "!", "a,,b", "(a)"]
        {
            assert!(LabelSelector::parse(selector).is_err(), "{selector}");
        }
        let text = LabelSelector::parse("==").unwrap_err();
        assert_eq!(text, "found '==', expected: !, identifier, or 'end of string'");
    }

    #[test]
    fn field_selectors_match() {
        let field = |name: &str| match name {
            "metadata.name" => Some("p".to_owned()),
            "spec.nodeName" => Some("n,1".to_owned()),
            _ => None,
        };
        let table = [
            ("", true),
            ("metadata.name=p", true),
            ("metadata.name==p,spec.nodeName=n\\,1", true),
            ("metadata.name!=p", false),
            ("status.phase=", true),
            ("status.phase!=Running", true),
        ];
        for (selector, expected) in table {
            assert_eq!(FieldSelector::parse(selector).unwrap().matches(field), expected, "{selector}");
        }
        for nothing in ["=", "!=", "==", ",=,"] {
            assert!(FieldSelector::parse(nothing).unwrap().is_everything(), "{nothing}");
        }
        let one = FieldSelector::parse("=,metadata.name=a\\=\\\\").unwrap();
        assert_eq!(one.exact("metadata.name"), Some("a=\\"));
        assert!(FieldSelector::parse("nothing").is_err());
        for (selector, why) in [
            ("metadata.name=a\\x", "invalid escape sequence: \\x"),
            ("metadata.name=a\\", "invalid escape sequence: \\"),
            ("metadata.name=a=b", "unescaped character in value: 61"),
        ] {
            let refused = FieldSelector::parse(selector).unwrap_err();
            assert_eq!(refused, format!("invalid field selector: {why}"), "{selector}");
        }
        let unknown = FieldSelector::parse("spec.x=1").unwrap();
        assert_eq!(
            unknown.check(&["metadata.name", "metadata.namespace"]).unwrap_err(),
            "\"spec.x\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
        );
        assert_eq!(FieldSelector::default().and("metadata.name", "x").exact("metadata.name"), Some("x"));
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in "\\PC{0,40}") {
            let _ = LabelSelector::parse(&text);
            let _ = FieldSelector::parse(&text);
        }
    }
}
