//! Records of a run, read as they come: live, finished and replayed runs are the same thing to a reader.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::error::{Result, RunError};
use super::finite::step_of;
use super::folder::RunFolder;
use crate::core::Record;

/// Follows `events.jsonl`. Holds no file open and no lines back: only the place up to which lines were handed out.
///
/// Rules:
/// 1. a line without its line break is "end for now" and is read again later;
/// 2. a line that is not a record is counted ([`Source::damaged`]) and skipped;
/// 3. if the file was replaced or cut before that place, reading starts over ([`Source::generation`] goes up).
#[derive(Clone, Debug)]
pub struct Source {
    path: PathBuf,
    offset: u64,
    /// Device and inode of the file that `offset` is about.
    identity: Option<(u64, u64)>,
    generation: u32,
    damaged: u64,
    /// Inside an over-long line that is being skipped.
    skipping: bool,
}

impl Source {
    /// A source at the first record. The records may not be there yet; the folder must be.
    ///
    /// # Errors
    /// An I/O error if the folder is gone.
    pub fn open(folder: &RunFolder) -> Result<Source> {
        fs::metadata(folder.path()).map_err(RunError::io("open", folder.path()))?;
        let path = folder.events();
        Ok(Source { path, offset: 0, identity: None, generation: 0, damaged: 0, skipping: false })
    }

    /// The next records: at most `max_records`, and none begun after `budget` is spent (but at least one line per
    /// call, so that a reader always gets on). Empty = end for now.
    ///
    /// # Errors
    /// An I/O error; the same call may be tried again.
    pub fn read(&mut self, max_records: usize, budget: Duration) -> Result<Vec<Record>> {
        let began = Instant::now();
        let mut records = Vec::new();
        let Some(mut reader) = self.reader()? else {
            return Ok(records);
        };
        let mut line = Vec::new();
        while records.len() < max_records {
            line.clear();
            let read = reader.by_ref().take(LINE_LIMIT).read_until(b'\n', &mut line);
            let read = read.map_err(RunError::io("read", &self.path))? as u64;
            let ended = line.last() == Some(&b'\n');
            if !ended && read < LINE_LIMIT {
                break;
            }
            self.offset += read;
            records.extend(self.decode(&line, ended));
            if began.elapsed() >= budget {
                break;
            }
        }
        Ok(records)
    }

    /// Hands out all records there are now, a portion in memory at a time.
    ///
    /// # Errors
    /// As [`Source::read`].
    pub fn for_each(&mut self, mut take: impl FnMut(&Record)) -> Result<()> {
        loop {
            let portion = self.read(PORTION, Duration::MAX)?;
            if portion.is_empty() {
                return Ok(());
            }
            portion.iter().for_each(&mut take);
        }
    }

    /// All records there are now and have not been handed out yet.
    pub fn all(&mut self) -> Result<Vec<Record>> {
        self.read(usize::MAX, Duration::MAX)
    }

    /// Complete lines that were not records, since reading started over last.
    pub fn damaged(&self) -> u64 {
        self.damaged
    }

    /// How often reading started over because the file was replaced; a reader then begins with an empty view.
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// The file at the current place; `None` if there is nothing new.
    fn reader(&mut self) -> Result<Option<BufReader<File>>> {
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(RunError::io("read", &self.path)(error)),
        };
        let meta = file.metadata().map_err(RunError::io("read", &self.path))?;
        let identity = Some((meta.dev(), meta.ino()));
        let replaced = self.identity.is_some() && self.identity != identity;
        if self.offset > 0 && (replaced || meta.len() < self.offset || !self.at_line_start(&file)) {
            self.offset = 0;
            self.damaged = 0;
            self.skipping = false;
            self.generation += 1;
        }
        self.identity = identity;
        if meta.len() <= self.offset {
            return Ok(None);
        }
        let mut reader = BufReader::with_capacity(BUFFER, file);
        reader.seek(SeekFrom::Start(self.offset)).map_err(RunError::io("read", &self.path))?;
        Ok(Some(reader))
    }

    /// Whether a line still ends just before the current place (else the file was rewritten in place).
    fn at_line_start(&self, mut file: &File) -> bool {
        let mut byte = [0];
        let read = file.seek(SeekFrom::Start(self.offset - 1)).and_then(|_| file.read_exact(&mut byte));
        self.skipping || read.is_err() || byte == *b"\n"
    }

    fn decode(&mut self, line: &[u8], ended: bool) -> Option<Record> {
        let rest_of_long = std::mem::replace(&mut self.skipping, !ended);
        if rest_of_long || line.trim_ascii().is_empty() {
            return None;
        }
        let record = if ended { serde_json::from_slice(line).ok() } else { None };
        self.damaged += u64::from(record.is_none());
        record
    }
}

/// Position of a replay: the records up to and including `step`, as a prefix.
///
/// It ends with the last record that belongs to `step` or an earlier one. In a resumed run this lies after the
/// resume; the fold forgets what was repeated.
pub fn up_to(records: &[Record], step: u64) -> &[Record] {
    let mut at = 0;
    let mut end = 0;
    for (index, record) in records.iter().enumerate() {
        at = step_of(&record.event).unwrap_or(at);
        if at <= step {
            end = index + 1;
        }
    }
    &records[..end]
}

const PORTION: usize = 4096;
const BUFFER: usize = 256 * 1024;
/// Longer lines are no records of ours (64 MiB).
const LINE_LIMIT: u64 = 64 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::RunEvent;
    use proptest::prelude::*;
    use std::io::Write;

    fn folder() -> (tempfile::TempDir, RunFolder) {
        let root = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(root.path(), "a").unwrap();
        (root, folder)
    }

    fn append(folder: &RunFolder, text: &str) {
        let mut file = fs::OpenOptions::new().append(true).create(true).open(folder.events()).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    fn steps(records: &[Record]) -> Vec<u64> {
        records.iter().filter_map(|r| step_of(&r.event)).collect()
    }

    #[test]
    fn torn_line_waits_and_damage_is_counted() {
        let (_root, folder) = folder();
        let mut source = Source::open(&folder).unwrap();
        assert!(source.all().unwrap().is_empty(), "no file yet");
        append(&folder, "{\"at_ms\":1,\"event\":\"paused\",\"step\":1}\nrubbish\n\n{\"at_ms\":2,\"event\":\"pau");
        assert_eq!(steps(&source.all().unwrap()), [1]);
        assert!(source.all().unwrap().is_empty());
        append(&folder, "sed\",\"step\":2}\n{\"at_ms\":3,\"event\":\"from_the_future\",\"x\":[1,{}],\"step\":\"?\"}\n");
        let records = source.all().unwrap();
        assert_eq!(steps(&records), [2]);
        assert_eq!(records[1].event, RunEvent::Unknown);
        assert_eq!((source.damaged(), source.generation()), (1, 0));
    }

    #[test]
    fn budgets_hold_and_always_get_on() {
        let (_root, folder) = folder();
        for step in 0..5 {
            append(&folder, &format!("{{\"at_ms\":1,\"event\":\"paused\",\"step\":{step}}}\n"));
        }
        let mut source = Source::open(&folder).unwrap();
        assert!(source.read(0, Duration::MAX).unwrap().is_empty());
        assert_eq!(steps(&source.read(2, Duration::MAX).unwrap()), [0, 1]);
        assert_eq!(steps(&source.read(9, Duration::ZERO).unwrap()), [2]);
        assert_eq!(steps(&source.all().unwrap()), [3, 4]);
    }

    #[test]
    fn replaced_file_starts_over() {
        let (_root, folder) = folder();
        append(
            &folder,
            "{\"at_ms\":1,\"event\":\"paused\",\"step\":1}\n{\"at_ms\":1,\"event\":\"paused\",\"step\":2}\n",
        );
        let mut source = Source::open(&folder).unwrap();
        assert_eq!(source.all().unwrap().len(), 2);
        fs::write(folder.events(), "{\"at_ms\":1,\"event\":\"paused\",\"step\":7}\n").unwrap();
        assert_eq!(steps(&source.all().unwrap()), [7]);
        assert_eq!(source.generation(), 1);
        // Rewritten in place and longer than before.
        fs::write(folder.events(), "{\"at_ms\":1000000,\"event\":\"paused\",\"step\":8}\n").unwrap();
        assert_eq!(steps(&source.all().unwrap()), [8]);
        assert_eq!(source.generation(), 2);
    }

    #[test]
    fn position_cuts_after_the_resume() {
        let started = |resumed: u64| {
            format!(
                "{{\"event\":\"started\",\"format\":1,\"run\":\"a\",\"recipe\":\"\",\"method\":\"\",\"env\":\"\",\
                 \"model\":\"\",\"parameters\":0,\"device\":\"\",\"steps\":9,\"groups\":1,\"members\":1,\
                 \"resumed\":{resumed},\"substitutions\":[],\"pid\":1,\"at_ms\":1}}"
            )
        };
        let stepped = |step: u64| {
            format!("{{\"event\":\"stepped\",\"step\":{step},\"metrics\":{{}},\"skills\":[],\"at_ms\":{step}}}")
        };
        let lines = [started(0), stepped(1), stepped(2), stepped(3), started(1), stepped(2), stepped(3)];
        let records: Vec<Record> = lines.iter().map(|l| serde_json::from_str(l).unwrap()).collect();
        assert_eq!(up_to(&records, 0).len(), 1);
        assert_eq!(up_to(&records, 1).len(), 5);
        assert_eq!(up_to(&records, 2).len(), 6);
        assert_eq!(up_to(&records, 99).len(), 7);
        let mut view = crate::run::view::RunView::default();
        up_to(&records, 2).iter().for_each(|r| view.apply(r));
        assert_eq!(view.steps.iter().map(|s| s.step).collect::<Vec<_>>(), [1, 2]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]
        #[test]
        fn garbage_never_panics_and_every_line_is_accounted_for(
            lines in prop::collection::vec(
                prop_oneof![
                    prop::collection::vec(any::<u8>(), 0..80),
                    Just(b"{\"at_ms\":1,\"event\":\"paused\",\"step\":1}".to_vec()),
                    Just(b"{\"at_ms\":1,\"event\":\"progress\",\"step\":-1}".to_vec()),
                ],
                0..20,
            ),
            max in 1usize..4,
        ) {
            let (_root, folder) = folder();
            let bytes = lines.join(&b'\n');
            fs::write(folder.events(), &bytes).unwrap();
            let mut source = Source::open(&folder).unwrap();
            let mut records = 0;
            loop {
                let before = source.offset;
                records += source.read(max, Duration::MAX).unwrap().len() as u64;
                if source.offset == before {
                    break;
                }
            }
            let whole = bytes.split(|&b| b == b'\n').rev().skip(1).filter(|l| !l.trim_ascii().is_empty()).count();
            prop_assert_eq!(records + source.damaged(), whole as u64);
        }
    }
}
