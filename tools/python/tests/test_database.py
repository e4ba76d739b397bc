"""The rest of a database's life: jobs, imports, exports, errors, closing."""

import _thread
import copy
import re
import signal
import threading
import time

import numpy as np
import pytest
from conftest import ITEMS, USERS, taste_pairs

import kithdb


def test_what_is_stored_is_there_when_it_is_opened_again(tmp_path):
    with kithdb.open(tmp_path / "db") as db:
        db.insert("ann", "x", weight=2.0, time=1000)
        assert db.generation is None
    with kithdb.open(tmp_path / "db", create=False) as db:
        assert db.history("ann") == [("x", 2.0, 1000)]
        assert db.stats()["interactions"] == 1
        assert db.verify()["ok"]


def test_a_closed_database_says_so_and_leaves_its_lock(tmp_path):
    db = kithdb.open(tmp_path / "db")
    with pytest.raises(kithdb.StorageError):
        kithdb.open(tmp_path / "db")
    db.close()
    db.close()
    for call in (lambda: db.insert("a", "x"), lambda: db.recommend("a"), db.stats, db.users):
        with pytest.raises(kithdb.StorageError, match="closed"):
            call()
    kithdb.open(tmp_path / "db").close()


def test_closing_tells_what_keeps_it_open(tmp_path):
    db = kithdb.open(tmp_path / "db")
    begun, go_on = threading.Event(), threading.Event()

    def rows():
        begun.set()
        for row in range(70_000):
            yield row, row % 5
        go_on.wait()

    thread = threading.Thread(target=lambda: db.insert_many(rows()))
    thread.start()
    begun.wait()
    try:
        with pytest.raises(kithdb.StorageError, match="under way"):
            db.close()
        with pytest.raises(kithdb.StorageError, match="closed"):
            db.users()
    finally:
        go_on.set()
        thread.join()
    db.close()
    with kithdb.open(tmp_path / "db") as again:
        assert again.stats()["interactions"] == 70_000


@pytest.mark.parametrize("k", [2**28, 2**40, 2**62, 2**64 - 1])
def test_a_list_of_any_length_is_answered_or_refused(tastes, k):
    assert len(tastes.recommend(0, k=k, include_seen=True)) == ITEMS
    assert len(tastes.recommend(0, k=k, diversify=0.3, include_seen=True)) == ITEMS
    assert len(tastes.recommend(999, k=k, or_popular=True)) == ITEMS
    assert len(tastes.similar_items(0, k=k)) == ITEMS - 1
    assert len(tastes.similar_users(0, k=k)) == USERS - 1
    assert len(tastes.recommend(items=[3], k=k)) == ITEMS - 1
    with pytest.raises(kithdb.InvalidArgumentError, match=f"^k = {k} for 2 users: .*268435456"):
        tastes.recommend(users=[0, 1], k=k)
    assert tastes.evaluate({0: [0]}, k=k)[f"recall@{k}"] == 1.0
    assert tastes.evaluate({0: [0]}, k=np.uint64(k))[f"recall@{k}"] == 1.0


def test_a_user_who_cannot_be_answered_has_an_empty_list_where_that_is_asked_for(tastes):
    assert tastes.recommend(999, errors="ignore") == []
    assert tastes.recommend(0, k=3, errors="ignore") == tastes.recommend(0, k=3)


def test_what_is_open_shows_what_it_is(tastes, tmp_path):
    tastes.snapshot_to(tmp_path / "place")
    with kithdb.open(tmp_path / "db") as db, kithdb.open_snapshot(tmp_path / "place") as replica:
        assert repr(db) == f'<kithdb.Database "{tmp_path}/db": not trained>'
        assert repr(replica) == f'<kithdb.Replica "{tmp_path}/place": generation 1>'
    assert repr(db) == f'<kithdb.Database "{tmp_path}/db": closed>'


def test_a_missing_database_is_not_made_unless_asked(tmp_path):
    with pytest.raises(kithdb.StorageError):
        kithdb.open(tmp_path / "db", create=False)


def test_errors_are_one_tree_with_the_messages_of_the_library(tastes, db):
    assert issubclass(kithdb.InvalidArgumentError, (kithdb.KithdbError, ValueError))
    assert issubclass(kithdb.DamagedError, kithdb.StorageError) and issubclass(kithdb.StorageError, OSError)
    db.insert("ann", "x")
    for kind, says, call in [
        (kithdb.NotTrainedError, "train", lambda: db.recommend("ann")),
        (kithdb.UnknownIdError, "unknown user bob", lambda: db.recommend("bob")),
        (kithdb.UnknownIdError, "unknown item q", lambda: db.similar_items("q")),
        (kithdb.InvalidArgumentError, "k = 0", lambda: db.recommend("ann", k=0)),
        (kithdb.InvalidArgumentError, "users=", lambda: db.recommend()),
        (kithdb.InvalidArgumentError, "users=", lambda: db.recommend(["ann"])),
        (kithdb.InvalidArgumentError, "errors=", lambda: db.recommend(users=["ann"], errors="hide")),
        (kithdb.InvalidArgumentError, "errors=", lambda: db.recommend("ann", errors="hide")),
        (kithdb.InvalidArgumentError, "^k = -1: pass a whole number from 0", lambda: db.recommend("ann", k=-1)),
        (kithdb.InvalidArgumentError, f"^k = {2**70}: pass a whole number", lambda: db.similar_items("x", k=2**70)),
        (kithdb.InvalidArgumentError, "^k = 'ten': pass a whole number", lambda: db.similar_users("ann", k="ten")),
        (kithdb.InvalidArgumentError, "^k = -1", lambda: db.nearest_to_vector(np.ones(4), k=-1)),
        (kithdb.InvalidArgumentError, "^query_bits = 1.5", lambda: db.recommend("ann", query_bits=1.5)),
        (kithdb.InvalidArgumentError, "^recall = 'all': pass a number", lambda: db.recommend("ann", recall="all")),
        (kithdb.InvalidArgumentError, "^0 for many ids: pass a sequence", lambda: db.recommend(users=0)),
        (kithdb.InvalidArgumentError, "^0 for many ids: pass a sequence", lambda: db.evaluate({0: 0})),
        (kithdb.InvalidArgumentError, "^k = 2.5: pass a whole number", lambda: db.evaluate({0: [0]}, k=[1, 2.5])),
        (kithdb.InvalidArgumentError, "^generation = -1", lambda: db.rollback(-1)),
        (kithdb.InvalidArgumentError, "^weight = 'many'", lambda: db.insert("ann", "y", weight="many")),
        (kithdb.InvalidArgumentError, "^memory_limit = -1", lambda: kithdb.open("nowhere", create=False, memory_limit=-1)),
        (kithdb.InvalidArgumentError, "^follow = 'always'", lambda: kithdb.open_snapshot("nowhere", follow="always")),
        (kithdb.InvalidArgumentError, "^seed = -1: pass a whole number from 0 to 2\\^64-1", lambda: db.train(seed=-1)),
        (kithdb.InvalidArgumentError, "^bits = 128.0: pass a whole number from 0 to 2\\^32-1", lambda: db.train(bits=128.0)),
        (kithdb.InvalidArgumentError, "^seed = -1", lambda: db.import_embeddings(np.ones((2, 4), np.float32), seed=-1)),
        (kithdb.InvalidArgumentError, "^keep = -1", lambda: db.snapshot_to("nowhere", keep=-1)),
        (kithdb.InvalidArgumentError, "^a setting called 7: ", lambda: db.train(settings={7: 1})),
        (kithdb.InvalidArgumentError, "^preset = 5: pass a string", lambda: db.train(5)),
        (kithdb.InvalidArgumentError, "preset", lambda: db.train("slow")),
        (kithdb.InvalidArgumentError, "teacher.rate", lambda: db.train(settings={"teacher.rate": 1})),
        (kithdb.InvalidArgumentError, "bits", lambda: db.train(bits=100)),
        (kithdb.UnknownIdError, "none of the 1", lambda: tastes.recommend(items=[777])),
    ]:
        with pytest.raises(kind, match=says) as raised:
            call()
        assert isinstance(raised.value, kithdb.KithdbError)


def test_a_training_reports_what_it_came_to(db):
    db.insert_many(taste_pairs())
    job = db.train("fast", bits=128, seed=3, threads=1)
    outcome = job.wait(progress=False)
    assert job.is_finished() and job.progress().phase == "done"
    assert (outcome["generation"], outcome["users"], outcome["items"]) == (1, USERS, ITEMS)
    assert outcome == job.wait()
    assert db.generation == 1 and db.stats()["generation"]["layer_bits"] == [128]
    db.insert(0, 1)
    assert db.compact("minor").wait()["kind"] == "minor"
    with pytest.raises(kithdb.JobError):
        db.compact("minor").wait()
    assert db.rollback(1) == 3


def test_a_bar_is_shown_where_it_is_wanted(db, capsys, monkeypatch):
    pytest.importorskip("tqdm")
    monkeypatch.setattr(kithdb.job, "GLANCE", 0.001)
    db.insert_many(slow_pairs())
    db.train("fast", bits=128).wait(progress=False)
    assert capsys.readouterr().err == ""
    db.train("fast", bits=128).wait(progress=True)
    assert re.search(r"\w+:.*\d", capsys.readouterr().err)


def test_a_training_can_be_cancelled(db):
    db.insert_many(slow_pairs())
    job = db.train("best")
    job.cancel()
    with pytest.raises(kithdb.CancelledError):
        job.wait()
    assert db.generation is None


def test_ctrl_c_cancels_a_training(db):
    db.insert_many(slow_pairs())
    # What is started in the background of a shell has it ignored, and so has what that starts.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        job = db.train("best", settings={"student.sweeps": 50})
        threading.Timer(0.5, _thread.interrupt_main).start()
        with pytest.raises(KeyboardInterrupt):
            job.wait()
    finally:
        signal.signal(signal.SIGINT, before)
    assert job.is_finished() and db.generation is None
    db.train("fast", bits=128).wait()
    assert db.generation == 1


def test_ctrl_c_is_heard_amid_one_batch(db):
    """What came before is stored, and comes again as what is there."""
    rows = {"user": np.arange(3_000_000) // 3, "item": np.arange(3_000_000) % 5}
    heard = []
    before = signal.signal(signal.SIGINT, lambda *_: heard.append(time.monotonic()) or signal.default_int_handler(*_))
    try:
        sent = []
        threading.Timer(1.0, lambda: sent.append(time.monotonic()) or _thread.interrupt_main()).start()
        with pytest.raises(KeyboardInterrupt):
            db.insert_many(rows)
        assert heard[0] - sent[0] < 2
    finally:
        signal.signal(signal.SIGINT, before)
    stored = db.stats()["interactions"]
    assert 0 < stored < 3_000_000
    some = {name: column[: stored + 1] for name, column in rows.items()}
    assert db.insert_many(some) == (1, 0, stored)


def slow_pairs():
    random = np.random.default_rng(1)
    return {"user": random.integers(0, 3000, 200_000), "item": random.integers(0, 2000, 200_000)}


def test_other_threads_run_while_it_works(db):
    """The interpreter's lock is released: a thread of Python counts on while a load and a batch of answers are under way."""
    ticks, stop = [0], threading.Event()

    def count():
        while not stop.is_set():
            ticks[0] += 1
            time.sleep(0.0005)

    counter = threading.Thread(target=count)
    counter.start()
    try:
        many = np.arange(3_000_000)
        for call in (lambda: db.insert_many(slow_pairs()), lambda: db.train("fast", bits=128)._job.wait_timeout(30), lambda: db.item_set(many)):
            before, start = ticks[0], time.monotonic()
            call()
            seconds = time.monotonic() - start
            # A lock that is held stops the count; a tenth of what an idle interpreter counts is no matter of load.
            assert ticks[0] - before > seconds / 0.02, (ticks[0] - before, seconds)
    finally:
        stop.set()
        counter.join()


def test_vectors_of_another_model_are_served(db):
    random = np.random.default_rng(2)
    items, users = random.normal(size=(50, 16)).astype(np.float32), random.normal(size=(9, 16))
    outcome = db.import_embeddings(items, [f"i{row}" for row in range(50)], users, [f"u{row}" for row in range(9)], metric="cosine", bits=512)
    assert outcome["generation"] == 1
    ids, _ = db.recommend(users=db.users(), k=10)
    exact = np.argsort(-(users @ (items / np.linalg.norm(items, axis=1, keepdims=True)).T), axis=1)[:, :10]
    shared = [len(set(row) & {f"i{at}" for at in best}) for row, best in zip(ids.tolist(), exact.tolist())]
    assert np.mean(shared) > 7
    assert db.nearest_to_vector(users[3], k=1)[0][0] in ids[3].tolist()[:3]
    with pytest.raises(kithdb.InvalidArgumentError, match="nan|NaN"):
        db.import_embeddings(np.full((3, 4), np.nan, np.float32))


def test_vectors_of_any_numbers_are_those_of_32_bits(tmp_path):
    codes = []
    for kind in (np.float32, np.float16, np.int8, np.uint64):
        with kithdb.open(tmp_path / np.dtype(kind).name, background=False) as db:
            vectors = np.random.default_rng(4).integers(0, 100, (30, 8)).astype(kind)
            db.import_embeddings(vectors, bits=64)
            codes.append((db.similar_items(3), db.nearest_to_vector(vectors[0])))
            with pytest.raises(kithdb.InvalidArgumentError, match="no array of numbers"):
                db.import_embeddings(vectors.astype(complex))
    assert codes[1:] == codes[:1] * 3


def test_codes_leave_and_come_in_with_their_answers(tastes, tmp_path):
    folder = tmp_path / "codes"
    outcome = tastes.export(folder)
    assert (folder / "items_codes.npy").exists() and outcome["items"] == ITEMS
    load = lambda name: np.load(folder / name)  # noqa: E731
    with kithdb.open(tmp_path / "copy", background=False) as copy_of:
        users = "queries_planes.npy" if (folder / "queries_planes.npy").exists() else "queries_codes.npy"
        copy_of.import_codes(
            load("items_codes.npy"), load("items_scalers.npy"), load("layer_weights.npy").tolist(), load("items_ids.npy"),
            load(users), load("queries_scalers.npy"), load("queries_ids.npy"),
        )
        for user in range(USERS):
            assert copy_of.recommend(user, k=5, include_seen=True) == tastes.recommend(user, k=5, include_seen=True)


def test_a_backup_is_a_database(tastes, tmp_path):
    tastes.backup(tmp_path / "copy")
    with kithdb.open(tmp_path / "copy", background=False) as copy_of:
        assert copy_of.recommend(3, k=5) == tastes.recommend(3, k=5)
        assert copy_of.stats()["interactions"] == tastes.stats()["interactions"]


def test_items_retire_and_users_are_forgotten(db):
    db.insert_many([("a", "x"), ("b", "x"), ("b", "y")])
    assert db.retire_item("y") and not db.retire_item("y")
    assert db.retired_items().tolist() == ["y"]
    assert db.recommend("a", or_popular=True) == []
    assert db.unretire_item("y") and db.recommend("a", or_popular=True) == [("y", 1.0)]
    assert db.remove("b", "y") and not db.remove("b", "y")
    assert db.forget_user("a") and db.users().tolist() == ["b"]


def test_sets_tell_what_is_unknown(tastes):
    only = tastes.item_set([1, 3, 555])
    assert len(only) == 3 and only.unknown() == [555]
    assert {item for item, _ in tastes.recommend(0, k=9, allow=only)} == {1, 3}


def test_answers_of_one_database_are_the_same_from_any_thread(tastes):
    expected = tastes.recommend(5, k=5)
    wrong = []
    threads = [threading.Thread(target=lambda: [wrong.append(1) for _ in range(200) if tastes.recommend(5, k=5) != expected]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert copy.copy(expected) == expected
