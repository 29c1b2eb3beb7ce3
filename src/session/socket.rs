//! Where a run's control socket lies. Normally `control.sock` in its folder; the path of a Unix socket is limited to
//! about 107 bytes, so for a folder deeper than that it lies in a private folder of this user, and `control.path` in
//! the run's folder says where.

use std::fs::{self, DirBuilder};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

/// File in the run's folder that names a socket elsewhere.
pub(super) const POINTER: &str = "control.path";
const SOCKET: &str = "control.sock";
/// Longest socket path that every Unix accepts (the smallest `sun_path` is 104 bytes with its end).
const LONGEST: usize = 103;

/// Where a trainer of this run is to listen. Makes the private folder where one is needed.
pub(super) fn to_bind(folder: &Path) -> Result<PathBuf> {
    let whole = folder.canonicalize().with_context(|| format!("cannot find the run `{}`", folder.display()))?;
    let inside = whole.join(SOCKET);
    if fits(&inside) {
        return Ok(inside);
    }
    let digest = Sha256::digest(whole.as_os_str().as_bytes());
    let name: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let outside = private_folders().into_iter().map(|folder| folder.join(&name)).find(|path| fits(path));
    let Some(outside) = outside else {
        bail!("no folder has a path short enough for a control socket, set `XDG_RUNTIME_DIR` to one");
    };
    // the name was joined above, so there is a parent
    make_private(outside.parent().unwrap_or(Path::new("/")))?;
    Ok(outside)
}

/// Where a trainer of this run listens if the socket does not lie in the run's folder.
pub fn socket_elsewhere(folder: &Path) -> Option<PathBuf> {
    fs::read_to_string(folder.join(POINTER)).ok().map(|text| PathBuf::from(text.trim_end()))
}

/// Where a trainer of this run listens, if one does.
pub(super) fn to_connect(folder: &Path) -> PathBuf {
    socket_elsewhere(folder).unwrap_or_else(|| folder.canonicalize().unwrap_or_else(|_| folder.to_owned()).join(SOCKET))
}

fn fits(path: &Path) -> bool {
    path.as_os_str().len() <= LONGEST
}

fn private_folders() -> Vec<PathBuf> {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").filter(|dir| !dir.is_empty());
    let user = rustix::process::geteuid().as_raw();
    let temporary = [std::env::temp_dir(), PathBuf::from("/tmp")].map(|dir| dir.join(format!("sdlab-{user}")));
    runtime.map(|dir| PathBuf::from(dir).join("sdlab")).into_iter().chain(temporary).collect()
}

/// Makes a folder that only this user can enter, or checks that an existing one is such a folder: in a shared
/// temporary directory somebody else may have made it first.
fn make_private(folder: &Path) -> Result<()> {
    let _ = DirBuilder::new().mode(0o700).create(folder);
    let facts = fs::symlink_metadata(folder).with_context(|| format!("cannot make `{}`", folder.display()))?;
    let ours = facts.uid() == rustix::process::geteuid().as_raw();
    if !facts.is_dir() || !ours || facts.mode() & 0o077 != 0 {
        bail!("`{}` must be a folder that only this user can enter, remove it", folder.display());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::make_private;

    #[test]
    fn a_folder_that_others_can_enter_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("a");
        make_private(&folder).unwrap();
        assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        assert!(make_private(&folder).unwrap_err().to_string().contains("only this user"));
        let link = root.path().join("link");
        std::os::unix::fs::symlink(root.path(), &link).unwrap();
        assert!(make_private(&link).is_err());
    }
}
