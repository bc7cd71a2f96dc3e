//! Breaking Lifeboat on purpose, and judging what it leaves.
//!
//! Owns the world in which that happens ([`world`]) with the stores in it ([`stores`]), the deaths at
//! failpoints ([`deaths`]) and the seeded simulation ([`simulation`]) with its faults ([`fault`]).
//! Does not: decide what a destination holds; the independent `checker` does.

pub mod deaths;
pub mod fault;
pub mod simulation;
pub mod stores;
pub mod world;
