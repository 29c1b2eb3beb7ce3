//! Text: tokenizer and chat template.
