//! Cuts the text of an expression into tokens.

use crate::error::Fault;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Token {
    Int(i64),
    /// One more than the largest, which only a minus makes an integer.
    IntAfterMinus,
    Uint(u64),
    Double(f64),
    String(String),
    Name(String),
    /// An operator or a bracket.
    Sign(&'static str),
    End,
}

/// The longest first.
const SIGNS: [&str; 26] = [
    "&&", "||", "==", "!=", "<=", ">=", ".?", "[?", "<", ">", "+", "-", "*", "/", "%", "!", "?", ":", ".",
    ",", "(", ")", "[", "]", "{", "}",
];
/// Words that are no names.
const RESERVED: [&str; 18] = [
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
    "struct",
];

/// The tokens and where each begins, in characters; the last is the end.
pub(crate) fn tokens(text: &[char]) -> Result<Vec<(Token, usize)>, Fault> {
    let mut lexer = Lexer { text, at: 0 };
    let mut tokens = Vec::new();
    loop {
        lexer.skip_blanks();
        let begin = lexer.at;
        let token = lexer.token()?;
        let is_end = token == Token::End;
        tokens.push((token, begin));
        if is_end {
            return Ok(tokens);
        }
    }
}

struct Lexer<'t> {
    text: &'t [char],
    at: usize,
}

impl Lexer<'_> {
    fn peek(&self) -> Option<char> {
        self.text.get(self.at).copied()
    }

    fn starts_with(&self, sign: &str) -> bool {
        let rest = &self.text[self.at..];
        sign.chars().enumerate().all(|(position, wanted)| rest.get(position) == Some(&wanted))
    }

    fn skip_blanks(&mut self) {
        while let Some(next) = self.peek() {
            if self.starts_with("//") {
                while self.peek().is_some_and(|next| next != '\n') {
                    self.at += 1;
                }
            } else if matches!(next, ' ' | '\t' | '\n' | '\r' | '\u{c}') {
                self.at += 1;
            } else {
                return;
            }
        }
    }

    fn token(&mut self) -> Result<Token, Fault> {
        let begin = self.at;
        let Some(next) = self.peek() else { return Ok(Token::End) };
        if let Some(is_raw) = self.begins_text() {
            return self.text_literal(is_raw);
        }
        if next.is_ascii_digit()
            || (next == '.' && self.text.get(begin + 1).is_some_and(char::is_ascii_digit))
        {
            return self.number();
        }
        if next.is_ascii_alphabetic() || next == '_' {
            while self.peek().is_some_and(|next| next.is_ascii_alphanumeric() || next == '_') {
                self.at += 1;
            }
            let name: String = self.text[begin..self.at].iter().collect();
            if matches!(&*name, "b" | "B" | "rb" | "br") && matches!(self.peek(), Some('"' | '\'')) {
                return Err(Fault::new(begin, "bytes are not supported"));
            }
            return Ok(Token::Name(name));
        }
        match SIGNS.iter().find(|sign| self.starts_with(sign)) {
            Some(sign) => {
                self.at += sign.len();
                Ok(Token::Sign(sign))
            }
            None => Err(Fault::new(begin, format!("Syntax error: token recognition error at: '{next}'"))),
        }
    }

    /// Whether a text begins here, and whether it is a raw one.
    fn begins_text(&self) -> Option<bool> {
        let is_quote = |place: usize| matches!(self.text.get(place), Some('"' | '\''));
        match self.peek()? {
            'r' | 'R' if is_quote(self.at + 1) => Some(true),
            _ if is_quote(self.at) => Some(false),
            _ => None,
        }
    }

    fn text_literal(&mut self, is_raw: bool) -> Result<Token, Fault> {
        let begin = self.at;
        self.at += usize::from(is_raw);
        let quote = self.text[self.at];
        let triple = [quote; 3];
        let is_long = self.text[self.at..].starts_with(&triple);
        let end: &[char] = if is_long { &triple } else { &triple[..1] };
        self.at += end.len();
        let mut text = String::new();
        loop {
            if self.text[self.at..].starts_with(end) {
                self.at += end.len();
                return Ok(Token::String(text));
            }
            match self.peek() {
                None => return Err(Fault::new(begin, "Syntax error: a text without an end")),
                Some('\n' | '\r') if !is_long => {
                    return Err(Fault::new(begin, "Syntax error: a text without an end in its line"));
                }
                Some('\\') if !is_raw => text.push(self.escape()?),
                Some(next) => {
                    text.push(next);
                    self.at += 1;
                }
            }
        }
    }

    fn escape(&mut self) -> Result<char, Fault> {
        let begin = self.at;
        let wrong = || Fault::new(begin, "Syntax error: an escape sequence that means nothing");
        self.at += 1;
        let sign = self.peek().ok_or_else(wrong)?;
        self.at += 1;
        let (digits, radix) = match sign {
            'a' => return Ok('\u{7}'),
            'b' => return Ok('\u{8}'),
            'f' => return Ok('\u{c}'),
            'n' => return Ok('\n'),
            'r' => return Ok('\r'),
            't' => return Ok('\t'),
            'v' => return Ok('\u{b}'),
            '\\' | '"' | '\'' | '`' | '?' => return Ok(sign),
            'x' | 'X' => (2, 16),
            'u' => (4, 16),
            'U' => (8, 16),
            '0'..='3' => {
                self.at -= 1;
                (3, 8)
            }
            _ => return Err(wrong()),
        };
        let text: String = self.text.iter().skip(self.at).take(digits).collect();
        self.at += digits;
        let is_plain = text.len() == digits && text.chars().all(|digit| digit.is_digit(radix));
        let code = u32::from_str_radix(&text, radix).ok().filter(|_| is_plain);
        code.and_then(char::from_u32).ok_or_else(wrong)
    }

    fn number(&mut self) -> Result<Token, Fault> {
        let begin = self.at;
        let wrong = |what: &str| Fault::new(begin, format!("Syntax error: invalid {what} literal"));
        if self.starts_with("0x") || self.starts_with("0X") {
            self.at += 2;
            let digits = self.take(|next| next.is_ascii_hexdigit());
            if self.take_unsigned() {
                return u64::from_str_radix(&digits, 16).map(Token::Uint).map_err(|_| wrong("uint"));
            }
            return i64::from_str_radix(&digits, 16).map(Token::Int).map_err(|_| wrong("int"));
        }
        let mut text = self.take(|next| next.is_ascii_digit());
        let mut is_double = false;
        if self.peek() == Some('.') && self.text.get(self.at + 1).is_some_and(char::is_ascii_digit) {
            is_double = true;
            text.push('.');
            self.at += 1;
            text.push_str(&self.take(|next| next.is_ascii_digit()));
        }
        if matches!(self.peek(), Some('e' | 'E')) {
            let sign = usize::from(matches!(self.text.get(self.at + 1), Some('+' | '-')));
            if self.text.get(self.at + 1 + sign).is_some_and(char::is_ascii_digit) {
                is_double = true;
                text.extend(&self.text[self.at..=self.at + sign]);
                self.at += 1 + sign;
                text.push_str(&self.take(|next| next.is_ascii_digit()));
            }
        }
        if is_double {
            return text.parse().map(Token::Double).map_err(|_| wrong("double"));
        }
        if self.take_unsigned() {
            return text.parse().map(Token::Uint).map_err(|_| wrong("uint"));
        }
        match text.parse::<u64>() {
            Ok(number) if number == i64::MIN.unsigned_abs() => Ok(Token::IntAfterMinus),
            Ok(number) => i64::try_from(number).map(Token::Int).map_err(|_| wrong("int")),
            Err(_) => Err(wrong("int")),
        }
    }

    fn take(&mut self, wanted: impl Fn(char) -> bool) -> String {
        let begin = self.at;
        while self.peek().is_some_and(&wanted) {
            self.at += 1;
        }
        self.text[begin..self.at].iter().collect()
    }

    fn take_unsigned(&mut self) -> bool {
        let is_unsigned = matches!(self.peek(), Some('u' | 'U'));
        self.at += usize::from(is_unsigned);
        is_unsigned
    }
}

/// Whether a word may not be a name.
pub(crate) fn is_reserved(word: &str) -> bool {
    RESERVED.contains(&word)
}
