//! TensorBoard event files. A record is `u64 length, u32 masked crc of the length, data, u32 masked crc of the data`,
//! little endian; the data is an `Event` message of protocol buffers, of which only the fields written here matter:
//! `wall_time = 1 (double), step = 2 (int64), file_version = 3 (string), summary = 5 { value = 1 { tag = 1,
//! simple_value = 2 (float) } }`. The mask rotates the CRC-32C right by 15 and adds a constant.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::file;
use crate::run::view::RunView;

/// Writes all curves and evaluations as one event file.
pub(super) fn write(view: &RunView, out: &Path) -> Result<PathBuf> {
    let began = view.started_ms / 1000;
    let mut bytes = Vec::new();
    record(&mut bytes, &version(began as f64));
    for step in &view.steps {
        let values = step.metrics.iter().filter_map(|(name, value)| Some((name, value?)));
        record(&mut bytes, &event(step.at_ms, step.step, values));
    }
    for eval in &view.evals {
        let kind = if eval.with_skills { "eval_skills" } else { "eval" };
        let named: Vec<(String, f64)> =
            eval.metrics.iter().filter_map(|(name, value)| Some((format!("{kind}/{name}"), (*value)?))).collect();
        record(&mut bytes, &event(eval.at_ms, eval.step, named.iter().map(|(name, value)| (name.as_str(), *value))));
    }
    file(out, &format!("events.out.tfevents.{began}.sdlab"), &bytes)
}

fn record(out: &mut Vec<u8>, data: &[u8]) {
    let length = (data.len() as u64).to_le_bytes();
    out.extend(length);
    out.extend(masked(&length).to_le_bytes());
    out.extend(data);
    out.extend(masked(data).to_le_bytes());
}

/// The first event of a file.
fn version(seconds: f64) -> Vec<u8> {
    let mut out = Vec::new();
    double(&mut out, 1, seconds);
    bytes(&mut out, 3, b"brain.Event:2");
    out
}

fn event<'a>(at_ms: u64, step: u64, values: impl Iterator<Item = (&'a str, f64)>) -> Vec<u8> {
    let mut summary = Vec::new();
    for (name, value) in values {
        let mut one = Vec::new();
        bytes(&mut one, 1, name.as_bytes());
        key(&mut one, 2, FIXED32);
        one.extend((value as f32).to_le_bytes());
        bytes(&mut summary, 1, &one);
    }
    let mut out = Vec::new();
    double(&mut out, 1, at_ms as f64 / 1000.0);
    key(&mut out, 2, VARINT);
    varint(&mut out, step);
    bytes(&mut out, 5, &summary);
    out
}

fn double(out: &mut Vec<u8>, field: u64, value: f64) {
    key(out, field, FIXED64);
    out.extend(value.to_le_bytes());
}

fn bytes(out: &mut Vec<u8>, field: u64, value: &[u8]) {
    key(out, field, LENGTH);
    varint(out, value.len() as u64);
    out.extend(value);
}

fn key(out: &mut Vec<u8>, field: u64, wire: u64) {
    varint(out, (field << 3) | wire);
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn masked(data: &[u8]) -> u32 {
    crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// CRC-32C (Castagnoli, reflected polynomial 0x82f63b78), RFC 3720 appendix B.4.
fn crc32c(data: &[u8]) -> u32 {
    !data.iter().fold(!0u32, |crc, byte| TABLE[((crc ^ u32::from(*byte)) & 0xff) as usize] ^ (crc >> 8))
}

const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        let mut crc = i as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 };
            bit += 1;
        }
        table[i] = crc;
        i += 1;
    }
    table
};

const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const LENGTH: u64 = 2;
const FIXED32: u64 = 5;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_checksum_is_the_published_one() {
        // RFC 3720 B.4: 32 bytes of zeros, of ones, ascending; and the customary check value.
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(crc32c(&(0..32).collect::<Vec<u8>>()), 0x46dd_794e);
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn the_first_record_is_the_version() {
        let mut out = Vec::new();
        record(&mut out, &version(2.0));
        assert_eq!(out[..8], 24u64.to_le_bytes());
        assert_eq!(out[12..], [&b"\x09\0\0\0\0\0\0\0\x40\x1a\x0dbrain.Event:2"[..], &out[36..]].concat());
        assert_eq!(out.len(), 8 + 4 + 24 + 4);
    }

    /// Reads fields back: number, and the bytes or value.
    fn fields(mut data: &[u8]) -> Vec<(u64, Vec<u8>)> {
        let mut found = Vec::new();
        while !data.is_empty() {
            let (key, rest) = unvarint(data);
            let (field, wire) = (key >> 3, key & 7);
            let (value, rest) = match wire {
                VARINT => {
                    let (value, rest) = unvarint(rest);
                    (value.to_le_bytes().to_vec(), rest)
                }
                FIXED64 => (rest[..8].to_vec(), &rest[8..]),
                FIXED32 => (rest[..4].to_vec(), &rest[4..]),
                _ => {
                    let (len, rest) = unvarint(rest);
                    (rest[..len as usize].to_vec(), &rest[len as usize..])
                }
            };
            found.push((field, value));
            data = rest;
        }
        found
    }

    fn unvarint(data: &[u8]) -> (u64, &[u8]) {
        let end = data.iter().position(|b| b & 0x80 == 0).unwrap();
        (data[..=end].iter().rev().fold(0, |n, b| (n << 7) | u64::from(b & 0x7f)), &data[end + 1..])
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]
        #[test]
        fn what_is_written_can_be_read(name in ".{0,200}", value in -1e30f32..1e30, step in any::<u64>()) {
            let data = event(1500, step, [(name.as_str(), f64::from(value))].into_iter());
            let top = fields(&data);
            prop_assert_eq!(&top[0], &(1, 1.5f64.to_le_bytes().to_vec()));
            prop_assert_eq!(&top[1], &(2, step.to_le_bytes().to_vec()));
            let one = fields(&fields(&top[2].1)[0].1);
            prop_assert_eq!(&one[0], &(1, name.into_bytes()));
            prop_assert_eq!(&one[1], &(2, value.to_le_bytes().to_vec()));
        }
    }
}
