//! Values. Lists, dicts and sets lie in a heap and are named by number, so that a copy of a game is a copy of its heap.

use std::sync::Arc;

use serde_json::{Map, Value as Json};

use super::tree::Function;

/// A value.
#[derive(Clone, Debug)]
pub enum Value {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Arc<str>),
    Tuple(usize),
    List(usize),
    Dict(usize),
    Set(usize),
    /// A function, and the dict of what it saw where it was made.
    Function(Arc<Function>, usize),
    Builtin(&'static str),
    /// `apis`, `apis.app`, `apis.app.name`.
    Api(Option<Arc<str>>, Option<Arc<str>>),
}

/// What lies in the heap.
#[derive(Clone, Debug)]
pub enum Object {
    /// A list, or a set in order of insertion.
    Items(Vec<Value>),
    Pairs(Vec<(Value, Value)>),
}

/// Lists, dicts and sets by number.
#[derive(Clone, Debug, Default)]
pub struct Heap {
    objects: Vec<Object>,
}

impl Heap {
    pub fn list(&mut self, items: Vec<Value>) -> Value {
        Value::List(self.keep(Object::Items(items)))
    }

    pub fn set(&mut self, items: Vec<Value>) -> Value {
        Value::Set(self.keep(Object::Items(items)))
    }

    pub fn tuple(&mut self, items: Vec<Value>) -> Value {
        Value::Tuple(self.keep(Object::Items(items)))
    }

    pub fn dict(&mut self, pairs: Vec<(Value, Value)>) -> Value {
        Value::Dict(self.keep(Object::Pairs(pairs)))
    }

    fn keep(&mut self, object: Object) -> usize {
        self.objects.push(object);
        self.objects.len() - 1
    }

    /// The elements of a list or set; numbers come from values of this heap.
    pub fn items(&self, id: usize) -> &[Value] {
        match &self.objects[id] {
            Object::Items(items) => items,
            Object::Pairs(_) => &[],
        }
    }

    pub fn items_mut(&mut self, id: usize) -> &mut Vec<Value> {
        let slot = &mut self.objects[id];
        if let Object::Pairs(_) = slot {
            *slot = Object::Items(Vec::new());
        }
        match slot {
            Object::Items(items) => items,
            Object::Pairs(_) => unreachable!("it was just made a list"),
        }
    }

    pub fn pairs(&self, id: usize) -> &[(Value, Value)] {
        match &self.objects[id] {
            Object::Pairs(pairs) => pairs,
            Object::Items(_) => &[],
        }
    }

    pub fn pairs_mut(&mut self, id: usize) -> &mut Vec<(Value, Value)> {
        let slot = &mut self.objects[id];
        if let Object::Items(_) = slot {
            *slot = Object::Pairs(Vec::new());
        }
        match slot {
            Object::Pairs(pairs) => pairs,
            Object::Items(_) => unreachable!("it was just made a dict"),
        }
    }

    /// From JSON.
    pub fn take_in(&mut self, json: &Json) -> Value {
        match json {
            Json::Null => Value::None,
            Json::Bool(truth) => Value::Bool(*truth),
            Json::Number(n) => n.as_i64().map_or_else(|| Value::Float(n.as_f64().unwrap_or(0.0)), Value::Int),
            Json::String(text) => Value::Text(text.as_str().into()),
            Json::Array(items) => {
                let items = items.iter().map(|item| self.take_in(item)).collect();
                self.list(items)
            }
            Json::Object(fields) => {
                let pair = |(key, value): (&String, &Json)| (Value::Text(key.as_str().into()), self.take_in(value));
                let pairs = fields.iter().map(pair).collect();
                self.dict(pairs)
            }
        }
    }

    /// To JSON; `None` for what is none, or too deep.
    pub fn give_out(&self, value: &Value, depth: usize) -> Option<Json> {
        let deeper = depth.checked_sub(1)?;
        Some(match value {
            Value::None => Json::Null,
            Value::Bool(truth) => (*truth).into(),
            Value::Int(number) => (*number).into(),
            Value::Float(number) => serde_json::Number::from_f64(*number)?.into(),
            Value::Text(text) => Json::String(text.to_string()),
            Value::List(id) | Value::Set(id) | Value::Tuple(id) => {
                self.items(*id).iter().map(|item| self.give_out(item, deeper)).collect::<Option<_>>()?
            }
            Value::Dict(id) => {
                let mut fields = Map::new();
                for (key, value) in self.pairs(*id) {
                    fields.insert(self.show(key, 1), self.give_out(value, deeper)?);
                }
                Json::Object(fields)
            }
            Value::Function(..) | Value::Builtin(_) | Value::Api(..) => return None,
        })
    }

    /// As `print` shows it; below `depth` and beyond a length only dots.
    pub fn show(&self, value: &Value, depth: usize) -> String {
        match value {
            Value::Text(text) => text.to_string(),
            other => {
                let mut out = String::new();
                self.write(other, depth, &mut out);
                out
            }
        }
    }

    /// As it would stand in a program.
    pub fn write(&self, value: &Value, depth: usize, out: &mut String) {
        if depth == 0 || out.len() > MOST_SHOWN {
            return out.push_str("...");
        }
        match value {
            Value::None => out.push_str("None"),
            Value::Bool(truth) => out.push_str(if *truth { "True" } else { "False" }),
            Value::Int(number) => out.push_str(&number.to_string()),
            Value::Float(number) => out.push_str(&float(*number)),
            Value::Text(text) => quote(text, out),
            Value::Tuple(id) => {
                let items = self.items(*id);
                let end = if items.len() == 1 { ",)" } else { ")" };
                self.write_all(items, depth, ("(", end), out);
            }
            Value::List(id) => self.write_all(self.items(*id), depth, ("[", "]"), out),
            Value::Set(id) if self.items(*id).is_empty() => out.push_str("set()"),
            Value::Set(id) => self.write_all(self.items(*id), depth, ("{", "}"), out),
            Value::Dict(id) => {
                out.push('{');
                for (n, (key, value)) in self.pairs(*id).iter().enumerate() {
                    out.push_str(if n > 0 { ", " } else { "" });
                    self.write(key, depth - 1, out);
                    out.push_str(": ");
                    self.write(value, depth - 1, out);
                    if out.len() > MOST_SHOWN {
                        break;
                    }
                }
                out.push('}');
            }
            Value::Function(function, _) => out.push_str(&format!("<function {}>", function.name)),
            Value::Builtin(name) => out.push_str(&format!("<function {name}>")),
            Value::Api(app, name) => {
                let parts = [app, name].into_iter().flatten();
                out.push_str(&parts.fold("apis".to_owned(), |path, part| format!("{path}.{part}")));
            }
        }
    }

    fn write_all(&self, items: &[Value], depth: usize, ends: (&str, &str), out: &mut String) {
        out.push_str(ends.0);
        for (n, item) in items.iter().enumerate() {
            out.push_str(if n > 0 { ", " } else { "" });
            self.write(item, depth - 1, out);
            if out.len() > MOST_SHOWN {
                break;
            }
        }
        out.push_str(ends.1);
    }

    /// Moves everything that `roots` reach into a fresh heap, and forgets the rest.
    pub fn sweep<'a>(&mut self, roots: impl Iterator<Item = &'a mut Value>) {
        let mut old = std::mem::take(&mut self.objects);
        let mut moved = vec![None; old.len()];
        let mut todo = Vec::new();
        for root in roots {
            self.settle(root, &mut old, &mut moved, &mut todo);
        }
        while let Some(id) = todo.pop() {
            // taken out for the time its elements are settled
            let mut object = std::mem::replace(&mut self.objects[id], Object::Items(Vec::new()));
            match &mut object {
                Object::Items(items) => {
                    items.iter_mut().for_each(|item| self.settle(item, &mut old, &mut moved, &mut todo));
                }
                Object::Pairs(pairs) => {
                    for (key, value) in pairs {
                        self.settle(key, &mut old, &mut moved, &mut todo);
                        self.settle(value, &mut old, &mut moved, &mut todo);
                    }
                }
            }
            self.objects[id] = object;
        }
    }

    fn settle(&mut self, value: &mut Value, old: &mut [Object], moved: &mut [Option<usize>], todo: &mut Vec<usize>) {
        let (Value::List(id) | Value::Tuple(id) | Value::Dict(id) | Value::Set(id) | Value::Function(_, id)) = value
        else {
            return;
        };
        let new = *moved[*id].get_or_insert_with(|| {
            self.objects.push(std::mem::replace(&mut old[*id], Object::Items(Vec::new())));
            todo.push(self.objects.len() - 1);
            self.objects.len() - 1
        });
        *id = new;
    }

    /// Bytes in use, about.
    pub fn bytes(&self) -> usize {
        let of = |object: &Object| match object {
            Object::Items(items) => items.iter().map(size).sum::<usize>(),
            Object::Pairs(pairs) => pairs.iter().map(|(key, value)| size(key) + size(value)).sum(),
        };
        self.objects.iter().map(|object| 24 + of(object)).sum()
    }
}

/// Bytes of a value itself, about.
pub fn size(value: &Value) -> usize {
    match value {
        Value::Text(text) => 24 + text.len(),
        _ => 24,
    }
}

/// A float as Python writes it: with a point, and never in more digits than it takes.
pub fn float(number: f64) -> String {
    let text = number.to_string();
    if number.is_finite() && !text.contains('.') && number.abs() < 1e16 { format!("{text}.0") } else { text }
}

fn quote(text: &str, out: &mut String) {
    let mark = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    out.push(mark);
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\\' => out.push_str("\\\\"),
            c if c == mark => out.extend(['\\', c]),
            c if c.is_control() => out.push_str(&format!("\\x{:02x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push(mark);
}

/// Longest text of a value that is not a text.
const MOST_SHOWN: usize = 16 * 1024;
