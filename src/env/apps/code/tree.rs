//! What a cell is made of.

use std::sync::Arc;

/// A statement and its line.
#[derive(Debug)]
pub struct Stmt {
    pub line: usize,
    pub work: Work,
}

#[derive(Debug)]
pub enum Work {
    Expr(Expr),
    Assign(Target, Expr),
    Update(Target, &'static str, Expr),
    If(Vec<(Expr, Vec<Stmt>)>, Vec<Stmt>),
    For(Target, Expr, Vec<Stmt>),
    While(Expr, Vec<Stmt>),
    Def(Arc<Function>),
    /// Body, name of the error, what is done about it.
    Try(Vec<Stmt>, Option<Arc<str>>, Vec<Stmt>),
    Return(Option<Expr>),
    Raise(Expr),
    Break,
    Continue,
    Pass,
}

/// What is assigned to.
#[derive(Debug)]
pub enum Target {
    Name(Arc<str>),
    Names(Vec<Arc<str>>),
    Item(Expr, Expr),
}

#[derive(Debug)]
pub struct Function {
    pub name: Arc<str>,
    pub parameters: Vec<Arc<str>>,
    /// Of the last parameters.
    pub defaults: Vec<Expr>,
    pub body: Vec<Stmt>,
}

/// An expression and its line.
#[derive(Debug)]
pub struct Expr {
    pub line: usize,
    pub node: Box<Node>,
}

/// A text, and perhaps a value after it with its format.
pub type Piece = (Arc<str>, Option<(Expr, Arc<str>)>);

#[derive(Debug)]
pub enum Node {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Arc<str>),
    /// Pieces of text, and expressions with their format.
    Format(Vec<Piece>),
    Name(Arc<str>),
    List(Vec<Expr>),
    Tuple(Vec<Expr>),
    Set(Vec<Expr>),
    Dict(Vec<(Expr, Expr)>),
    /// A list, or of the second kind a set.
    Gather(Expr, Vec<Clause>, bool),
    GatherDict(Expr, Expr, Vec<Clause>),
    Not(Expr),
    Minus(Expr),
    And(Expr, Expr),
    Or(Expr, Expr),
    Either {
        yes: Expr,
        condition: Expr,
        no: Expr,
    },
    /// `a < b <= c`.
    Compare(Expr, Vec<(&'static str, Expr)>),
    Binary(&'static str, Expr, Expr),
    Attribute(Expr, Arc<str>),
    Index(Expr, Expr),
    Slice(Expr, Option<Expr>, Option<Expr>, Option<Expr>),
    Call(Expr, Vec<Expr>, Vec<(Arc<str>, Expr)>),
    Lambda(Arc<Function>),
}

/// `for target in items if condition ...`.
#[derive(Debug)]
pub struct Clause {
    pub target: Target,
    pub items: Expr,
    pub conditions: Vec<Expr>,
}
