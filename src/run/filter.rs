//! The language that picks rollouts: `reward>0 & step<10 & task~clean & !invalid`.
//!
//! ```text
//! any    := all { "|" all }                 also `or`
//! all    := one { ["&"] one }               also `and`; a blank means "and" too
//! one    := "!" one | "(" any ")" | test    also `not`
//! test   := field op value | flag | "text"
//! op     := = != < <= > >=                  numbers
//!         | = != ~ !~                       texts, in any case; `~` means "contains"
//! ```
//!
//! A number that is not known (an advantage before credit) passes no comparison, not even `!=`. A quoted text is
//! looked for in the task. What is wrong is told with its column, counted from 1.

use std::fmt;

use super::index::RolloutRow;
use crate::core::Ending;

/// A filter that was understood.
#[derive(Clone, Debug, PartialEq)]
pub struct Filter {
    root: Node,
}

/// Why a filter was refused. Reads `column 8: reason, remedy`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct FilterError {
    /// In characters, from 1.
    pub column: usize,
    pub message: String,
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "column {}: {}", self.column, self.message)
    }
}

/// One word of the language: its names, what it means, how it is read from a row.
#[derive(Clone, Copy, Debug)]
pub struct Word {
    /// The first is the one help shows.
    pub names: &'static [&'static str],
    pub help: &'static str,
    read: Read,
}

#[derive(Clone, Copy, Debug)]
enum Read {
    Number(fn(&RolloutRow) -> Option<f64>),
    /// Every text the field stands for.
    Text(fn(&RolloutRow) -> Vec<&str>),
    Flag(fn(&RolloutRow) -> bool),
    /// A flag where it stands alone, a number where it is compared.
    Count(fn(&RolloutRow) -> Option<f64>),
}

/// Every word there is; help and the parser read this table.
pub const WORDS: &[Word] = &[
    number(&["step"], "training step", |r| Some(r.id.step as f64)),
    number(&["group"], "number of the group in its step, from 1", |r| Some(f64::from(r.id.group) + 1.0)),
    number(&["member", "rollout"], "number of the rollout in its group, from 1", |r| {
        Some(f64::from(r.id.member) + 1.0)
    }),
    number(&["reward", "r"], "sum of the rewards, before penalties", |r| Some(f64::from(r.reward))),
    number(&["score"], "the environment's score in [0, 1]", |r| Some(f64::from(r.score))),
    number(&["advantage", "adv", "a"], "mean advantage", |r| r.advantage.map(f64::from)),
    number(&["gap"], "mean teacher-student gap in nats", |r| r.gap.map(f64::from)),
    number(&["gate"], "mean gate", |r| r.gate.map(f64::from)),
    number(&["turns"], "turns played", |r| Some(f64::from(r.turns))),
    number(&["tokens", "tok"], "tokens sampled", |r| Some(f64::from(r.tokens))),
    count(&["invalid"], "replies without the required form; alone: any", |r| Some(f64::from(r.invalid))),
    count(&["hot"], "sampled tokens with |gap| of 0.5 and more; alone: any", |r| r.hot.map(f64::from)),
    text(&["task"], "goal, kind or id of the task", |r| vec![&r.task.goal, &r.task.kind, &r.task.id]),
    text(&["goal"], "goal of the task", |r| vec![&r.task.goal]),
    text(&["kind"], "kind of the task", |r| vec![&r.task.kind]),
    text(&["id"], "id of the task", |r| vec![&r.task.id]),
    text(&["skill"], "ids of the skills the teacher was shown", |r| r.skills.iter().map(String::as_str).collect()),
    text(&["ending"], "won, lost, turn-limit, context-limit, env-error", |r| vec![ending_name(r.ending)]),
    flag(&["won"], "the goal was reached", |r| r.ending == Ending::Won),
    flag(&["error"], "the environment failed", |r| r.ending == Ending::EnvError),
    flag(&["cut"], "stopped by a limit of turns or context", |r| {
        matches!(r.ending, Ending::TurnLimit | Ending::ContextLimit)
    }),
    flag(&["nosignal", "silent"], "all rewards of its group are equal", |r| r.silent),
];

/// The name an ending has in filters and in files.
pub fn ending_name(ending: Ending) -> &'static str {
    match ending {
        Ending::Won => "won",
        Ending::Lost => "lost",
        Ending::TurnLimit => "turn-limit",
        Ending::ContextLimit => "context-limit",
        Ending::EnvError => "env-error",
        Ending::Playing => "playing",
    }
}

impl Filter {
    /// The filter that everything passes.
    pub fn all() -> Filter {
        Filter { root: Node::All(vec![]) }
    }

    /// Reads a filter; an empty one lets everything pass.
    ///
    /// # Errors
    /// What is wrong, and at which column.
    pub fn parse(text: &str) -> Result<Filter, FilterError> {
        let tokens = scan(text)?;
        let mut parser = Parser { tokens: &tokens, at: 0, end: text.chars().count() + 1, depth: 0 };
        if tokens.is_empty() {
            return Ok(Filter::all());
        }
        let root = parser.any()?;
        match parser.peek() {
            None => Ok(Filter { root }),
            Some(extra) => Err(error(extra.column, format!("`{}` closes nothing, remove it", extra.kind.shown()))),
        }
    }

    /// Whether a rollout passes.
    pub fn passes(&self, row: &RolloutRow) -> bool {
        self.root.holds(row)
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Node {
    Any(Vec<Node>),
    All(Vec<Node>),
    Not(Box<Node>),
    /// Index into [`WORDS`].
    Number(usize, Op, f64),
    /// Lower case.
    Text(usize, Op, String),
    Flag(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    Equal,
    Unequal,
    Less,
    AtMost,
    More,
    AtLeast,
    Contains,
    Lacks,
}

/// Longer signs first: the scanner takes the first that fits.
const OPS: [(&str, Op); 9] = [
    ("!=", Op::Unequal),
    ("!~", Op::Lacks),
    ("<=", Op::AtMost),
    (">=", Op::AtLeast),
    ("==", Op::Equal),
    ("=", Op::Equal),
    ("<", Op::Less),
    (">", Op::More),
    ("~", Op::Contains),
];

impl Node {
    fn holds(&self, row: &RolloutRow) -> bool {
        match self {
            Node::Any(nodes) => nodes.iter().any(|n| n.holds(row)),
            Node::All(nodes) => nodes.iter().all(|n| n.holds(row)),
            Node::Not(node) => !node.holds(row),
            Node::Number(word, op, wanted) => {
                let (Read::Number(read) | Read::Count(read)) = WORDS[*word].read else { return false };
                read(row).filter(|v| v.is_finite()).is_some_and(|v| compare(v, *op, *wanted))
            }
            Node::Text(word, op, wanted) => {
                let Read::Text(read) = WORDS[*word].read else { return false };
                let texts = read(row);
                let equal = || texts.iter().any(|t| t.to_lowercase() == *wanted);
                let within = || texts.iter().any(|t| contains(t, wanted));
                match op {
                    Op::Equal => equal(),
                    Op::Unequal => !equal(),
                    Op::Lacks => !within(),
                    _ => within(),
                }
            }
            Node::Flag(word) => match WORDS[*word].read {
                Read::Flag(read) => read(row),
                Read::Count(read) => read(row).is_some_and(|v| v > 0.0),
                Read::Number(_) | Read::Text(_) => false,
            },
        }
    }
}

/// Numbers are recorded with 32 bits: `reward=0.1` means the nearest of those.
fn compare(value: f64, op: Op, wanted: f64) -> bool {
    let equal = value == wanted || value as f32 == wanted as f32;
    match op {
        Op::Equal => equal,
        Op::Unequal => !equal,
        Op::Less => value < wanted && !equal,
        Op::AtMost => value < wanted || equal,
        Op::More => value > wanted && !equal,
        Op::AtLeast => value > wanted || equal,
        Op::Contains | Op::Lacks => false,
    }
}

/// Whether `text` contains `lower` in any case.
fn contains(text: &str, lower: &str) -> bool {
    let same = |a: &[u8], b: &[u8]| a.eq_ignore_ascii_case(b);
    if text.is_ascii() && lower.is_ascii() {
        // without a copy: this runs over every rollout of a run
        return lower.is_empty() || text.as_bytes().windows(lower.len()).any(|w| same(w, lower.as_bytes()));
    }
    text.to_lowercase().contains(lower)
}

#[derive(Clone, Debug, PartialEq)]
enum Kind {
    Word(String),
    Quoted(String),
    Op(Op, &'static str),
    And,
    Or,
    Not,
    Open,
    Close,
}

impl Kind {
    fn shown(&self) -> &str {
        match self {
            Kind::Word(word) | Kind::Quoted(word) => word,
            Kind::Op(_, sign) => sign,
            Kind::And => "&",
            Kind::Or => "|",
            Kind::Not => "!",
            Kind::Open => "(",
            Kind::Close => ")",
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
struct Token {
    column: usize,
    kind: Kind,
}

fn error(column: usize, message: impl Into<String>) -> FilterError {
    FilterError { column, message: message.into() }
}

fn scan(text: &str) -> Result<Vec<Token>, FilterError> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let column = text[..text.len() - rest.len()].chars().count() + 1;
        let (kind, taken) = match first {
            c if c.is_whitespace() => {
                rest = &rest[c.len_utf8()..];
                continue;
            }
            '"' | '\'' => {
                let inner = &rest[1..];
                let end = inner.find(first).ok_or_else(|| error(column, format!("no closing {first}, add it")))?;
                (Kind::Quoted(inner[..end].to_owned()), end + 2)
            }
            '&' => (Kind::And, if rest.starts_with("&&") { 2 } else { 1 }),
            '|' => (Kind::Or, if rest.starts_with("||") { 2 } else { 1 }),
            '(' => (Kind::Open, 1),
            ')' => (Kind::Close, 1),
            _ => match OPS.iter().find(|(sign, _)| rest.starts_with(sign)) {
                Some((sign, op)) => (Kind::Op(*op, sign), sign.len()),
                None if first == '!' => (Kind::Not, 1),
                None => {
                    let end = rest.find(|c: char| c.is_whitespace() || "&|()=<>~!\"'".contains(c));
                    let word = &rest[..end.unwrap_or(rest.len())];
                    (keyword(word), word.len())
                }
            },
        };
        tokens.push(Token { column, kind });
        rest = &rest[taken..];
    }
    Ok(tokens)
}

fn keyword(word: &str) -> Kind {
    match word.to_ascii_lowercase().as_str() {
        "and" => Kind::And,
        "or" => Kind::Or,
        "not" => Kind::Not,
        _ => Kind::Word(word.to_owned()),
    }
}

struct Parser<'a> {
    tokens: &'a [Token],
    at: usize,
    /// Column after the last character.
    end: usize,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<&'a Token> {
        self.tokens.get(self.at)
    }

    fn next(&mut self) -> Option<&'a Token> {
        let token = self.peek();
        self.at += 1;
        token
    }

    fn any(&mut self) -> Result<Node, FilterError> {
        let mut nodes = vec![self.all()?];
        while self.peek().is_some_and(|t| t.kind == Kind::Or) {
            self.at += 1;
            nodes.push(self.all()?);
        }
        Ok(one_of(nodes, Node::Any))
    }

    fn all(&mut self) -> Result<Node, FilterError> {
        let mut nodes = vec![self.one()?];
        loop {
            match self.peek().map(|t| &t.kind) {
                Some(Kind::And) => self.at += 1,
                None | Some(Kind::Or | Kind::Close) => return Ok(one_of(nodes, Node::All)),
                Some(_) => {}
            }
            nodes.push(self.one()?);
        }
    }

    fn one(&mut self) -> Result<Node, FilterError> {
        let Some(token) = self.next() else {
            return Err(error(self.end, "something is missing here, e.g. `reward>0`"));
        };
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(error(token.column, "too deeply nested, write it with fewer brackets"));
        }
        let node = match &token.kind {
            Kind::Not => Node::Not(Box::new(self.one()?)),
            Kind::Open => {
                let inner = self.any()?;
                match self.next().map(|t| &t.kind) {
                    Some(Kind::Close) => inner,
                    _ => return Err(error(token.column, "this bracket is never closed, add `)`")),
                }
            }
            Kind::Quoted(text) => Node::Text(word("task").unwrap_or(0), Op::Contains, text.to_lowercase()),
            Kind::Word(name) => self.test(name, token.column)?,
            other => {
                let message = format!("`{}` needs something before it, e.g. `reward>0`", other.shown());
                return Err(error(token.column, message));
            }
        };
        self.depth -= 1;
        Ok(node)
    }

    fn test(&mut self, name: &str, column: usize) -> Result<Node, FilterError> {
        let Some(at) = word(name) else { return Err(unknown(name, column)) };
        let (op, sign) = match self.peek().map(|t| &t.kind) {
            Some(Kind::Op(op, sign)) => (*op, *sign),
            _ => {
                let example = match WORDS[at].read {
                    Read::Flag(_) | Read::Count(_) => return Ok(Node::Flag(at)),
                    Read::Number(_) => format!("`{name}>0`"),
                    Read::Text(_) => format!("`{name}~clean`"),
                };
                return Err(error(column, format!("`{name}` needs a comparison, e.g. {example}")));
            }
        };
        let sign_column = self.next().map_or(self.end, |t| t.column);
        let Some(value) = self.next() else {
            return Err(error(self.end, format!("`{name}{sign}` needs a value behind it")));
        };
        let (Kind::Word(text) | Kind::Quoted(text)) = &value.kind else {
            return Err(error(value.column, format!("`{}` is not a value, quote it if it is", value.kind.shown())));
        };
        match WORDS[at].read {
            Read::Flag(_) => Err(error(sign_column, format!("`{name}` stands alone: write `{name}` or `!{name}`"))),
            Read::Text(_) if matches!(op, Op::Less | Op::AtMost | Op::More | Op::AtLeast) => {
                Err(error(sign_column, format!("`{name}` is a text, compare it with = != ~ !~")))
            }
            Read::Text(_) => Ok(Node::Text(at, op, text.to_lowercase())),
            Read::Number(_) | Read::Count(_) if matches!(op, Op::Contains | Op::Lacks) => {
                Err(error(sign_column, format!("`{name}` is a number, compare it with = != < <= > >=")))
            }
            Read::Number(_) | Read::Count(_) => {
                let wanted = text.parse::<f64>().ok().filter(|v| v.is_finite());
                let wanted = wanted.ok_or_else(|| error(value.column, format!("`{text}` is not a number")))?;
                Ok(Node::Number(at, op, wanted))
            }
        }
    }
}

fn one_of(mut nodes: Vec<Node>, many: fn(Vec<Node>) -> Node) -> Node {
    if nodes.len() == 1 { nodes.remove(0) } else { many(nodes) }
}

fn word(name: &str) -> Option<usize> {
    WORDS.iter().position(|w| w.names.iter().any(|n| n.eq_ignore_ascii_case(name)))
}

fn unknown(name: &str, column: usize) -> FilterError {
    let names = WORDS.iter().map(|w| w.names[0]);
    let near = names.map(|n| (strsim::damerau_levenshtein(n, name), n)).min().filter(|(far, n)| *far * 2 <= n.len());
    let hint = near.map_or(String::new(), |(_, n)| format!(", did you mean `{n}`?"));
    error(column, format!("`{name}` is no field{hint}; quote it to find it in the task"))
}

const fn number(names: &'static [&'static str], help: &'static str, of: fn(&RolloutRow) -> Option<f64>) -> Word {
    Word { names, help, read: Read::Number(of) }
}

const fn count(names: &'static [&'static str], help: &'static str, of: fn(&RolloutRow) -> Option<f64>) -> Word {
    Word { names, help, read: Read::Count(of) }
}

const fn text(names: &'static [&'static str], help: &'static str, of: fn(&RolloutRow) -> Vec<&str>) -> Word {
    Word { names, help, read: Read::Text(of) }
}

const fn flag(names: &'static [&'static str], help: &'static str, of: fn(&RolloutRow) -> bool) -> Word {
    Word { names, help, read: Read::Flag(of) }
}

/// Nested deeper than this is refused: the parser calls itself.
const DEEPEST: usize = 64;

#[cfg(test)]
#[path = "filter_tests.rs"]
mod tests;
