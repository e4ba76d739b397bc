//! Jobs that are broken off by SIGKILL are gone on with, and come to the same codes as if nothing had happened.
#![allow(clippy::unwrap_used, clippy::panic)]

mod drill;

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use drill::{mix, run_and_kill_after, worker};
use kithdb::train::Loss;
use kithdb::{
    Compaction, Db, Error, Id, Interaction, Job, JobOutcome, JobRecord, Model, Options, Policy, Preset, TrainOptions,
};

const USERS: u64 = 400;
const ITEMS: u64 = 150;

/// Interactions `from .. to` of users of five tastes.
fn interactions(from: u64, to: u64) -> Vec<Interaction> {
    let touch = |n: u64| {
        let (user, x) = (mix(5, n) % USERS, mix(6, n));
        let item = if x.is_multiple_of(4) { x / 4 % ITEMS } else { x / 4 % (ITEMS / 5) * 5 + user % 5 };
        Interaction::new(user, item)
    };
    (from..to).map(touch).collect()
}

fn training() -> TrainOptions {
    TrainOptions::new(Preset::Balanced).bits(64).seed(9)
}

/// A trained database to which something has come.
fn begun(path: &Path) {
    let db = open(path);
    db.insert_many(interactions(0, 9_000)).unwrap();
    db.train(training()).unwrap().wait().unwrap();
    db.insert_many(interactions(9_000, 10_000)).unwrap();
}

fn options() -> Options {
    Db::options().background(false).checkpoint_after(Duration::ZERO)
}

fn open(path: &Path) -> Db {
    options().open(path).unwrap()
}

/// A teacher that stops by itself where nothing more is gained, and is learned again from everything.
fn by_gradients() -> TrainOptions {
    let options = TrainOptions::new(Preset::Balanced).model(Model::Mf).loss(Loss::Bpr).bits(128).seed(9);
    options.set("refit", "on").set("teacher.epochs", 60).set("teacher.patience", 2)
}

/// A teacher that keeps more than vectors.
fn by_masks() -> TrainOptions {
    let options = TrainOptions::new(Preset::Balanced).model(Model::Sgcn).bits(128).seed(9);
    let options = options.set("teacher.epochs", 20).set("student.sweeps", 1);
    options.set("teacher.mask_gradient", "pathwise").set("teacher.mask_start", 0.05)
}

/// Does what a broken off job was to do; the hash of the codes it comes to, and what it kept of some users' edges beside them, where it learned masks.
fn done(db: &Db, work: Work, threads: usize) -> (String, Vec<Option<Vec<Id>>>) {
    let hash = begin(db, work, Some(threads)).wait().unwrap().content_hash;
    (hash, (0..20u64).map(|user| db.explain(user, 1u64).unwrap().kept).collect())
}

fn jobs(db: &Db) -> (JobRecord, JobRecord) {
    let mut jobs = db.jobs().unwrap();
    let last = jobs.pop().unwrap();
    (jobs.pop().unwrap(), last)
}

/// Waits, not for ever, until something is so; what there is instead is told.
fn wait_until(is_so: impl Fn() -> bool, otherwise: impl Fn() -> String) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(100), "{}", otherwise());
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Until a job has come to something, which takes more room than that it has begun.
fn wait_for_checkpoint(path: &Path) {
    let bytes = || std::fs::metadata(path.join("checkpoint.bin")).map_or(0, |file| file.len());
    wait_until(|| bytes() > 8 << 10, || "nothing is kept".to_owned());
}

/// A database in which a long training was broken off.
fn broken_off(path: &Path) {
    let db = open(path);
    let job = db.train(training().set("student.sweeps", 200)).unwrap();
    wait_for_checkpoint(path);
    drop((db, job));
}

/// Waits until a database that works in the background has published what a job was broken off with.
fn finished(path: &Path, threads: usize) -> Db {
    let policy = Policy::default().threads(threads);
    let db = Db::options().policy(policy).open(path).unwrap();
    let is_done = || matches!(jobs(&db).1.outcome, JobOutcome::Done { .. });
    wait_until(|| is_done() && !path.join("checkpoint.bin").exists(), || format!("{:?}", db.jobs()));
    db
}

/// A kind of job as its record has it, and the options of its training.
type Work = (&'static str, fn() -> TrainOptions);

const TRAIN: Work = ("train", training);
const FULL: Work = ("full", training);
const MAJOR: Work = ("major", training);

/// Begins a job.
fn begin(db: &Db, (kind, training): Work, threads: Option<usize>) -> Job {
    let begun = match kind {
        "full" => db.compact(Compaction::Full),
        "major" => db.compact(Compaction::Major),
        _ => db.train(threads.map_or_else(training, |threads| training().threads(threads))),
    };
    begun.unwrap()
}

/// A job, the phase it is killed in, how often that begins before, and what it had come to.
const KILLS: [(Work, &str, u64, &str); 10] = [
    (TRAIN, "teacher", 0, "nothing"),
    (TRAIN, "student", 0, "teacher"),
    (TRAIN, "student", 1, "teacher of all"),
    (TRAIN, "index", 0, "student of all"),
    (("train", by_masks), "student", 0, "teacher"),
    (FULL, "student", 0, "teacher"),
    (MAJOR, "teacher", 0, "nothing"),
    (MAJOR, "student", 0, "teacher"),
    (MAJOR, "index", 0, "student"),
    (MAJOR, "manifest", 0, "student"),
];

/// Of these what was kept does not serve before everything is learned again: they begin anew, or end the same.
const BY_GRADIENTS: [(Work, &str, u64); 2] =
    [(("train", by_gradients), "teacher", 1), (("train", by_gradients), "index", 0)];

#[test]
fn a_job_that_is_killed_is_gone_on_with_and_comes_to_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    begun(&path("begun"));
    let whole = |kind: Work, threads: usize| {
        drill::files::copy(&path("begun"), &path("whole"));
        let hash = done(&open(&path("whole")), kind, threads);
        std::fs::remove_dir_all(path("whole")).unwrap();
        hash
    };
    // The student is learned twice only where it gains the first time, and the models of neighbours are kept where they are added.
    drill::files::copy(&path("begun"), &path("gains"));
    let report = open(&path("gains")).train(training()).unwrap().wait().unwrap().training;
    assert!(report.recall > report.start_recall, "{report:?}");
    assert!(report.settings.iter().any(|(name, _)| name == "teacher.user_neighbour_weight"), "{report:?}");
    for (at, (kind, phase, before, come_to)) in KILLS.into_iter().enumerate() {
        let story = format!("{:?} in {phase} {before}", kind.0);
        let come = whole(kind, 1);
        assert_eq!(come, whole(kind, 2), "{story}");
        assert_eq!(come.1.iter().all(Option::is_some), kind.1() == by_masks(), "{story}");
        drill::files::copy(&path("begun"), &path("killed"));
        let line = "ack here";
        run_and_kill_after("a_job_to_be_killed", &path("killed"), at as u64, Some(Duration::ZERO), |said| said == line);
        assert!(path("killed").join("checkpoint.bin").exists(), "{story}");
        let copy = |name: &str| drill::files::copy(&path("killed"), &path(name));
        ["asked", "damaged", "other"].into_iter().for_each(copy);

        // In the background, by itself, on what there was, though more comes.
        {
            let db = options().open(path("killed")).unwrap();
            db.insert(7_000u64, 3u64).unwrap();
        }
        let db = finished(&path("killed"), 1 + at % 2);
        let (broken, job) = jobs(&db);
        assert_eq!(broken.outcome, JobOutcome::Resumed { by: job.number }, "{story}");
        assert_eq!(job.found.get("resumed_after").map(String::as_str), Some(come_to), "{story}");
        assert_eq!((broken.kind.as_str(), job.kind.as_str()), (kind.0, kind.0), "{story}");
        let stats = db.stats().unwrap();
        assert_eq!((stats.generation.unwrap().content_hash, stats.tail_changes), (come.0.clone(), 1), "{story}");
        drop(db);

        // When the same is asked for.
        let db = open(&path("asked"));
        assert_eq!(done(&db, kind, 2), come, "{story}");
        let (broken, job) = jobs(&db);
        assert_eq!(broken.outcome, JobOutcome::Resumed { by: job.number }, "{story}");
        assert!(!path("asked").join("checkpoint.bin").exists(), "{story}");
        drop(db);

        // Damage, wherever it is, costs a restart at most.
        let good = std::fs::read(path("damaged").join("checkpoint.bin")).unwrap();
        let middle = (good.len() / 2).min(4_000);
        for (cut, byte) in
            [(good.len(), middle), (good.len(), good.len() - 40), (good.len() / 2, 0), (0, 0), (good.len(), 70)]
        {
            let mut bad = good[..cut].to_vec();
            bad.iter_mut().skip(byte).take(1).for_each(|byte| *byte ^= 4);
            drill::files::copy(&path("damaged"), &path("again"));
            std::fs::write(path("again").join("checkpoint.bin"), &bad).unwrap();
            let db = open(&path("again"));
            assert!(db.verify().unwrap().is_sound());
            assert_eq!(done(&db, kind, 1), come, "{story}, byte {byte} of {cut}");
            assert!(!path("again").join("checkpoint.bin").exists(), "{story}");
            drop(db);
            std::fs::remove_dir_all(path("again")).unwrap();
        }

        // Another job has no use for it, and removes it.
        let db = open(&path("other"));
        db.insert(1u64, 149u64).unwrap();
        db.compact(Compaction::Minor).unwrap().wait().unwrap();
        assert!(!path("other").join("checkpoint.bin").exists(), "{story}");
        drop(db);
        ["killed", "asked", "damaged", "other"].iter().for_each(|name| std::fs::remove_dir_all(path(name)).unwrap());
    }
}

#[test]
fn a_teacher_that_stops_by_itself_comes_to_the_same_after_a_kill() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    begun(&path("begun"));
    drill::files::copy(&path("begun"), &path("whole"));
    let hash = done(&open(&path("whole")), BY_GRADIENTS[0].0, 1);
    for (at, (work, phase, _)) in (KILLS.len()..).zip(BY_GRADIENTS) {
        drill::files::copy(&path("begun"), &path("killed"));
        let line = "ack here";
        run_and_kill_after("a_job_to_be_killed", &path("killed"), at as u64, Some(Duration::ZERO), |said| said == line);
        assert!(path("killed").join("checkpoint.bin").exists(), "{phase}");
        let db = open(&path("killed"));
        assert_eq!(done(&db, work, 2), hash, "{phase}");
        drop(db);
        std::fs::remove_dir_all(path("killed")).unwrap();
    }
}

#[test]
#[ignore = "the process that is killed"]
fn a_job_to_be_killed() {
    let Some((path, at)) = worker() else { return };
    let kills = KILLS.map(|(work, phase, before, _)| (work, phase, before)).into_iter().chain(BY_GRADIENTS);
    let (work, phase, mut before) = kills.into_iter().nth(at as usize).unwrap();
    let db = open(&path);
    let job = begin(&db, work, None);
    let mut last = (String::new(), 0);
    job.on_progress(move |progress| {
        // A phase may follow one of its own name.
        let entered = progress.phase != last.0 || progress.step < last.1;
        last = (progress.phase.clone(), progress.step);
        if !entered || progress.phase != phase {
            return;
        }
        if before > 0 {
            before -= 1;
            return;
        }
        println!("ack here");
        std::io::stdout().flush().unwrap();
        // Here it stays until it is killed.
        std::thread::sleep(Duration::from_secs(600));
    });
    job.wait().unwrap();
}

#[test]
fn what_a_job_that_ended_otherwise_had_come_to_is_gone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db.kith");
    begun(&path);
    let checkpoint = path.join("checkpoint.bin");
    // Cancelled by its owner.
    let db = open(&path);
    let long = training().set("student.sweeps", 1000);
    let job = db.train(long.clone()).unwrap();
    wait_for_checkpoint(&path);
    job.cancel();
    assert!(matches!(job.wait(), Err(Error::Cancelled)));
    assert_eq!(jobs(&db).1.outcome, JobOutcome::Cancelled);
    assert!(!checkpoint.exists());
    // Broken off by closing: kept, and of no use to another.
    let job = db.train(long.clone()).unwrap();
    wait_for_checkpoint(&path);
    drop((db, job));
    assert!(checkpoint.exists());
    // Gone on with by itself, it gives way to what is asked for.
    let db = Db::options().checkpoint_after(Duration::ZERO).open(&path).unwrap();
    let is_under_way = |job: &JobRecord| job.why.contains("was broken off") && job.phase == "student";
    wait_until(|| db.jobs().unwrap().last().is_some_and(is_under_way), || format!("{:?}", db.jobs()));
    db.compact(Compaction::Minor).unwrap().wait().unwrap();
    let gave_way = jobs(&db).0;
    assert_eq!((gave_way.outcome, gave_way.found.contains_key("closed")), (JobOutcome::Interrupted, true));
    let job = db.train(long).unwrap();
    wait_for_checkpoint(&path);
    drop((db, job));
    let db = open(&path);
    assert_eq!(jobs(&db).1.outcome, JobOutcome::Interrupted);
    db.compact(Compaction::Major).unwrap().wait().unwrap();
    assert!(!checkpoint.exists());
}

/// What was broken off gives way to whatever is asked for, and is gone on with where that comes to nothing.
#[test]
fn a_request_that_publishes_nothing_ends_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db.kith");
    begun(&path);
    let db = open(&path);
    db.compact(Compaction::Minor).unwrap().wait().unwrap();
    drop(db);
    broken_off(&path);
    let db = Db::options().checkpoint_after(Duration::ZERO).open(&path).unwrap();
    let resumed = || db.jobs().unwrap().into_iter().filter(|job| job.why.contains("was broken off"));
    let wait = |is_so: &dyn Fn() -> bool| wait_until(is_so, || format!("{:?}", db.jobs()));
    wait(&|| resumed().any(|job| job.phase == "student"));
    assert!(matches!(db.compact(Compaction::Minor).unwrap().wait(), Err(Error::NothingNew { .. })));
    // Nor does a job that begins and fails: what there is to be gone on with is another's.
    let refused = db.train(training().memory_limit(1)).unwrap().wait().unwrap_err();
    assert!(refused.to_string().contains("with a limit of 1"), "{refused}");
    assert!(resumed().any(|job| job.outcome == JobOutcome::Interrupted), "{:?}", db.jobs());
    wait(&|| resumed().any(|job| matches!(job.outcome, JobOutcome::Done { .. })));
}

/// Its codes are not published whatever they find, as those of a training are, though its record has left the history.
#[test]
fn a_full_compaction_is_gone_on_with_as_one_when_its_record_is_gone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db.kith");
    begun(&path);
    let db = open(&path);
    db.train(training().set("student.sweeps", 60)).unwrap().wait().unwrap();
    let job = db.compact(Compaction::Full).unwrap();
    wait_for_checkpoint(&path);
    drop((db, job));
    let db = open(&path);
    let broken = jobs(&db).1.number;
    while db.jobs().unwrap()[0].number <= broken {
        db.insert(1u64, 1u64).unwrap();
        let job = db.compact(Compaction::Major).unwrap();
        job.cancel();
        assert!(matches!(job.wait(), Err(Error::Cancelled)));
    }
    drop(db);
    let db = finished(&path, 1);
    assert_eq!(jobs(&db).1.kind, "full");
    assert!(jobs(&db).1.why.contains(&format!("job {broken} ")));
}

/// Who was forgotten before a job began that was broken off leaves the disk with what it publishes, or another that it gives way to: the moment it went on
/// from holds nothing back.
#[test]
fn what_is_gone_on_with_holds_no_generation_back() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    begun(&path("itself"));
    let db = open(&path("itself"));
    assert!(db.forget_user(7u64).unwrap());
    drop(db);
    broken_off(&path("itself"));
    drill::files::copy(&path("itself"), &path("another"));
    let is_gone = |name: &str| ["gen-1", "state-1.bin"].iter().all(|own| !path(name).join(own).exists());
    let wait = |name: &str| wait_until(|| is_gone(name), || format!("what was forgotten is still there: {name}"));
    assert!(!is_gone("itself"));
    let _db = finished(&path("itself"), 1);
    wait("itself");
    let db = Db::options().checkpoint_after(Duration::ZERO).open(path("another")).unwrap();
    wait_until(|| jobs(&db).1.why.contains("was broken off"), || format!("{:?}", db.jobs()));
    db.compact(Compaction::Minor).unwrap().wait().unwrap();
    wait("another");
}
