//! Text to blocks and values, with all that it includes.

use std::sync::Arc;

use super::{
    condition::Condition,
    error::{ConfigError, Place},
    keyword::Keyword,
    lex,
    value::{self, Value},
};

/// So deep may files include others, as in OpenSSH.
const DEPTH: usize = 16;

/// A text, and what it is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// The file as it is to be shown.
    pub file: String,
    /// What it holds.
    pub text: String,
    /// The folder that names of included files are relative to.
    pub folder: String,
}

/// An `Include` that is to be followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Include<'a> {
    /// The pattern of names, as it is written.
    pub pattern: &'a str,
    /// The folder that it is relative to.
    pub folder: &'a str,
}

/// What a line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Line {
    /// A block begins.
    Block(Place, Condition),
    Set(Place, Keyword, Value),
    /// No keyword that is known.
    Unknown(Place, String),
    /// What is included begins: it is in force only where the line that includes it is.
    Enter,
    /// It ends, and the block in which it stands goes on.
    Leave,
    /// A file ends: blocks do not reach over into the next one.
    End,
}

/// A configuration that has been read: what was said on the command line before the files, the user's before the
/// system's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    pub(super) lines: Vec<Line>,
    pub(super) asks_for_final: bool,
}

impl Config {
    /// Reads options of the command line (`-o`), then documents in their order. `include` gives what a pattern of
    /// names stands for, in order of their names; nothing where nothing is there.
    ///
    /// # Errors
    /// With the place of what can't be read.
    pub fn parse(
        options: &[String],
        documents: &[Document],
        include: &mut dyn FnMut(Include<'_>) -> Result<Vec<Document>, String>,
    ) -> Result<Self, ConfigError> {
        let mut reader = Reader { lines: Vec::new(), include };
        let command_line: Arc<str> = Arc::from("-o");
        for (number, option) in options.iter().enumerate() {
            reader.option(&Place { file: command_line.clone(), line: number + 1 }, option)?;
        }
        reader.lines.push(Line::End);
        for document in documents {
            reader.document(document, 0)?;
            reader.lines.push(Line::End);
        }
        let asks_for_final =
            reader.lines.iter().any(|line| matches!(line, Line::Block(_, c) if c.asks_for_final()));
        Ok(Self { lines: reader.lines, asks_for_final })
    }
}

struct Reader<'a> {
    lines: Vec<Line>,
    include: &'a mut dyn FnMut(Include<'_>) -> Result<Vec<Document>, String>,
}

impl Reader<'_> {
    fn option(&mut self, place: &Place, text: &str) -> Result<(), ConfigError> {
        let words = lex::cut(text).ok_or_else(|| ConfigError::new(place, "an empty option"))?;
        let is = |name: &str| words.keyword.eq_ignore_ascii_case(name);
        if text.contains(['\n', '\0']) || is("Host") || is("Match") || is("Include") {
            return Err(ConfigError::new(place, format!("`{text}` is no option of one line"))
                .hint("blocks belong into a file: `-F FILE`"));
        }
        self.set(place, &words)
    }

    fn document(&mut self, document: &Document, depth: usize) -> Result<(), ConfigError> {
        let file: Arc<str> = Arc::from(document.file.as_str());
        for (number, text) in document.text.split('\n').enumerate() {
            let place = Place { file: file.clone(), line: number + 1 };
            if text.contains('\0') {
                return Err(ConfigError::new(&place, "not text: there is a zero byte"));
            }
            let Some(words) = lex::cut(text) else { continue };
            let wrong = |message| ConfigError::new(&place, message);
            if words.keyword.eq_ignore_ascii_case("Host") {
                let condition = Condition::host(words.rest).map_err(wrong)?;
                self.lines.push(Line::Block(place, condition));
            } else if words.keyword.eq_ignore_ascii_case("Match") {
                let condition = Condition::criteria(words.rest).map_err(wrong)?;
                self.lines.push(Line::Block(place, condition));
            } else if words.keyword.eq_ignore_ascii_case("Include") {
                self.follow(&place, words.rest, &document.folder, depth)?;
            } else {
                self.set(&place, &words)?;
            }
        }
        Ok(())
    }

    fn set(&mut self, place: &Place, words: &lex::Words<'_>) -> Result<(), ConfigError> {
        let line = match Keyword::of(words.keyword) {
            None => Line::Unknown(place.clone(), words.keyword.to_owned()),
            Some(keyword) => {
                let value = value::read(keyword, words.rest).map_err(|e| ConfigError::new(place, e))?;
                Line::Set(place.clone(), keyword, value)
            }
        };
        self.lines.push(line);
        Ok(())
    }

    fn follow(&mut self, place: &Place, rest: &str, folder: &str, depth: usize) -> Result<(), ConfigError> {
        let wrong = |message: String| ConfigError::new(place, message);
        let patterns = lex::arguments(rest).filter(|patterns| !patterns.is_empty());
        let patterns = patterns.ok_or_else(|| wrong("Include names no file".into()))?;
        if depth >= DEPTH {
            return Err(wrong(format!("files include each other more than {DEPTH} deep")));
        }
        for pattern in &patterns {
            for document in (self.include)(Include { pattern, folder }).map_err(wrong)? {
                self.lines.push(Line::Enter);
                self.document(&document, depth + 1)?;
                self.lines.push(Line::Leave);
            }
        }
        Ok(())
    }
}
