//! Where names are given: targets of assignments and loops, parameters.

use std::sync::Arc;

use super::parse::{Parsed, Parser};
use super::tree::{Clause, Expr, Node, Target};

impl Parser {
    /// `a` or `a, b` or `(a, b)` in front of `in`.
    pub(super) fn targets(&mut self) -> Parsed<Target> {
        let brackets = self.take("(");
        let mut names = vec![self.name()?];
        while self.take(",") {
            names.push(self.name()?);
        }
        if brackets {
            self.need(")")?;
        }
        Ok(if names.len() == 1 { Target::Name(names.remove(0)) } else { Target::Names(names) })
    }

    /// Names, the last ones perhaps with defaults.
    pub(super) fn parameters(&mut self, end: &str) -> Parsed<(Vec<Arc<str>>, Vec<Expr>)> {
        let (mut names, mut defaults) = (Vec::new(), Vec::new());
        while !self.sees(end) {
            names.push(self.name()?);
            if self.take("=") {
                defaults.push(self.expression()?);
            } else if !defaults.is_empty() {
                return self.error("a parameter without a default follows one with a default");
            }
            if !self.take(",") {
                break;
            }
        }
        Ok((names, defaults))
    }

    pub(super) fn target(&self, expr: Expr) -> Parsed<Target> {
        match *expr.node {
            Node::Name(name) => Ok(Target::Name(name)),
            Node::Index(object, index) => Ok(Target::Item(object, index)),
            Node::Tuple(items) | Node::List(items) => {
                let name = |item: Expr| match *item.node {
                    Node::Name(name) => Ok(name),
                    _ => self.error("only names can be on the left of a comma"),
                };
                Ok(Target::Names(items.into_iter().map(name).collect::<Parsed<_>>()?))
            }
            _ => self.error("nothing can be assigned to this"),
        }
    }

    /// The clauses of a comprehension, from its first `for`.
    pub(super) fn clauses(&mut self) -> Parsed<Vec<Clause>> {
        let mut clauses = Vec::new();
        while self.take("for") {
            let target = self.targets()?;
            self.need("in")?;
            let items = self.disjunction()?;
            let mut conditions = Vec::new();
            while self.take("if") {
                conditions.push(self.disjunction()?);
            }
            clauses.push(Clause { target, items, conditions });
            if clauses.len() > 3 {
                return self.error("a comprehension has at most three `for`");
            }
        }
        Ok(clauses)
    }
}
