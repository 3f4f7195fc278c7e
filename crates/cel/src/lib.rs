//! The Common Expression Language, as Kubernetes uses it for conditions: an expression over objects that is true or not.
//!
//! An expression is read and checked once, when somebody writes it down; it is evaluated for each request. The one invariant:
//! *an evaluation ends within its budget*, in time, memory and depth, whatever the expression and the objects are. That is why
//! this is not one of the interpreters that there are: none of those in Rust counts what it spends.
//!
//! ```
//! use serde_json::json;
//! use tokenward_cel::{Program, Type, Variable};
//!
//! let variables = [("object", Type::Dyn)];
//! let program = Program::compile("object.spec.containers.all(c, c.image.startsWith('registry.example/'))", &variables)?;
//! let pod = json!({"spec": {"containers": [{"image": "registry.example/web"}, {"image": "elsewhere/x"}]}});
//! let (outcome, _spent) = program.evaluate(&[("object", Variable::Json(&pod))], 1_000_000);
//! assert_eq!(outcome, Ok(false));
//!
//! let error = Program::compile("object.spec.replicas + 1", &variables).unwrap_err();
//! assert_eq!(error.to_string(), "must evaluate to bool but got int");
//! # Ok::<(), tokenward_cel::CompileError>(())
//! ```
//!
//! There are the operators, the macros, the functions of texts, patterns, lists, sets and optional values, moments and spans of
//! time, Kubernetes' quantities, addresses, networks and formats, and questions to an [`Authorizer`]. There are no bytes, no
//! names of time zones, and none of Kubernetes' types of URLs and versions: whoever writes of them is told that they are not
//! declared.

mod authorizer;
mod budget;
mod check;
mod error;
mod evaluate;
mod formats;
mod functions;
mod lexer;
mod library;
mod network;
mod parser;
mod quantity;
mod signatures;
mod syntax;
mod times;
mod types;
mod value;

pub use authorizer::{Authorizer, Check, Decision, Object};
pub use error::{CompileError, EvaluationError};
pub use types::{Record, Step, Type};

use std::collections::HashMap;

use budget::Budget;
use check::Checker;
use evaluate::Evaluation;
use functions::Pattern;
use serde_json::Value as Json;
use syntax::Node;
use value::Value;

/// An expression that has been read and checked.
#[derive(Clone, Debug)]
pub struct Program {
    root: Node,
    patterns: HashMap<String, Pattern>,
}

/// What a variable stands for in one evaluation.
#[derive(Clone, Copy)]
pub enum Variable<'a> {
    /// Nothing.
    Null,
    /// Any value.
    Json(&'a Json),
    /// An object.
    Object(&'a serde_json::Map<String, Json>),
    /// Whom to ask what is allowed.
    Authorizer {
        /// Who knows.
        authorizer: &'a dyn Authorizer,
        /// What the request itself is about: group, resource, subresource, namespace and name.
        request_resource: [&'a str; 5],
    },
}

impl Program {
    /// Reads and checks an expression over variables of these types.
    ///
    /// # Errors
    /// When it is none, asks for what there is not, or gives something else than a truth value.
    pub fn compile(text: &str, variables: &[(&'static str, Type)]) -> Result<Self, CompileError> {
        let text: Vec<char> = text.chars().collect();
        let shown = |fault| CompileError::of(&fault, &text);
        let root = parser::parse(&text).map_err(shown)?;
        let mut checker = Checker::new(variables);
        let found = checker.check(&root).map_err(shown)?;
        if found != Type::Bool {
            return Err(CompileError::NotBool { found: found.to_string() });
        }
        Ok(Self { root, patterns: checker.patterns })
    }

    /// Evaluates it for these values, and says what that has cost. It is stopped when it takes more than `limit`.
    pub fn evaluate<'a>(
        &'a self,
        variables: &[(&'static str, Variable<'a>)],
        limit: u64,
    ) -> (Result<bool, EvaluationError>, u64) {
        let mut evaluation = Evaluation::new(variables, &self.patterns, Budget::new(limit));
        let outcome = match evaluation.value(&self.root) {
            Ok(Value::Bool(truth)) => Ok(truth),
            Ok(_) => Err(EvaluationError::NoSuchOverload),
            Err(error) => Err(error),
        };
        (outcome, limit - evaluation.budget.left())
    }
}

#[cfg(test)]
mod tests;
