//! Exit codes of the program.

use super::event::Status;

/// How the program ends, as a number for scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(i32)]
pub enum Exit {
    /// All steps done.
    Done = 0,
    /// Failed while running.
    Failed = 1,
    /// Wrong command line or configuration; nothing was run.
    Usage = 2,
    /// Done, but an assertion or an alert rule that counts as one failed.
    AssertFailed = 3,
    /// Ended early on request; the run can be resumed (`EX_TEMPFAIL` of sysexits).
    Resumable = 75,
    /// Ended by SIGINT (128 + 2).
    Interrupted = 130,
    /// Ended by SIGTERM (128 + 15).
    Terminated = 143,
}

impl Exit {
    /// All codes, in the order of the manual.
    pub const ALL: [Exit; 7] = [
        Exit::Done,
        Exit::Failed,
        Exit::Usage,
        Exit::AssertFailed,
        Exit::Resumable,
        Exit::Interrupted,
        Exit::Terminated,
    ];

    /// The number.
    pub fn code(self) -> i32 {
        self as i32
    }

    /// The exit of that number, if it is one of ours.
    pub fn from_code(code: i32) -> Option<Exit> {
        Exit::ALL.into_iter().find(|exit| exit.code() == code)
    }

    /// One line of the manual.
    pub fn meaning(self) -> &'static str {
        match self {
            Exit::Done => "all steps done",
            Exit::Failed => "failed while running",
            Exit::Usage => "wrong command line or configuration",
            Exit::AssertFailed => "done, but an assertion failed",
            Exit::Resumable => "stopped early, resumable",
            Exit::Interrupted => "interrupted (SIGINT)",
            Exit::Terminated => "terminated (SIGTERM)",
        }
    }
}

impl From<Status> for Exit {
    fn from(status: Status) -> Exit {
        match status {
            Status::Ok => Exit::Done,
            Status::Stopped | Status::Aborted => Exit::Resumable,
            Status::Failed => Exit::Failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Exit;

    #[test]
    fn codes_are_the_documented_ones() {
        assert_eq!(Exit::ALL.map(Exit::code), [0, 1, 2, 3, 75, 130, 143]);
        assert_eq!(Exit::from_code(75), Some(Exit::Resumable));
        assert_eq!(Exit::from_code(4), None);
    }
}
