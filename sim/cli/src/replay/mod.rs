//! `replay`: a job that another tool wrote, on a machine of ours.

pub(crate) mod args;

use std::collections::BTreeMap;
use std::path::Path;

use scenario::disk::{self, Content};
use tunnel::replay::{Groups, JobFiles, ReplayQuery};
use workloads::import::simai::{self, Pipeline};

use crate::exit::Failure;
use crate::progress::{Extent, during};
use args::{Format, ReplayArgs};

/// How long the job takes, and what its ranks do meanwhile.
pub(crate) fn replay(args: &ReplayArgs) -> Result<String, Failure> {
    let files = args.files.iter().map(|path| Ok((path.display().to_string(), bytes(path, Content::Job)?)));
    let files: Vec<(String, Vec<u8>)> = files.collect::<Result<_, Failure>>()?;
    let query = ReplayQuery {
        job: job(args, files)?,
        cluster: args.cluster.clone(),
        profiles: args.profile.clone(),
        sets: args.layers.sets.clone(),
        routing: args.routing,
    };
    let library = args.layers.library()?;
    let summary = during("replaying", Extent::Unknown, args.json, || tunnel::replay::replay(&query, &library))?;
    Ok(if args.json { report::summary_json(&summary)? } else { report::terminal(&summary, &[], false) })
}

fn bytes(path: &Path, content: Content) -> Result<Vec<u8>, Failure> {
    disk::read(path, content).map_err(|error| Failure::usage(format!("`{}` cannot be read: {error}", path.display())))
}

/// The files by the tool that wrote them; arguments that are of the other tool are mistakes.
fn job(args: &ReplayArgs, files: Vec<(String, Vec<u8>)>) -> Result<JobFiles, Failure> {
    let text = files.first().and_then(|(_, bytes)| std::str::from_utf8(bytes).ok());
    let is_simai = match args.format {
        Format::Auto => text.is_some_and(simai::is_workload),
        Format::Chakra => false,
        Format::Simai => true,
    };
    if !is_simai {
        if args.one_pipeline_rank {
            return Err(Failure::usage(
                "`--one-pipeline-rank` is of SimAI files\nhint: leave it out for a Chakra trace",
            ));
        }
        let groups = args.groups.as_deref().map(groups).transpose()?.unwrap_or_default();
        return Ok(JobFiles::Chakra { files, groups, n_ranks: args.ranks });
    }
    if args.ranks.is_some() {
        return Err(Failure::usage("`--ranks` is for Chakra traces\nhint: a SimAI file gives its ranks in line 1"));
    }
    if args.groups.is_some() {
        return Err(Failure::usage("`--groups` is for Chakra traces\nhint: a SimAI file gives its degrees in line 1"));
    }
    let [(name, _)] = &files[..] else {
        return Err(Failure::usage(format!("{} files, but a SimAI job is one\nhint: give one file", files.len())));
    };
    let text = text.ok_or_else(|| {
        Failure::usage(format!("`{name}` is no text\nhint: a SimAI workload file is a table of words"))
    })?;
    let pipeline = if args.one_pipeline_rank { Pipeline::OneRank } else { Pipeline::Refuse };
    Ok(JobFiles::Simai { name: name.clone(), text: text.to_owned(), pipeline })
}

fn groups(path: &Path) -> Result<BTreeMap<String, Vec<u32>>, Failure> {
    let Groups(groups) = serde_json::from_slice(&bytes(path, Content::Keys)?).map_err(|error| {
        let name = path.display();
        Failure::usage(format!("`{name}` is no file of groups: {error}\nhint: the form is `{{\"name\": [0, 1]}}`"))
    })?;
    Ok(groups)
}
