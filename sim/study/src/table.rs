//! The answer as one table: a row a point, every knob and every result a column. As CSV and as Parquet.
//!
//! Columns are those that any row has, in the order: who (`name`, `kind`, `digest`, `error`), knobs by their keys, in base units where
//! they have one; words and numbers of the result; intervals over the draws (`.low`, `.high`); what sums lose, where the
//! study compares it; the objective less the base's. What a row lacks is empty.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parquet::basic::{LogicalType, Repetition, Type as PhysicalType};
use parquet::data_type::{ByteArray, ByteArrayType, DoubleType};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::Type;

use crate::answer::{Answer, Base, Difference, PointRow};
use crate::arithmetic::Arithmetic;
use crate::interval::Interval;
use crate::{PointKind, StudyError};

/// The answer as columns of equal length.
#[derive(Clone, Debug, PartialEq)]
pub struct ResultTable {
    columns: Vec<Column>,
    n_rows: usize,
}

#[derive(Clone, Debug, PartialEq)]
struct Column {
    name: String,
    cells: Cells,
}

#[derive(Clone, Debug, PartialEq)]
enum Cells {
    Numbers(Vec<Option<f64>>),
    Text(Vec<Option<String>>),
}

type OfArithmetic = fn(&Arithmetic) -> Option<f64>;

/// Of the base and of proposals that add otherwise.
const ARITHMETIC_COLUMNS: [(&str, OfArithmetic); 5] = [
    ("fraction_bits", |row| Some(f64::from(row.fraction_bits))),
    ("promote", |row| row.promote.map(f64::from)),
    ("relative_error_median", |row| row.relative_error_median),
    ("relative_error_worst", |row| row.relative_error_worst),
    ("bias_worst", |row| row.bias_worst),
];

/// Base and points alike.
struct Line<'a> {
    who: [Option<&'a str>; 4],
    knobs: &'a BTreeMap<String, String>,
    words: &'a BTreeMap<String, String>,
    results: &'a BTreeMap<String, f64>,
    intervals: &'a BTreeMap<String, Interval>,
    difference: Option<&'a Difference>,
    arithmetic: Option<&'a Arithmetic>,
}

impl<'a> Line<'a> {
    fn of_base(base: &'a Base) -> Self {
        Self {
            who: [Some("base"), Some(PointKind::Base.name()), Some(&base.digest), None],
            knobs: &base.knobs,
            words: &base.words,
            results: &base.results,
            intervals: &base.intervals,
            difference: None,
            arithmetic: None,
        }
    }

    fn of_row(row: &'a PointRow) -> Self {
        let digest = Some(row.digest.as_str()).filter(|digest| !digest.is_empty());
        Self {
            who: [Some(&row.name), Some(row.kind.name()), digest, row.error.as_deref()],
            knobs: &row.knobs,
            words: &row.words,
            results: &row.results,
            intervals: &row.intervals,
            difference: row.difference.as_ref(),
            arithmetic: None,
        }
    }
}

impl ResultTable {
    /// The table of an answer, the base first.
    #[must_use]
    pub fn of(answer: &Answer) -> Self {
        let mut lines: Vec<Line<'_>> =
            std::iter::once(Line::of_base(&answer.base)).chain(answer.points.iter().map(Line::of_row)).collect();
        for line in &mut lines {
            line.arithmetic = answer.arithmetic.iter().find(|row| Some(row.name.as_str()) == line.who[0]);
        }
        let mut columns = Vec::new();
        for (index, name) in ["name", "kind", "digest", "error"].into_iter().enumerate() {
            let cells = lines.iter().map(|line| line.who[index].map(str::to_owned)).collect();
            columns.push(Column { name: name.to_owned(), cells: Cells::Text(cells) });
        }
        for key in keys(&lines, |line| line.knobs.keys()) {
            let cells = lines.iter().map(|line| line.knobs.get(key).cloned()).collect();
            columns.push(Column { name: key.clone(), cells: knob(cells) });
        }
        for key in keys(&lines, |line| line.words.keys()) {
            let cells = lines.iter().map(|line| line.words.get(key).cloned()).collect();
            columns.push(Column { name: key.clone(), cells: Cells::Text(cells) });
        }
        let mut numbers = |name: String, of: &dyn Fn(&Line<'_>) -> Option<f64>| {
            columns.push(Column { name, cells: Cells::Numbers(lines.iter().map(of).collect()) });
        };
        for key in keys(&lines, |line| line.results.keys()) {
            numbers(key.clone(), &|line| line.results.get(key).copied());
        }
        for key in keys(&lines, |line| line.intervals.keys()) {
            numbers(format!("{key}.low"), &|line| line.intervals.get(key).map(|interval| interval.low));
            numbers(format!("{key}.high"), &|line| line.intervals.get(key).map(|interval| interval.high));
        }
        if !answer.arithmetic.is_empty() {
            for (name, of) in ARITHMETIC_COLUMNS {
                numbers(format!("arithmetic.{name}"), &|line| line.arithmetic.and_then(of));
            }
        }
        numbers("difference.nominal".to_owned(), &|line| line.difference.map(|difference| difference.nominal));
        numbers("difference.mean".to_owned(), &|line| line.difference.map(|difference| difference.mean));
        numbers("difference.low".to_owned(), &|line| line.difference.and_then(|difference| difference.low));
        numbers("difference.high".to_owned(), &|line| line.difference.and_then(|difference| difference.high));
        let decided = |line: &Line<'_>| line.difference?.decided.map(|decided| decided.to_string());
        let decided = lines.iter().map(decided).collect();
        columns.push(Column { name: "difference.decided".to_owned(), cells: Cells::Text(decided) });
        Self { columns, n_rows: lines.len() }
    }

    /// As CSV: a heading, then a line a row; numbers at full precision, nothing where a row lacks one.
    ///
    /// # Errors
    /// [`StudyError::Fault`]: a table can always be written.
    pub fn csv(&self) -> Result<Vec<u8>, StudyError> {
        let fault = |error: &dyn std::fmt::Display| StudyError::Fault(error.to_string());
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(self.columns.iter().map(|column| &column.name)).map_err(|error| fault(&error))?;
        for row in 0..self.n_rows {
            let cells = self.columns.iter().map(|column| column.cells.text(row));
            writer.write_record(cells).map_err(|error| fault(&error))?;
        }
        writer.into_inner().map_err(|error| fault(&error))
    }

    /// As Parquet: numbers are DOUBLE, text is UTF-8, every column may be null.
    ///
    /// # Errors
    /// [`StudyError::Fault`]: a table can always be written.
    pub fn parquet(&self) -> Result<Vec<u8>, StudyError> {
        self.try_parquet().map_err(|error| StudyError::Fault(error.to_string()))
    }

    fn try_parquet(&self) -> Result<Vec<u8>, ParquetError> {
        let fields = self.columns.iter().map(|column| Ok(Arc::new(column.field()?)));
        let fields = fields.collect::<Result<Vec<_>, ParquetError>>()?;
        let schema = Arc::new(Type::group_type_builder("study").with_fields(fields).build()?);
        // Nothing of the library's version may be in the bytes.
        let properties = WriterProperties::builder().set_created_by("windtunnel".to_owned()).build();
        let mut writer = SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties))?;
        let mut rows = writer.next_row_group()?;
        for column in &self.columns {
            column.cells.write(&mut rows)?;
        }
        rows.close()?;
        writer.into_inner()
    }
}

/// Keys that any line has, sorted.
fn keys<'a, I: Iterator<Item = &'a String>>(
    lines: &'a [Line<'a>],
    of: impl Fn(&'a Line<'a>) -> I,
) -> BTreeSet<&'a String> {
    lines.iter().flat_map(of).collect()
}

/// A knob is a column of numbers if every value of it is one.
fn knob(cells: Vec<Option<String>>) -> Cells {
    let numbers: Option<Vec<Option<f64>>> =
        cells.iter().map(|cell| cell.as_ref().map_or(Some(None), |text| text.parse().ok().map(Some))).collect();
    match numbers {
        Some(numbers) => Cells::Numbers(numbers),
        // Words come in the quotes of a file.
        None => Cells::Text(cells.into_iter().map(|cell| cell.map(|text| text.trim_matches('"').to_owned())).collect()),
    }
}

impl Column {
    fn field(&self) -> Result<Type, ParquetError> {
        let (physical, logical) = match self.cells {
            Cells::Numbers(_) => (PhysicalType::DOUBLE, None),
            Cells::Text(_) => (PhysicalType::BYTE_ARRAY, Some(LogicalType::String)),
        };
        Type::primitive_type_builder(&self.name, physical)
            .with_logical_type(logical)
            .with_repetition(Repetition::OPTIONAL)
            .build()
    }
}

impl Cells {
    fn text(&self, row: usize) -> String {
        match self {
            Self::Numbers(cells) => cells[row].map_or_else(String::new, |number| number.to_string()),
            Self::Text(cells) => cells[row].clone().unwrap_or_default(),
        }
    }

    fn write<W: std::io::Write + Send>(&self, rows: &mut SerializedRowGroupWriter<'_, W>) -> Result<(), ParquetError> {
        let Some(mut column) = rows.next_column()? else {
            return Err(ParquetError::General("a column more than fields".to_owned()));
        };
        // Level 1 is there, level 0 is null.
        match self {
            Self::Numbers(cells) => {
                let levels: Vec<i16> = cells.iter().map(|cell| i16::from(cell.is_some())).collect();
                let values: Vec<f64> = cells.iter().flatten().copied().collect();
                column.typed::<DoubleType>().write_batch(&values, Some(&levels), None)?;
            }
            Self::Text(cells) => {
                let levels: Vec<i16> = cells.iter().map(|cell| i16::from(cell.is_some())).collect();
                let values: Vec<ByteArray> = cells.iter().flatten().map(|text| text.as_str().into()).collect();
                column.typed::<ByteArrayType>().write_batch(&values, Some(&levels), None)?;
            }
        }
        column.close()
    }
}
