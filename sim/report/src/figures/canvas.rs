//! A sheet to draw on, over the SVG backend of plotters.

use plotters::backend::{DrawingBackend, SVGBackend};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, FontFamily, FontStyle, IntoFont, RGBColor, ShapeStyle, TextStyle};

use super::palette::Paint;
use crate::error::ReportError;

/// Width of every figure, pixels.
pub(super) const WIDTH: f64 = 1080.0;
/// Size of ordinary text, pixels.
pub(super) const TEXT: f64 = 14.0;

/// The backend counts in whole units; this many make a pixel, so that thin intervals keep their place.
const UNITS: f64 = 8.0;
/// Stands for the page's text color until the drawing is finished.
const INK: RGBColor = RGBColor(1, 2, 3);
/// The backend divides sizes by this.
const FONT_FACTOR: f64 = 1.24;

/// A rectangle, pixels from the upper left corner.
#[derive(Clone, Copy, Debug)]
pub(super) struct Area {
    pub(super) left: f64,
    pub(super) top: f64,
    pub(super) width: f64,
    pub(super) height: f64,
}

/// Which end of a text stands at its place.
#[derive(Clone, Copy, Debug)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// Draws a figure of [`WIDTH`] and this height; `title` is what a screen reader says.
pub(super) fn draw(
    title: &str,
    height: f64,
    paint: impl FnOnce(&mut Canvas<'_>) -> Result<(), ReportError>,
) -> Result<String, ReportError> {
    draw_on((WIDTH, height), title, paint)
}

/// The same on a sheet of another width.
pub(super) fn draw_on(
    (width, height): (f64, f64),
    title: &str,
    paint: impl FnOnce(&mut Canvas<'_>) -> Result<(), ReportError>,
) -> Result<String, ReportError> {
    let mut raw = String::new();
    let size = (units(width) as u32, units(height) as u32);
    let mut canvas = Canvas { backend: SVGBackend::with_string(&mut raw, size) };
    paint(&mut canvas)?;
    canvas.backend.present().map_err(ReportError::library)?;
    drop(canvas);
    Ok(finished(&raw, title, size))
}

/// What is being drawn on. Coordinates are pixels.
pub(super) struct Canvas<'a> {
    backend: SVGBackend<'a>,
}

impl Canvas<'_> {
    /// A filled rectangle; one without area is left out.
    pub(super) fn fill(&mut self, area: Area, paint: Paint) -> Result<(), ReportError> {
        let (from, to) = corners(area);
        if from.0 >= to.0 || from.1 >= to.1 {
            return Ok(());
        }
        let result = self.backend.draw_rect(from, to, &style(paint, 1.0).filled(), true);
        result.map_err(ReportError::library)
    }

    /// The four sides of a rectangle.
    pub(super) fn outline(&mut self, area: Area, paint: Paint, width: f64) -> Result<(), ReportError> {
        let Area { left, top, width: w, height: h } = area;
        let points = [(left, top), (left + w, top), (left + w, top + h), (left, top + h), (left, top)];
        let points = points.map(|(x, y)| (units(x), units(y)));
        let result = self.backend.draw_path(points, &style(paint, width));
        result.map_err(ReportError::library)
    }

    /// A straight line.
    pub(super) fn line(
        &mut self,
        from: (f64, f64),
        to: (f64, f64),
        paint: Paint,
        width: f64,
    ) -> Result<(), ReportError> {
        let ends = [from, to].map(|(x, y)| (units(x), units(y)));
        let result = self.backend.draw_line(ends[0], ends[1], &style(paint, width));
        result.map_err(ReportError::library)
    }

    /// A disk, or where it is hollow its rim on the ground of the page.
    pub(super) fn dot(
        &mut self,
        (x, y): (f64, f64),
        radius: f64,
        paint: Paint,
        is_hollow: bool,
    ) -> Result<(), ReportError> {
        let style = if is_hollow { style(paint, 1.5) } else { style(paint, 1.0).filled() };
        let result = self.backend.draw_circle((units(x), units(y)), units(radius) as u32, &style, !is_hollow);
        result.map_err(ReportError::library)
    }

    /// A line of text, centered on `y`.
    pub(super) fn text(
        &mut self,
        (x, y): (f64, f64),
        anchor: Anchor,
        size: f64,
        paint: Paint,
        text: &str,
    ) -> Result<(), ReportError> {
        self.write((x, y), anchor, size, paint, FontStyle::Normal, text)
    }

    /// The same in bold.
    pub(super) fn bold(&mut self, at: (f64, f64), anchor: Anchor, size: f64, text: &str) -> Result<(), ReportError> {
        self.write(at, anchor, size, Paint::TEXT, FontStyle::Bold, text)
    }

    fn write(
        &mut self,
        (x, y): (f64, f64),
        anchor: Anchor,
        size: f64,
        paint: Paint,
        weight: FontStyle,
        text: &str,
    ) -> Result<(), ReportError> {
        let h_pos = match anchor {
            Anchor::Start => HPos::Left,
            Anchor::Middle => HPos::Center,
            Anchor::End => HPos::Right,
        };
        let (color, alpha) = color(paint);
        let font = (FontFamily::SansSerif, size * UNITS * FONT_FACTOR, weight).into_font();
        let color = color.mix(alpha);
        let style = TextStyle::from(font).color(&color).pos(Pos::new(h_pos, VPos::Center));
        let shown: String = text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
        let result = self.backend.draw_text(&shown, &style, (units(x), units(y)));
        result.map_err(ReportError::library)
    }
}

/// About how wide a text is, on the wide side; there is no font to ask.
pub(super) fn text_width(text: &str, size: f64) -> f64 {
    text.chars().map(|c| size * letter_width(c)).sum()
}

/// Widths of letters in the wider of the common sans-serif fonts, as shares of the size.
const fn letter_width(c: char) -> f64 {
    match c {
        'i' | 'j' | 'l' | '.' | ',' | ':' | ';' | '\'' | '|' => 0.32,
        'f' | 'r' | 't' | ' ' | '-' | '(' | ')' | '/' => 0.39,
        'm' | 'w' | 'M' | 'W' | '%' | '@' => 0.95,
        'A'..='Z' => 0.70,
        _ => 0.61,
    }
}

/// A text cut to about this width, with an ellipsis where something is missing; nothing where not even that fits.
pub(super) fn fitted(text: &str, size: f64, width: f64) -> String {
    if text_width(text, size) <= width {
        return text.to_owned();
    }
    let mut left = width - size;
    let mut short: String = text
        .chars()
        .take_while(|c| {
            left -= size * letter_width(*c);
            left >= 0.0
        })
        .collect();
    if !short.is_empty() {
        short.push('…');
    }
    short
}

fn units(pixels: f64) -> i32 {
    (pixels * UNITS).round() as i32
}

fn corners(area: Area) -> ((i32, i32), (i32, i32)) {
    let to = (units(area.left + area.width), units(area.top + area.height));
    ((units(area.left), units(area.top)), to)
}

fn color(paint: Paint) -> (RGBColor, f64) {
    match paint {
        Paint::Data(color) => (color, 1.0),
        Paint::Ink(alpha) => (INK, alpha),
    }
}

fn style(paint: Paint, width: f64) -> ShapeStyle {
    let (color, alpha) = color(paint);
    ShapeStyle::from(&color.mix(alpha)).stroke_width(units(width).max(1) as u32)
}

/// Gives the drawing its own head, lets ink take the color around it, and drops what is the default anyway. A baseline
/// a third of the size below the middle looks centered, and not every viewer knows `ex`.
fn finished(raw: &str, title: &str, (width, height): (u32, u32)) -> String {
    let body = raw.split_once('\n').map_or("", |(_, body)| body);
    // The backend escapes quotes in texts, so that only attributes match.
    let body = body
        .replace("\"#010203\"", "\"currentColor\"")
        .replace(" opacity=\"1\"", "")
        .replace(" stroke=\"none\"", "")
        .replace(" font-family=\"sans-serif\"", "")
        .replace(" dy=\"0.5ex\"", " dy=\"0.35em\"")
        .replace(">\n", ">")
        .replace("\n</text>", "</text>");
    let mut escaped = String::new();
    for c in title.chars() {
        match c {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '"' => escaped.push_str("&quot;"),
            c if c.is_control() => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    let (shown_width, shown_height) = (f64::from(width) / UNITS, f64::from(height) / UNITS);
    format!(
        "<svg class=\"figure\" role=\"img\" aria-label=\"{escaped}\" width=\"{shown_width}\" height=\"{shown_height}\" \
         viewBox=\"0 0 {width} {height}\" font-family=\"system-ui, sans-serif\" xmlns=\"http://www.w3.org/2000/svg\">{body}"
    )
}
