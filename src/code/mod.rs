//! Layered binary codes.
