//! Expressions.

use std::sync::Arc;

use super::Trouble;
use super::parse::Parser;
use super::token::Kind;
use super::tree::{Expr, Function, Node, Stmt, Work};

type Parsed = Result<Expr, Trouble>;

impl Parser {
    /// Expressions separated by commas are a tuple.
    pub(super) fn tuple(&mut self) -> Parsed {
        let line = self.line();
        let first = self.expression()?;
        if !self.sees(",") {
            return Ok(first);
        }
        let mut items = vec![first];
        while self.take(",") {
            if self.ends() {
                break;
            }
            items.push(self.expression()?);
        }
        Ok(node(line, Node::Tuple(items)))
    }

    fn ends(&self) -> bool {
        [")", "]", "}", "=", ":"].iter().any(|sign| self.sees(sign)) || self.found() == "the end of the line"
    }

    pub(super) fn expression(&mut self) -> Parsed {
        self.deeper(|p| {
            if p.sees("lambda") {
                return p.lambda();
            }
            let line = p.line();
            let yes = p.disjunction()?;
            if !p.take("if") {
                return Ok(yes);
            }
            let condition = p.disjunction()?;
            p.need("else")?;
            let no = p.expression()?;
            Ok(node(line, Node::Either { yes, condition, no }))
        })
    }

    fn lambda(&mut self) -> Parsed {
        let line = self.line();
        self.need("lambda")?;
        let (parameters, defaults) = self.parameters(":")?;
        self.need(":")?;
        let value = self.expression()?;
        let body = vec![Stmt { line, work: Work::Return(Some(value)) }];
        Ok(node(line, Node::Lambda(Arc::new(Function { name: "lambda".into(), parameters, defaults, body }))))
    }

    pub(super) fn disjunction(&mut self) -> Parsed {
        self.deeper(|p| {
            let line = p.line();
            let mut left = p.conjunction()?;
            while p.take("or") {
                p.sink()?;
                left = node(line, Node::Or(left, p.conjunction()?));
            }
            Ok(left)
        })
    }

    fn conjunction(&mut self) -> Parsed {
        let line = self.line();
        let mut left = self.negation()?;
        while self.take("and") {
            self.sink()?;
            left = node(line, Node::And(left, self.negation()?));
        }
        Ok(left)
    }

    fn negation(&mut self) -> Parsed {
        let line = self.line();
        if self.take("not") {
            return self.deeper(|p| Ok(node(line, Node::Not(p.negation()?))));
        }
        let left = self.binary(0)?;
        let mut rest = Vec::new();
        while let Some(sign) = self.comparison()? {
            rest.push((sign, self.binary(0)?));
        }
        Ok(if rest.is_empty() { left } else { node(line, Node::Compare(left, rest)) })
    }

    fn comparison(&mut self) -> Result<Option<&'static str>, Trouble> {
        if let Some(sign) = ["==", "!=", "<=", ">=", "<", ">", "in"].into_iter().find(|sign| self.sees(sign)) {
            self.take(sign);
            return Ok(Some(sign));
        }
        if self.take("is") {
            return Ok(Some(if self.take("not") { "!=" } else { "==" }));
        }
        if self.take("not") {
            self.need("in")?;
            return Ok(Some("not in"));
        }
        Ok(None)
    }

    /// Sums (level 0) of products (level 1) of signed powers.
    fn binary(&mut self, level: usize) -> Parsed {
        let Some(signs) = LEVELS.get(level) else { return self.signed() };
        let line = self.line();
        let mut left = self.binary(level + 1)?;
        while let Some(sign) = signs.iter().find(|sign| self.sees(sign)) {
            self.sink()?;
            self.take(sign);
            left = node(line, Node::Binary(sign, left, self.binary(level + 1)?));
        }
        Ok(left)
    }

    fn signed(&mut self) -> Parsed {
        let line = self.line();
        if self.take("-") {
            return self.deeper(|p| Ok(node(line, Node::Minus(p.signed()?))));
        }
        if self.take("+") {
            return self.deeper(Parser::signed);
        }
        let base = self.postfix()?;
        if self.take("**") {
            return self.deeper(|p| Ok(node(line, Node::Binary("**", base, p.signed()?))));
        }
        Ok(base)
    }

    fn postfix(&mut self) -> Parsed {
        let line = self.line();
        let mut value = self.deeper(Parser::atom)?;
        loop {
            if self.take(".") {
                self.sink()?;
                value = node(line, Node::Attribute(value, self.name()?));
            } else if self.take("(") {
                self.sink()?;
                let (arguments, named) = self.arguments()?;
                value = node(line, Node::Call(value, arguments, named));
            } else if self.take("[") {
                self.sink()?;
                value = self.subscript(line, value)?;
            } else {
                return Ok(value);
            }
        }
    }

    #[allow(clippy::type_complexity)]
    fn arguments(&mut self) -> Result<(Vec<Expr>, Vec<(Arc<str>, Expr)>), Trouble> {
        let (mut plain, mut named) = (Vec::new(), Vec::new());
        while !self.sees(")") {
            let line = self.line();
            let value = self.expression()?;
            if self.take("=") {
                let Node::Name(name) = *value.node else { return self.error("an argument's name is a word") };
                named.push((name, self.expression()?));
            } else if self.sees("for") {
                plain.push(node(line, Node::Gather(value, self.clauses()?, false)));
            } else if named.is_empty() {
                plain.push(value);
            } else {
                return self.error("an argument without a name follows one with a name");
            }
            if !self.take(",") {
                break;
            }
        }
        self.need(")")?;
        Ok((plain, named))
    }

    fn subscript(&mut self, line: usize, value: Expr) -> Parsed {
        let part = |p: &mut Parser| if p.sees(":") || p.sees("]") { Ok(None) } else { p.expression().map(Some) };
        let first = part(self)?;
        if !self.take(":") {
            self.need("]")?;
            return match first {
                Some(index) => Ok(node(line, Node::Index(value, index))),
                None => self.error("an index is missing"),
            };
        }
        let end = part(self)?;
        let step = if self.take(":") { part(self)? } else { None };
        self.need("]")?;
        Ok(node(line, Node::Slice(value, first, end, step)))
    }

    fn atom(&mut self) -> Parsed {
        let line = self.line();
        for (word, value) in [("None", Node::None), ("True", Node::Bool(true)), ("False", Node::Bool(false))] {
            if self.take(word) {
                return Ok(node(line, value));
            }
        }
        if self.take("(") {
            return self.group(line);
        }
        if self.take("[") {
            return self.list(line);
        }
        if self.take("{") {
            return self.braces(line);
        }
        if !self.is_plain() {
            return self.error(format!("expected a value, found {}", self.found()));
        }
        Ok(node(
            line,
            match self.token() {
                Kind::Name(name) => Node::Name(name),
                Kind::Int(number) => Node::Int(number),
                Kind::Float(number) => Node::Float(number),
                Kind::Text(text) => return self.texts(line, text),
                Kind::Format(text) => self.format(line, &text)?,
                _ => return self.error("expected a value"),
            },
        ))
    }

    fn is_plain(&self) -> bool {
        let found = self.found();
        found == "a number" || found == "a text" || (found.starts_with('`') && self.is_name())
    }

    fn is_name(&self) -> bool {
        !KEYWORDS_AND_SIGNS.iter().any(|sign| self.sees(sign))
    }
}

pub(super) fn node(line: usize, node: Node) -> Expr {
    Expr { line, node: Box::new(node) }
}

const LEVELS: [&[&str]; 2] = [&["+", "-"], &["*", "//", "/", "%"]];
const KEYWORDS_AND_SIGNS: &[&str] = &[
    "and", "or", "not", "in", "is", "if", "elif", "else", "for", "while", "break", "continue", "pass", "def", "return",
    "lambda", "try", "except", "as", "raise", ",", ":", ".", ";", "=", "==", "!=", "<", ">", "<=", ">=", ")", "]", "}",
    "+=", "-=", "*=", "/=", "//=", "%=", "**=", "**", "*", "/", "//", "%", "+", "-", "(", "[", "{",
];
