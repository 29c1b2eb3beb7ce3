//! A file of lines that only grows, and only by whole lines.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::error::{Result, RunError};

/// Appends lines; a line that could not be written whole is cut off again.
#[derive(Debug)]
pub(crate) struct LineFile {
    path: PathBuf,
    file: File,
    /// Length of the whole lines on disk, in bytes.
    len: u64,
    /// A failed write may have left part of a line behind `len`.
    dirty: bool,
}

impl LineFile {
    /// Starts an empty file, replacing what is there.
    pub(crate) fn create(path: &Path) -> Result<LineFile> {
        let file = options().open(path).map_err(RunError::io("create", path))?;
        file.set_len(0).map_err(RunError::io("empty", path))?;
        Ok(LineFile { path: path.to_path_buf(), file, len: 0, dirty: false })
    }

    /// Starts a file that must not exist yet.
    pub(crate) fn create_new(path: &Path) -> Result<LineFile> {
        let file = options().create_new(true).open(path).map_err(RunError::io("create", path))?;
        Ok(LineFile { path: path.to_path_buf(), file, len: 0, dirty: false })
    }

    /// Opens a file to append to. A torn last line is cut off and appended to `<name>.torn`; one that only lacks its
    /// line break (`whole` accepts it) gets the break.
    pub(crate) fn open(path: &Path, whole: impl Fn(&[u8]) -> bool) -> Result<LineFile> {
        let mut file = options().open(path).map_err(RunError::io("open", path))?;
        let tail = last_line(&mut file).map_err(RunError::io("read", path))?;
        let len = file.metadata().map_err(RunError::io("read", path))?.len();
        let mut lines = LineFile { path: path.to_path_buf(), file, len: len - tail.len() as u64, dirty: false };
        if tail.is_empty() {
            return Ok(lines);
        }
        if whole(&tail) {
            lines.len = len;
            lines.write(b"\n")?;
            return Ok(lines);
        }
        let torn = path.with_extension("torn");
        let mut aside = options().open(&torn).map_err(RunError::io("open", &torn))?;
        aside.write_all(&tail).and_then(|()| aside.write_all(b"\n")).map_err(RunError::io("write", &torn))?;
        lines.dirty = true;
        lines.mend().map_err(RunError::io("cut the torn last line of", path))?;
        Ok(lines)
    }

    /// Appends one line (without its line break) with a single write.
    ///
    /// # Errors
    /// After an error the file ends with the line before; the next call may be tried as if nothing had happened.
    pub(crate) fn line(&mut self, text: &str) -> Result<()> {
        debug_assert!(!text.contains('\n'), "one line");
        self.write(format!("{text}\n").as_bytes())
    }

    /// Where the file is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Waits until everything written is on the disk.
    pub(crate) fn sync(&self) -> Result<()> {
        self.file.sync_data().map_err(RunError::io("write", &self.path))
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.check_place().map_err(RunError::io("write", &self.path))?;
        let written = self.mend().and_then(|()| self.file.write_all(bytes));
        if let Err(error) = written {
            self.dirty = true;
            // If this fails too (the disk is gone), the next write tries again first.
            let _ = self.mend();
            return Err(RunError::io("write", &self.path)(error));
        }
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// A file that was removed or replaced still takes bytes, and nobody would ever see them.
    fn check_place(&self) -> io::Result<()> {
        let (ours, there) = (self.file.metadata()?, std::fs::metadata(&self.path)?);
        if (ours.dev(), ours.ino()) != (there.dev(), there.ino()) {
            return Err(io::Error::new(io::ErrorKind::NotFound, "another file lies in its place"));
        }
        Ok(())
    }

    fn mend(&mut self) -> io::Result<()> {
        if self.dirty {
            self.file.set_len(self.len)?;
            self.dirty = false;
        }
        Ok(())
    }
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true).mode(0o600);
    options
}

/// Bytes after the last line break.
fn last_line(file: &mut File) -> io::Result<Vec<u8>> {
    const BLOCK: u64 = 64 * 1024;
    let mut start = file.seek(SeekFrom::End(0))?;
    let mut tail = Vec::new();
    while start > 0 {
        let size = start.min(BLOCK);
        start -= size;
        let mut block = vec![0; size as usize];
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(&mut block)?;
        let line_break = block.iter().rposition(|&b| b == b'\n');
        let mut part = block.split_off(line_break.map_or(0, |at| at + 1));
        part.append(&mut tail);
        tail = part;
        if line_break.is_some() {
            break;
        }
    }
    Ok(tail)
}

#[cfg(test)]
mod tests {
    use super::LineFile;
    use std::fs;

    #[test]
    fn torn_tail_is_kept_aside_and_whole_tail_is_completed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.jsonl");
        let long = "x".repeat(200_000);
        fs::write(&path, format!("one\n{long}")).unwrap();
        LineFile::open(&path, |_| false).unwrap().line("two").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\ntwo\n");
        assert_eq!(fs::read_to_string(dir.path().join("events.torn")).unwrap(), format!("{long}\n"));
        fs::write(&path, "one\ntwo").unwrap();
        LineFile::open(&path, |tail| tail == b"two").unwrap().line("three").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\ntwo\nthree\n");
    }

    #[test]
    fn a_removed_file_is_noticed_and_a_restored_one_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let (path, away) = (dir.path().join("events.jsonl"), dir.path().join("away"));
        let mut lines = LineFile::create(&path).unwrap();
        lines.line("one").unwrap();
        fs::rename(&path, &away).unwrap();
        assert!(lines.line("two").unwrap_err().to_string().contains("still there"));
        fs::write(&path, "").unwrap();
        assert!(lines.line("two").unwrap_err().to_string().contains("another file"));
        fs::rename(&away, &path).unwrap();
        lines.line("two").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\ntwo\n");
    }

    #[test]
    fn full_disk_is_an_error_that_says_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.jsonl");
        std::os::unix::fs::symlink("/dev/full", &path).unwrap();
        let mut lines = LineFile::open(&path, |_| true).unwrap();
        let error = lines.line("one").unwrap_err().to_string();
        assert!(error.contains("events.jsonl") && error.contains("free some disk space"), "{error}");
    }
}
