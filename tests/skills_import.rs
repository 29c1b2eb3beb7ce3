//! Published banks are read whole. The files are not part of this repository.

use std::path::{Path, PathBuf};

use sdlab::skill::Bank;
use sdlab::skill::import::import;

/// The folder of published banks, if it is here.
fn data() -> Option<PathBuf> {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let folder = std::env::var_os("SDLAB_TEST_DATA").map_or(default, PathBuf::from).join("skillbank");
    if !folder.is_dir() {
        eprintln!("skipped: no published skill banks in `{}`", folder.display());
        return None;
    }
    Some(folder)
}

/// What was read is a bank that can be written, and read again.
fn round_trip(bank: &Bank) {
    let files: Vec<(String, String)> = bank.files().into_iter().collect();
    let again = Bank::parse(&files).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(again.len(), bank.len());
}

#[test]
fn skillrl_banks_are_read_whole() {
    let Some(data) = data() else { return };
    let cases = [
        ("alfworld/claude_style_skills.json", 12, 32, 11),
        ("webshop/claude_style_skills.json", 15, 39, 12),
        ("search/claude_style_skills_search.json", 10, 20, 11),
    ];
    for (file, general, specific, mistakes) in cases {
        let bank = import(&data.join("SkillRL").join(file)).unwrap_or_else(|error| panic!("{error}"));
        let count = |category: &str| bank.skills().filter(|(group, _)| group.category == category).count();
        assert_eq!((count("general"), count("mistakes")), (general, mistakes), "{file}");
        assert_eq!(bank.len(), general + specific + mistakes, "{file}");
        round_trip(&bank);
    }
}

#[test]
fn sdar_folders_are_read_whole() {
    let Some(data) = data() else { return };
    for (folder, groups) in [("alfworld", 6), ("webshop", 8), ("search", 5)] {
        let bank = import(&data.join("SDAR").join(folder)).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(bank.groups().len(), groups, "{folder}");
        assert!(bank.groups().iter().all(|group| group.skills.len() >= 4), "{folder}");
        assert!(bank.skills().all(|(_, skill)| skill.when.is_some()), "{folder}: each says when it applies");
        round_trip(&bank);
    }
    let alfworld = import(&data.join("SDAR/alfworld")).unwrap();
    let heat = alfworld.groups().iter().find(|group| group.category == "heat").unwrap();
    assert_eq!(heat.keywords, ["heat", "pick heat then place in recep"]);
}
