//! From tokens to statements. The grammar is a subset of Python's; nesting is bounded, so nothing here or in the
//! evaluation recurses without limit.

use std::sync::Arc;

use super::Trouble;
use super::token::{Kind, Token, tokens};
use super::tree::{Function, Stmt, Work};

/// Reads a cell. Fails on what is not of the language, naming the line.
pub fn parse(source: &str) -> Result<Vec<Stmt>, Trouble> {
    let mut parser = Parser { tokens: tokens(source)?, at: 0, depth: 0 };
    let mut body = Vec::new();
    while !parser.is(&Kind::End) {
        parser.statement(&mut body)?;
    }
    Ok(body)
}

pub(super) struct Parser {
    tokens: Vec<Token>,
    at: usize,
    /// How deep the tree is at this place.
    depth: usize,
}

pub(super) type Parsed<T> = Result<T, Trouble>;

impl Parser {
    /// A parser of an expression inside an f-string.
    pub(super) fn of(source: &str, line: usize, depth: usize) -> Parsed<Parser> {
        let mut tokens = tokens(source).map_err(|e| Trouble { line, ..e })?;
        tokens.iter_mut().for_each(|token| token.line = line);
        Ok(Parser { tokens, at: 0, depth })
    }

    fn kind(&self) -> &Kind {
        // there always is an end, and nothing moves past it
        &self.tokens[self.at].kind
    }

    pub(super) fn line(&self) -> usize {
        self.tokens[self.at].line
    }

    fn is(&self, kind: &Kind) -> bool {
        self.kind() == kind
    }

    pub(super) fn sees(&self, sign: &str) -> bool {
        matches!(self.kind(), Kind::Sign(s) if *s == sign)
    }

    fn next(&mut self) -> Kind {
        let kind = self.kind().clone();
        self.at = (self.at + 1).min(self.tokens.len() - 1);
        kind
    }

    pub(super) fn take(&mut self, sign: &str) -> bool {
        let found = self.sees(sign);
        if found {
            self.next();
        }
        found
    }

    pub(super) fn need(&mut self, sign: &str) -> Parsed<()> {
        if self.take(sign) { Ok(()) } else { self.error(format!("expected `{sign}`, found {}", self.found())) }
    }

    pub(super) fn found(&self) -> String {
        match self.kind() {
            Kind::Name(name) => format!("`{name}`"),
            Kind::Sign(sign) => format!("`{sign}`"),
            Kind::Newline | Kind::End => "the end of the line".into(),
            Kind::Indent | Kind::Dedent => "another indentation".into(),
            Kind::Int(_) | Kind::Float(_) => "a number".into(),
            Kind::Text(_) | Kind::Format(_) => "a text".into(),
        }
    }

    pub(super) fn error<T>(&self, message: impl Into<String>) -> Parsed<T> {
        Err(Trouble::new(self.line(), "SyntaxError", message))
    }

    /// One level deeper, for the time of `read`.
    pub(super) fn deeper<T>(&mut self, read: impl FnOnce(&mut Parser) -> Parsed<T>) -> Parsed<T> {
        self.sink()?;
        let depth = self.depth;
        let found = read(self);
        self.depth = depth - 1;
        found
    }

    /// One level deeper, until whoever went deeper comes back.
    pub(super) fn sink(&mut self) -> Parsed<()> {
        self.depth += 1;
        if self.depth > MOST_DEPTH { self.error("this is nested too deeply") } else { Ok(()) }
    }

    pub(super) fn depth(&self) -> usize {
        self.depth
    }

    pub(super) fn token(&mut self) -> Kind {
        self.next()
    }

    fn statement(&mut self, body: &mut Vec<Stmt>) -> Parsed<()> {
        let line = self.line();
        let work = match self.kind() {
            Kind::Newline => {
                self.next();
                return Ok(());
            }
            Kind::Indent => return self.error("unexpected indentation"),
            Kind::Sign("if") => Some(self.deeper(Parser::branches)?),
            Kind::Sign("for") => Some(self.deeper(Parser::for_loop)?),
            Kind::Sign("while") => Some(self.deeper(|p| {
                p.next();
                Ok(Work::While(p.expression()?, p.block()?))
            })?),
            Kind::Sign("def") => Some(self.deeper(Parser::function)?),
            Kind::Sign("try") => Some(self.deeper(Parser::attempt)?),
            _ => None,
        };
        if let Some(work) = work {
            body.push(Stmt { line, work });
            return Ok(());
        }
        loop {
            let line = self.line();
            let work = self.deeper(Parser::simple)?;
            body.push(Stmt { line, work });
            if !self.take(";") || self.is(&Kind::Newline) {
                break;
            }
        }
        match self.kind() {
            Kind::Newline | Kind::End => {
                self.next();
                Ok(())
            }
            _ => self.error(format!("expected the end of the line, found {}", self.found())),
        }
    }

    fn block(&mut self) -> Parsed<Vec<Stmt>> {
        self.need(":")?;
        let mut body = Vec::new();
        if !self.is(&Kind::Newline) {
            self.deeper(|p| p.statement(&mut body))?;
            return Ok(body);
        }
        self.next();
        if self.next() != Kind::Indent {
            return self.error("expected an indented block");
        }
        while !matches!(self.kind(), Kind::Dedent | Kind::End) {
            self.statement(&mut body)?;
        }
        if self.is(&Kind::Dedent) {
            self.next();
        }
        Ok(body)
    }

    fn branches(&mut self) -> Parsed<Work> {
        self.next();
        let mut cases = vec![(self.expression()?, self.block()?)];
        while self.take("elif") {
            cases.push((self.expression()?, self.block()?));
        }
        let other = if self.take("else") { self.block()? } else { Vec::new() };
        Ok(Work::If(cases, other))
    }

    fn for_loop(&mut self) -> Parsed<Work> {
        self.next();
        let target = self.targets()?;
        self.need("in")?;
        Ok(Work::For(target, self.tuple()?, self.block()?))
    }

    pub(super) fn name(&mut self) -> Parsed<Arc<str>> {
        match self.kind().clone() {
            Kind::Name(name) => {
                self.next();
                Ok(name)
            }
            _ => self.error(format!("expected a name, found {}", self.found())),
        }
    }

    fn function(&mut self) -> Parsed<Work> {
        self.next();
        let name = self.name()?;
        self.need("(")?;
        let (parameters, defaults) = self.parameters(")")?;
        self.need(")")?;
        let body = self.block()?;
        Ok(Work::Def(Arc::new(Function { name, parameters, defaults, body })))
    }

    fn attempt(&mut self) -> Parsed<Work> {
        self.next();
        let body = self.block()?;
        self.need("except")?;
        let mut name = None;
        if !self.sees(":") {
            // every error is caught, whatever its name
            self.deeper(Parser::expression)?;
            if self.take("as") {
                name = Some(self.name()?);
            }
        }
        Ok(Work::Try(body, name, self.block()?))
    }

    fn simple(&mut self) -> Parsed<Work> {
        for (word, work) in [("pass", Work::Pass), ("break", Work::Break), ("continue", Work::Continue)] {
            if self.take(word) {
                return Ok(work);
            }
        }
        if self.take("return") {
            let none = matches!(self.kind(), Kind::Newline | Kind::End);
            return Ok(Work::Return(if none { None } else { Some(self.tuple()?) }));
        }
        if self.take("raise") {
            return Ok(Work::Raise(self.expression()?));
        }
        let left = self.tuple()?;
        if self.take("=") {
            let target = self.target(left)?;
            return Ok(Work::Assign(target, self.tuple()?));
        }
        for (sign, operator) in [("+=", "+"), ("-=", "-"), ("*=", "*"), ("/=", "/"), ("//=", "//"), ("%=", "%")] {
            if self.take(sign) {
                let target = self.target(left)?;
                return Ok(Work::Update(target, operator, self.tuple()?));
            }
        }
        Ok(Work::Expr(left))
    }
}

/// Deepest tree of statements and expressions together.
const MOST_DEPTH: usize = 60;
