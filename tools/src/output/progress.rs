//! Progress bars: on stderr, and only where that is a terminal; elsewhere they draw nothing.

use std::fmt::Write;
use std::time::Duration;

use indicatif::{HumanDuration, ProgressBar, ProgressState, ProgressStyle};

/// A bar over `total` bytes of input; a spinner where the size is not known.
pub(crate) fn bytes_bar(total: Option<u64>) -> ProgressBar {
    match total {
        Some(total) => styled(ProgressBar::new(total), "{msg:12} {wide_bar} {bytes}/{total_bytes} {eta}"),
        None => styled(ProgressBar::new_spinner(), "{msg:12} {spinner} {bytes} {elapsed}"),
    }
}

/// A bar over the steps of phases that follow each other.
pub(crate) fn steps_bar() -> ProgressBar {
    styled(ProgressBar::new(0), "{msg:12} {wide_bar} {pos}/{len} {elapsed}")
}

/// A bar over about so many seconds of work, whatever its phases.
pub(crate) fn time_bar(seconds: f64) -> ProgressBar {
    let bar = ProgressBar::new((1e3 * seconds).max(1.0) as u64);
    styled(bar, "{msg:20} {wide_bar} {percent} % {elapsed}, {left}")
}

/// How long a bar of time still takes; the end of one that takes longer than it should is told by no number.
fn left(state: &ProgressState, out: &mut dyn Write) {
    let seconds = state.eta();
    // A bar that cannot be written is nobody's loss.
    let _ = match seconds.as_secs() {
        0 => out.write_str("soon done"),
        _ => write!(out, "{} left", HumanDuration(seconds)),
    };
}

/// A spinner over work of no known size.
pub(crate) fn spinner() -> ProgressBar {
    let bar = styled(ProgressBar::new_spinner(), "{msg:12} {spinner} {elapsed}").with_message("copy");
    bar.enable_steady_tick(TICK);
    bar
}

/// How often a spinner moves by itself.
const TICK: Duration = Duration::from_millis(100);

fn styled(bar: ProgressBar, template: &str) -> ProgressBar {
    // A template that does not parse costs the style, not the work.
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style.with_key("left", left)),
        Err(_) => bar,
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn templates_parse() {
        for template in [
            "{msg:12} {wide_bar} {bytes}/{total_bytes} {eta}",
            "{msg:12} {spinner} {bytes} {elapsed}",
            "{msg:20} {wide_bar} {percent} % {elapsed}, {left}",
        ] {
            assert!(indicatif::ProgressStyle::with_template(template).is_ok());
        }
    }
}
