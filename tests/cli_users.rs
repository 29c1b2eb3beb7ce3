//! The control socket answers its owner and nobody else.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use std::thread;

use sdlab::run::RunFolder;
use sdlab::session::{Control, Order, Reply};

/// The user `nobody` of Linux systems.
const NOBODY: u32 = 65534;

fn as_nobody(arguments: &[&str]) -> std::io::Result<Output> {
    Command::new(env!("CARGO_BIN_EXE_sdlab")).args(arguments).current_dir("/").uid(NOBODY).gid(NOBODY).output()
}

fn open_to_all(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn other_users_are_not_answered() {
    if !rustix::process::geteuid().is_root() || !as_nobody(&["--version"]).is_ok_and(|o| o.status.success()) {
        eprintln!("SKIPPED: only root can start the program as another user, and only where that user can read it");
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let folder = RunFolder::create(root.path(), "a").unwrap();
    fs::write(folder.config(), "").unwrap();
    fs::write(folder.events(), "").unwrap();
    let (control, orders) = Control::bind(folder.path(), Arc::default()).unwrap();
    let heard = thread::spawn(move || {
        orders
            .into_iter()
            .map(|Order { reply, .. }| reply(Reply { ok: false, message: "heard".into(), standing: None }))
            .count()
    });
    let path = folder.path().display().to_string();
    let own = Command::new(env!("CARGO_BIN_EXE_sdlab")).args(["ctl", &path, "status"]).output().unwrap();
    assert!(String::from_utf8_lossy(&own.stderr).contains("heard"), "{own:?}");
    // with every door open, the owner of the other end is looked at
    for (door, mode) in [(root.path(), 0o755), (folder.path(), 0o755), (&control.path, 0o666)] {
        let stranger = as_nobody(&["ctl", &path, "abort"]).unwrap();
        let said = String::from_utf8_lossy(&stranger.stderr).into_owned();
        assert!(!stranger.status.success() && !said.contains("heard"), "{said}");
        open_to_all(door, mode);
    }
    let stranger = as_nobody(&["ctl", &path, "abort"]).unwrap();
    assert!(!stranger.status.success() && !String::from_utf8_lossy(&stranger.stderr).contains("heard"), "{stranger:?}");
    drop(control);
    assert_eq!(heard.join().unwrap(), 1, "only the owner was heard");
}
