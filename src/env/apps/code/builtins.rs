//! The functions that are always there.

use std::sync::Arc;

use super::heap::Value;
use super::ops::{real, whole};
use super::run::{Done, Runner};

/// Their names.
pub const NAMES: &[&str] = &[
    "print",
    "len",
    "str",
    "repr",
    "int",
    "float",
    "bool",
    "list",
    "tuple",
    "set",
    "dict",
    "range",
    "sorted",
    "reversed",
    "sum",
    "min",
    "max",
    "abs",
    "round",
    "any",
    "all",
    "enumerate",
    "zip",
    "type",
    "Exception",
];

type Named = Vec<(Arc<str>, Value)>;

impl Runner<'_> {
    pub fn builtin(&mut self, name: &'static str, mut plain: Vec<Value>, named: Named) -> Done<Value> {
        self.spend(2)?;
        let known: &[&str] = match name {
            "print" => &["sep", "end"],
            "sorted" | "min" | "max" => &["key", "reverse", "default"],
            "enumerate" => &["start"],
            _ => &[],
        };
        if let Some((other, _)) = named.iter().find(|(word, _)| !known.contains(&&**word)) {
            return self.trouble("TypeError", format!("{name}() cannot take the argument '{other}'"));
        }
        let option = |word: &str| named.iter().find(|(name, _)| &**name == word).map(|(_, value)| value.clone());
        match name {
            "print" => return self.print_all(&plain, option("sep"), option("end")),
            "min" | "max" => return self.extreme(name, plain, option("key"), option("default")),
            "zip" => return self.zip(&plain),
            "range" => return self.range(&plain),
            _ => {}
        }
        let most = if matches!(name, "round" | "sum" | "enumerate") { 2 } else { 1 };
        if plain.len() > most {
            return self.trouble("TypeError", format!("{name}() takes at most {most} arguments"));
        }
        let second = if plain.len() == 2 { plain.pop() } else { None };
        let Some(value) = plain.pop() else {
            return match name {
                "str" => Ok(Value::Text("".into())),
                "int" => Ok(Value::Int(0)),
                "float" => Ok(Value::Float(0.0)),
                "bool" => Ok(Value::Bool(false)),
                "list" => self.list(Vec::new()),
                "tuple" => Ok(self.heap.tuple(Vec::new())),
                "set" => self.unique(Vec::new()),
                "dict" => self.dict(Vec::new()),
                _ => self.trouble("TypeError", format!("{name}() needs an argument")),
            };
        };
        match name {
            "len" => self.length(&value),
            "str" | "Exception" => {
                let text = self.heap.show(&value, SHOWN);
                self.text(text)
            }
            "repr" => {
                let mut text = String::new();
                self.heap.write(&value, SHOWN, &mut text);
                self.text(text)
            }
            "type" => Ok(Value::Text(self.kind(&value).into())),
            "int" => self.to_whole(&value),
            "float" => self.to_real(&value),
            "bool" => Ok(Value::Bool(self.truth(&value))),
            "abs" => self.absolute(&value),
            "round" => self.round(&value, second),
            "dict" => self.make_dict(&value),
            "sum" => {
                let items = self.iterate(&value)?;
                items.into_iter().try_fold(second.unwrap_or(Value::Int(0)), |sum, item| self.operate("+", sum, item))
            }
            _ => {
                let items = self.iterate(&value)?;
                self.of_items(name, items, option, second)
            }
        }
    }

    /// Functions of what a loop can go through.
    fn of_items(
        &mut self,
        name: &str,
        mut items: Vec<Value>,
        option: impl Fn(&str) -> Option<Value>,
        second: Option<Value>,
    ) -> Done<Value> {
        match name {
            "list" => self.list(items),
            "tuple" => {
                self.make(24 * (items.len() + 1))?;
                Ok(self.heap.tuple(items))
            }
            "set" => self.unique(items),
            "sorted" => {
                let reverse = option("reverse").is_some_and(|value| self.truth(&value));
                self.sort(&mut items, option("key"), reverse)?;
                self.list(items)
            }
            "reversed" => {
                items.reverse();
                self.list(items)
            }
            "any" => Ok(Value::Bool(items.iter().any(|item| self.truth(item)))),
            "all" => Ok(Value::Bool(items.iter().all(|item| self.truth(item)))),
            "enumerate" => {
                let start = option("start").or(second).as_ref().and_then(whole).unwrap_or(0);
                let mut pairs = Vec::new();
                for (n, item) in items.into_iter().enumerate() {
                    self.make(72)?;
                    pairs.push(self.heap.tuple(vec![Value::Int(start.saturating_add(n as i64)), item]));
                }
                self.list(pairs)
            }
            _ => self.trouble("NameError", format!("name '{name}' is not defined")),
        }
    }

    fn print_all(&mut self, values: &[Value], sep: Option<Value>, end: Option<Value>) -> Done<Value> {
        let word = |value: Option<Value>, usual: &str| value.map_or(usual.to_owned(), |v| self.heap.show(&v, 1));
        let (sep, end) = (word(sep, " "), word(end, "\n"));
        for (n, value) in values.iter().enumerate() {
            if n > 0 {
                self.print(&sep)?;
            }
            let text = self.heap.show(value, SHOWN);
            self.print(&text)?;
        }
        self.print(&end)?;
        Ok(Value::None)
    }

    fn length(&mut self, value: &Value) -> Done<Value> {
        let length = match value {
            Value::Text(text) => {
                self.spend(text.len() / 16)?;
                text.chars().count()
            }
            Value::List(id) | Value::Set(id) | Value::Tuple(id) => self.heap.items(*id).len(),
            Value::Dict(id) => self.heap.pairs(*id).len(),
            other => {
                let message = format!("a {} has no length", self.kind(other));
                return self.trouble("TypeError", message);
            }
        };
        Ok(Value::Int(length as i64))
    }

    fn to_whole(&self, value: &Value) -> Done<Value> {
        let found = match value {
            Value::Text(text) => text.trim().parse().ok(),
            Value::Float(number) if number.abs() < 9e18 => Some(*number as i64),
            other => whole(other),
        };
        found.map(Value::Int).map_or_else(|| self.trouble("ValueError", self.no_number(value)), Ok)
    }

    fn to_real(&self, value: &Value) -> Done<Value> {
        let found = match value {
            Value::Text(text) => text.trim().parse().ok().filter(|x: &f64| x.is_finite()),
            other => real(other),
        };
        found.map(Value::Float).map_or_else(|| self.trouble("ValueError", self.no_number(value)), Ok)
    }

    fn no_number(&self, value: &Value) -> String {
        let mut text = String::new();
        self.heap.write(value, 2, &mut text);
        format!("{} is no number", text.chars().take(80).collect::<String>())
    }

    fn absolute(&self, value: &Value) -> Done<Value> {
        match value {
            Value::Float(number) => Ok(Value::Float(number.abs())),
            other => match whole(other).and_then(i64::checked_abs) {
                Some(number) => Ok(Value::Int(number)),
                None => self.trouble("TypeError", self.no_number(value)),
            },
        }
    }

    /// Halves go to the even neighbour.
    fn round(&self, value: &Value, places: Option<Value>) -> Done<Value> {
        let Some(number) = real(value) else { return self.trouble("TypeError", self.no_number(value)) };
        match places.as_ref().and_then(whole) {
            None => Ok(if number.abs() < 9e15 { Value::Int(number.round_ties_even() as i64) } else { value.clone() }),
            Some(places) => {
                let text = format!("{number:.*}", places.clamp(0, 20) as usize);
                Ok(Value::Float(text.parse().unwrap_or(number)))
            }
        }
    }

    fn make_dict(&mut self, value: &Value) -> Done<Value> {
        if let Value::Dict(id) = value {
            let pairs = self.heap.pairs(*id).to_vec();
            return self.dict(pairs);
        }
        let mut pairs = Vec::new();
        for item in self.iterate(value)? {
            let [key, value]: [Value; 2] = match self.iterate(&item)?.try_into() {
                Ok(pair) => pair,
                Err(_) => return self.trouble("ValueError", "a dict is made of pairs"),
            };
            pairs.push((key, value));
        }
        self.dict(pairs)
    }
}

/// How deep a value is shown.
const SHOWN: usize = 12;
