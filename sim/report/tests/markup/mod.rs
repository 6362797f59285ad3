//! What must hold of markup, whatever it shows.

/// Text that breaks whatever does not escape it, in markup, attributes, scripts and terminals.
pub(crate) const NASTY: &str = "<script>alert(\"1\")</script> & 'it' ]]> \u{1b}[31m\u{0}";

/// Nothing in a page or picture leads out of it.
pub(crate) fn assert_no_way_out(text: &str) {
    let rest = text.replace("xmlns=\"http://www.w3.org/2000/svg\"", "");
    for way_out in ["http", "src=", "href=", "@import", "url("] {
        assert!(!rest.contains(way_out), "`{way_out}` in {rest}");
    }
}

/// A page's tags nest, its ids are unique, it has no control characters.
pub(crate) fn assert_page(page: &str) {
    let start = page.find("<html").expect("a page");
    let (head, body) = page[start..].split_once("<style>").expect("a style");
    let (_, body) = body.split_once("</style>").expect("its end");
    let page = format!("{head}{body}");
    let mut open: Vec<&str> = Vec::new();
    let mut ids = Vec::new();
    for tag in page.split('<').skip(1) {
        let (tag, _) = tag.split_once('>').unwrap_or_else(|| panic!("a tag that does not end: {tag}"));
        let name = tag.split([' ', '\n']).next().unwrap_or_default();
        if let Some((_, id)) = tag.split_once(" id=\"") {
            ids.push(id.split('"').next().unwrap_or_default());
        }
        match name.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop(), Some(name), "</{name}> closes another"),
            None if name == "meta" || tag.ends_with('/') => {}
            None => open.push(name),
        }
    }
    assert!(open.is_empty(), "open: {open:?}");
    let n_ids = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), n_ids, "an id twice among {ids:?}");
    assert!(!page.contains(|c: char| c.is_control() && c != '\n'), "a control character");
}

/// A small check of XML: tags nest, attributes are quoted and unique, references are the five known ones, no control
/// characters.
pub(crate) fn well_formed(text: &str) -> Result<(), String> {
    if let Some(c) = text.chars().find(|c| c.is_control() && *c != '\n') {
        return Err(format!("control character {c:?}"));
    }
    let mut open: Vec<&str> = Vec::new();
    let mut n_roots = 0;
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        references(&rest[..at])?;
        let end = rest[at..].find('>').ok_or("a tag that does not end")? + at;
        let tag = &rest[at + 1..end];
        rest = &rest[end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            if open.pop() != Some(name) {
                return Err(format!("</{name}> closes nothing"));
            }
            continue;
        }
        let (tag, is_closed) = tag.strip_suffix('/').map_or((tag, false), |tag| (tag, true));
        let name = tag.split([' ', '\n']).next().unwrap_or("");
        n_roots += u32::from(open.is_empty());
        attributes(&tag[name.len()..])?;
        if !is_closed {
            open.push(name);
        }
    }
    references(rest)?;
    if !open.is_empty() || n_roots != 1 || !rest.trim().is_empty() {
        return Err(format!("{n_roots} roots, open: {open:?}"));
    }
    Ok(())
}

fn attributes(text: &str) -> Result<(), String> {
    let mut names = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (name, after) = rest.split_once("=\"").ok_or_else(|| format!("no attribute: {rest}"))?;
        let (value, after) = after.split_once('"').ok_or_else(|| format!("no end of `{name}`"))?;
        if names.contains(&name) || name.contains(char::is_whitespace) {
            return Err(format!("bad attribute `{name}`"));
        }
        references(value)?;
        names.push(name);
        rest = after.trim_start();
    }
    Ok(())
}

fn references(text: &str) -> Result<(), String> {
    for part in text.split('&').skip(1) {
        let name = part.split_once(';').map_or("", |(name, _)| name);
        if !["lt", "gt", "amp", "quot", "apos"].contains(&name) {
            return Err(format!("bad reference &{part}"));
        }
    }
    Ok(())
}
