//! A client of an OpenAI-compatible endpoint, as far as it is needed here.
//!
//! ```text
//! > POST {base_url}/chat/completions {"model": "...", "messages": [{"role": "user", "content": "..."}],
//! >                                   "max_tokens": 400, "temperature": 0}
//! < {"choices": [{"message": {"content": "..."}}]}
//! ```

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use ureq::Agent;

use super::summarise::pause;
use crate::config::LearnSettings;

/// Where, what and how often to ask.
#[derive(Clone, Debug)]
pub struct Endpoint {
    url: String,
    model: String,
    /// Value of the header, never printed.
    key: Option<Secret>,
    max_tokens: u32,
    retries: u32,
    backoff: Duration,
    agent: Agent,
}

/// A key that does not show itself.
#[derive(Clone)]
struct Secret(String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(secret)")
    }
}

impl Endpoint {
    /// The endpoint of a recipe. Nothing is sent yet.
    ///
    /// # Errors
    /// An address that is none, or one that needs TLS in a program without; no model; a key that is not there.
    pub fn new(settings: &LearnSettings) -> Result<Self> {
        let base = settings.base_url.trim_end_matches('/');
        if base.starts_with("https://") && !cfg!(feature = "tls") {
            bail!(
                "`skills.learn.base_url` `{base}` needs TLS, build with `--features tls` or name an `http://` address"
            );
        }
        let known = base.starts_with("http://") || base.starts_with("https://");
        ensure!(known, "`skills.learn.base_url` `{base}` is no address, write it like `http://127.0.0.1:8000/v1`");
        ensure!(!settings.model.is_empty(), "`skills.learn.model` is empty, name the model the endpoint serves");
        let key = match settings.key_env.as_str() {
            "" => None,
            name => Some(std::env::var(name).with_context(|| {
                format!("`skills.learn.key_env` names `{name}`, but there is no such environment variable")
            })?),
        };
        let timeout = Duration::from_secs_f64(settings.timeout);
        let agent = Agent::config_builder().timeout_global(Some(timeout)).build().into();
        Ok(Self {
            url: format!("{base}/chat/completions"),
            model: settings.model.clone(),
            key: key.map(|key| Secret(format!("Bearer {key}"))),
            max_tokens: settings.max_tokens,
            retries: settings.retries,
            backoff: Duration::from_secs_f64(settings.backoff),
            agent,
        })
    }

    /// Its address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The model it is asked for.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// The answer to a question, after as many attempts as it takes and is allowed.
    ///
    /// # Errors
    /// What the last attempt met with.
    pub async fn ask(&self, question: &str) -> Result<String> {
        let mut attempt = 0;
        loop {
            let (this, question) = (self.clone(), question.to_owned());
            let met =
                tokio::task::spawn_blocking(move || this.once(&question)).await.context("the request broke off")?;
            match met {
                Err(_) if attempt < self.retries => tokio::time::sleep(pause(self.backoff, attempt)).await,
                met => return met,
            }
            attempt += 1;
        }
    }

    fn once(&self, question: &str) -> Result<String> {
        let body = json!({
            "model": self.model, "messages": [{ "role": "user", "content": question }],
            "max_tokens": self.max_tokens, "temperature": 0,
        });
        let mut request = self.agent.post(&self.url).header("content-type", "application/json");
        if let Some(Secret(key)) = &self.key {
            request = request.header("authorization", key);
        }
        let mut response = request.send(body.to_string())?;
        let text = response.body_mut().with_config().limit(LARGEST).read_to_string()?;
        let answer: Value = serde_json::from_str(&text).context("it answers in another form than JSON")?;
        let content = answer.pointer("/choices/0/message/content").and_then(Value::as_str);
        Ok(content.context("its answer has no `choices[0].message.content`")?.to_owned())
    }
}

/// Most bytes of a response.
const LARGEST: u64 = 1 << 20;
