//! What lists, texts and dicts hold: keys, items, slices.

use super::heap::{Value, size};
use super::ops::{real, whole};
use super::run::{Done, Runner};
use super::tree::Expr;

impl Runner<'_> {
    /// Where a dict holds a key. Dicts are short lists; looking costs what it takes.
    pub fn find_key(&mut self, dict: usize, key: &Value) -> Done<Option<usize>> {
        let pairs = self.heap.pairs(dict);
        let found = match key {
            Value::Text(text) => pairs.iter().position(|(k, _)| matches!(k, Value::Text(k) if k == text)),
            Value::Tuple(_) => {
                let keys: Vec<Value> = pairs.iter().map(|(key, _)| key.clone()).collect();
                for (at, other) in keys.iter().enumerate() {
                    if self.same(other, key)? {
                        return Ok(Some(at));
                    }
                }
                return Ok(None);
            }
            Value::None => pairs.iter().position(|(k, _)| matches!(k, Value::None)),
            other => real(other).and_then(|n| pairs.iter().position(|(k, _)| real(k) == Some(n))),
        };
        let looked = found.unwrap_or(pairs.len());
        self.spend(looked / 8)?;
        Ok(found)
    }

    pub fn check_key(&self, key: &Value) -> Done<()> {
        match key {
            Value::List(_) | Value::Dict(_) | Value::Set(_) => {
                self.trouble("TypeError", format!("a {} cannot be a key", self.kind(key)))
            }
            _ => Ok(()),
        }
    }

    pub fn dict(&mut self, pairs: Vec<(Value, Value)>) -> Done<Value> {
        self.make(48 * (pairs.len() + 1))?;
        let dict = self.heap.dict(Vec::with_capacity(pairs.len()));
        if let Value::Dict(id) = dict {
            for (key, value) in pairs {
                self.check_key(&key)?;
                match self.find_key(id, &key)? {
                    Some(at) => self.heap.pairs_mut(id)[at].1 = value,
                    None => self.heap.pairs_mut(id).push((key, value)),
                }
            }
        }
        Ok(dict)
    }

    pub fn unique(&mut self, items: Vec<Value>) -> Done<Value> {
        let pairs = items.into_iter().map(|item| (item, Value::None)).collect();
        let items = match self.dict(pairs)? {
            Value::Dict(id) => self.heap.pairs(id).iter().map(|(key, _)| key.clone()).collect(),
            _ => Vec::new(),
        };
        Ok(self.heap.set(items))
    }

    pub fn item(&mut self, object: &Value, index: &Value) -> Done<Value> {
        match object {
            Value::Dict(id) => match self.find_key(*id, index)? {
                Some(at) => Ok(self.heap.pairs(*id)[at].1.clone()),
                None => {
                    let mut key = String::new();
                    self.heap.write(index, 4, &mut key);
                    self.trouble("KeyError", key)
                }
            },
            Value::List(id) | Value::Tuple(id) => {
                let at = self.position(index, self.heap.items(*id).len())?;
                Ok(self.heap.items(*id)[at].clone())
            }
            Value::Text(text) => {
                self.spend(text.len() / 8)?;
                let at = self.position(index, text.chars().count())?;
                Ok(Value::Text(text.chars().nth(at).unwrap_or_default().to_string().into()))
            }
            other => {
                let message = format!("a {} has no items", self.kind(other));
                self.trouble("TypeError", message)
            }
        }
    }

    /// An index from either end.
    pub fn position(&self, index: &Value, length: usize) -> Done<usize> {
        let Some(index) = whole(index) else { return self.trouble("TypeError", "an index is a whole number") };
        let at = if index < 0 { index.checked_add(length as i64) } else { Some(index) };
        match at.and_then(|at| usize::try_from(at).ok()).filter(|at| *at < length) {
            Some(at) => Ok(at),
            None => self.trouble("IndexError", format!("index {index} of {length} items")),
        }
    }

    pub fn slice(&mut self, object: &Expr, ends: [&Option<Expr>; 3]) -> Done<Value> {
        let object = self.eval(object)?;
        let mut numbers = [None; 3];
        for (number, end) in numbers.iter_mut().zip(ends) {
            if let Some(end) = end {
                let value = self.eval(end)?;
                *number = whole(&value);
                if number.is_none() && !matches!(value, Value::None) {
                    return self.trouble("TypeError", "the ends of a slice are whole numbers");
                }
            }
        }
        let items = self.iterate(&object)?;
        let length = items.len() as i64;
        let end = |n: i64| (if n < 0 { n.saturating_add(length) } else { n }).clamp(0, length) as usize;
        let found: Vec<Value> = match (numbers[0], numbers[1], numbers[2].unwrap_or(1)) {
            (None, None, -1) => items.into_iter().rev().collect(),
            (start, stop, step) if step >= 1 => {
                let (start, stop) = (end(start.unwrap_or(0)), end(stop.unwrap_or(length)));
                items.into_iter().take(stop).skip(start).step_by(step as usize).collect()
            }
            _ => return self.trouble("ValueError", "a slice's step is 1 or more, or `[::-1]`"),
        };
        match object {
            Value::Text(_) => {
                let text = found.iter().map(|c| self.heap.show(c, 1)).collect();
                self.text(text)
            }
            Value::Tuple(_) => Ok(self.heap.tuple(found)),
            _ => self.list(found),
        }
    }

    pub fn contains(&mut self, whole: &Value, part: &Value) -> Done<bool> {
        match (whole, part) {
            (Value::Text(text), Value::Text(part)) => {
                self.spend(text.len() / 8)?;
                Ok(text.contains(&**part))
            }
            (Value::Dict(id), key) => Ok(self.find_key(*id, key)?.is_some()),
            _ => {
                for item in self.iterate(whole)? {
                    if self.same(&item, part)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
        }
    }

    pub(super) fn set_item(&mut self, object: &Value, index: Value, value: Value) -> Done<()> {
        match object {
            Value::Dict(id) => {
                self.check_key(&index)?;
                let at = self.find_key(*id, &index)?;
                self.make(size(&index) + 24)?;
                let pairs = self.heap.pairs_mut(*id);
                match at {
                    Some(at) => pairs[at].1 = value,
                    None => pairs.push((index, value)),
                }
                Ok(())
            }
            Value::List(id) => {
                let at = self.position(&index, self.heap.items(*id).len())?;
                self.heap.items_mut(*id)[at] = value;
                Ok(())
            }
            other => {
                let message = format!("a {} has no items that can be set", self.kind(other));
                self.trouble("TypeError", message)
            }
        }
    }
}
