//! Weighted popcount over layered codes.
