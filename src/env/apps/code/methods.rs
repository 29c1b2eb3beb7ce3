//! Methods of texts, lists, dicts and sets.

use std::sync::Arc;

use super::heap::{Value, size};
use super::ops::whole;
use super::run::{Done, Runner};

impl Runner<'_> {
    pub fn method(
        &mut self,
        object: &Value,
        name: &str,
        plain: Vec<Value>,
        named: Vec<(Arc<str>, Value)>,
    ) -> Done<Value> {
        self.spend(2)?;
        if !named.is_empty() && name != "sort" {
            return self.trouble("TypeError", format!("{name}() takes no arguments by name"));
        }
        let found = match object {
            Value::Text(text) => {
                self.spend(text.len() / 8)?;
                self.text_method(text, name, &plain)?
            }
            Value::List(id) if name == "sort" => {
                let option = |word: &str| named.iter().find(|(n, _)| &**n == word).map(|(_, value)| value.clone());
                let reverse = option("reverse").is_some_and(|value| self.truth(&value));
                let mut items = self.heap.items(*id).to_vec();
                self.sort(&mut items, option("key"), reverse)?;
                *self.heap.items_mut(*id) = items;
                Some(Value::None)
            }
            Value::List(id) => self.list_method(*id, name, plain)?,
            Value::Dict(id) => self.dict_method(*id, name, plain)?,
            Value::Set(id) => self.set_method(*id, name, plain)?,
            _ => None,
        };
        match found {
            Some(value) => Ok(value),
            None => {
                let message = format!("a {} has no method '{name}' for these arguments", self.kind(object));
                self.trouble("AttributeError", message)
            }
        }
    }

    fn text_method(&mut self, text: &str, name: &str, plain: &[Value]) -> Done<Option<Value>> {
        let words: Vec<String> = plain.iter().map(|value| self.heap.show(value, 1)).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let list = |runner: &mut Self, parts: Vec<&str>| {
            let parts = parts.into_iter().map(|part| Value::Text(part.into())).collect::<Vec<_>>();
            let bytes = parts.iter().map(size).sum();
            runner.make(bytes)?;
            runner.list(parts).map(Some)
        };
        let made = match (name, words.as_slice()) {
            ("lower", []) => text.to_lowercase(),
            ("upper", []) => text.to_uppercase(),
            ("title" | "capitalize", []) => capitals(text, name == "title"),
            ("strip", []) => text.trim().to_owned(),
            ("strip", [ends]) => text.trim_matches(|c| ends.contains(c)).to_owned(),
            ("lstrip", []) => text.trim_start().to_owned(),
            ("rstrip", []) => text.trim_end().to_owned(),
            ("replace", [from, to]) => {
                let count = text.matches(from).count();
                self.make(text.len().saturating_add(count.saturating_mul(to.len())))?;
                text.replace(from, to)
            }
            ("zfill", [width]) => {
                let width: usize = width.parse().unwrap_or(0).min(100);
                format!("{text:0>width$}")
            }
            ("split", []) => return list(self, text.split_whitespace().collect()),
            ("split", [mark]) if !mark.is_empty() => return list(self, text.split(mark).collect()),
            ("split", [mark, most]) if !mark.is_empty() => {
                let most = most.parse::<usize>().unwrap_or(0);
                return list(self, text.splitn(most.saturating_add(1), mark).collect());
            }
            ("splitlines", []) => return list(self, text.lines().collect()),
            ("startswith", [start]) => return Ok(Some(Value::Bool(text.starts_with(start)))),
            ("endswith", [end]) => return Ok(Some(Value::Bool(text.ends_with(end)))),
            ("isdigit", []) => {
                let all = !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
                return Ok(Some(Value::Bool(all)));
            }
            ("count", [part]) if !part.is_empty() => return Ok(Some(Value::Int(text.matches(part).count() as i64))),
            ("find", [part]) => {
                let at = text.find(part).map_or(-1, |at| text[..at].chars().count() as i64);
                return Ok(Some(Value::Int(at)));
            }
            ("join", [_]) => return self.join(text, &plain[0]).map(Some),
            _ => return Ok(None),
        };
        self.text(made).map(Some)
    }

    fn join(&mut self, between: &str, parts: &Value) -> Done<Value> {
        let mut out = String::new();
        for (n, part) in self.iterate(parts)?.into_iter().enumerate() {
            let Value::Text(part) = part else {
                let message = format!("join() joins texts, found a {}", self.kind(&part));
                return self.trouble("TypeError", message);
            };
            if n > 0 {
                out.push_str(between);
            }
            out.push_str(&part);
            if out.len() > self.limits.memory {
                break;
            }
        }
        self.text(out)
    }

    fn list_method(&mut self, id: usize, name: &str, mut plain: Vec<Value>) -> Done<Option<Value>> {
        let length = self.heap.items(id).len();
        self.spend(if matches!(name, "append" | "pop") { 1 } else { 1 + length / 8 })?;
        Ok(Some(match (name, plain.as_mut_slice()) {
            ("append", [value]) => {
                self.make(24)?;
                self.heap.items_mut(id).push(value.clone());
                Value::None
            }
            ("extend", [more]) => {
                let more = self.iterate(more)?;
                self.make(24 * more.len())?;
                self.heap.items_mut(id).extend(more);
                Value::None
            }
            ("insert", [at, value]) => {
                let at = whole(at).map_or(0, |at| at.clamp(0, length as i64)) as usize;
                self.make(24)?;
                self.heap.items_mut(id).insert(at, value.clone());
                Value::None
            }
            ("pop", []) => match self.heap.items_mut(id).pop() {
                Some(value) => value,
                None => return self.trouble("IndexError", "pop() of an empty list"),
            },
            ("pop", [at]) => {
                let at = self.position(at, length)?;
                self.heap.items_mut(id).remove(at)
            }
            ("remove" | "index", [value]) => {
                let Some(at) = self.place(id, value)? else {
                    return self.trouble("ValueError", "the list does not hold it");
                };
                if name == "index" {
                    return Ok(Some(Value::Int(at as i64)));
                }
                self.heap.items_mut(id).remove(at);
                Value::None
            }
            ("count", [value]) => {
                let mut count = 0;
                for item in self.heap.items(id).to_vec() {
                    count += i64::from(self.same(&item, value)?);
                }
                Value::Int(count)
            }
            ("reverse", []) => {
                self.heap.items_mut(id).reverse();
                Value::None
            }
            ("copy", []) => {
                let items = self.heap.items(id).to_vec();
                self.list(items)?
            }
            ("clear", []) => {
                self.heap.items_mut(id).clear();
                Value::None
            }
            _ => return Ok(None),
        }))
    }

    fn place(&mut self, id: usize, value: &Value) -> Done<Option<usize>> {
        for (at, item) in self.heap.items(id).to_vec().iter().enumerate() {
            if self.same(item, value)? {
                return Ok(Some(at));
            }
        }
        Ok(None)
    }

    fn dict_method(&mut self, id: usize, name: &str, plain: Vec<Value>) -> Done<Option<Value>> {
        let pairs = self.heap.pairs(id);
        let count = pairs.len();
        Ok(Some(match (name, plain.as_slice()) {
            ("keys", []) => {
                let keys = pairs.iter().map(|(key, _)| key.clone()).collect();
                self.list(keys)?
            }
            ("values", []) => {
                let values = pairs.iter().map(|(_, value)| value.clone()).collect();
                self.list(values)?
            }
            ("items", []) => {
                let pairs = pairs.to_vec();
                self.make(72 * count)?;
                let rows = pairs.into_iter().map(|(key, value)| self.heap.tuple(vec![key, value])).collect();
                self.list(rows)?
            }
            ("get" | "setdefault" | "pop", [key] | [key, _]) => {
                let default = plain.get(1).cloned();
                match (self.find_key(id, key)?, name) {
                    (Some(at), "pop") => self.heap.pairs_mut(id).remove(at).1,
                    (Some(at), _) => self.heap.pairs(id)[at].1.clone(),
                    (None, "pop") if default.is_none() => return self.trouble("KeyError", self.heap.show(key, 2)),
                    (None, "setdefault") => {
                        let value = default.unwrap_or(Value::None);
                        self.check_key(key)?;
                        self.make(48)?;
                        self.heap.pairs_mut(id).push((key.clone(), value.clone()));
                        value
                    }
                    (None, _) => default.unwrap_or(Value::None),
                }
            }
            ("update", [Value::Dict(other)]) => {
                let more = self.heap.pairs(*other).to_vec();
                self.make(48 * more.len())?;
                for (key, value) in more {
                    match self.find_key(id, &key)? {
                        Some(at) => self.heap.pairs_mut(id)[at].1 = value,
                        None => self.heap.pairs_mut(id).push((key, value)),
                    }
                }
                Value::None
            }
            ("copy", []) => {
                let pairs = pairs.to_vec();
                self.dict(pairs)?
            }
            _ => return Ok(None),
        }))
    }

    fn set_method(&mut self, id: usize, name: &str, plain: Vec<Value>) -> Done<Option<Value>> {
        let [value] = plain.as_slice() else { return Ok(None) };
        let at = self.place(id, value)?;
        Ok(Some(match name {
            "add" => {
                self.check_key(value)?;
                if at.is_none() {
                    self.make(24)?;
                    self.heap.items_mut(id).push(value.clone());
                }
                Value::None
            }
            "discard" | "remove" => {
                if let Some(at) = at {
                    self.heap.items_mut(id).remove(at);
                }
                Value::None
            }
            _ => return Ok(None),
        }))
    }
}

/// The first letter large, of all words or of the first.
fn capitals(text: &str, each: bool) -> String {
    let mut start = true;
    let change = |c: char| {
        let large = start;
        start = each && !c.is_alphanumeric();
        if large { c.to_uppercase().collect::<String>() } else { c.to_lowercase().collect() }
    };
    text.chars().map(change).collect()
}
