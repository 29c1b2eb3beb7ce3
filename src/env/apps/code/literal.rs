//! Brackets and texts.

use std::sync::Arc;

use super::Trouble;
use super::express::node;
use super::parse::Parser;
use super::token::Kind;
use super::tree::{Expr, Node};

type Parsed = Result<Expr, Trouble>;

impl Parser {
    /// Texts side by side are one.
    pub(super) fn texts(&mut self, line: usize, first: Arc<str>) -> Parsed {
        let mut all = first.to_string();
        while self.found() == "a text" {
            match self.token() {
                Kind::Text(text) => all.push_str(&text),
                Kind::Format(text) => {
                    let before = node(line, Node::Text(all.into()));
                    let after = node(line, self.format(line, &text)?);
                    return Ok(node(line, Node::Binary("+", before, after)));
                }
                _ => break,
            }
        }
        Ok(node(line, Node::Text(all.into())))
    }

    pub(super) fn group(&mut self, line: usize) -> Parsed {
        if self.take(")") {
            return Ok(node(line, Node::Tuple(Vec::new())));
        }
        let mut value = self.tuple()?;
        if self.sees("for") {
            value = node(line, Node::Gather(value, self.clauses()?, false));
        }
        self.need(")")?;
        Ok(value)
    }

    pub(super) fn list(&mut self, line: usize) -> Parsed {
        let mut items = Vec::new();
        while !self.sees("]") {
            items.push(self.expression()?);
            if items.len() == 1 && self.sees("for") {
                let clauses = self.clauses()?;
                self.need("]")?;
                return Ok(node(line, Node::Gather(items.remove(0), clauses, false)));
            }
            if !self.take(",") {
                break;
            }
        }
        self.need("]")?;
        Ok(node(line, Node::List(items)))
    }

    pub(super) fn braces(&mut self, line: usize) -> Parsed {
        let (mut pairs, mut items) = (Vec::new(), Vec::new());
        while !self.sees("}") {
            let key = self.expression()?;
            if self.take(":") {
                let value = self.expression()?;
                if pairs.is_empty() && self.sees("for") {
                    let clauses = self.clauses()?;
                    self.need("}")?;
                    return Ok(node(line, Node::GatherDict(key, value, clauses)));
                }
                pairs.push((key, value));
            } else if items.is_empty() && self.sees("for") {
                let clauses = self.clauses()?;
                self.need("}")?;
                return Ok(node(line, Node::Gather(key, clauses, true)));
            } else {
                items.push(key);
            }
            if !self.take(",") {
                break;
            }
        }
        self.need("}")?;
        match (pairs.is_empty(), items.is_empty()) {
            (_, true) => Ok(node(line, Node::Dict(pairs))),
            (true, false) => Ok(node(line, Node::Set(items))),
            _ => self.error("these braces are half a dict and half a set"),
        }
    }

    /// `{{`, `}}`, `{value}` and `{value:.2f}`.
    pub(super) fn format(&mut self, line: usize, text: &str) -> Result<Node, Trouble> {
        let (mut pieces, mut plain, mut rest) = (Vec::new(), String::new(), text);
        while let Some(at) = rest.find(['{', '}']) {
            plain.push_str(&rest[..at]);
            let brace = &rest[at..at + 1];
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix(brace) {
                plain.push_str(brace);
                rest = after;
                continue;
            }
            let Some(end) = rest.find('}').filter(|_| brace == "{") else {
                return self.error("a brace in an f-string has no partner");
            };
            let (value, format) = inside(&rest[..end]);
            let mut parser = Parser::of(value, line, self.depth())?;
            let value = parser.expression()?;
            if parser.found() != "the end of the line" {
                return self.error("braces of an f-string hold one value");
            }
            pieces.push((std::mem::take(&mut plain).into(), Some((value, format.into()))));
            rest = &rest[end + 1..];
        }
        plain.push_str(rest);
        pieces.push((plain.into(), None));
        Ok(Node::Format(pieces))
    }
}

/// The value and the format inside braces; a colon inside brackets or quotes belongs to the value.
fn inside(text: &str) -> (&str, &str) {
    let (mut open, mut quote) = (0, None);
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some(q), c) if c == q => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '(' | '[') => open += 1,
            (None, ')' | ']') => open -= 1,
            (None, ':') if open == 0 => return (&text[..at], &text[at + 1..]),
            _ => {}
        }
    }
    (text, "")
}
