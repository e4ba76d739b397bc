//! How learning rates change.

/// A rate that falls linearly over so many steps, to the share `least` of what it is at the first.
pub(crate) fn falling(rate: f32, least: f32, step: u64, steps: u64) -> f32 {
    rate * (1.0 - (1.0 - least) * step as f32 / steps as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_falls_from_the_rate_to_its_share() {
        assert_eq!((falling(2.0, 0.25, 0, 8), falling(2.0, 0.25, 8, 8), falling(2.0, 0.25, 4, 8)), (2.0, 0.5, 1.25));
    }
}
