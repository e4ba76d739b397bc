//! Which members belong to which row.

/// Members `0..n` grouped by row, in rising order within one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Grouping {
    offsets: Vec<u32>,
    members: Vec<u32>,
}

impl Grouping {
    /// Groups by `rows[member]`; members of no row below `n_rows` are left out. A counting sort: O(members + rows).
    pub(crate) fn new(n_rows: usize, rows: &[u32]) -> Grouping {
        let mut offsets = vec![0u32; n_rows + 1];
        let inside = |&&row: &&u32| (row as usize) < n_rows;
        rows.iter().filter(inside).for_each(|&row| offsets[row as usize + 1] += 1);
        for row in 0..n_rows {
            offsets[row + 1] += offsets[row];
        }
        let mut next = offsets.clone();
        let mut members = vec![0; offsets[n_rows] as usize];
        for (member, &row) in rows.iter().enumerate().filter(|(_, row)| (**row as usize) < n_rows) {
            let to = &mut next[row as usize];
            members[*to as usize] = member as u32;
            *to += 1;
        }
        Grouping { offsets, members }
    }

    /// The members of a row.
    pub(crate) fn row(&self, row: usize) -> &[u32] {
        &self.members[self.offsets[row] as usize..self.offsets[row + 1] as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_grouped_in_order() {
        let grouping = Grouping::new(4, &[2, 0, u32::MAX, 2, 3, 0, 2]);
        let rows: Vec<&[u32]> = (0..4).map(|row| grouping.row(row)).collect();
        assert_eq!(rows, [&[1u32, 5] as &[u32], &[], &[0, 3, 6], &[4]]);
    }
}
