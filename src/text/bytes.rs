//! Byte-level BPE spells every byte as a printable character (GPT-2's table); this is the way back.

/// Bytes of a vocabulary entry. Characters outside the table (byte-fallback `<0xE4>`, SentencePiece `▁`) are
/// understood too.
pub(super) fn of_token(token: &str) -> Vec<u8> {
    if let Some(hex) = token.strip_prefix("<0x").and_then(|t| t.strip_suffix('>'))
        && let Ok(byte) = u8::from_str_radix(hex, 16)
    {
        return vec![byte];
    }
    let mut bytes = Vec::with_capacity(token.len());
    for c in token.chars() {
        match (of_char(c), c) {
            (Some(byte), _) => bytes.push(byte),
            (None, '▁') => bytes.push(b' '),
            (None, c) => bytes.extend(c.to_string().bytes()),
        }
    }
    bytes
}

/// Printable bytes stand for themselves; the other 68 are numbered from U+0100 in order.
fn of_char(c: char) -> Option<u8> {
    let printable = |b: u8| matches!(b, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
    match c as u32 {
        n @ 0..=0xFF if printable(n as u8) => Some(n as u8),
        n @ 0x100.. => (0..=255u8).filter(|&b| !printable(b)).nth((n - 0x100) as usize),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_spellings() {
        assert_eq!(of_token("Ġmug"), b" mug");
        assert_eq!(of_token("Ċ"), b"\n");
        assert_eq!(of_token("Ã©"), "é".as_bytes());
        assert_eq!(of_token("<0xE4>"), [0xE4]);
        assert_eq!(of_token("▁mug"), b" mug");
    }

    #[test]
    fn every_byte_has_one_spelling() {
        let mut seen: Vec<u8> = (0..0x144).filter_map(|n| of_char(char::from_u32(n)?)).collect();
        seen.sort();
        assert_eq!(seen, (0..=255).collect::<Vec<u8>>());
    }
}
