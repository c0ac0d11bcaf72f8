/// A key that a person has pressed, as far as anything here is done with keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Key {
    /// A character: a letter as it would be written, the space bar.
    Char(char),
    /// A letter with Ctrl held, in lower case.
    Ctrl(char),
    /// Arrow up.
    Up,
    /// Arrow down.
    Down,
    /// A page up.
    PageUp,
    /// A page down.
    PageDown,
    /// To the beginning.
    Home,
    /// To the end.
    End,
    /// Enter or Return.
    Enter,
    /// Esc by itself.
    Escape,
}
