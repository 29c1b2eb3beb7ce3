//! Calls: of functions, methods and apps.

use std::sync::Arc;

use super::heap::Value;
use super::run::{Done, Flow, Runner};
use super::tree::{Expr, Function, Node};

impl Runner<'_> {
    pub(super) fn call(&mut self, callee: &Expr, plain: &[Expr], named: &[(Arc<str>, Expr)]) -> Done<Value> {
        let (object, method) = match &*callee.node {
            Node::Attribute(object, name) => match self.eval(object)? {
                Value::Api(Some(app), None) => (Value::Api(Some(app), Some(Arc::clone(name))), None),
                other => (other, Some(name)),
            },
            _ => (self.eval(callee)?, None),
        };
        let plain = self.all(plain)?;
        let mut by_name = Vec::new();
        for (name, value) in named {
            by_name.push((Arc::clone(name), self.eval(value)?));
        }
        self.line = callee.line;
        match method {
            Some(name) => self.method(&object, name, plain, by_name),
            None => self.apply(&object, plain, by_name),
        }
    }

    /// Calls a function of any sort.
    pub fn apply(&mut self, callee: &Value, plain: Vec<Value>, named: Vec<(Arc<str>, Value)>) -> Done<Value> {
        match callee {
            Value::Builtin(name) => self.builtin(name, plain, named),
            Value::Function(function, seen) => self.enter(&Arc::clone(function), *seen, plain, named),
            Value::Api(Some(app), Some(name)) => self.call_api(app, name, &plain, &named),
            other => {
                let message = format!("a {} cannot be called", self.kind(other));
                self.trouble("TypeError", message)
            }
        }
    }

    fn call_api(&mut self, app: &str, name: &str, plain: &[Value], named: &[(Arc<str>, Value)]) -> Done<Value> {
        self.spend(API_WORK)?;
        let give = |runner: &Self, value: &Value| match runner.heap.give_out(value, GIVEN) {
            Some(json) => Ok(json),
            None => runner.trouble("TypeError", format!("a {} cannot be given to an app", runner.kind(value))),
        };
        let plain = plain.iter().map(|value| give(self, value)).collect::<Done<Vec<_>>>()?;
        let named = named.iter().map(|(name, value)| Ok((name.to_string(), give(self, value)?)));
        let named = named.collect::<Done<Vec<_>>>()?;
        match self.apis.call(app, name, plain, named) {
            Ok(json) => {
                self.make(json.to_string().len())?;
                Ok(self.heap.take_in(&json))
            }
            Err(message) => self.trouble("Exception", message),
        }
    }

    /// A function value. Inside another function it keeps what it sees there.
    pub fn function(&mut self, function: &Arc<Function>) -> Done<Value> {
        let seen = match self.scopes.len() {
            1 => Vec::new(),
            _ => {
                self.scopes.last().into_iter().flatten().map(|(k, v)| (Value::Text(Arc::clone(k)), v.clone())).collect()
            }
        };
        self.make(48 * (seen.len() + 1))?;
        match self.heap.dict(seen) {
            Value::Dict(id) => Ok(Value::Function(Arc::clone(function), id)),
            other => Ok(other),
        }
    }

    fn enter(
        &mut self,
        function: &Function,
        seen: usize,
        plain: Vec<Value>,
        named: Vec<(Arc<str>, Value)>,
    ) -> Done<Value> {
        let Function { name, parameters, defaults, body } = function;
        let mut scope = std::collections::BTreeMap::new();
        for (name, value) in self.heap.pairs(seen) {
            if let Value::Text(name) = name
                && !parameters.contains(name)
            {
                scope.insert(Arc::clone(name), value.clone());
            }
        }
        if plain.len() > parameters.len() {
            let message = format!("{name}() takes {} arguments, {} were given", parameters.len(), plain.len());
            return self.trouble("TypeError", message);
        }
        let given = plain.len();
        scope.extend(parameters.iter().cloned().zip(plain));
        for (word, value) in named {
            if !parameters[given..].contains(&word) {
                return self.trouble("TypeError", format!("{name}() cannot take the argument '{word}'"));
            }
            scope.insert(word, value);
        }
        let missing: Vec<usize> =
            (given..parameters.len()).filter(|at| !scope.contains_key(&parameters[*at])).collect();
        for at in missing {
            let Some(default) = (at + defaults.len()).checked_sub(parameters.len()).and_then(|n| defaults.get(n))
            else {
                return self.trouble("TypeError", format!("{name}() misses the argument '{}'", parameters[at]));
            };
            let value = self.eval(default)?;
            scope.insert(Arc::clone(&parameters[at]), value);
        }
        self.scopes.push(scope);
        self.depth += CALL_DEPTH;
        let ended = self.block(body);
        self.depth -= CALL_DEPTH;
        self.scopes.pop();
        match ended? {
            Flow::Return(value) => Ok(value),
            Flow::Next => Ok(Value::None),
            Flow::Break | Flow::Continue => self.trouble("SyntaxError", "`break` and `continue` belong in a loop"),
        }
    }
}

/// How deep a value may be that is given to an app.
const GIVEN: usize = 8;
/// Work of a call to an app.
const API_WORK: usize = 50;
/// What a call counts in depth, beside the expression it is.
const CALL_DEPTH: usize = 3;
