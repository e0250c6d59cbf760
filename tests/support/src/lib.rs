//! What the tests and benches share: a server under test, event scripts, workloads.
//!
//! Nothing here is shipped. It reads the clock and the disk as it likes; what it generates depends
//! on a seed alone.
