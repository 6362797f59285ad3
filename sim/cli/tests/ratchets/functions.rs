//! How long functions are, and how much they take.

use crate::Source;
use crate::rust::{Token, TokenKind};

/// A function as the rules see it.
pub(super) struct Function {
    pub(super) path: String,
    pub(super) line: usize,
    pub(super) name: String,
    /// From `fn` to the last brace.
    pub(super) n_lines: usize,
    /// Without `self`.
    pub(super) n_parameters: usize,
}

/// Those of a file that have a body.
pub(super) fn of(file: &Source) -> Vec<Function> {
    let tokens = &file.tokens;
    let starts = (0..tokens.len()).filter(|&at| tokens[at].kind.word() == Some("fn"));
    starts.filter_map(|at| function(file, at)).collect()
}

fn function(file: &Source, at: usize) -> Option<Function> {
    let tokens = &file.tokens;
    // A pointer to a function has no name.
    let name = tokens.get(at + 1)?.kind.word()?.to_owned();
    let open = if is(tokens.get(at + 2)?, '<') { angle(tokens, at + 2)? + 1 } else { at + 2 };
    let close = closing(tokens, open)?;
    let body = (close..tokens.len()).find(|&at| is(&tokens[at], '{') || is(&tokens[at], ';'))?;
    if is(&tokens[body], ';') {
        return None;
    }
    let line = tokens[at].line;
    let n_lines = tokens[closing(tokens, body)?].line - line + 1;
    let n_parameters = parameters(&tokens[open + 1..close]);
    Some(Function { path: file.path.clone(), line, name, n_lines, n_parameters })
}

fn is(token: &Token, mark: char) -> bool {
    token.kind == TokenKind::Mark(mark)
}

/// Where a bracket is closed.
fn closing(tokens: &[Token], open: usize) -> Option<usize> {
    let mut depth = 0;
    for at in open..tokens.len() {
        depth += step(tokens, at);
        if depth == 0 {
            return Some(at);
        }
    }
    None
}

/// What a token does to the depth of brackets.
fn step(tokens: &[Token], at: usize) -> i32 {
    match tokens[at].kind {
        TokenKind::Mark('(' | '[' | '{') => 1,
        TokenKind::Mark(')' | ']' | '}') => -1,
        _ => 0,
    }
}

/// Where what stands in angles ends.
fn angle(tokens: &[Token], open: usize) -> Option<usize> {
    let mut depth = 0;
    for at in open..tokens.len() {
        match tokens[at].kind {
            TokenKind::Mark('<') => depth += 1,
            TokenKind::Mark('>') if !is(&tokens[at - 1], '-') => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(at);
        }
    }
    None
}

/// Parts between commas outside all brackets, `self` not counted.
fn parameters(tokens: &[Token]) -> usize {
    let (mut depth, mut angles, mut n, mut empty) = (0, 0, 0, true);
    for at in 0..tokens.len() {
        depth += step(tokens, at);
        let after_arrow = at > 0 && is(&tokens[at - 1], '-');
        match tokens[at].kind {
            TokenKind::Mark('<') => angles += 1,
            TokenKind::Mark('>') if !after_arrow => angles -= 1,
            TokenKind::Mark(',') if depth == 0 && angles == 0 => {
                empty = true;
                continue;
            }
            _ => {}
        }
        if empty {
            n += 1;
            empty = false;
        }
    }
    let has_self = tokens.iter().take(4).any(|token| token.kind.word() == Some("self"));
    n - usize::from(has_self)
}
