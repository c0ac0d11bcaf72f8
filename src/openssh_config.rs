//! OpenSSH's client configuration (ssh_config(5)), read strictly.
//!
//! Text is parsed once, with all that it includes, and looked up for as many hosts as there are: the first value
//! that a host gets wins. What is unknown is an error with its place, as in ssh(1); what OpenSSH knows and
//! vmssh does not have is a note, or an error where leaving it out would make the connection less safe than
//! its owner meant it to be. Reading files and the environment is not done here: what is needed of them is
//! given.

mod algorithm;
mod condition;
mod error;
mod expand;
mod jump;
mod keyword;
mod lex;
mod lookup;
mod parse;
mod print;
mod settings;
mod value;

#[cfg(test)]
mod tests;

pub use algorithm::{AlgorithmList, assemble};
pub use error::{ConfigError, Place};
pub use expand::Local;
pub use jump::Jump;
pub use keyword::Keyword;
pub use lookup::{HostNameUse, Lookup};
pub use parse::{Config, Document, Include};
pub use settings::{AgentSocket, HostConfig, HostKeyChecking, Terminal};
