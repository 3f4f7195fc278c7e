//! `--token-auth-file`: users whose tokens stand in a file.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::User;

/// The users of a static token file.
#[derive(Clone, Default)]
pub struct StaticTokens {
    users: HashMap<String, Arc<User>>,
}

impl std::fmt::Debug for StaticTokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StaticTokens").field("users", &self.users.len()).finish_non_exhaustive()
    }
}

/// Why a static token file cannot be used. A line's content is never quoted: it holds a token.
#[derive(Debug, thiserror::Error)]
pub enum StaticTokenError {
    /// The file cannot be read.
    #[error("cannot read the token file {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A line is not `token,user,uid[,"group,group"]`.
    #[error("line {line} of the token file: wanted `token,user,uid[,\"group1,group2\"]`, found {found}")]
    Line {
        /// Counted from 1.
        line: usize,
        /// What is wrong, without the content.
        found: &'static str,
    },
}

impl StaticTokens {
    /// Reads a file as kube-apiserver's `--token-auth-file`.
    pub fn load(path: &Path) -> Result<Self, StaticTokenError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| StaticTokenError::Read { path: path.to_owned(), source })?;
        Self::parse(&text)
    }

    /// Reads comma-separated lines: token, user name, uid and, optionally, groups in one quoted field.
    ///
    /// ```
    /// use tokenward_apiserver::authentication::StaticTokens;
    ///
    /// let tokens = StaticTokens::parse("s3cret,admin,1,\"system:masters\"\n").unwrap();
    /// assert_eq!(tokens.user("s3cret").unwrap().username, "admin");
    /// assert!(tokens.user("other").is_none());
    /// ```
    pub fn parse(text: &str) -> Result<Self, StaticTokenError> {
        let mut users = HashMap::new();
        for (number, line) in text.lines().enumerate() {
            let line_number = number + 1;
            if line.trim().is_empty() || line.trim_start().starts_with('#') {
                continue;
            }
            let refused = |found| StaticTokenError::Line { line: line_number, found };
            let fields = split_fields(line).ok_or_else(|| refused("an unclosed quote"))?;
            let [token, username, uid, rest @ ..] = fields.as_slice() else {
                return Err(refused("fewer than three fields"));
            };
            if token.is_empty() {
                return Err(refused("an empty token"));
            }
            if username.is_empty() {
                return Err(refused("an empty user name"));
            }
            // As upstream splits them: a field that is there and empty is one empty group.
            let groups = rest.first().into_iter().flat_map(|groups| groups.split(',')).map(str::to_owned);
            let mut user = User::authenticated(username.as_str(), groups);
            user.uid.clone_from(uid);
            if users.insert(token.clone(), Arc::new(user)).is_some() {
                return Err(refused("a token that an earlier line has"));
            }
        }
        Ok(Self { users })
    }

    /// The user that a token stands for.
    pub fn user(&self, token: &str) -> Option<Arc<User>> {
        self.users.get(token).cloned()
    }
}

/// Splits a line at commas outside of double quotes; a doubled quote inside quotes is one.
fn split_fields(line: &str) -> Option<Vec<String>> {
    let mut fields = vec![String::new()];
    let mut characters = line.chars().peekable();
    let mut quoted = false;
    while let Some(character) = characters.next() {
        let field = fields.last_mut()?;
        match character {
            '"' if quoted && characters.next_if_eq(&'"').is_some() => field.push('"'),
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            other => field.push(other),
        }
    }
    for field in &mut fields {
        *field = field.trim().to_owned();
    }
    (!quoted).then_some(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn static_tokens_are_read_with_their_groups() {
        let text = "# a comment\n\nt1,admin,1,\"system:masters,ops\"\nt2,alice,4,\"\"\nt3,bob,5\n";
        let tokens = StaticTokens::parse(text).unwrap();
        let admin = tokens.user("t1").unwrap();
        assert_eq!(admin.groups, ["system:masters", "ops", "system:authenticated"]);
        assert_eq!(admin.uid, "1");
        assert_eq!(tokens.user("t2").unwrap().groups, ["", "system:authenticated"]);
        assert_eq!(tokens.user("t3").unwrap().groups, ["system:authenticated"]);
        assert_eq!(tokens.user("t3").unwrap().username, "bob");
        assert!(tokens.user("").is_none());
    }

    #[test]
    fn bad_lines_are_named_by_number_and_never_quoted() {
        let table = [
            ("canary", "fewer than three fields"),
            (",user,1", "an empty token"),
            ("canary,,1", "an empty user name"),
            ("canary,user,1,\"a", "an unclosed quote"),
            ("canary,a,1\ncanary,b,2", "a token that an earlier line has"),
        ];
        for (text, found) in table {
            let error = StaticTokens::parse(text).unwrap_err().to_string();
            assert!(error.contains(found), "{error}");
            assert!(!error.contains("canary"), "{error}");
        }
        let debug = format!("{:?}", StaticTokens::parse("canary,user,1").unwrap());
        assert!(!debug.contains("canary"), "{debug}");
    }
}
