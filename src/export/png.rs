//! PNG (RFC 2083): 8-bit RGB, every row stored as its difference from the row above.

use std::io::Write;

use flate2::write::ZlibEncoder;
use flate2::{Compression, Crc};

/// Pixels by row, three bytes each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pixels {
    pub width: usize,
    pub height: usize,
    /// `[height * width * 3]`, red green blue.
    pub rgb: Vec<u8>,
}

impl Pixels {
    /// A picture of one colour.
    pub fn filled(width: usize, height: usize, colour: [u8; 3]) -> Self {
        Self { width, height, rgb: colour.repeat(width * height) }
    }

    /// Mixes a colour in: `share` 0 leaves the pixel, 1 replaces it. Outside the picture nothing happens.
    pub fn mix(&mut self, x: usize, y: usize, colour: [u8; 3], share: f32) {
        if x < self.width && y < self.height {
            let at = (y * self.width + x) * 3;
            for (old, new) in self.rgb[at..at + 3].iter_mut().zip(colour) {
                *old = (f32::from(*old) + (f32::from(new) - f32::from(*old)) * share.clamp(0.0, 1.0)).round() as u8;
            }
        }
    }
}

/// The picture as a file.
pub fn encode(pixels: &Pixels) -> Vec<u8> {
    let mut out = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut head = Vec::new();
    head.extend((pixels.width as u32).to_be_bytes());
    head.extend((pixels.height as u32).to_be_bytes());
    // eight bits, RGB, the only compression and filter method there are, not interlaced
    head.extend([8, 2, 0, 0, 0]);
    chunk(&mut out, b"IHDR", &head);
    chunk(&mut out, b"IDAT", &compressed(pixels));
    chunk(&mut out, b"IEND", &[]);
    out
}

fn compressed(pixels: &Pixels) -> Vec<u8> {
    let length = pixels.width * 3;
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
    let mut above = vec![0; length];
    for row in pixels.rgb.chunks_exact(length.max(1)) {
        // filter type 2: the difference from the byte above
        let mut line = vec![2];
        line.extend(row.iter().zip(&above).map(|(byte, above)| byte.wrapping_sub(*above)));
        // writing to memory cannot fail
        drop(zlib.write_all(&line));
        above.copy_from_slice(row);
    }
    zlib.finish().unwrap_or_default()
}

/// Length, kind, bytes, and the check sum of kind and bytes.
fn chunk(out: &mut Vec<u8>, kind: &[u8; 4], bytes: &[u8]) {
    let mut crc = Crc::new();
    crc.update(kind);
    crc.update(bytes);
    out.extend((bytes.len() as u32).to_be_bytes());
    out.extend(kind);
    out.extend(bytes);
    out.extend(crc.sum().to_be_bytes());
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    /// Splits a file into chunks, checking every check sum as the RFC computes it.
    fn chunks(png: &[u8]) -> Vec<(String, Vec<u8>)> {
        let mut rest = png.strip_prefix(b"\x89PNG\r\n\x1a\n").expect("the signature");
        let mut out = Vec::new();
        while !rest.is_empty() {
            let length = u32::from_be_bytes(rest[..4].try_into().unwrap()) as usize;
            let (body, sum) = (&rest[4..8 + length], &rest[8 + length..12 + length]);
            let mut crc = u32::MAX;
            for byte in body {
                crc ^= u32::from(*byte);
                (0..8).for_each(|_| crc = if crc & 1 == 1 { 0xEDB8_8320 ^ (crc >> 1) } else { crc >> 1 });
            }
            assert_eq!((!crc).to_be_bytes(), sum, "check sum");
            out.push((String::from_utf8_lossy(&body[..4]).into_owned(), body[4..].to_vec()));
            rest = &rest[12 + length..];
        }
        out
    }

    #[test]
    fn pixels_come_back_out_of_the_file() {
        let mut pixels = Pixels::filled(5, 3, [10, 20, 30]);
        pixels.mix(4, 2, [210, 20, 30], 0.5);
        pixels.mix(9, 9, [1, 1, 1], 1.0);
        let chunks = chunks(&encode(&pixels));
        assert_eq!(chunks.iter().map(|(kind, _)| kind.as_str()).collect::<Vec<_>>(), ["IHDR", "IDAT", "IEND"]);
        assert_eq!(chunks[0].1, [0, 0, 0, 5, 0, 0, 0, 3, 8, 2, 0, 0, 0]);
        let mut raw = Vec::new();
        flate2::read::ZlibDecoder::new(&chunks[1].1[..]).read_to_end(&mut raw).unwrap();
        let mut above = vec![0u8; 15];
        for (row, line) in raw.chunks_exact(16).enumerate() {
            above = line[1..].iter().zip(&above).map(|(d, a)| d.wrapping_add(*a)).collect();
            assert_eq!(above, pixels.rgb[row * 15..(row + 1) * 15]);
        }
        assert_eq!(&above[12..], [110, 20, 30]);
    }
}
