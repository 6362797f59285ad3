//! A network for the eye: DOT for Graphviz, and a picture any renderer can draw.

mod columns;
mod dot;
mod picture;

pub use dot::Detail;
pub use picture::{Picture, PictureBox, PictureLine};
