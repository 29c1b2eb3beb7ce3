//! From text to tokens, with indentation.

use std::sync::Arc;

use super::Trouble;

/// A token and its line, from 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Token {
    pub kind: Kind,
    pub line: usize,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    Name(Arc<str>),
    Int(i64),
    Float(f64),
    Text(Arc<str>),
    /// An f-string, its braces not yet read.
    Format(Arc<str>),
    Sign(&'static str),
    Newline,
    Indent,
    Dedent,
    End,
}

/// Splits a cell into tokens. Fails on a character or indentation that is not of the language.
pub fn tokens(source: &str) -> Result<Vec<Token>, Trouble> {
    if source.len() > MOST_BYTES {
        return Err(Trouble::new(1, "SyntaxError", format!("a cell has at most {MOST_BYTES} bytes")));
    }
    let mut lexer =
        Lexer { chars: source.chars().collect(), at: 0, line: 1, open: 0, levels: vec![0], tokens: Vec::new() };
    lexer.run()?;
    Ok(lexer.tokens)
}

struct Lexer {
    chars: Vec<char>,
    at: usize,
    line: usize,
    /// Brackets that are open: inside them lines and indentation do not count.
    open: usize,
    levels: Vec<usize>,
    tokens: Vec<Token>,
}

impl Lexer {
    fn run(&mut self) -> Result<(), Trouble> {
        self.indentation()?;
        while let Some(c) = self.peek(0) {
            match c {
                '\n' => self.end_of_line()?,
                '#' => self.skip_comment(),
                '\\' if self.peek(1) == Some('\n') => {
                    self.at += 2;
                    self.line += 1;
                }
                c if c.is_whitespace() => self.at += 1,
                c if c.is_alphabetic() || c == '_' => self.word()?,
                c if c.is_ascii_digit() => self.number()?,
                '"' | '\'' => self.text(false)?,
                _ => self.sign()?,
            }
        }
        self.push(Kind::Newline);
        for _ in 1..self.levels.len() {
            self.push(Kind::Dedent);
        }
        self.push(Kind::End);
        Ok(())
    }

    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    fn push(&mut self, kind: Kind) {
        self.tokens.push(Token { kind, line: self.line });
    }

    fn error<T>(&self, message: impl Into<String>) -> Result<T, Trouble> {
        Err(Trouble::new(self.line, "SyntaxError", message))
    }

    fn skip_comment(&mut self) {
        while self.peek(0).is_some_and(|c| c != '\n') {
            self.at += 1;
        }
    }

    fn end_of_line(&mut self) -> Result<(), Trouble> {
        if self.open == 0 && !matches!(self.tokens.last().map(|t| &t.kind), None | Some(Kind::Newline)) {
            self.push(Kind::Newline);
        }
        self.at += 1;
        self.line += 1;
        if self.open == 0 { self.indentation() } else { Ok(()) }
    }

    /// Reads the white space at the start of a line; empty lines and comments have no indentation.
    fn indentation(&mut self) -> Result<(), Trouble> {
        let mut width = 0;
        while let Some(c) = self.peek(0).filter(|c| matches!(c, ' ' | '\t' | '\r')) {
            width += if c == '\t' { 8 } else { 1 };
            self.at += 1;
        }
        if matches!(self.peek(0), None | Some('\n') | Some('#')) {
            return Ok(());
        }
        if self.levels.len() == 1 && self.tokens.is_empty() {
            // a cell may be indented as a whole
            self.levels[0] = width;
        }
        let top = self.levels.last().copied().unwrap_or(0);
        if width > top {
            self.levels.push(width);
            self.push(Kind::Indent);
        }
        while self.levels.len() > 1 && self.levels.last().is_some_and(|level| width < *level) {
            self.levels.pop();
            self.push(Kind::Dedent);
        }
        if self.levels.last() == Some(&width) { Ok(()) } else { self.error("this line's indentation fits no other") }
    }

    fn word(&mut self) -> Result<(), Trouble> {
        if matches!(self.peek(0), Some('f' | 'F')) && matches!(self.peek(1), Some('"' | '\'')) {
            self.at += 1;
            return self.text(true);
        }
        let start = self.at;
        while self.peek(0).is_some_and(|c| c.is_alphanumeric() || c == '_') {
            self.at += 1;
        }
        let word: String = self.chars[start..self.at].iter().collect();
        match SIGNS.iter().find(|sign| **sign == word) {
            Some(sign) => self.push(Kind::Sign(sign)),
            None if FOREIGN.contains(&word.as_str()) => {
                return self.error(format!("`{word}` is not available here"));
            }
            None => self.push(Kind::Name(word.into())),
        }
        Ok(())
    }

    fn number(&mut self) -> Result<(), Trouble> {
        let start = self.at;
        let mut real = false;
        while let Some(c) = self.peek(0) {
            let exponent = matches!(c, 'e' | 'E') && self.peek(1).is_some_and(|d| d.is_ascii_digit() || d == '-');
            if c == '.' || exponent {
                real = true;
                self.at += usize::from(exponent);
            } else if !c.is_ascii_digit() && c != '_' {
                break;
            }
            self.at += 1;
        }
        let text: String = self.chars[start..self.at].iter().filter(|c| **c != '_').collect();
        let kind = if real { text.parse().map(Kind::Float).ok() } else { text.parse().map(Kind::Int).ok() };
        match kind {
            Some(kind) => self.push(kind),
            None => return self.error(format!("`{text}` is no number, or too large a one")),
        }
        Ok(())
    }

    fn text(&mut self, format: bool) -> Result<(), Trouble> {
        let quote = self.peek(0).unwrap_or('"');
        let triple = self.peek(1) == Some(quote) && self.peek(2) == Some(quote);
        self.at += if triple { 3 } else { 1 };
        let mut text = String::new();
        loop {
            match self.peek(0) {
                None => return self.error("a text has no end"),
                Some('\n') if !triple => return self.error("a text has no end on its line"),
                Some('\\') => {
                    let escaped = self.peek(1).unwrap_or('\\');
                    match ESCAPES.iter().find(|(name, _)| *name == escaped) {
                        Some((_, meant)) => text.push(*meant),
                        None if escaped == '\n' => {}
                        None => text.extend(['\\', escaped]),
                    }
                    self.line += usize::from(escaped == '\n');
                    self.at += 2;
                }
                Some(c) if c == quote && !triple => {
                    self.at += 1;
                    break;
                }
                Some(c) if c == quote && self.peek(1) == Some(quote) && self.peek(2) == Some(quote) => {
                    self.at += 3;
                    break;
                }
                Some(c) => {
                    self.line += usize::from(c == '\n');
                    text.push(c);
                    self.at += 1;
                }
            }
        }
        self.push(if format { Kind::Format(text.into()) } else { Kind::Text(text.into()) });
        Ok(())
    }

    fn sign(&mut self) -> Result<(), Trouble> {
        let ahead: String = self.chars[self.at..].iter().take(3).collect();
        let Some(sign) = SIGNS.iter().find(|sign| ahead.starts_with(**sign)) else {
            let c = self.chars[self.at];
            return self.error(format!("{c:?} is not understood here"));
        };
        match *sign {
            "(" | "[" | "{" => self.open += 1,
            ")" | "]" | "}" => self.open = self.open.saturating_sub(1),
            _ => {}
        }
        self.at += sign.len();
        self.push(Kind::Sign(sign));
        Ok(())
    }
}

/// Keywords and signs, longer ones before their beginnings.
const SIGNS: &[&str] = &[
    "and", "or", "not", "in", "is", "if", "elif", "else", "for", "while", "break", "continue", "pass", "def", "return",
    "lambda", "True", "False", "None", "try", "except", "as", "raise", "**=", "//=", "**", "//", "==", "!=", "<=",
    ">=", "+=", "-=", "*=", "/=", "%=", "+", "-", "*", "/", "%", "<", ">", "=", "(", ")", "[", "]", "{", "}", ",", ":",
    ".", ";",
];
/// Words of the larger language that this one does not have.
const FOREIGN: &[&str] =
    &["import", "from", "class", "with", "global", "nonlocal", "yield", "async", "await", "del", "assert", "finally"];
const ESCAPES: &[(char, char)] =
    &[('n', '\n'), ('t', '\t'), ('r', '\r'), ('\\', '\\'), ('\'', '\''), ('"', '"'), ('0', '\0')];
/// Longest cell.
const MOST_BYTES: usize = 32 * 1024;
