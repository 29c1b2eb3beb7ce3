//! Running a cell.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::heap::{Heap, Value};
use super::parse::parse;
use super::tree::{Stmt, Target, Work};
use super::{Apis, Limits, Trouble};

/// What lives on between cells.
#[derive(Clone, Debug, Default)]
pub struct Cells {
    names: BTreeMap<Arc<str>, Value>,
    heap: Heap,
}

/// What a cell did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    /// What it printed, cut at the limit.
    pub output: String,
    /// Why it ended before its end.
    pub trouble: Option<Trouble>,
}

impl Cells {
    /// Runs a cell.
    pub fn run(&mut self, source: &str, apis: &mut dyn Apis, limits: &Limits) -> Cell {
        let body = match parse(source) {
            Ok(body) => body,
            Err(trouble) => return Cell { output: String::new(), trouble: Some(trouble) },
        };
        let names = std::mem::take(&mut self.names);
        let mut runner = Runner {
            heap: &mut self.heap,
            apis,
            limits,
            scopes: vec![names],
            output: String::new(),
            cut: false,
            work: 0,
            memory: 0,
            depth: 0,
            line: 1,
        };
        let ended = runner.block(&body);
        let (output, cut) = (runner.output, runner.cut);
        let trouble = match ended {
            Ok(Flow::Next) => None,
            Ok(_) => {
                Some(Trouble::new(runner.line, "SyntaxError", "`return`, `break` and `continue` have no place here"))
            }
            Err(trouble) => Some(trouble),
        };
        self.names = runner.scopes.swap_remove(0);
        self.heap.sweep(self.names.values_mut());
        if self.heap.bytes() > limits.memory {
            (self.names, self.heap) = Default::default();
        }
        let output = if cut { format!("{output}\n[output cut]") } else { output };
        Cell { output, trouble }
    }
}

/// How a statement ended.
pub(super) enum Flow {
    Next,
    Break,
    Continue,
    Return(Value),
}

/// A cell in progress.
pub(super) struct Runner<'a> {
    pub heap: &'a mut Heap,
    pub apis: &'a mut dyn Apis,
    pub limits: &'a Limits,
    /// Names of the cells, then of each call.
    pub scopes: Vec<BTreeMap<Arc<str>, Value>>,
    output: String,
    cut: bool,
    work: u64,
    memory: usize,
    pub depth: usize,
    pub line: usize,
}

pub(super) type Done<T> = Result<T, Trouble>;

impl Runner<'_> {
    pub fn trouble<T>(&self, kind: &'static str, message: impl Into<String>) -> Done<T> {
        Err(Trouble::new(self.line, kind, message))
    }

    /// Counts work done.
    pub fn spend(&mut self, work: usize) -> Done<()> {
        self.work += work as u64;
        if self.work > self.limits.work { self.trouble("LimitError", "the cell takes too long") } else { Ok(()) }
    }

    /// Counts bytes made; making them is work too.
    pub fn make(&mut self, bytes: usize) -> Done<()> {
        self.memory = self.memory.saturating_add(bytes);
        if self.memory > self.limits.memory {
            return self.trouble("MemoryError", "the cell needs too much memory");
        }
        self.spend(bytes / 64)
    }

    pub fn text(&mut self, text: String) -> Done<Value> {
        self.make(text.len())?;
        Ok(Value::Text(text.into()))
    }

    pub fn list(&mut self, items: Vec<Value>) -> Done<Value> {
        self.make(24 * (items.len() + 1))?;
        Ok(self.heap.list(items))
    }

    pub fn print(&mut self, text: &str) -> Done<()> {
        self.spend(1 + text.len() / 16)?;
        let room = self.limits.output.saturating_sub(self.output.chars().count());
        self.output.extend(text.chars().take(room));
        self.cut |= text.chars().count() > room;
        Ok(())
    }

    pub fn block(&mut self, body: &[Stmt]) -> Done<Flow> {
        for statement in body {
            self.line = statement.line;
            self.spend(1)?;
            match self.statement(&statement.work)? {
                Flow::Next => {}
                other => return Ok(other),
            }
        }
        Ok(Flow::Next)
    }

    fn statement(&mut self, work: &Work) -> Done<Flow> {
        match work {
            Work::Expr(expr) => drop(self.eval(expr)?),
            Work::Assign(target, expr) => {
                let value = self.eval(expr)?;
                self.assign(target, value)?;
            }
            Work::Update(target, operator, expr) => self.update(target, operator, expr)?,
            Work::If(cases, other) => {
                for (condition, body) in cases {
                    let value = self.eval(condition)?;
                    if self.truth(&value) {
                        return self.block(body);
                    }
                }
                return self.block(other);
            }
            Work::For(target, expr, body) => return self.for_loop(target, expr, body),
            Work::While(condition, body) => loop {
                let value = self.eval(condition)?;
                if !self.truth(&value) {
                    break;
                }
                self.spend(1)?;
                match self.block(body)? {
                    Flow::Break => break,
                    Flow::Return(value) => return Ok(Flow::Return(value)),
                    Flow::Next | Flow::Continue => {}
                }
            },
            Work::Def(function) => {
                let value = self.function(function)?;
                self.bind(&function.name, value);
            }
            Work::Try(body, name, instead) => return self.attempt(body, name.as_ref(), instead),
            Work::Return(value) => {
                let value = value.as_ref().map_or(Ok(Value::None), |expr| self.eval(expr))?;
                return Ok(Flow::Return(value));
            }
            Work::Raise(expr) => {
                let value = self.eval(expr)?;
                return self.trouble("Exception", self.heap.show(&value, SHOWN));
            }
            Work::Break => return Ok(Flow::Break),
            Work::Continue => return Ok(Flow::Continue),
            Work::Pass => {}
        }
        Ok(Flow::Next)
    }

    fn for_loop(&mut self, target: &Target, expr: &super::tree::Expr, body: &[Stmt]) -> Done<Flow> {
        let items = self.eval(expr)?;
        for item in self.iterate(&items)? {
            self.spend(1)?;
            self.assign(target, item)?;
            match self.block(body)? {
                Flow::Break => break,
                Flow::Return(value) => return Ok(Flow::Return(value)),
                Flow::Next | Flow::Continue => {}
            }
        }
        Ok(Flow::Next)
    }

    /// Limits cannot be caught: a cell that could go on after one would have none.
    fn attempt(&mut self, body: &[Stmt], name: Option<&Arc<str>>, instead: &[Stmt]) -> Done<Flow> {
        let (depth, scopes) = (self.depth, self.scopes.len());
        match self.block(body) {
            Err(trouble) if !trouble.is_final() => {
                self.depth = depth;
                self.scopes.truncate(scopes);
                if let Some(name) = name {
                    let said = self.text(trouble.message)?;
                    self.bind(name, said);
                }
                self.block(instead)
            }
            other => other,
        }
    }

    pub fn bind(&mut self, name: &Arc<str>, value: Value) {
        if let Some(scope) = self.scopes.last_mut() {
            scope.insert(Arc::clone(name), value);
        }
    }

    pub fn assign(&mut self, target: &Target, value: Value) -> Done<()> {
        match target {
            Target::Name(name) => self.bind(name, value),
            Target::Names(names) => {
                let items = self.iterate(&value)?;
                if items.len() != names.len() {
                    let message = format!("{} names for {} values", names.len(), items.len());
                    return self.trouble("ValueError", message);
                }
                names.iter().zip(items).for_each(|(name, item)| self.bind(name, item));
            }
            Target::Item(object, index) => {
                let (object, index) = (self.eval(object)?, self.eval(index)?);
                self.set_item(&object, index, value)?;
            }
        }
        Ok(())
    }

    fn update(&mut self, target: &Target, operator: &'static str, expr: &super::tree::Expr) -> Done<()> {
        match target {
            Target::Name(name) => {
                let old = self.look_up(name)?;
                let more = self.eval(expr)?;
                let value = self.update_value(operator, old, more)?;
                self.bind(name, value);
            }
            Target::Item(object, index) => {
                let (object, index) = (self.eval(object)?, self.eval(index)?);
                let old = self.item(&object, &index)?;
                let more = self.eval(expr)?;
                let value = self.update_value(operator, old, more)?;
                self.set_item(&object, index, value)?;
            }
            Target::Names(_) => return self.trouble("SyntaxError", "one name is updated at a time"),
        }
        Ok(())
    }

    /// A list grows in place, so that all its names see it.
    fn update_value(&mut self, operator: &'static str, old: Value, more: Value) -> Done<Value> {
        let (Value::List(id), "+") = (&old, operator) else { return self.operate(operator, old, more) };
        let more = self.iterate(&more)?;
        self.make(24 * more.len())?;
        self.heap.items_mut(*id).extend(more);
        Ok(old)
    }
}

/// How deep a value is shown in a message.
const SHOWN: usize = 6;
