//! The summary as JSON.

use crate::error::{ReportError, finite};
use crate::summary::Summary;

/// Pretty JSON of a summary, keys in the order of its fields, a newline at the end; equal summaries give equal bytes.
///
/// # Errors
/// [`ReportError::NotFinite`] with the path of a number that JSON cannot hold.
pub fn summary_json(summary: &Summary) -> Result<String, ReportError> {
    finite("", summary)?;
    let mut text = serde_json::to_string_pretty(summary).map_err(ReportError::library)?;
    text.push('\n');
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phases::{Phase, Phases};
    use crate::summary::Common;

    #[test]
    fn a_number_that_is_not_finite_is_an_error_with_its_path() {
        let odd = Phases(vec![Phase { name: "bubble", kind: None, seconds: f64::NAN }]);
        let common = Common { phases_by_rank: vec![Phases::default(), odd], ..Common::default() };
        let summary = Summary { common, ..Summary::default() };
        let error = summary_json(&summary).expect_err("NaN");
        assert_eq!(error, ReportError::NotFinite { path: "phases_by_rank[1].bubble".into() });
    }

    #[test]
    fn keys_stand_in_the_order_of_the_fields_on_one_level() {
        let text = summary_json(&Summary::default()).expect("finite");
        assert!(text.starts_with("{\n  \"schema_version\": 1,"), "{text}");
        assert!(!text.contains("\"common\"") && !text.contains("\"result\""), "{text}");
        let name = text.find("\"name\"").expect("name");
        let step = text.find("\"step_seconds\"").expect("step");
        assert!(name < step && text.ends_with("}\n"));
    }
}
