//! SVG pictures of a run, and of a study.
//!
//! One color means one thing in all of them. Text and rules take the color of the page around them, so a picture
//! reads on light and dark; data colors hold on both, and differ in lightness as well as hue for color-blind eyes.

mod before_after;
mod binding;
mod canvas;
mod chart;
mod front;
mod heat;
mod intervals;
mod links;
mod machine;
mod matrix;
mod pair;
mod palette;
mod parity;
mod pipeline;
mod rows;
mod shapley;
mod stacks;
mod tornado;

pub use before_after::before_after;
pub use binding::binding;
pub use front::front;
pub use heat::heat;
pub use intervals::intervals;
pub use links::links;
pub use machine::machine;
pub use matrix::matrix;
pub use pair::pair;
pub use parity::parity;
pub use pipeline::pipeline;
pub use shapley::shapley;
pub use stacks::{memory, phases};
pub use tornado::tornado;

/// A picture with the words that go with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Figure {
    /// Its file's name without `.svg`, also its anchor in a page.
    pub name: String,
    /// What it shows.
    pub title: String,
    /// How to read it.
    pub caption: String,
    /// An `<svg>` element for use within a page, whose text color and background it takes.
    pub svg: String,
    /// The same drawn anew for a sheet as narrow as a phone's, where there is such a drawing.
    pub narrow: Option<String>,
}

impl Figure {
    /// The same picture as a file of its own: it brings a background and follows the viewer's light or dark mode.
    #[must_use]
    pub fn file(&self) -> String {
        let style = "<style>.figure{color:#1c2128;background:#fff}\
                     @media(prefers-color-scheme:dark){.figure{color:#e3e6ea;background:#15181d}}</style>";
        match self.svg.split_once('>') {
            Some((head, body)) => format!("{head}>\n{style}{body}"),
            None => self.svg.clone(),
        }
    }
}
