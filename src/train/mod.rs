//! Training: teachers, students and what they share.
