//! What a page shows from near, which needs further runs: timelines of base and one proposal, and what moves the base.
//!
//! They are made from the base as a file, by a study and by a merge alike. A plan that this file does not bring back to the
//! digit is left out, and so is everything where another build of the program merges: the page never shows two models.

use report::{Measure, Timeline};
use scenario::Library;
use study::{Answer, Change, Entry, Manifest, PointKind, Sensitivity, StudyError, StudyProgress, Tunnel};

use crate::simulator::Simulator;

/// What was found, and what could not be.
pub(super) struct Near {
    pub(super) timelines: Option<Timelines>,
    pub(super) sensitivity: Option<Sensitivity>,
    pub(super) notes: Vec<String>,
}

/// Intervals of two runs.
pub(super) struct Timelines {
    pub(super) proposal: String,
    pub(super) before: Timeline,
    pub(super) after: Timeline,
}

impl Near {
    /// `base` is the path of the base as a file, and `build` the program that runs.
    pub(super) fn new(
        (manifest, answer): (&Manifest, &Answer),
        base: &str,
        build: &str,
        progress: &StudyProgress,
    ) -> Result<Self, StudyError> {
        let mut near = Self { timelines: None, sensitivity: None, notes: Vec::new() };
        if manifest.build != build {
            near.notes.push(
                "another build of the program merged this study, so timelines and sensitivity are left out".to_owned(),
            );
            return Ok(near);
        }
        let library = Library::built_in();
        let measure = manifest.objective.as_deref().and_then(Measure::of);
        let runs = Runs { manifest, tunnel: Simulator::new(&library, base).judging(measure.as_ref()) };
        match runs.timelines(answer) {
            Ok(Some((timelines, notes))) => {
                near.timelines = Some(timelines);
                near.notes.extend(notes.into_iter().map(|note| format!("the base: {note}")));
            }
            Ok(None) if manifest.proposals.is_empty() => {}
            Ok(None) => near.notes.push("no proposal is decided to save time, so there are no timelines".to_owned()),
            Err(why) => near.notes.push(format!("timelines are left out: {why}")),
        }
        if manifest.sensitivity {
            match runs.same(&manifest.points[0]) {
                Ok(_) => near.sensitivity = Some(study::sensitivity(&runs.tunnel, progress)?),
                Err(why) => near.notes.push(format!("the sensitivity of the base is left out: {why}")),
            }
        }
        Ok(near)
    }
}

struct Runs<'a> {
    manifest: &'a Manifest,
    tunnel: Simulator<'a>,
}

impl Runs<'_> {
    /// With what a reader must know of the base; none where no proposal surely saves anything.
    fn timelines(&self, answer: &Answer) -> Result<Option<(Timelines, Vec<String>)>, String> {
        let Some(chosen) = self.chosen(answer) else { return Ok(None) };
        let record = |entry: &Entry| self.tunnel.record(&self.same(entry)?.plan).map_err(|error| error.to_string());
        let (before, notes) = record(&self.manifest.points[0])?;
        let (after, _) = record(chosen)?;
        if before.lanes.is_empty() || after.lanes.is_empty() {
            return Err("the base records no rank (`policy.record`)".to_owned());
        }
        Ok(Some((Timelines { proposal: chosen.point.name.clone(), before, after }, notes)))
    }

    /// The proposal that the study names, or the one that surely saves most; without draws, the one that saves most.
    fn chosen(&self, answer: &Answer) -> Option<&Entry> {
        let saves = answer.points.iter().filter(|row| row.kind == PointKind::Proposal).filter_map(|row| {
            let difference = row.difference.as_ref()?;
            let is_sure = difference.decided != Some(false) && difference.share < 0.0;
            is_sure.then_some((row.name.as_str(), difference.share))
        });
        let best = saves.min_by(|a, b| a.1.total_cmp(&b.1)).map(|(name, _)| name);
        let name = self.manifest.timeline.as_deref().or(best)?;
        let is_chosen = |entry: &&Entry| entry.point.kind == PointKind::Proposal && entry.point.name == name;
        self.manifest.points.iter().find(is_chosen)
    }

    /// A point's plan, from the base as a file: the same as when the study began, or why not.
    fn same(&self, entry: &Entry) -> Result<scenario::Loaded, String> {
        let sets: Vec<String> = entry.point.patch.iter().map(Change::set).collect();
        let name = &entry.point.name;
        let loaded = self.tunnel.load(&sets).map_err(|mistakes| {
            let first = mistakes.diagnostics().first().map(|mistake| mistake.message.clone()).unwrap_or_default();
            format!("`base.toml` does not bring back `{name}`: {first}")
        })?;
        let is_same = scenario::digest(&loaded) == entry.digest;
        if is_same { Ok(loaded) } else { Err(format!("`base.toml` brings back another plan of `{name}`")) }
    }
}
