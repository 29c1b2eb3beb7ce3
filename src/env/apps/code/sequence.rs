//! Builtins that order lists or make them.

use super::heap::Value;
use super::ops::whole;
use super::run::{Done, Runner};

impl Runner<'_> {
    /// A merge sort of our own, so that comparing may fail and costs work.
    pub fn sort(&mut self, items: &mut Vec<Value>, key: Option<Value>, reverse: bool) -> Done<()> {
        let mut keyed = Vec::with_capacity(items.len());
        for item in items.drain(..) {
            let rank = match &key {
                Some(key) => self.apply(key, vec![item.clone()], Vec::new())?,
                None => item.clone(),
            };
            keyed.push((rank, item));
        }
        let mut width = 1;
        while width < keyed.len() {
            let mut merged = Vec::with_capacity(keyed.len());
            for pair in keyed.chunks(2 * width) {
                let (left, right) = pair.split_at(width.min(pair.len()));
                let (mut i, mut j) = (0, 0);
                while i < left.len() && j < right.len() {
                    let order = self.order(&right[j].0, &left[i].0)?;
                    let right_first = if reverse { order.is_gt() } else { order.is_lt() };
                    merged.push(if right_first { right[j].clone() } else { left[i].clone() });
                    if right_first { j += 1 } else { i += 1 }
                }
                merged.extend_from_slice(&left[i..]);
                merged.extend_from_slice(&right[j..]);
            }
            keyed = merged;
            width *= 2;
        }
        items.extend(keyed.into_iter().map(|(_, item)| item));
        Ok(())
    }

    pub(super) fn extreme(
        &mut self,
        name: &str,
        mut plain: Vec<Value>,
        key: Option<Value>,
        default: Option<Value>,
    ) -> Done<Value> {
        let mut items = if plain.len() == 1 { self.iterate(&plain.remove(0))? } else { plain };
        self.sort(&mut items, key, name == "max")?;
        match items.into_iter().next().or(default) {
            Some(value) => Ok(value),
            None => self.trouble("ValueError", format!("{name}() of nothing")),
        }
    }

    pub(super) fn zip(&mut self, lists: &[Value]) -> Done<Value> {
        let lists = lists.iter().map(|list| self.iterate(list)).collect::<Done<Vec<_>>>()?;
        let shortest = lists.iter().map(Vec::len).min().unwrap_or(0);
        let mut rows = Vec::new();
        for n in 0..shortest {
            self.make(48 + 24 * lists.len())?;
            rows.push(self.heap.tuple(lists.iter().map(|list| list[n].clone()).collect()));
        }
        self.list(rows)
    }

    pub(super) fn range(&mut self, ends: &[Value]) -> Done<Value> {
        let numbers: Option<Vec<i64>> = ends.iter().map(whole).collect();
        let (start, stop, step) = match numbers.as_deref() {
            Some([stop]) => (0, *stop, 1),
            Some([start, stop]) => (*start, *stop, 1),
            Some([start, stop, step]) if *step != 0 => (*start, *stop, *step),
            _ => return self.trouble("TypeError", "range() takes one to three whole numbers, the step not 0"),
        };
        let mut items = Vec::new();
        let mut at = start;
        while if step > 0 { at < stop } else { at > stop } {
            self.make(24)?;
            self.spend(1)?;
            items.push(Value::Int(at));
            at = at.saturating_add(step);
        }
        self.list(items)
    }
}
