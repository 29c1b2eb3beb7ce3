//! Chat templates (Jinja), rendered as `transformers.apply_chat_template` renders them.

use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use minijinja::value::Serde;
use minijinja::{Environment, Error, Value};
use serde_json::{Map, json};

use super::Message;
use super::jinja::{Clock, environment, rewrite};

/// A compiled chat template.
pub struct Template {
    environment: Environment<'static>,
    /// `bos_token`, `eos_token` and the like; one that the model does not have is undefined in the template.
    specials: Map<String, serde_json::Value>,
    source: String,
    /// Where the template was read from.
    place: Place,
}

/// A file, or a key of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub file: String,
    pub key: Option<&'static str>,
}

impl Place {
    /// `file`, or ``file: `key` ``, with the line if it is known.
    fn at(&self, line: Option<usize>) -> String {
        match (self.key, line) {
            (None, None) => self.file.clone(),
            (None, Some(line)) => format!("{}:{line}", self.file),
            (Some(key), None) => format!("{}: `{key}`", self.file),
            (Some(key), Some(line)) => format!("{}: `{key}`, line {line}", self.file),
        }
    }
}

const NAME: &str = "chat_template";
const FILE: &str = "chat_template.jinja";
const CONFIG: &str = "tokenizer_config.json";

impl Template {
    /// The template of a model folder: `chat_template.jinja`, else `chat_template` in `tokenizer_config.json` (a
    /// text, or a list of named ones, of which `default` is meant).
    pub(super) fn load(
        folder: &Path,
        config: &serde_json::Value,
        specials: Map<String, serde_json::Value>,
    ) -> Result<Self> {
        let path = folder.join(FILE);
        let (source, place) = match path.exists() {
            true => {
                let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
                (text, Place { file: path.display().to_string(), key: None })
            }
            false => {
                let file = folder.join(CONFIG).display().to_string();
                (of_config(folder, config)?, Place { file, key: Some(NAME) })
            }
        };
        Self::new(&source, place, specials)
    }

    /// Compiles a template.
    ///
    /// # Errors
    /// It is not Jinja; the error names file and line.
    pub fn new(source: &str, place: Place, specials: Map<String, serde_json::Value>) -> Result<Self> {
        Self::with_clock(source, place, specials, chrono::Local::now)
    }

    fn with_clock(source: &str, place: Place, specials: Map<String, serde_json::Value>, clock: Clock) -> Result<Self> {
        let mut environment = environment(clock)?;
        environment
            .add_template_owned(NAME, rewrite(source))
            .map_err(|e| anyhow!("{}: the chat template does not compile: {}", place.at(e.line()), reason(&e)))?;
        Ok(Self { environment, specials, source: source.to_owned(), place })
    }

    /// The chat as the model reads it; with `reply`, opened for the assistant's next message.
    pub(super) fn render(&self, messages: &[Message], reply: bool) -> Result<String> {
        let one = |m: &Message| json!({ "role": m.role.name(), "content": m.content });
        let messages: Vec<serde_json::Value> = messages.iter().map(one).collect();
        let mut names = Map::new();
        names.insert("messages".into(), messages.into());
        names.insert("add_generation_prompt".into(), reply.into());
        self.render_names(names)
    }

    /// Renders with any names; `tools` and `documents` are none where they are not given.
    ///
    /// # Errors
    /// The template refuses the chat (`raise_exception`), or fails; the error names file and line.
    pub fn render_names(&self, names: Map<String, serde_json::Value>) -> Result<String> {
        let mut all = self.specials.clone();
        for name in ["tools", "documents"] {
            all.insert(name.into(), serde_json::Value::Null);
        }
        all.extend(names);
        let template = self.environment.get_template(NAME);
        template
            .and_then(|t| t.render(Value::from(Serde(&all))))
            .map_err(|e| anyhow!("{}: the chat template fails: {}", self.place.at(e.line()), reason(&e)))
    }

    /// Its text.
    pub fn source(&self) -> &str {
        &self.source
    }

    pub(super) fn specials(&self) -> &Map<String, serde_json::Value> {
        &self.specials
    }

    /// Where the template was read from.
    pub fn place(&self) -> String {
        self.place.at(None)
    }
}

fn of_config(folder: &Path, config: &serde_json::Value) -> Result<String> {
    let place = folder.join(CONFIG);
    match config.get(NAME) {
        Some(serde_json::Value::String(text)) => Ok(text.clone()),
        Some(serde_json::Value::Array(named)) => {
            let field = |entry: &serde_json::Value, key| entry.get(key)?.as_str().map(str::to_owned);
            let names: Vec<String> = named.iter().filter_map(|entry| field(entry, "name")).collect();
            let default = named.iter().find(|entry| entry.get("name").is_some_and(|name| name == "default"));
            default.and_then(|entry| field(entry, "template")).with_context(|| {
                format!("{}: `{NAME}` has no template `default`, only {}", place.display(), names.join(", "))
            })
        }
        Some(_) => bail!("{}: `{NAME}` must be a text or a list of named texts", place.display()),
        None => bail!(
            "{}: there is neither `{FILE}` nor a `{NAME}` in `{CONFIG}`; take an instruction-tuned model, or write \
             the template into `{FILE}`",
            folder.display()
        ),
    }
}

/// What went wrong, and in the end why.
fn reason(e: &Error) -> String {
    let own = e.detail().map(str::to_string).unwrap_or_else(|| e.kind().to_string());
    let mut source = std::error::Error::source(e);
    let mut last = None;
    while let Some(inner) = source {
        last = Some(inner.to_string());
        source = inner.source();
    }
    last.map_or(own.clone(), |inner| format!("{own}: {inner}"))
}

#[cfg(test)]
mod tests {
    use chrono::{Local, TimeZone};

    use super::*;

    fn place() -> Place {
        Place { file: "m/chat_template.jinja".into(), key: None }
    }

    fn compile(source: &str) -> Result<Template> {
        Template::new(source, place(), Map::new())
    }

    #[test]
    fn a_template_can_refuse() {
        let source = "\n{% if messages[0].role == 'user' %}{{ raise_exception('no system message') }}{% endif %}";
        let error = compile(source).unwrap().render(&[Message::user("x")], true).unwrap_err().to_string();
        assert_eq!(error, "m/chat_template.jinja:2: the chat template fails: no system message");
    }

    #[test]
    fn a_broken_template_names_its_line() {
        let error = compile("a\n{% if %}").err().unwrap().to_string();
        assert!(error.starts_with("m/chat_template.jinja:2: the chat template does not compile: "), "{error}");
        let place = Place { file: "m/tokenizer_config.json".into(), key: Some(NAME) };
        let error = Template::new("{{ x.y }}", place, Map::new()).unwrap().render(&[], true).unwrap_err().to_string();
        let start = "m/tokenizer_config.json: `chat_template`, line 1: the chat template fails: ";
        assert!(error.starts_with(start), "{error}");
    }

    #[test]
    fn named_templates_have_a_default() {
        let folder = Path::new("m");
        let named =
            |name: &str| json!({ NAME: [{ "name": "tool_use", "template": "t" }, { "name": name, "template": "d" }] });
        assert_eq!(of_config(folder, &named("default")).unwrap(), "d");
        let error = of_config(folder, &named("rag")).unwrap_err().to_string();
        assert_eq!(error, "m/tokenizer_config.json: `chat_template` has no template `default`, only tool_use, rag");
        let error = of_config(folder, &json!({})).unwrap_err().to_string();
        assert!(error.starts_with("m: there is neither `chat_template.jinja` nor"), "{error}");
    }

    #[test]
    fn the_clock_is_the_only_source_of_time() {
        let clock: Clock = || Local.with_ymd_and_hms(2024, 7, 26, 0, 0, 0).unwrap();
        let source = "Today Date: {{ strftime_now('%d %b %Y') }}";
        let template = Template::with_clock(source, place(), Map::new(), clock).unwrap();
        assert_eq!(template.render(&[], false).unwrap(), "Today Date: 26 Jul 2024");
    }

    #[test]
    fn a_special_token_the_model_lacks_is_undefined() {
        let specials = Map::from_iter([("eos_token".to_owned(), json!("</s>"))]);
        let template = Template::new("{{ bos_token is defined }}{{ bos_token }}{{ eos_token }}", place(), specials);
        assert_eq!(template.unwrap().render(&[], false).unwrap(), "False</s>");
    }
}
