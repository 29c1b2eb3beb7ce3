//! What answers a search: our own index, or a server that speaks Search-R1's protocol.
//!
//! ```text
//! > POST /retrieve {"queries": ["..."], "query": "...", "topk": 3, "return_scores": true}
//! < {"result": [[{"document": {"id": "0", "contents": "\"Title\"\ntext"}, "score": 12.3}, ...]]}
//! ```
//!
//! Search-R1's own server reads `queries`, SkyRL's and verl-agent's clients send `query`; we send both.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::{Value, json};
use ureq::Agent;

use super::corpus::Corpus;

/// Finds passages.
pub enum Retriever {
    Local(Corpus),
    Remote(Remote),
}

/// A client of a retrieval server. A copy shares its connections.
#[derive(Clone, Debug)]
pub struct Remote {
    url: String,
    agent: Agent,
}

impl Retriever {
    /// Contents of the best `k` passages, best first. Fails if the server is down, slow, or answers nonsense.
    pub fn search(&self, query: &str, k: usize) -> Result<Vec<Arc<str>>> {
        match self {
            Retriever::Local(corpus) => {
                Ok(corpus.search(query, k).into_iter().map(|passage| Arc::clone(&passage.contents)).collect())
            }
            Retriever::Remote(remote) => remote.search(query, k),
        }
    }
}

impl Remote {
    /// A client of `url`, e.g. `http://127.0.0.1:8000/retrieve`, that waits at most `timeout` for an answer. Nothing is
    /// sent yet. Fails on an address that is not `http://`.
    pub fn new(url: &str, timeout: Duration) -> Result<Remote> {
        ensure!(url.starts_with("http://"), "`{url}` is no retriever; write it like `http://127.0.0.1:8000/retrieve`");
        let agent = Agent::config_builder().timeout_global(Some(timeout)).build().into();
        Ok(Remote { url: url.to_owned(), agent })
    }

    fn search(&self, query: &str, k: usize) -> Result<Vec<Arc<str>>> {
        let body = json!({ "queries": [query], "query": query, "topk": k, "return_scores": true }).to_string();
        let request = || -> Result<String, ureq::Error> {
            let request = self.agent.post(&self.url).header("content-type", "application/json");
            request.send(body.as_str())?.body_mut().read_to_string()
        };
        // a kept connection may have been closed by the server in the meantime: once more, on a fresh one
        let answer = request().or_else(|error| match error {
            ureq::Error::Io(_) => request(),
            other => Err(other),
        });
        let answer = answer.with_context(|| format!("the retriever `{}` does not answer", self.url))?;
        read(&answer).with_context(|| format!("the retriever `{}` answers in another form", self.url))
    }
}

fn read(answer: &str) -> Result<Vec<Arc<str>>> {
    let answer: Value = serde_json::from_str(answer).context("not JSON")?;
    let found = answer.pointer("/result/0").and_then(Value::as_array);
    let found = found.context("field `result`: expected a list that holds a list")?;
    let passage = |(number, hit): (usize, &Value)| {
        let document = hit.get("document").unwrap_or(hit); // without scores, servers leave this level out
        let contents = document.get("contents").and_then(Value::as_str);
        contents.map(Arc::from).ok_or_else(|| anyhow!("result {}, field `contents`: expected a text", number + 1))
    };
    found.iter().enumerate().map(passage).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_or_refused() {
        let good = r#"{"result": [[{"document": {"id": "0", "contents": "\"T\"\ntext"}, "score": 1.5}]]}"#;
        assert_eq!(read(good).unwrap(), [Arc::from("\"T\"\ntext")]);
        assert_eq!(read(r#"{"result": [[{"contents": "x"}]]}"#).unwrap().len(), 1);
        assert!(read(r#"{"result": [[]]}"#).unwrap().is_empty());
        for (bad, expected) in [
            ("<html>", "not JSON"),
            (r#"{"results": []}"#, "field `result`"),
            (r#"{"result": [[{"document": {}}]]}"#, "result 1, field `contents`"),
        ] {
            assert!(format!("{:#}", read(bad).unwrap_err()).contains(expected), "{bad}");
        }
        assert!(Remote::new("https://x/retrieve", Duration::from_secs(1)).is_err());
    }
}
