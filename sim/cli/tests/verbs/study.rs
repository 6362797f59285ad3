//! `study`, where its files come from.

use std::fs;

use crate::windtunnel;

#[test]
fn studies_and_proposals_are_inside_the_program() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("s.toml");
    fs::write(&path, "base = \"tiny-moe\"\ndraws = 0\nproposals = [\"full-nvlink\"]\n").expect("written");
    let alone = |args: &[&str]| windtunnel(args).current_dir(folder.path()).assert();
    let output = alone(&["study", "s.toml", "--quiet"]).success().get_output().stdout.clone();
    assert!(String::from_utf8_lossy(&output).contains("full-nvlink"));
    let refused = alone(&["study", "wish-lis"]).code(2).get_output().stderr.clone();
    assert!(String::from_utf8_lossy(&refused).contains("did you mean `wish-list`?"));
    fs::write(&path, "base = \"tiny-moe\"\nproposals = [\"full-nvlinc\"]\n").expect("written");
    let refused = alone(&["study", "s.toml"]).code(2).get_output().stderr.clone();
    let text = String::from_utf8_lossy(&refused);
    assert!(text.contains("s.toml: ") && text.contains("did you mean `full-nvlink`?"), "{text}");
}
