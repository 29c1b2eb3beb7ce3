//! A small language for code cells: a subset of Python, interpreted here, that can reach nothing but the apps.
//!
//! 1. Numbers, texts, lists, tuples, dicts, sets, `None`; assignments, `if`, `for`, `while`, `def`, `lambda`, `try`,
//!    `raise`; comprehensions, slices, f-strings; the usual functions and methods ([`builtins`], [`methods`]).
//! 2. `apis.APP.NAME(...)` calls an app. There are no imports, files, clocks or networks: a cell can do nothing else.
//! 3. Names live on from cell to cell.
//! 4. Every cell has limits ([`Limits`]): work (a count of operations and of the elements they touch, which stands for
//!    time and is the same on every machine), memory, depth of calls, and length of what it prints. A cell that meets one
//!    ends with an error, and what it did before stays done.

mod builtins;
mod call;
mod eval;
mod express;
mod heap;
mod items;
mod literal;
mod methods;
mod names;
mod ops;
mod parse;
mod run;
mod sequence;
mod token;
mod tree;

pub use heap::{Heap, Value};
pub use run::{Cell, Cells};

/// Limits of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Operations and touched elements.
    pub work: u64,
    /// Bytes made anew.
    pub memory: usize,
    /// Calls and expressions inside one another.
    pub depth: usize,
    /// Characters printed.
    pub output: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { work: 200_000, memory: 8 << 20, depth: 120, output: 4000 }
    }
}

/// What a cell calls.
pub trait Apis {
    /// The apps there are.
    fn has(&self, app: &str) -> bool;

    /// Calls `apis.app.name`. Fails with what the app answers.
    fn call(
        &mut self,
        app: &str,
        name: &str,
        plain: Vec<serde_json::Value>,
        named: Vec<(String, serde_json::Value)>,
    ) -> Result<serde_json::Value, String>;
}

/// Why a cell ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    pub line: usize,
    /// As Python calls it.
    pub kind: &'static str,
    pub message: String,
}

impl Trouble {
    pub fn new(line: usize, kind: &'static str, message: impl Into<String>) -> Trouble {
        Trouble { line, kind, message: message.into() }
    }

    /// Whether a cell may not catch it.
    fn is_final(&self) -> bool {
        matches!(self.kind, "LimitError" | "RecursionError" | "MemoryError")
    }
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "{}: {}", self.kind, self.message)
    }
}
