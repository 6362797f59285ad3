//! What proposals do to each other.

use super::Figure;
use super::canvas::{Anchor, Area, TEXT, WIDTH, draw_on, fitted, text_width};
use super::palette::{Paint, ramp};
use super::rows::Sheet;
use crate::error::{ReportError, finite};
use crate::format::percent_signed;
use crate::measure::Measure;
use crate::study::TogetherSummary;
use crate::table::ratio;

/// Width of the whole, and room for names.
const WIDE: (f64, f64) = (WIDTH, 290.0);
const NARROW: (f64, f64) = (Sheet::NARROW.width, 146.0);
/// With more proposals cells on a narrow sheet hold no number.
const N_NARROW: usize = 5;
const TOP: f64 = 34.0;
const CELL_MAX: f64 = 116.0;
const HEIGHT: f64 = 38.0;

/// Pairs of proposals: what both change the measure by beyond the sum of each alone, as a share of the base's. Below zero
/// they help each other, above zero each takes what the other would have saved; on the diagonal, each alone.
///
/// # Errors
/// [`ReportError::NotFinite`].
pub fn matrix(together: &TogetherSummary, base: f64, measure: &Measure) -> Result<Figure, ReportError> {
    finite("together", together)?;
    let title = "Interaction of proposals".to_owned();
    Ok(Figure {
        name: "matrix".into(),
        caption: format!(
            "Below the diagonal: how far two proposals together change the {} beyond the sum of each alone, percent of \
             the base's. Below zero they are complements and help each other; above zero they are substitutes, and the \
             second is worth less beside the first. On the diagonal, framed: each alone.",
            measure.noun
        ),
        svg: paint(WIDE, &title, together, base)?,
        narrow: if together.shares.len() <= N_NARROW { Some(paint(NARROW, &title, together, base)?) } else { None },
        title,
    })
}

fn paint((width, left): (f64, f64), title: &str, together: &TogetherSummary, base: f64) -> Result<String, ReportError> {
    let names: Vec<&str> = together.shares.iter().map(|share| share.proposal.as_str()).collect();
    let n = names.len();
    let cell = ((width - left) / n.max(1) as f64).min(CELL_MAX);
    // Worths are what is saved; a change has the other sign.
    let changes = together.pairs.iter().map(|pair| -ratio(pair.interaction, base));
    let most = changes.fold(0.0_f64, |most, change| most.max(change.abs()));
    let place = |name: &str| names.iter().position(|known| *known == name);
    draw_on((width, TOP + HEIGHT * n as f64 + 6.0), title, |canvas| {
        for (index, share) in together.shares.iter().enumerate() {
            let (x, y) = (left + cell * index as f64, TOP + HEIGHT * index as f64);
            let number = (index + 1).to_string();
            let room = left - 22.0 - text_width(&number, TEXT);
            let name = format!("{}  {number}", fitted(&share.proposal, TEXT, room));
            canvas.text((left - 12.0, y + HEIGHT / 2.0), Anchor::End, TEXT, Paint::TEXT, &name)?;
            canvas.text((x + cell / 2.0, TOP - 14.0), Anchor::Middle, TEXT, Paint::MUTED, &number)?;
            let area = Area { left: x + 1.0, top: y + 1.0, width: cell - 3.0, height: HEIGHT - 3.0 };
            canvas.outline(area, Paint::Ink(0.35), 1.0)?;
            let alone = percent_signed(-ratio(share.alone, base));
            canvas.text((x + cell / 2.0, y + HEIGHT / 2.0), Anchor::Middle, size(&alone, cell), Paint::TEXT, &alone)?;
        }
        for pair in &together.pairs {
            let (Some(a), Some(b)) = (place(&pair.first), place(&pair.second)) else { continue };
            let (x, y) = (left + cell * a.min(b) as f64, TOP + HEIGHT * a.max(b) as f64);
            let change = -ratio(pair.interaction, base);
            let paint = ramp(if most > 0.0 { change / most } else { 0.0 });
            canvas.fill(Area { left: x, top: y, width: cell - 1.5, height: HEIGHT - 1.5 }, paint)?;
            let words = percent_signed(change);
            let middle = (x + cell / 2.0, y + HEIGHT / 2.0);
            canvas.text(middle, Anchor::Middle, size(&words, cell), paint.text_on(), &words)?;
        }
        Ok(())
    })
}

/// The largest size at which a number fits its cell.
fn size(words: &str, cell: f64) -> f64 {
    let fits = |size: &f64| text_width(words, *size) + 6.0 <= cell;
    [TEXT, TEXT - 2.0, TEXT - 4.0].into_iter().find(fits).unwrap_or(TEXT - 6.0)
}
