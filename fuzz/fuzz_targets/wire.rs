//! The target `wire`: what it promises, and its body, are in `scrollback_test_support::fuzz`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| scrollback_test_support::fuzz::wire(data));
