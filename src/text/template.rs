//! Chat templates (Jinja), rendered as Hugging Face renders them.

use std::path::Path;

use anyhow::{Context, Result, anyhow};
use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, Error, ErrorKind, Value, context};

use super::{Message, special};

/// The chat template of a model folder: `chat_template.jinja`, or `chat_template` in `tokenizer_config.json`.
pub struct Template {
    environment: Environment<'static>,
    bos: String,
    eos: String,
}

const NAME: &str = "chat_template";

impl Template {
    pub(super) fn load(folder: &Path, config: &serde_json::Value) -> Result<Self> {
        let path = folder.join("chat_template.jinja");
        let source = match std::fs::read_to_string(&path) {
            Ok(source) => source,
            Err(_) => config.get(NAME).and_then(|t| t.as_str()).map(str::to_string).with_context(|| {
                format!(
                    "{}: no `chat_template.jinja` and no `chat_template` in `tokenizer_config.json`",
                    folder.display()
                )
            })?,
        };
        Self::new(
            source,
            special(config, "bos_token").unwrap_or_default(),
            special(config, "eos_token").unwrap_or_default(),
        )
    }

    /// Compiles a template; the error names its line.
    pub fn new(source: String, bos: String, eos: String) -> Result<Self> {
        let mut environment = Environment::new();
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        environment.set_syntax(syntax.map_err(|e| anyhow!("template syntax: {e}"))?);
        environment.add_function("raise_exception", |message: String| -> Result<String, Error> {
            Err(Error::new(ErrorKind::InvalidOperation, message))
        });
        environment
            .add_template_owned(NAME, source)
            .map_err(|e| anyhow!("the chat template does not compile: {}", explain(&e)))?;
        Ok(Self { environment, bos, eos })
    }

    pub(super) fn render(&self, messages: &[Message], reply: bool) -> Result<String> {
        let one = |m: &Message| context! { role => m.role.name(), content => m.content.as_str() };
        let messages: Vec<Value> = messages.iter().map(one).collect();
        let (bos_token, eos_token) = (self.bos.as_str(), self.eos.as_str());
        let values = context! { messages, add_generation_prompt => reply, bos_token, eos_token };
        self.environment
            .get_template(NAME)
            .and_then(|t| t.render(values))
            .map_err(|e| anyhow!("the chat template fails: {}", explain(&e)))
    }
}

fn explain(e: &Error) -> String {
    let reason = e.detail().map(str::to_string).unwrap_or_else(|| e.kind().to_string());
    e.line().map_or(reason.clone(), |line| format!("line {line}: {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_can_refuse() {
        let source = "\n{% if messages[0].role == 'user' %}{{ raise_exception('no system message') }}{% endif %}";
        let template = Template::new(source.into(), String::new(), String::new()).unwrap();
        let error = template.render(&[Message::user("x")], true).unwrap_err().to_string();
        assert!(error.contains("no system message") && error.contains("line 2"), "{error}");
    }

    #[test]
    fn a_broken_template_names_its_line() {
        let error = Template::new("a\n{% if %}".into(), String::new(), String::new()).err().unwrap().to_string();
        assert!(error.contains("line 2"), "{error}");
    }
}
