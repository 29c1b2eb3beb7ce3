//! Checks of the model: where it lies, its weights, its tokenizer, its chat template.

use anyhow::Result;

use super::{Answer, Subject, skipped};
use crate::engine::candle;
use crate::engine::candle::memory::{Dims, human};
use crate::env::prompt::Layout;
use crate::hub;
use crate::text::{Message, Text};

pub(super) fn place(subject: &mut Subject) -> Result<Answer> {
    let place = hub::resolve(&subject.recipe.model.path)?;
    let answer = Answer::ok(format!("`{}`", place.display()));
    subject.place = Some(place);
    Ok(answer)
}

pub(super) fn weights(subject: &mut Subject) -> Result<Answer> {
    let Some(place) = &subject.place else { return skipped("model") };
    let found = candle::examine(place)?;
    if !found.problems.is_empty() {
        return Ok(Answer::several(&found.problems));
    }
    let files = if found.files == 1 { "1 file".to_owned() } else { format!("{} files", found.files) };
    let kinds = found.kinds.iter().map(|(kind, count)| format!("{count} of {kind}")).collect::<Vec<_>>().join(", ");
    Ok(Answer::ok(format!("{} tensors in {files}, {}: {kinds}", found.tensors, human(found.bytes))))
}

pub(super) fn architecture(subject: &mut Subject) -> Result<Answer> {
    let Some(place) = &subject.place else { return skipped("model") };
    let architecture = candle::architecture(place)?;
    let dims = Dims::from(&architecture);
    let message = format!(
        "{}, {:.1} M parameters: {} layers, {} wide, {} query and {} key-value heads of {}, context {}",
        architecture.family.name(),
        dims.parameters as f64 / 1e6,
        dims.layers,
        dims.width,
        dims.heads,
        dims.kv_heads,
        dims.head_dim,
        dims.context
    );
    subject.architecture = Some(architecture);
    Ok(Answer::ok(message))
}

/// Latin with accents, digits, Chinese, Japanese, Arabic, Hindi, emoji joined and flagged, tags, all kinds of space.
const SAMPLE: &str =
    "Take the mug 1, naïve café! 数据 こんにちは مرحبا नमस्ते 🐈‍⬛ 🇨🇭 👩🏽‍🚀 <action>x = 3.14;</action>\n\n\t  end";

pub(super) fn tokenizer(subject: &mut Subject) -> Result<Answer> {
    let Some(place) = &subject.place else { return skipped("model") };
    let text = match Text::load(place) {
        Ok(text) => text,
        Err(_) => return Ok(Answer::several(&Text::problems(place))),
    };
    let ids = text.encode(SAMPLE)?;
    let (back, bytes) = (text.decode(&ids)?, text.bytes(&ids).concat());
    let stops = text.stops().iter().map(|id| text.decode(&[*id])).collect::<Result<Vec<_>>>()?.join("` or `");
    let message =
        format!("{} ids; a sample of many scripts is {} tokens; replies end with `{stops}`", text.vocab(), ids.len());
    subject.text = Some(text);
    Ok(match (back.trim() == SAMPLE, String::from_utf8_lossy(&bytes).trim() == SAMPLE) {
        (true, true) => Answer::ok(message),
        (false, _) => Answer::warn(
            format!("{message}; decoded again, the sample reads `{}`", back.escape_debug()),
            "this tokenizer loses characters: keep observations to the scripts it knows",
        ),
        (true, false) => Answer::warn(
            format!("{message}; its tokens taken one by one read `{}`", String::from_utf8_lossy(&bytes).escape_debug()),
            "only the token screen is affected",
        ),
    })
}

pub(super) fn vocabulary(subject: &mut Subject) -> Result<Answer> {
    let Some(architecture) = &subject.architecture else { return skipped("architecture") };
    let Some(text) = &subject.text else { return skipped("tokenizer") };
    let (tokens, rows) = (text.vocab(), architecture.vocab_size);
    let message = format!("the tokenizer has ids up to {}, the model {rows} rows", tokens.saturating_sub(1));
    Ok(match tokens <= rows {
        true => Answer::ok(message),
        false => Answer::fail(message, "tokenizer and weights do not belong together: take both from one model"),
    })
}

pub(super) fn template(subject: &mut Subject) -> Result<Answer> {
    let Some(text) = &subject.text else { return skipped("tokenizer") };
    let chat = [Message::user("You see a mug 1."), Message::assistant("take mug 1"), Message::user("You have it.")];
    let example = text.render(&chat, true)?;
    let example: Vec<String> = example.split_inclusive('\n').map(|line| line.escape_debug().to_string()).collect();
    let layout = subject.recipe.rollout.layout;
    Ok(match text.transcript() {
        Err(error) if layout == Layout::Transcript => Answer::fail(format!("{error:#}"), HISTORY),
        Ok(notes) if layout == Layout::Transcript && !notes.is_empty() => Answer::warn(notes.join("\n"), HISTORY),
        _ => Answer::ok(format!("{}; two turns and the opening of a reply:", text.template().place())),
    }
    .details(example))
}

const HISTORY: &str = "set `rollout.layout = \"history\"`: then every turn is a chat of its own";
