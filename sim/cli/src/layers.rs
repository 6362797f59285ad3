//! Arguments that many verbs take.

use std::path::PathBuf;

use clap::Args;
use scenario::Library;

use crate::exit::Failure;

#[derive(Debug, Args)]
pub(crate) struct Layers {
    /// Override one value, for example `--set gpu.sms=144` (TOML; quotes around strings are optional)
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) sets: Vec<String>,
    /// Look for presets in this folder first
    #[arg(long = "library", value_name = "DIR")]
    pub(crate) libraries: Vec<PathBuf>,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Output {
    /// Write files to this folder, which must be new, empty, or of the same run
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Show no progress
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

impl Layers {
    /// The folders named, before those that are always there.
    pub(crate) fn library(&self) -> Result<Library, Failure> {
        if let Some(absent) = self.libraries.iter().find(|folder| !folder.is_dir()) {
            let name = absent.display();
            return Err(Failure::absent(format!(
                "there is no folder `{name}`\nhint: `--library` takes a folder of presets"
            )));
        }
        Ok(Library::new(self.libraries.clone()))
    }
}
