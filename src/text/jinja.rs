//! The Jinja environment that Hugging Face gives to chat templates: what differs from plain minijinja.
//!
//! 1. `trim_blocks` and `lstrip_blocks` are on, `break` and `continue` exist, strings have Python's methods.
//! 2. `tojson` is Python's `json.dumps`: no HTML escapes, `", "` and `": "` between items, keys in their order.
//! 3. `raise_exception(message)` refuses a chat; `strftime_now(format)` is the local time.
//! 4. Strings and mappings are sequences, none is not iterable, line ends are `\n`.
//! 5. `{% generation %}` marks what the assistant said. It prints its body in a scope of its own, as `{% with %}` does.
//!
//! Not there is Python's `'%s' % x` (`'%s'|format(x)` is).

use std::fmt::Write;

use anyhow::{Result, anyhow};
use chrono::{DateTime, Local};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, ValueKind};
use minijinja::{Environment, Error, ErrorKind, Value};
use minijinja_contrib::pycompat::unknown_method_callback;

/// Tells the time to `strftime_now`.
pub(super) type Clock = fn() -> DateTime<Local>;

/// An environment without templates.
pub(super) fn environment(clock: Clock) -> Result<Environment<'static>> {
    let mut environment = Environment::new();
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    environment.set_syntax(syntax.map_err(|e| anyhow!("template syntax: {e}"))?);
    environment.set_unknown_method_callback(unknown_method_callback);
    environment.add_filter("tojson", to_json);
    environment.add_test("iterable", |value: &Value| ITERABLE.contains(&value.kind()));
    environment
        .add_test("sequence", |value: &Value| ITERABLE.contains(&value.kind()) && value.kind() != ValueKind::Iterable);
    environment.add_function("raise_exception", |message: String| -> Result<String, Error> {
        Err(Error::new(ErrorKind::InvalidOperation, message))
    });
    environment.add_function("strftime_now", move |format: String| strftime(clock(), &format));
    Ok(environment)
}

/// What Python can iterate over; something undefined is empty.
const ITERABLE: [ValueKind; 6] =
    [ValueKind::Undefined, ValueKind::String, ValueKind::Bytes, ValueKind::Seq, ValueKind::Map, ValueKind::Iterable];

/// Blocks that minijinja does not know, in words that it does. Lines stay where they are.
pub(super) fn rewrite(source: &str) -> String {
    let source = source.replace("\r\n", "\n").replace('\r', "\n");
    let mut out = String::with_capacity(source.len());
    let mut rest = source.as_str();
    while let Some(at) = rest.find("{%") {
        let (before, tag) = rest.split_at(at);
        out.push_str(before);
        let end = tag.find("%}").map_or(tag.len(), |end| end + 2);
        out.push_str(&block(&tag[..end]));
        rest = &tag[end..];
    }
    out + rest
}

/// One `{% ... %}`, its whitespace marks kept.
fn block(tag: &str) -> String {
    let inner = tag.trim_start_matches("{%").trim_end_matches("%}");
    let word = inner.trim_matches(['-', '+']).trim();
    let other = match word {
        "generation" => "with",
        "endgeneration" => "endwith",
        _ => return tag.to_owned(),
    };
    tag.replacen(word, other, 1)
}

fn strftime(now: DateTime<Local>, format: &str) -> Result<String, Error> {
    let mut text = String::new();
    let unknown = |_| Error::new(ErrorKind::InvalidOperation, format!("`{format}` is not a time format"));
    write!(text, "{}", now.format(format)).map_err(unknown)?;
    Ok(text)
}

/// Python's `json.dumps(value, ensure_ascii, indent, separators, sort_keys)`.
fn to_json(value: &Value, ascii: Option<bool>, options: Kwargs) -> Result<Value, Error> {
    let indent: Option<Value> = options.get("indent")?;
    let indent = match indent.filter(|indent| !indent.is_none()) {
        None => None,
        Some(text) if text.kind() == ValueKind::String => Some(text.to_string()),
        Some(count) => Some(" ".repeat(usize::try_from(count)?)),
    };
    let separators: Option<Vec<String>> = options.get("separators")?;
    let (item, key) = match separators.as_deref() {
        Some([item, key]) => (item.clone(), key.clone()),
        _ => (if indent.is_some() { "," } else { ", " }.to_owned(), ": ".to_owned()),
    };
    let ascii = options.get::<Option<bool>>("ensure_ascii")?.or(ascii).unwrap_or(false);
    let sorted = options.get::<Option<bool>>("sort_keys")?.unwrap_or(false);
    options.assert_all_used()?;
    let mut dump = Dump { out: String::new(), indent, item, key, ascii, sorted };
    dump.value(value, 0)?;
    Ok(Value::from_safe_string(dump.out))
}

/// A JSON text on its way.
struct Dump {
    out: String,
    indent: Option<String>,
    item: String,
    key: String,
    ascii: bool,
    sorted: bool,
}

impl Dump {
    fn value(&mut self, value: &Value, depth: usize) -> Result<(), Error> {
        match value.kind() {
            ValueKind::None => self.out.push_str("null"),
            ValueKind::Bool => self.out.push_str(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number => self.out.push_str(&number(value)),
            ValueKind::String => self.string(&value.to_string()),
            ValueKind::Map => self.map(value, depth)?,
            ValueKind::Seq | ValueKind::Iterable => {
                let items: Vec<Value> = value.try_iter()?.collect();
                self.list('[', ']', &items, depth, |dump, item, depth| dump.value(item, depth))?;
            }
            kind => {
                return Err(Error::new(ErrorKind::InvalidOperation, format!("a value that is {kind} is not JSON")));
            }
        }
        Ok(())
    }

    fn map(&mut self, value: &Value, depth: usize) -> Result<(), Error> {
        let mut keys: Vec<Value> = value.try_iter()?.collect();
        if self.sorted {
            keys.sort();
        }
        self.list('{', '}', &keys, depth, |dump, key, depth| {
            let name = match key.kind() {
                ValueKind::None => "null".to_owned(),
                ValueKind::Bool => key.is_true().to_string(),
                ValueKind::Number => number(key),
                _ => key.to_string(),
            };
            dump.string(&name);
            dump.out.push_str(&dump.key.clone());
            dump.value(&value.get_item(key)?, depth)
        })
    }

    fn list(
        &mut self,
        open: char,
        close: char,
        items: &[Value],
        depth: usize,
        one: impl Fn(&mut Self, &Value, usize) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.out.push(open);
        for (i, item) in items.iter().enumerate() {
            if i > 0 {
                self.out.push_str(&self.item.clone());
            }
            self.line(depth + 1);
            one(self, item, depth + 1)?;
        }
        if !items.is_empty() {
            self.line(depth);
        }
        self.out.push(close);
        Ok(())
    }

    fn line(&mut self, depth: usize) {
        if let Some(indent) = &self.indent {
            self.out.push('\n');
            self.out.push_str(&indent.repeat(depth));
        }
    }

    fn string(&mut self, text: &str) {
        // a string is always JSON
        let quoted = serde_json::to_string(text).unwrap_or_default();
        if !self.ascii {
            return self.out.push_str(&quoted);
        }
        for c in quoted.chars() {
            match c.is_ascii() {
                true => self.out.push(c),
                false => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| {
                    let _ = write!(self.out, "\\u{unit:04x}");
                }),
            }
        }
    }
}

fn number(value: &Value) -> String {
    match f64::try_from(value.clone()) {
        Ok(float) if !value.is_integer() => python_float(float),
        _ => value.to_string(),
    }
}

/// Python's `repr`: the shortest digits, an exponent below 1e-4 and from 1e16.
fn python_float(x: f64) -> String {
    if !x.is_finite() {
        return if x.is_nan() { "NaN".into() } else { format!("{}Infinity", if x < 0.0 { "-" } else { "" }) };
    }
    let scientific = format!("{x:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..16).contains(&exponent) {
        let plain = format!("{x}");
        return if plain.contains('.') { plain } else { plain + ".0" };
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone;

    use super::*;

    fn shown(source: &str) -> Result<String, Error> {
        environment(Local::now).unwrap().render_str(&rewrite(source), ())
    }

    #[test]
    fn numbers_are_spelt_as_in_python() {
        let known = [
            (0.1, "0.1"),
            (1.0, "1.0"),
            (-0.0, "-0.0"),
            (1e-4, "0.0001"),
            (1e-5, "1e-05"),
            (1.5e-7, "1.5e-07"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (1.25e300, "1.25e+300"),
            (f64::NEG_INFINITY, "-Infinity"),
        ];
        for (x, text) in known {
            assert_eq!(python_float(x), text);
        }
    }

    #[test]
    fn json_options_are_those_of_python() {
        let value = "{'b': [1, 2.0], 'a': {}, 'é<': none}";
        let cases = [
            ("tojson", r#"{"b": [1, 2.0], "a": {}, "é<": null}"#),
            ("tojson(separators=(',', ':'))", r#"{"b":[1,2.0],"a":{},"é<":null}"#),
            ("tojson(ensure_ascii=true, sort_keys=true)", r#"{"a": {}, "b": [1, 2.0], "\u00e9<": null}"#),
            ("tojson(indent=1)", "{\n \"b\": [\n  1,\n  2.0\n ],\n \"a\": {},\n \"é<\": null\n}"),
        ];
        for (filter, text) in cases {
            assert_eq!(shown(&format!("{{{{ {value}|{filter} }}}}")).unwrap(), text, "{filter}");
        }
        let error = shown("{{ {}|tojson(ident=1) }}").unwrap_err().to_string();
        assert!(error.contains("ident"), "{error}");
    }

    #[test]
    fn generation_blocks_print_in_their_own_scope() {
        let source = "{% set x = 1 %}a\n{%- generation -%}\n b{% set x = 2 %}{%- endgeneration %}{{ x }}";
        assert_eq!(shown(source).unwrap(), "ab1");
        assert_eq!(rewrite("{% generation_of(x) %}{% if x"), "{% generation_of(x) %}{% if x");
    }

    #[test]
    fn times_have_pythons_formats() {
        let time = Local.with_ymd_and_hms(2024, 7, 6, 15, 4, 5).unwrap();
        assert_eq!(strftime(time, "%d %b %Y, %A %H:%M:%S %j").unwrap(), "06 Jul 2024, Saturday 15:04:05 188");
        assert!(strftime(time, "%!").unwrap_err().to_string().contains("not a time format"));
    }
}
