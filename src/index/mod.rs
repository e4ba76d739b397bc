//! Exact top-k search over layered codes.
