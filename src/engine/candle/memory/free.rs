//! How much memory this process may still take.

use std::path::Path;

/// Bytes that can be taken here: what the system has available, or less where a control group (of a container, a batch
/// system, a service) leaves less. `None` where the system does not tell.
pub(super) fn here() -> Option<u64> {
    below(Path::new("/"))
}

/// As [`here`], with the system's files under `root`.
fn below(root: &Path) -> Option<u64> {
    let system = named(&read(&root.join("proc/meminfo")), "MemAvailable:")? << 10;
    let groups = read(&root.join("proc/self/cgroup"));
    let left = groups.lines().filter_map(|line| left_by(root, line)).min();
    Some(left.map_or(system, |left| system.min(left)))
}

/// What a line of `/proc/self/cgroup`, `hierarchy:controllers:group`, leaves. The limits of a group hold for all groups
/// in it. A container may not see the groups it is in: its own is the root of what it sees then.
fn left_by(root: &Path, line: &str) -> Option<u64> {
    let mut fields = line.splitn(3, ':').skip(1);
    let (controllers, group) = (fields.next()?, fields.next()?);
    let version = VERSIONS.iter().find(|version| controllers.split(',').any(|name| name == version.controller))?;
    let mount = root.join(version.mount);
    let groups = Path::new(group.trim_start_matches('/')).ancestors();
    groups.filter_map(|group| version.left_in(&mount.join(group))).min()
}

/// A version of control groups: where its files are, and what they are called.
struct Version {
    controller: &'static str,
    mount: &'static str,
    limit: &'static str,
    used: &'static str,
    /// In `memory.stat`: pages of files, which are given up for whoever asks for memory.
    files: [&'static str; 2],
}

const VERSIONS: [Version; 2] = [
    Version {
        controller: "",
        mount: "sys/fs/cgroup",
        limit: "memory.max",
        used: "memory.current",
        files: ["inactive_file", "active_file"],
    },
    Version {
        controller: "memory",
        mount: "sys/fs/cgroup/memory",
        limit: "memory.limit_in_bytes",
        used: "memory.usage_in_bytes",
        files: ["total_inactive_file", "total_active_file"],
    },
];

impl Version {
    /// `None` for a group without a limit, or none at all.
    fn left_in(&self, group: &Path) -> Option<u64> {
        let number = |name: &str| read(&group.join(name)).trim().parse::<u64>().ok();
        let (limit, used) = (number(self.limit)?, number(self.used)?);
        let stat = read(&group.join("memory.stat"));
        let files: u64 = self.files.iter().filter_map(|name| named(&stat, name)).sum();
        Some(limit.saturating_sub(used.saturating_sub(files)))
    }
}

/// The number behind a name at the start of a line.
fn named(text: &str, name: &str) -> Option<u64> {
    let mut lines = text.lines().map(str::split_whitespace);
    lines.find_map(|mut words| (words.next() == Some(name)).then(|| words.next()?.parse().ok())?)
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is free where `/` holds these files.
    fn free(files: &[(&str, &str)]) -> Option<u64> {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        below(root.path())
    }

    const SYSTEM: (&str, &str) = ("proc/meminfo", "MemTotal: 9000 kB\nMemAvailable: 4000 kB\n");

    #[test]
    fn without_limits_it_is_what_the_system_has() {
        assert_eq!(free(&[]), None);
        assert_eq!(free(&[SYSTEM]), Some(4000 << 10));
        let open = [
            SYSTEM,
            ("proc/self/cgroup", "0::/user\n"),
            ("sys/fs/cgroup/user/memory.max", "max\n"),
            ("sys/fs/cgroup/user/memory.current", "123\n"),
        ];
        assert_eq!(free(&open), Some(4000 << 10));
    }

    #[test]
    fn the_tightest_limit_above_holds_and_pages_of_files_can_be_taken() {
        let nested = [
            SYSTEM,
            ("proc/self/cgroup", "0::/job/step\n"),
            ("sys/fs/cgroup/job/memory.max", "1000000\n"),
            ("sys/fs/cgroup/job/memory.current", "900000\n"),
            ("sys/fs/cgroup/job/memory.stat", "anon 100000\nfile 800000\ninactive_file 500000\nactive_file 200000\n"),
            ("sys/fs/cgroup/job/step/memory.max", "2000000\n"),
            ("sys/fs/cgroup/job/step/memory.current", "900000\n"),
        ];
        assert_eq!(free(&nested), Some(800_000));
    }

    #[test]
    fn a_container_sees_its_own_group_as_the_root() {
        let hidden = [
            SYSTEM,
            ("proc/self/cgroup", "0::/docker/0123\n"),
            ("sys/fs/cgroup/memory.max", "300000\n"),
            ("sys/fs/cgroup/memory.current", "100000\n"),
        ];
        assert_eq!(free(&hidden), Some(200_000));
    }

    #[test]
    fn groups_of_the_first_version_count_too() {
        let first = [
            SYSTEM,
            ("proc/self/cgroup", "5:cpu:/a\n4:memory:/a\n0::/\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
            ("sys/fs/cgroup/memory/memory.usage_in_bytes", "1\n"),
            ("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "500000\n"),
            ("sys/fs/cgroup/memory/a/memory.usage_in_bytes", "450000\n"),
            (
                "sys/fs/cgroup/memory/a/memory.stat",
                "inactive_file 1\ntotal_inactive_file 100000\ntotal_active_file 0\n",
            ),
        ];
        assert_eq!(free(&first), Some(150_000));
    }
}
