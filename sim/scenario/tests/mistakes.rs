//! Bad inputs and what each must say. Every `mistakes/NAME.toml` is loaded; what comes out is `mistakes/NAME.txt`.
//! To write the texts anew: `BLESS=1 cargo test -p scenario --test mistakes`, then read what changed.

use std::fs;
use std::path::{Path, PathBuf};

use scenario::{Library, load};

fn inputs() -> Vec<PathBuf> {
    let entries = fs::read_dir("tests/mistakes").expect("the folder is part of the crate");
    let mut inputs: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    inputs.sort();
    inputs
}

fn message(path: &Path) -> String {
    match load(&path.display().to_string(), &[], &Library::built_in()) {
        Ok(_) => panic!("{} should be refused", path.display()),
        Err(mistakes) => format!("{mistakes}\n"),
    }
}

#[test]
fn every_mistake_says_what_where_and_the_way_out() {
    let mut different = Vec::new();
    for path in inputs() {
        let actual = message(&path);
        let expected = path.with_extension("txt");
        if std::env::var_os("BLESS").is_some() {
            fs::write(&expected, actual).expect("the folder can be written");
        } else if fs::read_to_string(&expected).unwrap_or_default() != actual {
            different.push(format!("{}\n{actual}", path.display()));
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}

#[test]
fn every_mistake_in_a_file_has_its_place() {
    for path in inputs() {
        let Err(mistakes) = load(&path.display().to_string(), &[], &Library::built_in()) else { continue };
        for diagnostic in mistakes.diagnostics() {
            let origin = diagnostic.origin.as_ref().unwrap_or_else(|| panic!("no place: {}", diagnostic.message));
            assert!(origin.line() >= 1 && origin.column() >= 1);
            assert!(origin.span().end <= origin.text().len());
        }
    }
}
