//! Azure's documents, read into the typed values of `natmap`.

pub mod saved;
