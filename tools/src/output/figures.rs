//! Numbers for people.

use kithdb::Drift;

/// A count with its thousands apart: `1,234,567`.
pub(crate) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A size in the largest binary unit it reaches: `1.5 MiB`.
pub(crate) fn bytes(n: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let mut size = n as f64;
    let mut unit = "bytes";
    for larger in units {
        if size < 1024.0 {
            break;
        }
        (size, unit) = (size / 1024.0, larger);
    }
    if unit == "bytes" { format!("{n} bytes") } else { format!("{size:.1} {unit}") }
}

/// A duration: `0.42 s`, `71 s`.
pub(crate) fn seconds(s: f64) -> String {
    if s < 10.0 { format!("{s:.2} s") } else { format!("{s:.0} s") }
}

/// A score of unknown magnitude: four decimals, or four digits where those would be lost.
pub(crate) fn score(s: f32) -> String {
    if s == 0.0 || s.abs() >= 0.1 { format!("{s:.4}") } else { format!("{s:.3e}") }
}

/// How a generation differs from the one before.
pub(crate) fn drift(drift: &Drift) -> String {
    format!(
        "recall@20 of {} held-out interactions: {:.4}, before {:.4}; {:.1} % of the bits and {:.1} % of the nearest items are others",
        count(drift.held_out),
        drift.recall_after,
        drift.recall_before,
        100.0 * drift.bits_flipped,
        100.0 * drift.neighbours_changed
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_stand_apart() {
        let cases = [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (12_345_678, "12,345,678"),
            (u64::MAX, "18,446,744,073,709,551,615"),
        ];
        for (n, text) in cases {
            assert_eq!(count(n), text);
        }
    }

    #[test]
    fn small_scores_keep_their_digits() {
        assert_eq!(
            (score(9.21345).as_str(), score(0.000_512_34).as_str(), score(0.0).as_str()),
            ("9.2135", "5.123e-4", "0.0000")
        );
    }

    #[test]
    fn sizes_have_units() {
        assert_eq!(
            (bytes(1023).as_str(), bytes(1536).as_str(), bytes(5 << 30).as_str()),
            ("1023 bytes", "1.5 KiB", "5.0 GiB")
        );
    }
}
