//! Operators, comparisons, items and slices.

use std::cmp::Ordering;

use super::heap::Value;
use super::run::{Done, Runner};

impl Runner<'_> {
    pub fn truth(&self, value: &Value) -> bool {
        match value {
            Value::None => false,
            Value::Bool(truth) => *truth,
            Value::Int(number) => *number != 0,
            Value::Float(number) => *number != 0.0,
            Value::Text(text) => !text.is_empty(),
            Value::List(id) | Value::Set(id) | Value::Tuple(id) => !self.heap.items(*id).is_empty(),
            Value::Dict(id) => !self.heap.pairs(*id).is_empty(),
            Value::Function(..) | Value::Builtin(_) | Value::Api(..) => true,
        }
    }

    /// The name of a value's type.
    pub fn kind(&self, value: &Value) -> &'static str {
        match value {
            Value::None => "NoneType",
            Value::Bool(_) => "bool",
            Value::Int(_) => "int",
            Value::Float(_) => "float",
            Value::Text(_) => "str",
            Value::Tuple(_) => "tuple",
            Value::List(_) => "list",
            Value::Dict(_) => "dict",
            Value::Set(_) => "set",
            Value::Function(..) | Value::Builtin(_) => "function",
            Value::Api(..) => "api",
        }
    }

    /// The elements of what a loop can go through.
    pub fn iterate(&mut self, value: &Value) -> Done<Vec<Value>> {
        let items: Vec<Value> = match value {
            Value::List(id) | Value::Set(id) | Value::Tuple(id) => self.heap.items(*id).to_vec(),
            Value::Dict(id) => self.heap.pairs(*id).iter().map(|(key, _)| key.clone()).collect(),
            Value::Text(text) => text.chars().map(|c| Value::Text(c.to_string().into())).collect(),
            other => {
                let message = format!("a {} holds nothing to go through", self.kind(other));
                return self.trouble("TypeError", message);
            }
        };
        self.spend(items.len() / 8)?;
        Ok(items)
    }

    pub fn operate(&mut self, operator: &str, left: Value, right: Value) -> Done<Value> {
        match (operator, &left, &right) {
            (_, Value::Int(_) | Value::Bool(_), Value::Int(_) | Value::Bool(_)) => {
                let (Some(a), Some(b)) = (whole(&left), whole(&right)) else { return Ok(Value::None) };
                self.whole_numbers(operator, a, b)
            }
            ("+", Value::Text(a), Value::Text(b)) => self.text(format!("{a}{b}")),
            ("*", Value::Text(text), Value::Int(count)) | ("*", Value::Int(count), Value::Text(text)) => {
                let count = usize::try_from(*count).unwrap_or(0);
                self.make(text.len().saturating_mul(count))?;
                Ok(Value::Text(text.repeat(count).into()))
            }
            ("+", Value::List(a), Value::List(b)) => {
                let items = [self.heap.items(*a), self.heap.items(*b)].concat();
                self.list(items)
            }
            ("*", Value::List(id), Value::Int(count)) => {
                let count = usize::try_from(*count).unwrap_or(0);
                self.make(24usize.saturating_mul(self.heap.items(*id).len()).saturating_mul(count))?;
                let one = self.heap.items(*id);
                let items = one.iter().cycle().take(one.len() * count).cloned().collect();
                self.list(items)
            }
            ("-", Value::Set(a), Value::Set(b)) => {
                let (a, b) = (self.heap.items(*a).to_vec(), Value::Set(*b));
                let mut kept = Vec::new();
                for item in a {
                    if !self.contains(&b, &item)? {
                        kept.push(item);
                    }
                }
                self.unique(kept)
            }
            _ => match (real(&left), real(&right)) {
                (Some(a), Some(b)) => self.real_numbers(operator, a, b),
                _ => {
                    let message =
                        format!("`{operator}` does not join a {} and a {}", self.kind(&left), self.kind(&right));
                    self.trouble("TypeError", message)
                }
            },
        }
    }

    fn whole_numbers(&self, operator: &str, a: i64, b: i64) -> Done<Value> {
        let found = match operator {
            "+" => a.checked_add(b),
            "-" => a.checked_sub(b),
            "*" => a.checked_mul(b),
            "/" | "//" | "%" if b == 0 => return self.trouble("ZeroDivisionError", "division by zero"),
            "/" => return Ok(Value::Float(a as f64 / b as f64)),
            // rounded down, unlike the machine's
            "//" => a.checked_div(b).and_then(|q| q.checked_sub(i64::from(a % b != 0 && (a < 0) != (b < 0)))),
            "%" => a.checked_rem(b).map(|r| if r != 0 && (r < 0) != (b < 0) { r + b } else { r }),
            "**" if b < 0 => return self.real_numbers(operator, a as f64, b as f64),
            "**" => u32::try_from(b).ok().and_then(|b| a.checked_pow(b)),
            _ => return self.trouble("TypeError", format!("`{operator}` is not for numbers")),
        };
        match found {
            Some(number) => Ok(Value::Int(number)),
            None => self.trouble("OverflowError", "the number is too large"),
        }
    }

    fn real_numbers(&self, operator: &str, a: f64, b: f64) -> Done<Value> {
        Ok(Value::Float(match operator {
            "+" => a + b,
            "-" => a - b,
            "*" => a * b,
            "/" | "//" | "%" if b == 0.0 => return self.trouble("ZeroDivisionError", "division by zero"),
            "/" => a / b,
            "//" => (a / b).floor(),
            "%" => a - b * (a / b).floor(),
            "**" => a.powf(b),
            _ => return self.trouble("TypeError", format!("`{operator}` is not for numbers")),
        }))
    }

    /// Whether two values are equal.
    pub fn same(&mut self, a: &Value, b: &Value) -> Done<bool> {
        self.spend(1)?;
        let (x, y) = match (a, b) {
            (Value::Text(a), Value::Text(b)) => return Ok(a == b),
            (Value::None, Value::None) => return Ok(true),
            (Value::List(a), Value::List(b)) | (Value::Tuple(a), Value::Tuple(b)) => {
                (self.heap.items(*a).to_vec(), self.heap.items(*b).to_vec())
            }
            (Value::Set(a), Value::Set(b)) => {
                let (mine, other) = (self.heap.items(*a).to_vec(), Value::Set(*b));
                if mine.len() != self.heap.items(*b).len() {
                    return Ok(false);
                }
                return mine.iter().try_fold(true, |all, item| Ok(all && self.contains(&other, item)?));
            }
            (Value::Dict(a), Value::Dict(b)) => return self.same_dicts(*a, *b),
            _ => return Ok(real(a).zip(real(b)).is_some_and(|(a, b)| a == b)),
        };
        if x.len() != y.len() {
            return Ok(false);
        }
        self.inside(|runner| {
            for (x, y) in x.iter().zip(&y) {
                if !runner.same(x, y)? {
                    return Ok(false);
                }
            }
            Ok(true)
        })
    }

    fn same_dicts(&mut self, a: usize, b: usize) -> Done<bool> {
        let pairs = self.heap.pairs(a).to_vec();
        if pairs.len() != self.heap.pairs(b).len() {
            return Ok(false);
        }
        self.inside(|runner| {
            for (key, value) in &pairs {
                let Some(at) = runner.find_key(b, key)? else { return Ok(false) };
                let other = runner.heap.pairs(b)[at].1.clone();
                if !runner.same(value, &other)? {
                    return Ok(false);
                }
            }
            Ok(true)
        })
    }

    /// One level deeper: values can hold themselves.
    fn inside<T>(&mut self, work: impl FnOnce(&mut Self) -> Done<T>) -> Done<T> {
        self.depth += 1;
        if self.depth > self.limits.depth {
            return self.trouble("RecursionError", "values are nested too deeply");
        }
        let found = work(self);
        self.depth -= 1;
        found
    }

    pub fn order(&mut self, a: &Value, b: &Value) -> Done<Ordering> {
        self.spend(1)?;
        let found = match (a, b) {
            (Value::Text(a), Value::Text(b)) => Some(a.cmp(b)),
            (Value::List(x), Value::List(y)) | (Value::Tuple(x), Value::Tuple(y)) => {
                let (x, y) = (self.heap.items(*x).to_vec(), self.heap.items(*y).to_vec());
                return self.inside(|runner| {
                    for (x, y) in x.iter().zip(&y) {
                        match runner.order(x, y)? {
                            Ordering::Equal => {}
                            other => return Ok(other),
                        }
                    }
                    Ok(x.len().cmp(&y.len()))
                });
            }
            _ => real(a).zip(real(b)).and_then(|(a, b)| a.partial_cmp(&b)),
        };
        match found {
            Some(order) => Ok(order),
            None => {
                let message = format!("a {} and a {} have no order", self.kind(a), self.kind(b));
                self.trouble("TypeError", message)
            }
        }
    }
}

/// A whole number, or true and false as 1 and 0.
pub fn whole(value: &Value) -> Option<i64> {
    match value {
        Value::Int(number) => Some(*number),
        Value::Bool(truth) => Some(i64::from(*truth)),
        _ => None,
    }
}

/// Any number.
pub fn real(value: &Value) -> Option<f64> {
    match value {
        Value::Float(number) => Some(*number),
        other => whole(other).map(|n| n as f64),
    }
}
