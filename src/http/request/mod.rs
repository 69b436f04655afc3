//! Reading requests: each part of one is read once, within bounds, and everything that is wrong with it is told at once.
//!
//! A [`body`] is read whole, unless it is a [`form`] that brings a file, which goes on to Gladia as it arrives. How far JSON goes is
//! seen before it is parsed ([`extent`]); then its [`fields`] are taken one by one, and so are the parameters of a [`query`], among
//! them those that say which [`page`] of a list is asked for. What a path names is an id ([`id_path`]). Headers that have parts in
//! quotes are split by [`quoted`], and what somebody calls a file becomes a bare name ([`file_name`]).

pub mod body;
pub(super) mod extent;
pub mod fields;
pub(super) mod file_name;
pub mod form;
pub mod id_path;
pub mod page;
pub mod query;
pub(super) mod quoted;
