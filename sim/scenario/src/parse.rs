//! TOML text into nodes with origins.

use std::ops::Range;
use std::sync::Arc;

use toml::de::{DeTable, DeValue};

use crate::diagnostic::Diagnostic;
use crate::origin::{Origin, Place, Source};
use crate::tree::{N_PARTS_MAX, Node, Table, Value, join, lay_over};

/// Parses a file. `None` where it is no TOML; every error in it is a mistake.
pub(crate) fn file(source: &Arc<Source>, mistakes: &mut Vec<Diagnostic>) -> Option<Table> {
    let (document, errors) = DeTable::parse_recoverable(&source.text);
    let broken = !errors.is_empty();
    for error in errors {
        let place = within_line(&source.text, error.span().unwrap_or(0..0));
        let message = format!("not TOML: {}", one_line(error.message()));
        mistakes.push(Diagnostic::error(message).at(&Origin::new(source, place)));
    }
    (!broken).then(|| table(document.get_ref(), source, "", mistakes))
}

/// An error may stand at the end of a line or of the text; what is before it shows where.
fn within_line(text: &str, span: Range<usize>) -> Range<usize> {
    let start = span.start.min(text.len());
    let end = span.end.clamp(start, text.len());
    let line_end =
        text.as_bytes()[start..].iter().position(|byte| *byte == b'\n').map_or(text.len(), |length| start + length);
    let end = end.min(line_end);
    if start < end { start..end } else { start.saturating_sub(1)..start }
}

/// Parses the argument of `--set`: a dotted key, `=`, a value. Text that is no TOML value is a string.
pub(crate) fn argument(text: &str) -> Result<(String, Node), Diagnostic> {
    let source = Arc::new(Source { name: "--set".to_owned(), text: text.to_owned(), place: Place::Argument });
    let whole = Origin::new(&source, 0..text.len());
    let Some((key, value)) = text.split_once('=') else {
        return Err(Diagnostic::error(format!("`--set {text}` has no `=`"))
            .at(&whole)
            .hint("write `--set dotted.key=value`, for example `--set gpu.sms=160`"));
    };
    let offset = text.len() - value.trim_start().len();
    let written = value.trim();
    let mut mistakes = Vec::new();
    let parsed = match DeValue::parse(written) {
        Ok(parsed) => convert(parsed.get_ref(), &source, "", &mut mistakes).filter(|_| mistakes.is_empty()),
        Err(_) => None,
    };
    let value = parsed.unwrap_or_else(|| Value::String(written.to_owned()));
    let origin = Origin::new(&source, offset..offset + written.len());
    let origin = if origin.span().is_empty() { whole } else { origin };
    Ok((key.trim().to_owned(), Node { value, origin, key: 0..key.len() }))
}

fn table(parsed: &DeTable<'_>, source: &Arc<Source>, prefix: &str, mistakes: &mut Vec<Diagnostic>) -> Table {
    let mut table = Table::new();
    for (key, value) in parsed {
        let path = join(prefix, key.get_ref());
        let origin = Origin::new(source, key.span());
        let Some(converted) = convert(value.get_ref(), source, &path, mistakes) else {
            mistakes.push(
                Diagnostic::error(format!("`{path}` does not fit in 64 bits")).at(&Origin::new(source, value.span())),
            );
            continue;
        };
        let origin = if matches!(converted, Value::Table(_)) { origin } else { Origin::new(source, value.span()) };
        let node = Node { value: converted, origin, key: key.span() };
        if path.split('.').count() > N_PARTS_MAX {
            let message = format!("a key of more than {N_PARTS_MAX} parts, separated by dots");
            mistakes.push(Diagnostic::error(message).at(&node.key_origin()));
            continue;
        }
        insert(&mut table, key.get_ref(), node, prefix, mistakes);
    }
    table
}

/// A quoted key with dots means the same as the bare one.
fn insert(table: &mut Table, key: &str, node: Node, prefix: &str, mistakes: &mut Vec<Diagnostic>) {
    let Some((first, rest)) = key.split_once('.') else {
        if let Some(other) = table.get(key)
            && (other.as_table().is_none() || node.as_table().is_none())
        {
            mistakes
                .push(Diagnostic::error(format!("`{}` is written twice", join(prefix, key))).at(&node.key_origin()));
            return;
        }
        lay_over(table, Table::from([(key.to_owned(), node)]), prefix, mistakes);
        return;
    };
    let shell = Node { value: Value::Table(Table::new()), origin: node.key_origin(), key: node.key.clone() };
    let outer = table.entry(first.to_owned()).or_insert(shell);
    match &mut outer.value {
        Value::Table(inner) => insert(inner, rest, node, &join(prefix, first), mistakes),
        _ => mistakes.push(
            Diagnostic::error(format!("`{}` is one value, not a table", join(prefix, first))).at(&node.key_origin()),
        ),
    }
}

/// `None` where a number is out of range.
fn convert(value: &DeValue<'_>, source: &Arc<Source>, path: &str, mistakes: &mut Vec<Diagnostic>) -> Option<Value> {
    Some(match value {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Integer(number) => Value::Integer(i64::from_str_radix(number.as_str(), number.radix()).ok()?),
        DeValue::Float(number) => Value::Float(number.as_str().parse().ok()?),
        DeValue::Boolean(flag) => Value::Boolean(*flag),
        DeValue::Datetime(moment) => Value::Datetime(moment.to_string()),
        DeValue::Array(items) => {
            let mut nodes = Vec::with_capacity(items.len());
            for item in items.iter() {
                let value = convert(item.get_ref(), source, path, mistakes)?;
                nodes.push(Node { value, origin: Origin::new(source, item.span()), key: item.span() });
            }
            Value::Array(nodes)
        }
        DeValue::Table(inner) => Value::Table(table(inner, source, path, mistakes)),
    })
}

fn one_line(message: &str) -> String {
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}
