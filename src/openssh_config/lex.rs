//! Lines cut into a keyword and its arguments, as OpenSSH cuts them (readconf.c, misc.c: strdelim, argv_split).

/// What separates words. OpenSSH has no continuation of lines.
const WHITESPACE: [char; 4] = [' ', '\t', '\r', '\n'];

/// A line that says something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Words<'a> {
    /// As it is written.
    pub(super) keyword: &'a str,
    /// All that stands behind it, for keywords that take a line as it is.
    pub(super) rest: &'a str,
}

/// Cuts off the keyword. `None` for an empty line and for a comment.
pub(super) fn cut(line: &str) -> Option<Words<'_>> {
    let line = line.trim_end_matches(|c| WHITESPACE.contains(&c) || c == '\u{c}');
    let line = line.trim_start_matches(WHITESPACE);
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let end = line.find(|c| WHITESPACE.contains(&c) || c == '=').unwrap_or(line.len());
    let (keyword, rest) = line.split_at(end);
    let rest = rest.trim_start_matches(WHITESPACE);
    // One `=` may stand between a keyword and its value.
    let rest = rest.strip_prefix('=').unwrap_or(rest).trim_start_matches(WHITESPACE);
    // A keyword in quotes is one all the same.
    let bare = keyword.strip_prefix('"').and_then(|keyword| keyword.strip_suffix('"'));
    Some(Words { keyword: bare.unwrap_or(keyword), rest })
}

/// The arguments: separated by blanks, in quotes of either kind, with `\` before a quote, a `\` or a blank; a `#`
/// that begins an argument begins a comment. `None` where a quote is left open.
pub(super) fn arguments(text: &str) -> Option<Vec<String>> {
    let mut arguments = Vec::new();
    let mut chars = text.chars().peekable();
    loop {
        while chars.next_if(|c| matches!(c, ' ' | '\t')).is_some() {}
        match chars.peek() {
            None | Some('#') => return Some(arguments),
            Some(_) => arguments.push(argument(&mut chars)?),
        }
    }
}

fn argument(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<String> {
    let mut argument = String::new();
    let mut quote = None;
    while let Some(c) = chars.next_if(|c| quote.is_some() || !matches!(c, ' ' | '\t')) {
        match (c, quote) {
            ('\\', _) => {
                let escaped = chars.next_if(|c| match c {
                    '\'' | '"' | '\\' => true,
                    ' ' => quote.is_none(),
                    _ => false,
                });
                argument.push(escaped.unwrap_or('\\'));
            }
            ('"' | '\'', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            (c, _) => argument.push(c),
        }
    }
    quote.is_none().then_some(argument)
}
