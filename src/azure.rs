//! Azure: documents read into the typed values of `natmap`, sign-in, and questions to the Azure
//! Resource Manager.

pub mod arm;
pub mod cloud;
pub mod credential;
pub mod event;
pub mod profile;
pub mod saved;
mod transport;

#[cfg(test)]
mod tests;
