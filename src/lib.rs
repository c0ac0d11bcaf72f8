//! Which public port leads to which instance of an Azure scale set, whether it answers, and what
//! runs behind it.
//!
//! The crate does the work of the `vmssh` program and never touches the process's own standard
//! streams, arguments, environment or exit status: only [`cli`] and [`term`] do. The layers, from
//! the ground up (arrows point down only, `tests/layering.rs` checks it):
//!
//! | layer | modules | what they may do |
//! | --- | --- | --- |
//! | ground | [`natmap`] [`resource`] [`resolver`] [`target`] [`stats`] [`merge`] [`event`] [`fold`] [`forward`] [`console`] [`openssh_config`] [`script`] [`clean`] [`pattern`] [`copy`] | values and rules; no io, no clock, no async |
//! | io | [`azure`] [`net`] [`serve`] [`ssh`] [`term`] [`tree`] | sockets, terminal, files |
//! | app | [`fanout`] [`report`] [`lab`] | what the tool does |
//! | cli | [`cli`] | arguments, configuration, prompts, exit status |
//!
//! ```
//! use vmssh::{natmap::NatMap, target::Target};
//!
//! let target: Target = "20.98.121.11:50000-50003".parse()?;
//! let Target::Range(range) = target else { unreachable!() };
//! let map = NatMap::from_range(&range);
//! let selected = map.select(&"0,2-3".parse()?, None)?;
//! assert_eq!(selected[1].to_string(), "20.98.121.11:50002");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod azure;
pub mod clean;
pub mod cli;
pub mod console;
pub mod copy;
pub mod event;
pub mod fanout;
pub mod fold;
pub mod forward;
pub mod lab;
pub mod merge;
pub mod natmap;
pub mod net;
pub mod openssh_config;
pub mod pattern;
pub mod report;
pub mod resolver;
pub mod resource;
pub mod script;
pub mod serve;
pub mod ssh;
pub mod stats;
pub mod target;
pub mod term;
pub mod tree;
