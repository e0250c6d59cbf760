//! What a server does while something fails that it stands on: the disk, its threads, descriptors,
//! the clock.
//!
//! Each case injects one fault into the real program and lets it go again. What was acknowledged
//! has to be there after a kill, what was refused has not; reads go on; and `/readyz`, a metric and
//! one line in the log say what does not work.

mod clock;
mod descriptors;
mod disk;
#[cfg(feature = "failpoints")]
mod threads;
mod trial;
