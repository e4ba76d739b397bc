//! The database handle.

mod attributes;
mod exchange;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kithdb_storage::{JobRecord, Store, VerifyReport};

use crate::cancel::CancelToken;
use crate::compaction::{Compaction, Job, Worker};
use crate::error::{Error, Result};
use crate::eval::{Evaluation, FullPrecision};
use crate::generation::stored;
use crate::ids::{Id, IdKind, Side};
use crate::interaction::{Inserted, Interaction};
use crate::kernel::popcount::Kernel;
use crate::live::Live;
use crate::options::{Options, REPEATS};
use crate::pool::Pool;
use crate::query::{self, Explanation, Hits, ItemSet, Query};
use crate::repeats::Repeats;
use crate::replica::{self, SnapshotOptions, SnapshotOutcome};
use crate::snapshot::Snapshot;
use crate::span::span;
use crate::stats::Stats;
use crate::train::TrainOptions;
use crate::watch::GenerationWatch;
use crate::writer::{Operation, Pending, Stream, Writer};

/// An open database: a cheap handle to share between threads.
///
/// One process opens a database at a time. Writes are on the disk when they return. Dropping the last handle breaks off a running job and
/// closes the database; a long one is gone on with when it is opened again ([`Options::checkpoint_after`]).
///
/// What was trained is kept up by itself, by compactions in the background: [`Options::background`], [`Policy`](crate::Policy).
///
/// ```
/// # fn main() -> kithdb::Result<()> {
/// # let dir = tempfile::tempdir().unwrap();
/// let db = kithdb::Db::open(dir.path().join("shop.kith"))?;
/// db.insert("alice", "grinder")?;
/// db.insert_many([("alice", "kettle"), ("bob", "kettle")])?;
/// let hits = db.query().user("bob").k(5).or_popular().run()?;
/// assert_eq!(hits[0].id, "grinder".into());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Db {
    inner: Arc<Inner>,
    /// What ends the long calls of this handle.
    token: Option<CancelToken>,
}

/// Fields are dropped in order: the threads end before the store closes.
struct Inner {
    worker: Worker,
    writer: Writer,
    live: Arc<Live>,
    store: Arc<Store>,
    pool: Arc<Pool>,
}

impl std::fmt::Debug for Db {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Db").finish_non_exhaustive()
    }
}

impl Db {
    /// Opens the database in the directory `path` with default options; makes one if there is none. What it does in parallel it does on
    /// threads of its own, never on rayon's global pool.
    ///
    /// # Errors
    /// As [`Options::open`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::options().open(path)
    }

    /// Options to open a database with.
    pub fn options() -> Options {
        Options::default()
    }

    pub(crate) fn open_with(path: &Path, options: &Options) -> Result<Self> {
        let _span = span!(INFO, "open", path = %path.display());
        let kernel = Kernel::from_env()?;
        query::check_effort(options.effort)?;
        // Where a thread cannot be started, or what is there is not good, the opening is refused before anything on the disk is changed.
        let thread = |source| Error::Thread { source };
        let pool = Arc::new(Pool::start("db", 0)?);
        let mut writer = Writer::start().map_err(thread)?;
        options.policy.check()?;
        let Options { policy, background, checkpoint_after, memory_limit, .. } = options;
        let mut worker =
            Worker::start(kernel, policy.clone(), *background, *checkpoint_after, *memory_limit).map_err(thread)?;
        let load = |store: &Store| -> Result<Live> {
            pool.run(|| {
                let repeats = repeats(store, options)?;
                Ok(Live::load(store, kernel, repeats, &pool)?.with_effort(options.effort))
            })
        };
        let (store, live) = Store::open_checked(path, &options.store(), load)?;
        let (store, live) = (Arc::new(store), Arc::new(live));
        writer.begin(&store, &live);
        worker.begin(&store, &live);
        let inner = Inner { worker, writer, live, store, pool };
        Ok(Self { inner: Arc::new(inner), token: None })
    }

    /// A handle of the same database, whose long calls end with [`Error::Cancelled`] once the token is cancelled or its time over: inserts of many, queries for many users,
    /// evaluations, exports, snapshots, copies, imports, rollbacks and checks of everything. What one would have written is not there then, but for rows of
    /// many that were stored before: the same call may be made again. What takes a moment, a second or two at a million items, is not broken off: opening, single queries and writes,
    /// [`stats`](Db::stats), the first search of similar users after a publication, and the steps between two looks at the token. Trainings and compactions go on without their caller: [`Job::cancel`] ends them.
    ///
    /// ```
    /// # fn main() -> kithdb::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let db = kithdb::Db::open(dir.path().join("shop.kith"))?;
    /// let token = kithdb::CancelToken::within(std::time::Duration::from_secs(60));
    /// assert!(db.cancelled_by(&token).verify()?.is_sound());
    /// token.cancel();
    /// assert!(matches!(db.cancelled_by(&token).verify(), Err(kithdb::Error::Cancelled)));
    /// # Ok(())
    /// # }
    /// ```
    pub fn cancelled_by(&self, token: &CancelToken) -> Self {
        Self { token: Some(token.clone()), ..self.clone() }
    }

    /// Whether storage goes on with a long call.
    fn goes_on(&self) -> bool {
        CancelToken::check(self.token.as_ref()).is_ok()
    }

    fn live(&self) -> &Live {
        &self.inner.live
    }

    /// Records that `user` touched `item`, with weight 1. It is on the disk when this returns; what becomes of one that exists already is settled by [`Repeats`]: by default it is replaced.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] and [`Error::WrongIdKind`] leave everything as it was; after [`Error::NotStored`] no write is taken until
    /// the database is reopened.
    pub fn insert(&self, user: impl Into<Id>, item: impl Into<Id>) -> Result<()> {
        self.insert_interaction(Interaction::new(user, item))
    }

    /// Records one interaction with its weight and time. It is on the disk when this returns.
    ///
    /// # Errors
    /// As [`Db::insert`].
    pub fn insert_interaction(&self, interaction: Interaction) -> Result<()> {
        let _span = span!(DEBUG, "insert");
        interaction.check()?;
        self.commit(vec![Operation::Insert(interaction)])?.wait().map(drop)
    }

    /// Records many interactions, in large group commits. All of them are on the disk, and seen by queries, when this returns; how many there were.
    ///
    /// # Errors
    /// As [`Db::insert`], naming the row, from 1, of what cannot be stored. Interactions are stored in batches of 16,384: those before the batch with the faulty one are stored, and inserting
    /// them again changes nothing, but where weights add up ([`Repeats::Sum`](crate::Repeats::Sum)): there it counts them twice.
    pub fn insert_many<I>(&self, interactions: I) -> Result<u64>
    where
        I: IntoIterator,
        I::Item: Into<Interaction>,
    {
        self.insert_counted(interactions).map(|inserted| inserted.interactions())
    }

    /// [`Db::insert_many`], told apart: how many interactions were new, changed one that was there, or said again what was there.
    ///
    /// # Errors
    /// As [`Db::insert_many`].
    pub fn insert_counted<I>(&self, interactions: I) -> Result<Inserted>
    where
        I: IntoIterator,
        I::Item: Into<Interaction>,
    {
        let _span = span!(INFO, "insert_many");
        let mut stream = Stream::new(&self.inner.writer);
        let mut rows = (1u64..).zip(interactions.into_iter().map(Into::into));
        let sent = rows.try_for_each(|(row, interaction): (u64, Interaction)| {
            CancelToken::check(self.token.as_ref())?;
            interaction.check().map_err(|error| error.of_row(row))?;
            stream.push(Operation::Insert(interaction))
        });
        // Nothing is under way any more when this returns, and what storage refused comes before what the caller got wrong.
        let applied = stream.finish(sent.is_ok())?;
        sent.map(|()| applied.inserted)
    }

    /// Takes an interaction back; whether there was one. Durable when it returns.
    ///
    /// # Errors
    /// As [`Db::insert`].
    pub fn remove(&self, user: impl Into<Id>, item: impl Into<Id>) -> Result<bool> {
        let operation = Operation::Remove { user: user.into(), item: item.into() };
        Ok(self.commit(vec![operation])?.wait()?.changed > 0)
    }

    /// Forgets a user: their interactions count no more at once, and leave the disk with the next two publications. Whether they were known. Who
    /// comes back under the same id is somebody new.
    ///
    /// # Errors
    /// As [`Db::insert`].
    pub fn forget_user(&self, user: impl Into<Id>) -> Result<bool> {
        Ok(self.commit(vec![Operation::ForgetUser(user.into())])?.wait()?.changed > 0)
    }

    /// Retires an item: no query returns it until [`Db::unretire_item`]. Whether it was known and not retired before. Durable when it returns.
    ///
    /// # Errors
    /// As [`Db::insert`].
    pub fn retire_item(&self, item: impl Into<Id>) -> Result<bool> {
        Ok(self.commit(vec![Operation::RetireItem(item.into())])?.wait()?.changed > 0)
    }

    /// Lets queries return a retired item again. Whether it was retired. Durable when it returns.
    ///
    /// # Errors
    /// As [`Db::insert`].
    pub fn unretire_item(&self, item: impl Into<Id>) -> Result<bool> {
        Ok(self.commit(vec![Operation::UnretireItem(item.into())])?.wait()?.changed > 0)
    }

    /// Closes the database, and tells what went wrong on the way: dropping the last handle does the same and says nothing. A running job is cancelled. Other
    /// handles have a second to go, of requests that are just being answered; snapshots and jobs are none.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] where another handle is still held, which keeps it open; [`Error::NotApplied`] where it took no more writes;
    /// [`Error::Storage`] where the last files could not be synced. Nothing acknowledged is lost by any of them.
    pub fn close(self) -> Result<()> {
        let until = Instant::now() + Duration::from_secs(1);
        let mut inner = Arc::try_unwrap(self.inner);
        while let Err(shared) = inner {
            if Instant::now() > until {
                return Err(Error::InvalidArgument {
                    what: "closing a database that another handle holds".into(),
                    remedy: "drop its clones first".into(),
                });
            }
            std::thread::sleep(Duration::from_millis(1));
            inner = Arc::try_unwrap(shared);
        }
        let Ok(Inner { worker, writer, live, store, .. }) = inner else { return Ok(()) };
        drop((worker, writer));
        let outcome = live.check();
        drop(live);
        // The threads that held it have ended.
        if let Some(store) = Arc::into_inner(store) {
            store.close()?;
        }
        outcome
    }

    /// What an interaction that comes again means here.
    pub fn repeats(&self) -> Repeats {
        self.snapshot().tail().repeats()
    }

    fn commit(&self, operations: Vec<Operation>) -> Result<Pending> {
        self.inner.writer.commit(operations)
    }

    /// The database as it is now, to hold and to ask many times.
    pub fn snapshot(&self) -> Snapshot {
        let snapshot = self.live().snapshot();
        self.token.iter().fold(snapshot, |snapshot, token| snapshot.cancelled_by(token))
    }

    /// A set of items to filter queries with. Items nobody knows yet are remembered by their ids, and belong to it as soon as somebody does;
    /// [`ItemSet::unknown`] tells them.
    ///
    /// # Errors
    /// [`Error::WrongIdKind`].
    pub fn item_set<I: Into<Id>>(&self, items: impl IntoIterator<Item = I>) -> Result<ItemSet> {
        self.snapshot().item_set(items)
    }

    /// A query to build, over the database as it is now; see [`Query`].
    pub fn query<'a>(&self) -> Query<'a> {
        self.snapshot().query()
    }

    /// The `k` nearest items a user does not have yet.
    ///
    /// # Errors
    /// As [`Query::run`].
    pub fn nearest(&self, user: impl Into<Id>, k: usize) -> Result<Hits> {
        self.query().user(user).k(k).run()
    }

    /// [`Db::nearest`] for many users at once, on all cores and one snapshot. Answers come in the order of `users`. Users whose query is best
    /// answered by a scan of all codes share one, several at a time.
    pub fn nearest_batch<U: Into<Id> + Clone + Sync>(&self, users: &[U], k: usize) -> Vec<Result<Hits>> {
        self.snapshot().nearest_batch(users, k)
    }

    /// The `k` items most similar to an item.
    ///
    /// # Errors
    /// As [`Query::run`].
    pub fn similar_items(&self, item: impl Into<Id>, k: usize) -> Result<Hits> {
        self.query().similar_to(item).k(k).run()
    }

    /// The `k` users most similar to a user, by trained codes. [`Hits::relevance`] is of the scale of items that are similar to an item.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for k = 0, [`Error::UnknownUser`], [`Error::NotTrained`], [`Error::NoUserCode`] for a user without a
    /// trained code.
    pub fn similar_users(&self, user: impl Into<Id>, k: usize) -> Result<Hits> {
        self.snapshot().similar_users(user, k)
    }

    /// Why `item` has the score that a query of `user` gives it: what each layer adds, and which of the user's own items pull it up or down.
    ///
    /// # Errors
    /// [`Error::UnknownUser`], [`Error::UnknownItem`], [`Error::NotTrained`], [`Error::NoHistory`], [`Error::NoDirection`], [`Error::NoCode`],
    /// [`Error::NoItemCodes`] and [`Error::WrongIdKind`].
    pub fn explain(&self, user: impl Into<Id>, item: impl Into<Id>) -> Result<Explanation> {
        let (snapshot, user) = (self.snapshot(), user.into());
        let explanation = snapshot.explain(user.clone(), item)?;
        let catalogues = snapshot.catalogues();
        let (Some(generation), Some(row)) = (snapshot.trained(), catalogues.users.get(&user)?) else {
            return Ok(explanation);
        };
        let rows = self.inner.pool.run(|| stored::uncut(&self.inner.store, generation, row));
        let named = |rows: Vec<u32>| {
            let mut ids: Vec<Id> = rows.into_iter().filter_map(|row| catalogues.items.id(row)).collect();
            ids.sort();
            ids
        };
        Ok(Explanation { kept: rows.map(named), ..explanation })
    }

    /// Trains on everything stored so far, in the background, and publishes the result as the next generation. Queries go on meanwhile, on
    /// the generation before. Jobs run one after another.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for options out of range. What happens later is told by [`Job::wait`].
    pub fn train(&self, options: TrainOptions) -> Result<Job> {
        options.validate()?;
        self.inner.worker.train(options)
    }

    /// Folds what has come since the generation into the next one, in the background, and learns as much of it again as `compaction` says. Queries go on
    /// meanwhile, on the generation before. Jobs run one after another, trainings among them.
    ///
    /// Minor and major ones go on from what the training before them learned, with its options and what it chose; major ones choose anew how much the neighbours
    /// weigh and how much is regularised, where what nobody has learned from tells. That needs the models of the recipe,
    /// [`Model::Recipe`](crate::Model::Recipe): after other models, and after an import, both fold the log and give new items the codes they were
    /// answered by; before the first training there is only the log to fold.
    ///
    /// # Errors
    /// What happens later is told by [`Job::wait`]: [`Error::NothingNew`] where the generation has seen everything.
    pub fn compact(&self, compaction: Compaction) -> Result<Job> {
        self.inner.worker.compact(compaction)
    }

    /// Goes back to the codes of an earlier generation that is kept ([`Options::kept_generations`], [`Stats::kept_generations`]): they answer from then
    /// on, as the newest generation, whose number is returned.
    ///
    /// Codes go back, and nothing else does: every insert, removal, retirement and forgetting that was acknowledged holds as before, and who came since is
    /// placed as somebody who came after a training. Compactions go on from what that generation had learned. The generation before is kept in its turn, so
    /// that this can be taken back. Jobs run one after another; it returns when it is done.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] where it is not kept, with those that are; [`Error::Storage`] where it is damaged, which changes nothing.
    pub fn rollback(&self, generation: u64) -> Result<u64> {
        self.inner.worker.rollback(generation, self.token.as_ref())
    }

    /// Writes a compact copy of the database into `folder`, which is absent or empty: the interactions of now, the generation that answers, in one piece, what
    /// it learned, and the records of jobs. It is a database of its own, as of the moment of the call; reads and writes go on meanwhile. There is a copy when
    /// this returns, and none before.
    ///
    /// What was removed or forgotten before the generation is in no file of it. Takes memory of about the log and the largest table.
    ///
    /// # Errors
    /// [`Error::Storage`] where there is something at `folder`, something cannot be read, or the copy cannot be written; there is none then.
    pub fn compact_to(&self, folder: impl AsRef<Path>) -> Result<()> {
        Ok(self.inner.store.copy_while(folder.as_ref(), &|| self.goes_on())?)
    }

    /// Writes the database as it is now as a folder of plain files into the folder `place`, and has its file `SNAPSHOT` name that: for any number of processes that read,
    /// [`Db::open_snapshot`] and [`Replica`](crate::Replica). Nothing in it is changed later; a second call makes another, and removes those before the last. Reads
    /// and writes go on meanwhile. It is on the disk, and readers that follow go on to it, when this returns. A snapshot answers as the database does now, bit for bit. Who
    /// was forgotten since the generation is in no file of it, and not in the counts either by which newcomers are placed, so that their scores may differ by as much then.
    ///
    /// # Errors
    /// [`Error::NotTrained`] where there is no generation yet; [`Error::InvalidArgument`] where the folder has something else; [`Error::Storage`] where it cannot be
    /// written: readers go on with the one before then.
    pub fn snapshot_to(&self, place: impl AsRef<Path>, options: &SnapshotOptions) -> Result<SnapshotOutcome> {
        let place = place.as_ref();
        replica::write(|| self.snapshot(), &self.inner.pool, place, options)
    }

    /// Opens the newest snapshot of a folder that [`Db::snapshot_to`] wrote into, or one of the folders in it, read-only. Every file is read and checked. Any number of
    /// processes may; what is large they share. [`Replica`](crate::Replica) goes on to newer ones.
    ///
    /// # Errors
    /// As [`Replica::open`](crate::Replica::open).
    pub fn open_snapshot(place: impl AsRef<Path>) -> Result<Snapshot> {
        replica::open(place.as_ref())
    }

    /// The last 64 jobs, oldest first: trainings, imports and compactions, those the database began by itself among them, with why each was begun, how it
    /// ended, and, of compactions, how far the generation had moved from the one before ([`Drift`](crate::Drift)).
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub fn jobs(&self) -> Result<Vec<JobRecord>> {
        Ok(self.inner.store.jobs()?)
    }

    /// Tells of generations as they are published from now on, for caches of answers and the like.
    ///
    /// ```
    /// # fn main() -> kithdb::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// use kithdb::{Compaction, Db};
    /// let db = Db::open(dir.path().join("shop.kith"))?;
    /// let mut news = db.watch();
    /// db.insert("alice", "grinder")?;
    /// db.compact(Compaction::Minor)?.wait()?;
    /// assert_eq!(news.next(), Some(1));
    /// # Ok(())
    /// # }
    /// ```
    pub fn watch(&self) -> GenerationWatch {
        self.live().watch()
    }

    /// Recommends to every user of `truth` and measures how many of the held-out items given for them come back: training items are masked,
    /// all others ranked. Users without a code, or unknown, get no recommendations and count as missed; unknown items count as missed.
    ///
    /// # Errors
    /// [`Error::NotTrained`], [`Error::WrongIdKind`], and [`Error::InvalidArgument`] for a cut-off of 0 or no cut-offs.
    pub fn evaluate(&self, truth: &[(Id, Vec<Id>)], cuts: &[usize], query_bits: Option<u32>) -> Result<Evaluation> {
        self.snapshot().evaluate(truth, cuts, query_bits)
    }

    /// [`Db::evaluate`] of plain popularity: what every model has to beat.
    ///
    /// # Errors
    /// As [`Db::evaluate`], but for [`Error::NotTrained`].
    pub fn evaluate_popularity(&self, truth: &[(Id, Vec<Id>)], cuts: &[usize]) -> Result<Evaluation> {
        self.snapshot().evaluate_popularity(truth, cuts)
    }

    /// [`Db::evaluate`] of the teacher the codes were learned from, in full precision: its vectors, and neighbours where the recipe averaged it
    /// with them, which see the interactions the generation has. What codes lose is the difference to [`Db::evaluate`]. Users and items that came
    /// after the training count as missed. O(users x items x columns).
    ///
    /// # Errors
    /// As [`Db::evaluate`], and [`Error::InvalidArgument`] where the generation holds no teacher, as after an import.
    pub fn evaluate_full_precision(&self, truth: &[(Id, Vec<Id>)], cuts: &[usize]) -> Result<Evaluation> {
        let snapshot = self.snapshot();
        let generation = snapshot.trained().ok_or(Error::NotTrained)?;
        let teacher = self.inner.pool.run(|| stored::taught(&self.inner.store, generation))?;
        let teacher = teacher.ok_or_else(|| Error::InvalidArgument {
            what: "full precision of a generation without a teacher".into(),
            remedy: "train, or measure the codes".into(),
        })?;
        let ranking = self.inner.pool.run(|| FullPrecision::new(&snapshot, generation, &teacher))?;
        snapshot.evaluate_lists(truth, cuts, |chunk, most| ranking.lists(chunk.iter().map(|(user, _)| user), most))
    }

    /// The kind of a side's ids; `None` before its first insert.
    pub fn id_kind(&self, side: Side) -> Option<IdKind> {
        self.snapshot().id_kind(side)
    }

    /// Every user's id, in the order in which they came.
    pub fn users(&self) -> Vec<Id> {
        self.snapshot().users()
    }

    /// Every item's id, in the order in which they came.
    pub fn items(&self) -> Vec<Id> {
        self.snapshot().items()
    }

    /// The ids of items that are retired, in the order in which they came.
    pub fn retired_items(&self) -> Vec<Id> {
        self.snapshot().retired_items()
    }

    /// The users [`Query::recall`] was calibrated on: leave them out where you measure it yourself. None where the search is always exact.
    pub fn calibration_users(&self) -> Vec<Id> {
        self.snapshot().calibration_users()
    }

    /// The interactions a user has now, in no particular order; none for a user nobody knows.
    ///
    /// # Errors
    /// [`Error::WrongIdKind`].
    pub fn history(&self, user: impl Into<Id>) -> Result<Vec<Interaction>> {
        self.snapshot().history(user)
    }

    /// Counts and sizes.
    ///
    /// # Errors
    /// [`Error::Storage`] where the directory cannot be read.
    pub fn stats(&self) -> Result<Stats> {
        Stats::of(&self.snapshot(), &self.inner.store)
    }

    /// Reads everything stored and checks every record, count and hash. Damage is in the report; [`VerifyReport::is_sound`] sums it up.
    ///
    /// # Errors
    /// [`Error::Storage`] naming what kept damage from being looked for.
    pub fn verify(&self) -> Result<VerifyReport> {
        Ok(self.inner.store.verify_while(&|| self.goes_on())?)
    }
}

/// How a database takes repeats.
///
/// # Errors
/// [`Error::InvalidArgument`] where the options ask for another way, [`Error::Damaged`] where it does not say a known one.
fn repeats(store: &Store, options: &Options) -> Result<Repeats> {
    let stored = match store.properties().get(REPEATS) {
        Some(name) => Repeats::parse(name).map_err(|error| Error::Damaged { what: error.to_string() })?,
        None => Repeats::default(),
    };
    match options.repeats.filter(|&asked| asked != stored) {
        Some(asked) => Err(Error::InvalidArgument {
            what: format!("repeats taken as `{}`", asked.name()),
            remedy: format!(
                "this database was created to take `{}`; load the interactions into a new one",
                stored.name()
            ),
        }),
        None => Ok(stored),
    }
}
