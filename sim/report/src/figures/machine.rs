//! A machine in folded form: tiers of boxes, and lines between them.

use topology::{Picture, PictureBox, PictureLine};

use super::Figure;
use super::canvas::{Anchor, Area, Canvas, TEXT, WIDTH, draw, fitted, text_width};
use super::chart::{legend, legend_height};
use super::palette::{Paint, kind};
use crate::error::ReportError;
use crate::format::count;
use crate::timeline::SpanKind;

const LEFT: f64 = 170.0;
const PITCH: f64 = 104.0;
const BOX: f64 = 46.0;

/// Draws a machine, devices of one node side by side, switches above them; each box says how many it stands for.
///
/// # Errors
/// [`ReportError::BadPicture`] for a box outside the grid or a line whose end is no box.
pub fn machine(picture: &Picture) -> Result<Figure, ReportError> {
    let keys = wires(picture.tiers.len());
    let top = legend_height(LEFT, &keys);
    let title = "The machine".to_owned();
    let grid = Grid { top, n_tiers: picture.tiers.len(), n_columns: picture.n_columns };
    check(picture)?;
    let height = top + PITCH * picture.tiers.len().saturating_sub(1) as f64 + BOX + 12.0;
    let svg = draw(&title, height, |canvas| {
        legend(canvas, (LEFT, 0.0), &keys)?;
        for line in &picture.lines {
            let (lower, upper) = (&picture.boxes[line.from], &picture.boxes[line.to]);
            grid.line(canvas, lower, upper, wire(lower.tier))?;
        }
        for (tier, name) in picture.tiers.iter().enumerate() {
            let place = (LEFT - 14.0, grid.y(tier) + BOX / 2.0);
            canvas.text(place, Anchor::End, TEXT, Paint::TEXT, name)?;
            if let Some(words) = bundle(picture, tier) {
                let between = (LEFT - 14.0, grid.y(tier) - (PITCH - BOX) / 2.0);
                canvas.text(between, Anchor::End, TEXT - 1.0, Paint::MUTED, &words)?;
            }
        }
        picture.boxes.iter().try_for_each(|part| grid.part(canvas, part))
    })?;
    Ok(Figure {
        name: "machine".into(),
        narrow: None,
        caption: "The devices of one node side by side, the tiers of switches above them. A box stands for as many as \
                  its number says, over the whole machine. At the left, between tiers: how many wires in all, and the \
                  rate of one in one direction."
            .into(),
        svg,
        title,
    })
}

fn check(picture: &Picture) -> Result<(), ReportError> {
    let is_box = |part: &PictureBox| {
        let end = part.column.checked_add(part.span);
        part.tier < picture.tiers.len() && part.span > 0 && end.is_some_and(|end| end <= picture.n_columns)
    };
    let is_line = |line: &PictureLine| line.from < picture.boxes.len() && line.to < picture.boxes.len();
    let bad = |part: String| Err(ReportError::BadPicture { part });
    if let Some(index) = picture.boxes.iter().position(|part| !is_box(part)) {
        return bad(format!("box {index}"));
    }
    match picture.lines.iter().position(|line| !is_line(line)) {
        Some(index) => bad(format!("line {index}")),
        None => Ok(()),
    }
}

/// What a line is that starts upward from a tier: tiers begin with scale-up switches, devices, NICs.
const fn wire(tier: usize) -> Paint {
    match tier {
        0 => kind(SpanKind::Transfer),
        1 => Paint::Ink(0.35),
        _ => Paint::Ink(0.8),
    }
}

fn wires(n_tiers: usize) -> Vec<(String, Paint)> {
    let names = ["scale-up links", "PCIe", "scale-out links"];
    let keys = names.into_iter().enumerate().take(n_tiers.saturating_sub(1));
    keys.map(|(tier, name)| (name.to_owned(), wire(tier))).collect()
}

/// All wires that lead up from a tier, where they have one rate: `2,048 x 50 GB/s`.
fn bundle(picture: &Picture, tier: usize) -> Option<String> {
    let lines: Vec<&PictureLine> = picture.lines.iter().filter(|line| picture.boxes[line.from].tier == tier).collect();
    let rate = &lines.first()?.label;
    let n_wires: u64 = lines.iter().map(|line| u64::from(line.n_wires)).sum();
    lines.iter().all(|line| line.label == *rate).then(|| format!("{} x {rate}", count(n_wires)))
}

/// Where tiers and columns stand; tier 0 at the bottom.
struct Grid {
    top: f64,
    n_tiers: usize,
    n_columns: u32,
}

impl Grid {
    fn y(&self, tier: usize) -> f64 {
        self.top + PITCH * (self.n_tiers - 1 - tier) as f64
    }

    fn x(&self, column: u32) -> f64 {
        LEFT + (WIDTH - LEFT) * f64::from(column) / f64::from(self.n_columns.max(1))
    }

    /// Straight up, in the middle of the columns that both boxes stand on.
    fn line(
        &self,
        canvas: &mut Canvas<'_>,
        lower: &PictureBox,
        upper: &PictureBox,
        paint: Paint,
    ) -> Result<(), ReportError> {
        let middle = |part: &PictureBox| f64::midpoint(self.x(part.column), self.x(part.column + part.span));
        let (from, to) = (lower.column.max(upper.column), (lower.column + lower.span).min(upper.column + upper.span));
        let (bottom, top) = if from < to {
            let x = f64::midpoint(self.x(from), self.x(to));
            (x, x)
        } else {
            (middle(lower), middle(upper))
        };
        canvas.line((bottom, self.y(lower.tier)), (top, self.y(upper.tier) + BOX), paint, 2.0)
    }

    /// A box with as much of its name as fits, and below it how many it stands for.
    fn part(&self, canvas: &mut Canvas<'_>, part: &PictureBox) -> Result<(), ReportError> {
        let (left, right, top) = (self.x(part.column) + 3.0, self.x(part.column + part.span) - 3.0, self.y(part.tier));
        let area = Area { left, top, width: right - left, height: BOX };
        canvas.fill(area, Paint::IDLE)?;
        canvas.outline(area, Paint::Ink(0.6), 1.0)?;
        let (x, size) = (f64::midpoint(left, right), TEXT - 1.0);
        let room = area.width - 12.0;
        let label = shortened(&part.label, size, room);
        let number = fitted(&format!("x {}", count(part.count.into())), size, room);
        canvas.bold((x, top + BOX * 0.32), Anchor::Middle, size, &fitted(label, size, room))?;
        canvas.text((x, top + BOX * 0.70), Anchor::Middle, size, Paint::MUTED, &number)
    }
}

/// The whole name, its last two words or its last: the tier's name at the left says the rest.
fn shortened(label: &str, size: f64, room: f64) -> &str {
    let starts = label.rmatch_indices(' ').take(2).map(|(at, _)| &label[at + 1..]);
    let mut shorter: Vec<&str> = starts.collect();
    shorter.push(label);
    let fits = |label: &&&str| text_width(label, size) <= room;
    let longest = shorter.iter().filter(fits).max_by_key(|label| label.len());
    longest.copied().unwrap_or(shorter[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture() -> Picture {
        let part = |tier, column, span| PictureBox { label: "a".into(), tier, column, span, count: 3 };
        let line = |from, to| PictureLine { from, to, n_wires: 1000, label: "50 GB/s".into() };
        Picture {
            n_columns: 2,
            tiers: vec!["scale-up switches", "devices"],
            boxes: vec![part(0, 0, 2), part(1, 0, 1), part(1, 1, 1)],
            lines: vec![line(0, 1), line(0, 2)],
        }
    }

    #[test]
    fn wires_between_tiers_are_counted() {
        let svg = machine(&picture()).expect("a picture").svg;
        assert!(svg.contains(">2,000 x 50 GB/s<"), "{svg}");
        assert_eq!(svg.matches(">x 3<").count(), 3);
    }

    #[test]
    fn a_line_to_nowhere_or_a_box_outside_is_an_error() {
        let mut odd = picture();
        odd.lines[1].to = 3;
        assert_eq!(machine(&odd), Err(ReportError::BadPicture { part: "line 1".into() }));
        let mut odd = picture();
        odd.boxes[0].span = 3;
        assert_eq!(machine(&odd), Err(ReportError::BadPicture { part: "box 0".into() }));
    }
}
