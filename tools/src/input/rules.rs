//! What a row's texts have to be to make an interaction.

use kithdb::Interaction;

use super::odd::{Fractions, OddIds};
use super::row::{self, IdKinds, Row};
use super::time::{self, Times};

/// What a reader makes of what it reads.
pub(super) enum Made {
    /// A row to hand out.
    Row(Row),
    /// A row rated below what was asked for.
    Below,
}

/// How texts are read, and what was remarkable about them.
pub(super) struct Rules {
    ids: IdKinds,
    pub(super) times: Times,
    min_rating: Option<f64>,
    below: u64,
    /// How many times are implausible; the first's line and moment.
    odd_times: u64,
    first_odd: Option<(u64, i64)>,
    odd_ids: OddIds,
    weights: Fractions,
}

impl Rules {
    pub(super) fn new(ids: IdKinds, times: Times, min_rating: Option<f64>) -> Self {
        let (odd_ids, weights) = (OddIds::default(), Fractions::default());
        Self { ids, times, min_rating, below: 0, odd_times: 0, first_odd: None, odd_ids, weights }
    }

    /// What the texts of a row come to: ids as they are, and what stands in the columns there are. The error is a reason.
    pub(super) fn make(
        &mut self,
        user: &str,
        item: &str,
        weight: Option<&str>,
        time: Option<&str>,
        rating: Option<&str>,
    ) -> Result<Made, String> {
        let is_rule = |text: &str| text.len() > 2 && text.bytes().all(|byte| byte == b'-');
        if is_rule(user) && is_rule(item) {
            return Err("a line of dashes below a header".into());
        }
        let user = row::id("user", user, self.ids.user)?;
        let item = row::id("item", item, self.ids.item)?;
        weight.iter().for_each(|text| self.weights.see(text));
        let weight = weight.map_or(Ok(1.0), row::weight)?;
        let time = time.map_or(Ok(None), |text| self.times.read(text));
        let time = time.map_err(|reason| format!("{reason}; --time none leaves times out"))?;
        if let (Some(least), Some(rating)) = (self.min_rating, rating)
            && row::rating(rating)? < least
        {
            return Ok(Made::Below);
        }
        Ok(Made::Row(Row::Interaction(Interaction { user, item, weight, time })))
    }

    /// Takes note of what a row came to.
    pub(super) fn judge(&mut self, line: u64, made: &Result<Made, String>) {
        if let Ok(Made::Row(Row::Interaction(Interaction { user, item, .. }))) = made {
            self.odd_ids.see(line, user);
            self.odd_ids.see(line, item);
        }
        match made {
            Ok(Made::Below) => self.below += 1,
            Ok(Made::Row(Row::Interaction(Interaction { time: Some(time), .. }))) if !time::is_plausible(*time) => {
                self.odd_times += 1;
                self.first_odd.get_or_insert((line, *time));
            }
            _ => {}
        }
    }

    /// How many rows were rated below what was asked for.
    pub(super) fn below(&self) -> u64 {
        self.below
    }

    /// What is worth a look.
    pub(super) fn remarks(&self) -> Vec<String> {
        let odd = self.first_odd.map(|(line, first)| {
            format!(
                "{} times are before 1990 or after 2100, that of line {line} is read as {}: --time-unit says what numbers count, --time none leaves times out",
                self.odd_times,
                time::shown(first)
            )
        });
        let dates = self.times.dates.then(|| {
            "times of eight digits are read as dates, 20240115 as the 15th of January; --time-unit s reads them as seconds".to_owned()
        });
        let unusual = self.times.unusual.then(|| {
            "times count microseconds or nanoseconds, or not all of them the same: each is read by its size, and --time-unit reads them all alike".to_owned()
        });
        let ids = self.odd_ids.remarks();
        odd.into_iter().chain(dates).chain(unusual).chain(ids).chain(self.weights.remark()).collect()
    }
}
