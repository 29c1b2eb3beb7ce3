//! Values of expressions.

use std::sync::Arc;

use super::heap::Value;
use super::run::{Done, Runner};
use super::tree::{Clause, Expr, Node, Piece};

impl Runner<'_> {
    pub fn eval(&mut self, expr: &Expr) -> Done<Value> {
        self.line = expr.line;
        self.spend(1)?;
        self.depth += 1;
        if self.depth > self.limits.depth {
            return self.trouble("RecursionError", "calls are nested too deeply");
        }
        let value = self.node(&expr.node);
        self.depth -= 1;
        value
    }

    fn node(&mut self, node: &Node) -> Done<Value> {
        Ok(match node {
            Node::None => Value::None,
            Node::Bool(truth) => Value::Bool(*truth),
            Node::Int(number) => Value::Int(*number),
            Node::Float(number) => Value::Float(*number),
            Node::Text(text) => Value::Text(Arc::clone(text)),
            Node::Name(name) => self.look_up(name)?,
            Node::Format(pieces) => self.format(pieces)?,
            Node::List(items) => {
                let items = self.all(items)?;
                self.list(items)?
            }
            Node::Tuple(items) => {
                let items = self.all(items)?;
                self.make(24 * (items.len() + 1))?;
                self.heap.tuple(items)
            }
            Node::Set(items) => {
                let items = self.all(items)?;
                self.unique(items)?
            }
            Node::Dict(pairs) => {
                let mut found = Vec::new();
                for (key, value) in pairs {
                    found.push((self.eval(key)?, self.eval(value)?));
                }
                self.dict(found)?
            }
            Node::Gather(item, clauses, is_set) => {
                let mut found = Vec::new();
                self.gather(clauses, &mut |runner| {
                    let value = runner.eval(item)?;
                    runner.make(24)?;
                    found.push(value);
                    Ok(())
                })?;
                if *is_set { self.unique(found)? } else { self.list(found)? }
            }
            Node::GatherDict(key, value, clauses) => {
                let mut found = Vec::new();
                self.gather(clauses, &mut |runner| {
                    found.push((runner.eval(key)?, runner.eval(value)?));
                    runner.make(48)
                })?;
                self.dict(found)?
            }
            Node::Not(value) => {
                let value = self.eval(value)?;
                Value::Bool(!self.truth(&value))
            }
            Node::Minus(value) => {
                let value = self.eval(value)?;
                self.operate("-", Value::Int(0), value)?
            }
            Node::And(left, right) => {
                let value = self.eval(left)?;
                if self.truth(&value) { self.eval(right)? } else { value }
            }
            Node::Or(left, right) => {
                let value = self.eval(left)?;
                if self.truth(&value) { value } else { self.eval(right)? }
            }
            Node::Either { yes, condition, no } => {
                let value = self.eval(condition)?;
                if self.truth(&value) { self.eval(yes)? } else { self.eval(no)? }
            }
            Node::Compare(left, rest) => self.compare(left, rest)?,
            Node::Binary(operator, left, right) => {
                let (left, right) = (self.eval(left)?, self.eval(right)?);
                self.operate(operator, left, right)?
            }
            Node::Attribute(object, name) => self.attribute(object, name)?,
            Node::Index(object, index) => {
                let (object, index) = (self.eval(object)?, self.eval(index)?);
                self.item(&object, &index)?
            }
            Node::Slice(object, start, end, step) => self.slice(object, [start, end, step])?,
            Node::Call(callee, plain, named) => self.call(callee, plain, named)?,
            Node::Lambda(function) => self.function(function)?,
        })
    }

    pub(super) fn all(&mut self, items: &[Expr]) -> Done<Vec<Value>> {
        items.iter().map(|item| self.eval(item)).collect()
    }

    pub fn look_up(&mut self, name: &Arc<str>) -> Done<Value> {
        let places = [self.scopes.last(), self.scopes.first()];
        if let Some(value) = places.into_iter().flatten().find_map(|scope| scope.get(name)) {
            return Ok(value.clone());
        }
        if &**name == "apis" {
            return Ok(Value::Api(None, None));
        }
        match super::builtins::NAMES.iter().find(|builtin| **builtin == &**name) {
            Some(builtin) => Ok(Value::Builtin(builtin)),
            None => self.trouble("NameError", format!("name '{name}' is not defined")),
        }
    }

    fn format(&mut self, pieces: &[Piece]) -> Done<Value> {
        let mut out = String::new();
        for (text, value) in pieces {
            out.push_str(text);
            if let Some((value, format)) = value {
                let value = self.eval(value)?;
                out.push_str(&self.formatted(&value, format)?);
            }
        }
        self.text(out)
    }

    /// `.2f`, `,`, `d` and nothing at all.
    fn formatted(&self, value: &Value, format: &str) -> Done<String> {
        let places = format.strip_prefix('.').and_then(|f| f.strip_suffix('f')).and_then(|f| f.parse::<usize>().ok());
        match (value, places, format) {
            (_, None, "" | "d" | "s") => Ok(self.heap.show(value, SHOWN)),
            (Value::Int(number), Some(places), _) => Ok(format!("{:.*}", places.min(20), *number as f64)),
            (Value::Float(number), Some(places), _) => Ok(format!("{number:.*}", places.min(20))),
            _ => self.trouble("ValueError", format!("the format {format:?} is not available here")),
        }
    }

    /// Does `each` for every combination the clauses let through. Their names are seen outside, too.
    fn gather(&mut self, clauses: &[Clause], each: &mut dyn FnMut(&mut Self) -> Done<()>) -> Done<()> {
        let Some((clause, rest)) = clauses.split_first() else { return each(self) };
        let items = self.eval(&clause.items)?;
        'items: for item in self.iterate(&items)? {
            self.spend(1)?;
            self.assign(&clause.target, item)?;
            for condition in &clause.conditions {
                let value = self.eval(condition)?;
                if !self.truth(&value) {
                    continue 'items;
                }
            }
            self.gather(rest, each)?;
        }
        Ok(())
    }

    fn compare(&mut self, left: &Expr, rest: &[(&'static str, Expr)]) -> Done<Value> {
        let mut left = self.eval(left)?;
        for (sign, right) in rest {
            let right = self.eval(right)?;
            let holds = match *sign {
                "==" => self.same(&left, &right)?,
                "!=" => !self.same(&left, &right)?,
                "in" => self.contains(&right, &left)?,
                "not in" => !self.contains(&right, &left)?,
                sign => {
                    let order = self.order(&left, &right)?;
                    match sign {
                        "<" => order.is_lt(),
                        "<=" => order.is_le(),
                        ">" => order.is_gt(),
                        _ => order.is_ge(),
                    }
                }
            };
            if !holds {
                return Ok(Value::Bool(false));
            }
            left = right;
        }
        Ok(Value::Bool(true))
    }

    fn attribute(&mut self, object: &Expr, name: &Arc<str>) -> Done<Value> {
        match self.eval(object)? {
            Value::Api(None, None) if self.apis.has(name) => Ok(Value::Api(Some(Arc::clone(name)), None)),
            Value::Api(None, None) => self.trouble("AttributeError", format!("there is no app named '{name}'")),
            Value::Api(Some(app), None) => Ok(Value::Api(Some(app), Some(Arc::clone(name)))),
            other => {
                let message = format!("'{name}' of a {} can only be called", self.kind(&other));
                self.trouble("AttributeError", message)
            }
        }
    }
}

const SHOWN: usize = 12;
