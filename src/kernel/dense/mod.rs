//! Dense float loops of training.
