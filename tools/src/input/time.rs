//! Times as files have them: numbers since 1970, dates, moments of ISO 8601.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::columns::shortened;

/// What a number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum TimeUnit {
    /// Seconds since 1970.
    S,
    /// Milliseconds since 1970.
    Ms,
    /// Microseconds since 1970.
    Us,
    /// Nanoseconds since 1970.
    Ns,
}

/// 1990 and 2100, in milliseconds: what an interaction's time is expected to be between.
const PLAUSIBLE: std::ops::Range<i64> = 631_152_000_000..4_102_444_800_000;
/// From here on a number counts milliseconds: the 3rd of March 1973, or the year 5138 in seconds.
const FIRST_MILLISECOND: u64 = 100_000_000_000;
const FIRST_MICROSECOND: u64 = FIRST_MILLISECOND * 1000;
const FIRST_NANOSECOND: u64 = FIRST_MICROSECOND * 1000;

/// How the times of a column are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Times {
    /// What numbers count; by their size where it is `None`.
    pub(super) unit: Option<TimeUnit>,
    /// Whether eight digits are a date, `20240115`, where they can be one.
    pub(super) dates: bool,
    /// Whether numbers of the column count microseconds or less, or not all of them the same.
    pub(super) unusual: bool,
}

impl Times {
    /// How to read a column of which these are some: eight digits are dates where each number of the column is one or a moment since 1990, so that
    /// none of them is a small number of seconds.
    pub(super) fn of<'a>(unit: Option<TimeUnit>, some: impl Iterator<Item = &'a str>) -> Self {
        let (mut dates, mut others, mut sizes) = (0, 0, [false; 4]);
        for text in some {
            let Ok(number) = text.trim().parse::<i64>() else { continue };
            match date(number) {
                Some(_) => dates += 1,
                None => others += usize::from(!is_plausible(by_size(number))),
            }
            if is_plausible(by_size(number)) {
                let size = number.unsigned_abs();
                let firsts = [FIRST_MILLISECOND, FIRST_MICROSECOND, FIRST_NANOSECOND];
                let unit = firsts.into_iter().filter(|&first| size >= first).count();
                sizes[unit] = true;
            }
        }
        let [s, ms, us, ns] = sizes;
        let unusual = us || ns || (s && ms);
        Self { unit, dates: unit.is_none() && dates > 0 && others == 0, unusual: unit.is_none() && unusual }
    }

    /// Milliseconds since 1970; an empty cell is no time. The error is a reason.
    pub(super) fn read(self, text: &str) -> Result<Option<i64>, String> {
        let text = text.trim();
        if text.is_empty() {
            return Ok(None);
        }
        if let Ok(number) = text.parse::<i64>() {
            // What NumPy and pandas write for a time that is none.
            if number == i64::MIN {
                return Err(format!("the time {number} is none: -2^63 stands for a missing one"));
            }
            if let Some(moment) = Some(number).filter(|_| self.dates).and_then(date) {
                return Ok(Some(moment));
            }
            return Ok(Some(match self.unit {
                None => digits_of_a_moment(number).unwrap_or_else(|| by_size(number)),
                Some(TimeUnit::S) => number.checked_mul(1000).ok_or_else(|| out_of_range(text))?,
                Some(TimeUnit::Ms) => number,
                Some(TimeUnit::Us) => number / 1000,
                Some(TimeUnit::Ns) => number / 1_000_000,
            }));
        }
        if let Ok(number) = text.parse::<f64>() {
            let size = number.abs() as u64;
            let factor = match self.unit {
                Some(TimeUnit::S) => 1e3,
                Some(TimeUnit::Ms) => 1.0,
                Some(TimeUnit::Us) => 1e-3,
                Some(TimeUnit::Ns) => 1e-6,
                None if size < FIRST_MILLISECOND => 1e3,
                None if size < FIRST_MICROSECOND => 1.0,
                None if size < FIRST_NANOSECOND => 1e-3,
                None => 1e-6,
            };
            return match number * factor {
                moment if moment.abs() < 9.2e18 && number.abs() < i64::MAX as f64 => Ok(Some(moment.round() as i64)),
                _ => Err(out_of_range(text)),
            };
        }
        moment(text).map(Some).ok_or_else(|| {
            format!(
                "the time {} is no number since 1970 and no ISO 8601 (2024-01-15, 2024-01-15T10:00:00Z)",
                shortened(text)
            )
        })
    }
}

fn out_of_range(text: &str) -> String {
    format!("the time {} is out of range", shortened(text))
}

/// Reads a time that stands by itself: eight digits are a date.
pub(crate) fn read(text: &str) -> Result<Option<i64>, String> {
    Times { dates: true, ..Times::default() }.read(text)
}

/// Whether an interaction may well have happened then.
pub(super) fn is_plausible(milliseconds: i64) -> bool {
    PLAUSIBLE.contains(&milliseconds)
}

/// A moment for people; a number where no calendar goes so far.
pub(crate) fn shown(milliseconds: i64) -> String {
    Timestamp::from_millisecond(milliseconds).map_or_else(|_| milliseconds.to_string(), |moment| moment.to_string())
}

/// Whether a time is [`shown`] as a number, which is past the calendar, and is read again where its unit is told.
pub(crate) fn is_number(milliseconds: i64) -> bool {
    Timestamp::from_millisecond(milliseconds).is_err()
}

/// Milliseconds from a number of seconds, milliseconds, microseconds or nanoseconds: the ranges of this century do not overlap.
fn by_size(number: i64) -> i64 {
    match number.unsigned_abs() {
        size if size < FIRST_MILLISECOND => number * 1000,
        size if size < FIRST_MICROSECOND => number,
        size if size < FIRST_NANOSECOND => number / 1000,
        _ => number / 1_000_000,
    }
}

/// The date that eight digits are, where they are one of 1900 to 2100.
fn date(digits: i64) -> Option<i64> {
    if !(19_000_101..=21_001_231).contains(&digits) {
        return None;
    }
    let (year, month, day) = (digits / 10_000, digits / 100 % 100, digits % 100);
    let date = jiff::civil::Date::new(year as i16, month as i8, day as i8).ok()?;
    in_utc(date.at(0, 0, 0, 0))
}

/// The moment that fourteen digits are, `20240115103000`: as milliseconds they would be far in the future.
fn digits_of_a_moment(digits: i64) -> Option<i64> {
    let day = date(digits.checked_div(1_000_000)?)?;
    let (hour, minute, second) = (digits / 10_000 % 100, digits / 100 % 100, digits % 100);
    (hour < 24 && minute < 60 && second < 60).then_some(day + ((hour * 60 + minute) * 60 + second) * 1000)
}

/// Reads ISO 8601, RFC 3339 and what databases and spreadsheets write for them: a blank for the T, slashes in the date, a comma before the
/// fraction, no zone for UTC; and RFC 2822.
fn moment(text: &str) -> Option<i64> {
    if let Ok(zoned) = jiff::fmt::rfc2822::parse(text) {
        return Some(zoned.timestamp().as_millisecond());
    }
    let mut text = text.to_owned();
    if let Some(date) = text.get(..10).filter(|date| date.as_bytes().get(4) == Some(&b'/')) {
        text = date.replace('/', "-") + text.get(10..).unwrap_or_default();
    }
    for utc in [" UTC", " GMT", " Z"] {
        if let Some(local) = text.strip_suffix(utc) {
            text = format!("{local}Z");
        }
    }
    // An offset may stand apart: `2024-01-15 10:00:00 +0100`.
    if let Some((local, offset)) = text.rsplit_once(' ').filter(|(_, last)| last.starts_with(['+', '-'])) {
        text = format!("{local}{offset}");
    }
    match text.parse::<Timestamp>() {
        Ok(moment) => Some(moment.as_millisecond()),
        // A zone by its name alone, `[Europe/Berlin]`, would have to be looked up.
        Err(_) if text.contains('[') => None,
        Err(_) => in_utc(text.parse::<DateTime>().ok()?),
    }
}

fn in_utc(moment: DateTime) -> Option<i64> {
    TimeZone::UTC.to_timestamp(moment).ok().map(|moment| moment.as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MORNING: i64 = 1_705_312_800_000;

    fn time(text: &str) -> Result<Option<i64>, String> {
        Times::default().read(text)
    }

    #[test]
    fn numbers_are_seconds_to_nanoseconds_by_their_size() {
        assert_eq!(time("874965758"), Ok(Some(874_965_758_000)));
        assert_eq!(time("874965758.25"), Ok(Some(874_965_758_250)));
        for text in ["1705312800", "1705312800000", "1705312800000000", "1705312800000000000", "1.7053128e9"] {
            assert_eq!(time(text), Ok(Some(MORNING)), "{text}");
        }
        assert_eq!(time("-5"), Ok(Some(-5000)));
        assert_eq!(time(" "), Ok(None));
        for bad in ["yesterday", "NaN", "1e300", "9223372036854775808", "-9223372036854775808", "29-01-2021 07:01"] {
            assert!(time(bad).unwrap_err().contains(bad), "{bad}");
        }
    }

    #[test]
    fn a_unit_asked_for_holds() {
        let read = |unit, text| Times::of(Some(unit), [text].into_iter()).read(text);
        assert_eq!(read(TimeUnit::S, "20240115"), Ok(Some(20_240_115_000)));
        assert_eq!(read(TimeUnit::Ms, "5"), Ok(Some(5)));
        assert_eq!(read(TimeUnit::Us, "5000"), Ok(Some(5)));
        assert_eq!(read(TimeUnit::Ns, "5000000.0"), Ok(Some(5)));
        assert!(read(TimeUnit::S, "9223372036854775807").unwrap_err().contains("out of range"));
    }

    #[test]
    fn iso_8601_is_read_however_it_is_spelt() {
        for text in [
            "2024-01-15T10:00:00Z",
            "2024-01-15 10:00:00",
            "2024-01-15 10:00",
            "2024/01/15 10:00:00",
            "2024-01-15T11:00:00+01:00",
            "2024-01-15 11:00:00 +0100",
            "2024-01-15 10:00:00 UTC",
            "20240115T100000Z",
            "20240115100000",
            "2024-01-15T10:00:00,000Z",
            "Mon, 15 Jan 2024 10:00:00 +0000",
        ] {
            assert_eq!(time(text), Ok(Some(MORNING)), "{text}");
        }
        assert_eq!(time("2024-01-15"), Ok(Some(1_705_276_800_000)));
        assert_eq!(time("2024-01-15T10:00:00.438"), Ok(Some(MORNING + 438)));
        assert_eq!(shown(MORNING), "2024-01-15T10:00:00Z");
        assert_eq!(shown(i64::MAX), i64::MAX.to_string());
    }

    #[test]
    fn eight_digits_are_a_date_where_the_column_has_dates() {
        let of = |column: &[&'static str]| Times::of(None, column.iter().copied());
        let dates = of(&["20240115", "20231231", ""]);
        assert_eq!(dates.read("20240115"), Ok(Some(1_705_276_800_000)));
        assert_eq!(of(&["20240115", "1705312800"]).read("20240115"), Ok(Some(1_705_276_800_000)));
        // Small numbers of seconds, some of which happen to look like dates.
        assert_eq!(of(&["20240115", "12345"]).read("20240115"), Ok(Some(20_240_115_000)));
        assert_eq!(of(&["20240115", "20249999"]).read("20240115"), Ok(Some(20_240_115_000)));
        assert!(!of(&["5", "7"]).dates && !of(&[]).dates);
    }

    #[test]
    fn this_century_is_plausible() {
        assert!(is_plausible(MORNING) && !is_plausible(20_240_115_000) && !is_plausible(0) && !is_plausible(i64::MAX));
    }
}
