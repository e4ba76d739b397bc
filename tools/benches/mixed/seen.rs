//! What every user has, by what was acknowledged: the model that answers are checked against.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::Rng;

/// Users, each with the items they have and the moment at which that was acknowledged.
pub struct Seen {
    clock: AtomicU64,
    users: Vec<Mutex<User>>,
    n_items: u64,
}

#[derive(Default)]
struct User {
    /// The moment of every item.
    has: HashMap<u64, u64>,
    /// The same items in the order they came, to draw one from.
    order: Vec<u64>,
    /// Items that were taken back. They never come again, so that what holds at the beginning and the end of a query held all the while.
    gone: HashSet<u64>,
}

impl Seen {
    /// Room for so many users, who have nothing.
    pub fn new(n_users: u64, n_items: u64) -> Seen {
        let users = (0..n_users).map(|_| Mutex::default()).collect();
        Seen { clock: AtomicU64::new(1), users, n_items }
    }

    pub fn n_users(&self) -> u64 {
        self.users.len() as u64
    }

    /// A moment before all that come.
    pub fn now(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::SeqCst)
    }

    /// An item that the user never had. Whoever asks is alone in writing for that user.
    pub fn fresh(&self, user: u64, random: &mut Xoshiro256PlusPlus) -> Option<u64> {
        let user = self.user(user);
        (0..100)
            .map(|_| random.next_u64() % self.n_items)
            .find(|item| !user.has.contains_key(item) && !user.gone.contains(item))
    }

    /// Takes note of an insert that is acknowledged.
    pub fn inserted(&self, user: u64, item: u64) {
        let now = self.now();
        let mut user = self.user(user);
        if let Entry::Vacant(vacant) = user.has.entry(item) {
            vacant.insert(now);
            user.order.push(item);
        }
    }

    /// Draws an item to remove, which is nothing anybody must have any more from now on.
    pub fn take(&self, user: u64, random: &mut Xoshiro256PlusPlus) -> Option<u64> {
        let mut user = self.user(user);
        if user.order.is_empty() {
            return None;
        }
        let at = (random.next_u64() % user.order.len() as u64) as usize;
        let item = user.order.swap_remove(at);
        user.has.remove(&item);
        user.gone.insert(item);
        Some(item)
    }

    /// How many of these items the user had at the moment `since`, and has now.
    pub fn wrong(&self, user: u64, items: impl Iterator<Item = u64>, since: u64) -> usize {
        let user = self.user(user);
        items.filter(|item| user.has.get(item).is_some_and(|&acknowledged| acknowledged < since)).count()
    }

    /// What a user has, rising.
    pub fn items(&self, user: u64) -> Vec<u64> {
        let mut items = self.user(user).order.clone();
        items.sort_unstable();
        items
    }

    fn user(&self, user: u64) -> std::sync::MutexGuard<'_, User> {
        self.users[user as usize].lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
