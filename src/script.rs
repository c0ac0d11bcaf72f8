//! Remote shell text: the only place that writes any.

use thiserror::Error;

/// A command can't be written as shell text.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CommandError {
    /// No word was given.
    #[error("there is no command to run")]
    Empty,
    /// A NUL byte ends every argument early; no shell can pass one on.
    #[error("the command has a NUL byte in it")]
    Nul,
}

/// The command line for the instance's shell.
///
/// One word is shell text and goes as it is: `'df -h | tail -1'`. Several words are an argument
/// vector, quoted so that the program gets exactly these: `grep 'a b' file`.
///
/// # Errors
/// When there is no word, or one has a NUL byte.
pub fn command_line(words: &[String]) -> Result<String, CommandError> {
    match words {
        [] => Err(CommandError::Empty),
        [text] if text.trim().is_empty() => Err(CommandError::Empty),
        [text] if text.contains('\0') => Err(CommandError::Nul),
        [text] => Ok(text.clone()),
        words => shlex::try_join(words.iter().map(String::as_str)).map_err(|_| CommandError::Nul),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_word_is_shell_text_and_several_are_arguments() {
        let line = |words: &[&str]| command_line(&words.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(line(&["df -h | tail -1"]), Ok("df -h | tail -1".into()));
        assert_eq!(line(&["echo", "a b", "$HOME", "it's"]), Ok("echo 'a b' '$HOME' \"it's\"".into()));
        assert_eq!(line(&[]), Err(CommandError::Empty));
        assert_eq!(line(&[" "]), Err(CommandError::Empty));
        assert_eq!(line(&["a\0b"]), Err(CommandError::Nul));
        assert_eq!(line(&["a", "b\0"]), Err(CommandError::Nul));
    }
}
