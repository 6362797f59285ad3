//! Whatever a file or an argument holds, loading ends with a plan or with messages that can be shown, never a panic.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use proptest::prelude::*;
use scenario::{Library, Sources, canonical_text, load, plan_toml};

/// Files by path, in memory.
#[derive(Clone, Default)]
struct Memory(Arc<Vec<(PathBuf, String)>>);

impl Sources for Memory {
    fn read(&self, path: &Path) -> io::Result<Option<String>> {
        Ok(self.0.iter().find(|(name, _)| name == path).map(|(_, text)| text.clone()))
    }

    fn entries(&self, folder: &Path) -> Vec<String> {
        let inside = self.0.iter().filter(|(name, _)| name.parent() == Some(folder));
        inside.filter_map(|(name, _)| Some(name.file_name()?.to_str()?.to_owned())).collect()
    }
}

/// A library in which one file is as given and the rest is compiled in.
fn with(path: &str, text: &str) -> Library {
    let files = Memory(Arc::new(vec![(Path::new("lib").join(path), text.to_owned())]));
    Library::with_sources(vec![PathBuf::from("lib")], Box::new(files))
}

fn survives(library: &Library, sets: &[String]) {
    match load("tiny-moe", sets, library) {
        Ok(loaded) => {
            plan_toml(&loaded);
            canonical_text(&loaded);
        }
        Err(mistakes) => {
            assert!(!mistakes.diagnostics().is_empty());
            mistakes.render(false);
            mistakes.render(true);
        }
    }
}

const FILES: [(&str, &str); 6] = [
    ("train/tiny-moe.toml", include_str!("../../../scenarios/train/tiny-moe.toml")),
    ("hardware/h800-sxm5.toml", include_str!("../../../scenarios/hardware/h800-sxm5.toml")),
    ("fabrics/mpft-8-plane.toml", include_str!("../../../scenarios/fabrics/mpft-8-plane.toml")),
    ("models/deepseek-v3.toml", include_str!("../../../scenarios/models/deepseek-v3.toml")),
    ("profiles/h800-published.toml", include_str!("../../../scenarios/profiles/h800-published.toml")),
    ("defaults/train.toml", include_str!("../../../scenarios/defaults/train.toml")),
];

/// Pieces that break a file in the ways people and editors do.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        Just("\n".to_owned()),
        Just("\r\n".to_owned()),
        Just("\"".to_owned()),
        Just("[[".to_owned()),
        Just("]".to_owned()),
        Just(" = ".to_owned()),
        Just("{}".to_owned()),
        Just("99999999999999999999".to_owned()),
        Just("-1".to_owned()),
        Just("0".to_owned()),
        Just("nan".to_owned()),
        Just("4294967295".to_owned()),
        Just("\"auto\"".to_owned()),
        Just("é漢\u{1f600}\u{0}\u{feff}".to_owned()),
        any::<String>(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_file_with_a_piece_replaced(which in 0..FILES.len(), at in 0.0..1.0, length in 0usize..30, piece in piece()) {
        let (path, text) = FILES[which];
        let start = text.floor_char_boundary((at * text.len() as f64) as usize);
        let end = text.ceil_char_boundary((start + length).min(text.len()));
        survives(&with(path, &format!("{}{piece}{}", &text[..start], &text[end..])), &[]);
    }

    #[test]
    fn a_file_of_any_text(which in 0..FILES.len(), text in any::<String>()) {
        survives(&with(FILES[which].0, &text), &[]);
    }

    #[test]
    fn any_argument(argument in any::<String>(), key in 0usize..400, value in piece()) {
        let library = Library::built_in();
        let keys = load("tiny-moe", &[], &library).expect("the preset loads").leaves;
        let aimed = format!("{}={value}", keys[key % keys.len()].key);
        survives(&library, &[argument, aimed.clone()]);
        survives(&library, &[aimed]);
    }
}

#[test]
fn every_leaf_survives_every_kind_of_value() {
    let library = Library::built_in();
    let keys = load("tiny-moe", &[], &library).expect("the preset loads").leaves;
    let values = ["0", "1", "-1", "4294967295", "9223372036854775807", "1e308", "inf", "nan", "\"\"", "[]", "[1]", "{}", "true", "auto", "none", "0 B/s", "1e300 Hz"];
    for leaf in keys {
        for value in values {
            survives(&library, &[format!("{}={value}", leaf.key)]);
        }
    }
}
