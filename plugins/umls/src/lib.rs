//! Links mentions in clinical text to concepts of the UMLS, or of a dictionary of the hospital's own.
//!
//! [`build`] makes an index from a release; [`index`] maps it; [`linker`] is the sieve; [`eval`] measures it on gold.
//! [`run`] is the program `mednerd-umls`.
#![deny(unsafe_code)]

pub mod build;
mod cli;
pub mod codings;
mod error;
pub mod eval;
pub mod index;
pub mod linker;
mod local;
mod output;
mod terms;
pub mod text;

pub use cli::{Exit, run};
pub use error::{Damage, Error};
