//! Reads an expression: the grammar of CEL, without messages of types, bytes and optional entries of lists and maps.

use crate::error::Fault;
use crate::lexer::{Token, is_reserved, tokens};
use crate::syntax::{Kind, Literal, Macro, Node, Operator};

/// The longest expression, in characters.
const LONGEST: usize = 100_000;
/// How deep brackets may stand in each other.
const DEEPEST_BRACKETS: usize = 50;
/// How deep a tree may be.
const DEEPEST: usize = 250;

/// Reads a whole text.
pub(crate) fn parse(text: &[char]) -> Result<Node, Fault> {
    if text.len() > LONGEST {
        let why = format!("expression code point size exceeds limit: size: {}, limit {LONGEST}", text.len());
        return Err(Fault::new(0, why));
    }
    let mut parser = Parser { tokens: tokens(text)?, next: 0, brackets: 0 };
    let node = parser.expression()?;
    match parser.peek() {
        Token::End => Ok(node),
        _ => Err(parser.unexpected()),
    }
}

struct Parser {
    tokens: Vec<(Token, usize)>,
    next: usize,
    brackets: usize,
}

fn node(at: usize, kind: Kind) -> Result<Node, Fault> {
    let children: Vec<&Node> = match &kind {
        Kind::Literal(_) | Kind::Name(_) => Vec::new(),
        Kind::Select { operand, .. } | Kind::Has { operand, .. } => vec![operand],
        Kind::Not(operand) | Kind::Negative(operand) => vec![operand],
        Kind::Index { both, .. } | Kind::Binary(_, both) => both.iter().collect(),
        Kind::Call { target, arguments, .. } => {
            target.iter().map(|target| &**target).chain(arguments).collect()
        }
        Kind::List(items) | Kind::All(items) | Kind::Any(items) => items.iter().collect(),
        Kind::Map(entries) => entries.iter().flatten().collect(),
        Kind::Conditional(parts) => parts.iter().collect(),
        Kind::Comprehension { range, arguments, .. } => std::iter::once(&**range).chain(arguments).collect(),
    };
    let depth = 1 + children.iter().map(|child| child.depth).max().unwrap_or_default();
    if depth > DEEPEST {
        return Err(Fault::new(at, format!("expression recursion limit exceeded: {DEEPEST}")));
    }
    Ok(Node { kind, at, depth })
}

impl Parser {
    fn peek(&self) -> &Token {
        &self.tokens[self.next].0
    }

    fn at(&self) -> usize {
        self.tokens[self.next].1
    }

    fn advance(&mut self) -> Token {
        let token = self.peek().clone();
        // The end stays.
        self.next = (self.next + 1).min(self.tokens.len() - 1);
        token
    }

    fn is_sign(&self, sign: &str) -> bool {
        matches!(self.peek(), Token::Sign(found) if *found == sign)
    }

    fn take(&mut self, sign: &str) -> bool {
        let is_there = self.is_sign(sign);
        if is_there {
            self.advance();
        }
        is_there
    }

    fn expect(&mut self, sign: &str) -> Result<(), Fault> {
        if self.take(sign) { Ok(()) } else { Err(self.unexpected()) }
    }

    fn unexpected(&self) -> Fault {
        let found = match self.peek() {
            Token::End => "<EOF>".to_owned(),
            Token::Sign(sign) => (*sign).to_owned(),
            Token::Name(name) => name.clone(),
            // Not shown: it may be anything.
            _ => "a literal".to_owned(),
        };
        Fault::new(self.at(), format!("Syntax error: unexpected '{found}'"))
    }

    fn expression(&mut self) -> Result<Node, Fault> {
        self.brackets += 1;
        if self.brackets > DEEPEST_BRACKETS {
            let why = format!("expression recursion limit exceeded: {DEEPEST_BRACKETS}");
            return Err(Fault::new(self.at(), why));
        }
        let condition = self.any()?;
        let at = self.at();
        let whole = if self.take("?") {
            let yes = self.any()?;
            self.expect(":")?;
            let no = self.expression()?;
            node(at, Kind::Conditional(Box::new([condition, yes, no])))
        } else {
            Ok(condition)
        };
        self.brackets -= 1;
        whole
    }

    fn any(&mut self) -> Result<Node, Fault> {
        self.several("||", Self::all, Kind::Any)
    }

    fn all(&mut self) -> Result<Node, Fault> {
        self.several("&&", Self::relation, Kind::All)
    }

    fn several(
        &mut self,
        sign: &str,
        part: impl Fn(&mut Self) -> Result<Node, Fault>,
        kind: impl Fn(Vec<Node>) -> Kind,
    ) -> Result<Node, Fault> {
        let first = part(self)?;
        if !self.is_sign(sign) {
            return Ok(first);
        }
        let at = self.at();
        let mut parts = vec![first];
        while self.take(sign) {
            parts.push(part(self)?);
        }
        node(at, kind(parts))
    }

    fn relation(&mut self) -> Result<Node, Fault> {
        const RELATIONS: [(&str, Operator); 6] = [
            ("==", Operator::Equal),
            ("!=", Operator::NotEqual),
            ("<=", Operator::LessOrEqual),
            (">=", Operator::GreaterOrEqual),
            ("<", Operator::Less),
            (">", Operator::Greater),
        ];
        let mut left = self.sum()?;
        loop {
            let at = self.at();
            let operator = match self.peek() {
                Token::Name(name) if name == "in" => Some(Operator::In),
                Token::Sign(sign) => {
                    RELATIONS.iter().find(|(name, _)| name == sign).map(|(_, operator)| *operator)
                }
                _ => None,
            };
            let Some(operator) = operator else { return Ok(left) };
            self.advance();
            left = node(at, Kind::Binary(operator, Box::new([left, self.sum()?])))?;
        }
    }

    fn sum(&mut self) -> Result<Node, Fault> {
        self.chain(&[("+", Operator::Add), ("-", Operator::Subtract)], Self::product)
    }

    fn product(&mut self) -> Result<Node, Fault> {
        let operators = [("*", Operator::Multiply), ("/", Operator::Divide), ("%", Operator::Remainder)];
        self.chain(&operators, Self::unary)
    }

    fn chain(
        &mut self,
        operators: &[(&str, Operator)],
        part: impl Fn(&mut Self) -> Result<Node, Fault>,
    ) -> Result<Node, Fault> {
        let mut left = part(self)?;
        loop {
            let at = self.at();
            let Some((sign, operator)) = operators.iter().find(|(sign, _)| self.is_sign(sign)) else {
                return Ok(left);
            };
            self.expect(sign)?;
            left = node(at, Kind::Binary(*operator, Box::new([left, part(self)?])))?;
        }
    }

    fn unary(&mut self) -> Result<Node, Fault> {
        let at = self.at();
        for sign in ["!", "-"] {
            let mut count = 0;
            while self.take(sign) {
                count += 1;
            }
            if count == 0 {
                continue;
            }
            if sign == "-" && self.is_number() {
                let literal = self.negative_number()?;
                let negated = count - 1;
                let operand = self.member_of(node(at, Kind::Literal(literal))?)?;
                return if negated % 2 == 0 {
                    Ok(operand)
                } else {
                    node(at, Kind::Negative(Box::new(operand)))
                };
            }
            let operand = self.member()?;
            // Twice is as good as not at all.
            if count % 2 == 0 {
                return Ok(operand);
            }
            let operand = Box::new(operand);
            return node(at, if sign == "!" { Kind::Not(operand) } else { Kind::Negative(operand) });
        }
        self.member()
    }

    fn is_number(&self) -> bool {
        matches!(self.peek(), Token::Int(_) | Token::IntAfterMinus | Token::Double(_))
    }

    fn negative_number(&mut self) -> Result<Literal, Fault> {
        match self.advance() {
            Token::Int(number) => Ok(Literal::Int(-number)),
            Token::IntAfterMinus => Ok(Literal::Int(i64::MIN)),
            Token::Double(number) => Ok(Literal::Double(-number)),
            _ => Err(self.unexpected()),
        }
    }

    fn member(&mut self) -> Result<Node, Fault> {
        let primary = self.primary()?;
        self.member_of(primary)
    }

    fn member_of(&mut self, mut operand: Node) -> Result<Node, Fault> {
        loop {
            let at = self.at();
            let is_optional = self.is_sign(".?") || self.is_sign("[?");
            if self.take(".") || self.take(".?") {
                let field = self.name()?;
                operand = if !is_optional && self.is_sign("(") {
                    let arguments = self.arguments()?;
                    call(at, field, Some(operand), arguments)?
                } else {
                    node(at, Kind::Select { operand: Box::new(operand), field, is_optional })?
                };
            } else if self.take("[") || self.take("[?") {
                let index = self.expression()?;
                self.expect("]")?;
                operand = node(at, Kind::Index { both: Box::new([operand, index]), is_optional })?;
            } else {
                return Ok(operand);
            }
        }
    }

    fn name(&mut self) -> Result<String, Fault> {
        let fault = self.unexpected();
        match self.advance() {
            Token::Name(name) => Ok(name),
            _ => Err(fault),
        }
    }

    fn primary(&mut self) -> Result<Node, Fault> {
        let at = self.at();
        let fault = self.unexpected();
        let literal = match self.advance() {
            Token::Int(number) => Literal::Int(number),
            Token::Uint(number) => Literal::Uint(number),
            Token::Double(number) => Literal::Double(number),
            Token::String(text) => Literal::String(text),
            Token::IntAfterMinus => return Err(Fault::new(at, "Syntax error: invalid int literal")),
            Token::Name(name) => return self.named(at, name),
            Token::Sign("(") => {
                let inner = self.expression()?;
                self.expect(")")?;
                return Ok(inner);
            }
            Token::Sign("[") => {
                let items = self.listed("]")?;
                return node(at, Kind::List(items));
            }
            Token::Sign("{") => return self.map(at),
            // The name of the outermost scope: there is no other.
            Token::Sign(".") => {
                let name = self.name()?;
                return self.named(at, name);
            }
            Token::Sign(_) | Token::End => return Err(fault),
        };
        node(at, Kind::Literal(literal))
    }

    fn named(&mut self, at: usize, name: String) -> Result<Node, Fault> {
        let literal = match &*name {
            "null" => Some(Literal::Null),
            "true" => Some(Literal::Bool(true)),
            "false" => Some(Literal::Bool(false)),
            "in" => return Err(Fault::new(at, "Syntax error: unexpected 'in'")),
            word if is_reserved(word) => {
                return Err(Fault::new(at, format!("reserved identifier: {word}")));
            }
            _ => None,
        };
        if let Some(literal) = literal {
            return node(at, Kind::Literal(literal));
        }
        if self.is_sign("(") {
            let arguments = self.arguments()?;
            return call(at, name, None, arguments);
        }
        if self.is_sign("{") {
            return Err(Fault::new(at, "values of types with fields are not supported"));
        }
        node(at, Kind::Name(name))
    }

    fn arguments(&mut self) -> Result<Vec<Node>, Fault> {
        self.expect("(")?;
        self.listed(")")
    }

    /// Expressions with commas between, and one behind them perhaps.
    fn listed(&mut self, end: &str) -> Result<Vec<Node>, Fault> {
        let mut items = Vec::new();
        while !self.take(end) {
            items.push(self.expression()?);
            if !self.take(",") {
                self.expect(end)?;
                break;
            }
        }
        Ok(items)
    }

    fn map(&mut self, at: usize) -> Result<Node, Fault> {
        let mut entries = Vec::new();
        while !self.take("}") {
            let key = self.expression()?;
            self.expect(":")?;
            entries.push([key, self.expression()?]);
            if !self.take(",") {
                self.expect("}")?;
                break;
            }
        }
        node(at, Kind::Map(entries))
    }
}

/// A call, or what a macro stands for.
fn call(at: usize, function: String, target: Option<Node>, mut arguments: Vec<Node>) -> Result<Node, Fault> {
    if function == "has" && target.is_none() && arguments.len() == 1 {
        let place = arguments[0].at;
        return match arguments.remove(0).kind {
            Kind::Select { operand, field, is_optional: false } => node(at, Kind::Has { operand, field }),
            _ => Err(Fault::new(place, "invalid argument to has() macro")),
        };
    }
    let over = match (&*function, arguments.len()) {
        ("all", 2) => Some(Macro::All),
        ("exists", 2) => Some(Macro::Exists),
        ("exists_one" | "existsOne", 2) => Some(Macro::ExistsOne),
        ("filter", 2) => Some(Macro::Filter),
        ("map", 2 | 3) => Some(Macro::Map),
        _ => None,
    };
    match (over, target) {
        (Some(over), Some(target)) => {
            let variable = arguments.remove(0);
            let Kind::Name(name) = variable.kind else {
                return Err(Fault::new(variable.at, "argument must be a simple name"));
            };
            node(at, Kind::Comprehension { over, range: Box::new(target), variable: name, arguments })
        }
        (_, target) => node(at, Kind::Call { function, target: target.map(Box::new), arguments }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Node, Fault> {
        parse(&text.chars().collect::<Vec<char>>())
    }

    #[test]
    fn what_is_no_expression() {
        for text in [
            "",
            "1 +",
            "(1",
            "[1, 2",
            "{1: 2",
            "{1}",
            "a.",
            "a.1",
            "'a",
            "'a\nb'",
            "\"\\q\"",
            "1 2",
            "a b",
            "has(a)",
            "a.all(1, true)",
            "for",
            "b'x'",
            "x{y: 1}",
            "9223372036854775808",
            "0xfffffffffffffffff",
            "a ? b",
            "§",
            "'\\ud800'",
            "in",
            "a in",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_one() {
        for text in [
            "1",
            "-9223372036854775808",
            "0x1f",
            "7u",
            "1.5e3",
            ".5",
            "r'\\d'",
            "'''a\n'b'''",
            "\"\\x41\\u00e9\\101\"",
            "[1, 2,]",
            "{'a': 1,}",
            "a.b[0].c('d', 1)",
            "!!a",
            "--1",
            "a ? b : c ? d : e",
            "x.map(y, y > 1, y * 2)",
            "a.?b[?'c'].orValue(1)",
            ".a",
            "a // a comment\n + b",
            "has(a.b.c)",
        ] {
            assert!(read(text).is_ok(), "{text}: {:?}", read(text));
        }
    }

    #[test]
    fn nothing_is_deeper_than_a_stack() {
        for (begin, again, end) in [
            ("", "(", "1"),
            ("", "[", ""),
            ("", "!(", "a"),
            ("a", ".b", ""),
            ("a", "[0]", ""),
            ("1", "+1", ""),
            ("a", ".f()", ""),
            ("", "a ? b : ", "c"),
        ] {
            assert!(read(&format!("{begin}{}{end}", again.repeat(20_000))).is_err(), "{again}");
        }
        // These are one step deep, however many they are.
        for again in ["a && ", "a || ", "!", "-"] {
            assert!(read(&format!("{}a", again.repeat(15_000))).is_ok(), "{again}");
        }
        assert!(read(&" ".repeat(LONGEST + 1)).is_err());
    }
}
