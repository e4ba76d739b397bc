//! What is done to a database, and how a script of it is drawn from a seed.

use kithdb::code::{CodeShape, LayeredCodes, PlaneCodes};
use kithdb::{Attributes, CodeSet, Id, Interaction};
use rand_core::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// Few enough that steps meet.
pub const USERS: u64 = 12;
pub const ITEMS: u64 = 18;

/// One thing done.
#[derive(Clone, Debug)]
pub enum Step {
    Insert(Touch),
    InsertMany(Vec<Touch>),
    Remove {
        user: u64,
        item: u64,
    },
    Forget {
        user: u64,
    },
    Retire {
        item: u64,
    },
    Unretire {
        item: u64,
    },
    /// A number and a flag, or their absence.
    DescribeItem {
        item: u64,
        said: Said,
    },
    DescribeUser {
        user: u64,
        said: Said,
    },
    Import {
        seed: u64,
    },
    /// The steps are taken while it trains, after it has read what it trains on.
    Train {
        seed: u64,
        planes: u32,
        meanwhile: Vec<Step>,
    },
    /// To one of the generations that are kept.
    Rollback {
        pick: u64,
    },
    Reopen,
    Snapshot,
    ItemSet {
        items: Vec<u64>,
    },
}

/// What is said of an item or a user: what is not there stays, what is there and none is taken away.
#[derive(Clone, Copy, Debug)]
pub struct Said {
    pub number: Option<Option<u64>>,
    pub flag: Option<Option<bool>>,
}

impl Said {
    pub fn attributes(self) -> Attributes {
        let mut attributes = Attributes::new();
        if let Some(number) = self.number {
            attributes = match number {
                Some(number) => attributes.set("n", number),
                None => attributes.unset("n"),
            };
        }
        match self.flag {
            Some(Some(flag)) => attributes.set("flag", flag),
            Some(None) => attributes.unset("flag"),
            None => attributes,
        }
    }
}

/// Somebody touched something.
#[derive(Clone, Copy, Debug)]
pub struct Touch {
    pub user: u64,
    pub item: u64,
    pub weight: f32,
    pub time: Option<i64>,
}

/// The ids of a database: integers or strings a side.
#[derive(Clone, Copy)]
pub struct Names {
    user_strings: bool,
    item_strings: bool,
}

impl Names {
    pub fn of(seed: u64) -> Self {
        Self { user_strings: seed & 1 == 1, item_strings: seed & 2 == 2 }
    }

    pub fn user(self, n: u64) -> Id {
        if self.user_strings { format!("user {n}").into() } else { (n * 7_919).into() }
    }

    /// In another order than the numbers'.
    pub fn item(self, n: u64) -> Id {
        if self.item_strings { format!("{}-item", n * 7 % ITEMS).into() } else { (n * 7 % ITEMS + 250).into() }
    }

    pub fn users(self) -> impl Iterator<Item = Id> {
        (0..USERS).map(move |n| self.user(n))
    }

    pub fn items(self) -> impl Iterator<Item = Id> {
        (0..ITEMS).map(move |n| self.item(n))
    }

    pub fn interaction(self, touch: Touch) -> Interaction {
        let interaction = Interaction::new(self.user(touch.user), self.item(touch.item)).weight(touch.weight);
        touch.time.map_or(interaction.clone(), |time| interaction.time(time))
    }
}

/// Numbers below a bound, choices and coins.
pub struct Dice(Xoshiro256PlusPlus);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(Xoshiro256PlusPlus::seed_from_u64(seed))
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.0.next_u64() % n
    }

    pub fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize].clone()
    }

    /// True once in `n` times.
    pub fn once_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    fn touch(&mut self) -> Touch {
        let (user, item) = (self.below(USERS), self.below(ITEMS));
        let weight = self.pick(&[1.0, 1.0, 0.5, 3.0]);
        let time = self.once_in(2).then(|| self.below(3) as i64 - 1);
        Touch { user, item, weight, time }
    }

    fn said(&mut self) -> Said {
        let number = (!self.once_in(3)).then(|| (!self.once_in(4)).then(|| self.below(5)));
        let flag = (!self.once_in(3)).then(|| (!self.once_in(4)).then(|| self.once_in(2)));
        Said { number, flag }
    }

    /// A step that may happen beside a training.
    fn write(&mut self) -> Step {
        let (user, item) = (self.below(USERS), self.below(ITEMS));
        match self.below(24) {
            20..=22 => Step::DescribeItem { item, said: self.said() },
            23 => Step::DescribeUser { user, said: self.said() },
            0..=8 => Step::Insert(self.touch()),
            9..=10 => Step::InsertMany((0..self.below(12)).map(|_| self.touch()).collect()),
            11..=14 => Step::Remove { user, item },
            15 => Step::Forget { user },
            16..=17 => Step::Retire { item },
            _ => Step::Unretire { item },
        }
    }

    fn step(&mut self) -> Step {
        match self.below(42) {
            0..=1 => Step::Import { seed: self.below(u64::MAX) },
            2 => {
                let planes = self.pick(&[1, 2, 4]);
                let meanwhile = (0..self.below(6)).map(|_| self.write()).collect();
                Step::Train { seed: self.below(1 << 20), planes, meanwhile }
            }
            3..=4 => Step::Reopen,
            5..=6 => Step::Snapshot,
            9..=10 => Step::Rollback { pick: self.below(16) },
            7..=8 => Step::ItemSet { items: (0..1 + self.below(9)).map(|_| self.below(ITEMS)).collect() },
            _ => self.write(),
        }
    }
}

/// The script of a seed.
pub fn script(seed: u64, steps: usize) -> Vec<Step> {
    let mut dice = Dice::new(seed);
    (0..steps).map(|_| dice.step()).collect()
}

/// Random codes for some of the users and items, few distinct scalers so that ties are common, some of them 0.
pub fn codes(names: Names, seed: u64) -> (CodeSet, Vec<Id>, Vec<Id>) {
    let mut dice = Dice::new(seed);
    let widths: Vec<u32> =
        dice.pick(&[vec![8], vec![64], vec![13], vec![70], vec![16, 16], vec![8, 40], vec![5, 64, 9]]);
    let weights = widths.iter().map(|_| dice.pick(&[1.0, 0.5, 0.3])).collect();
    let shape = CodeShape::new(widths, weights).unwrap();
    let planes = dice.pick(&[1, 1, 2, 4]);
    let (share, least) = (dice.below(3) + 1, dice.below(ITEMS));
    let users: Vec<Id> = names.users().filter(|_| dice.below(4) < share).collect();
    let items: Vec<Id> = (0..ITEMS).filter(|&n| n == least || dice.once_in(2)).map(|n| names.item(n)).collect();
    let mut words = |rows: usize, planes: u32| {
        let mut words = Vec::new();
        for _ in 0..rows {
            for &width in shape.widths() {
                for _ in 0..planes {
                    let stride = width.div_ceil(64);
                    words.extend((0..stride).map(|word| dice.0.next_u64() >> (64 - (width - 64 * word).min(64))));
                }
            }
        }
        words
    };
    let (item_words, user_words) = (words(items.len(), 1), words(users.len(), planes));
    let silent = dice.once_in(6);
    let mut scalers = |rows: usize, silent: bool| -> Vec<f32> {
        let one = |dice: &mut Dice| if silent || dice.once_in(8) { 0.0 } else { dice.pick(&[0.25, 0.5, 1.5]) };
        (0..rows * shape.layers()).map(|_| one(&mut dice)).collect()
    };
    let (item_scalers, user_scalers) = (scalers(items.len(), silent), scalers(users.len(), false));
    let set = CodeSet {
        items: LayeredCodes::from_parts(shape.clone(), item_words, item_scalers).unwrap(),
        item_ids: items.clone().into(),
        users: PlaneCodes::from_parts(shape.clone(), planes, user_words, user_scalers).unwrap(),
        user_ids: users.clone().into(),
    };
    (set, users, items)
}
