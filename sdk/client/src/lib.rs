//! API.
#![forbid(unsafe_code)]
