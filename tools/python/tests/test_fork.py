"""Processes that were forked from one that has a database open: what is open there has its locks and threads in the other."""

import multiprocessing
import os
import subprocess
import sys

import pytest
from conftest import USERS, taste_pairs

import kithdb

#: What processes that are forked have from this one.
OPEN = {}

SCRIPT = """
import os, sys
import kithdb

path, place = sys.argv[1:]
db = kithdb.open(path)
replica = kithdb.open_snapshot(place, follow=0.05)
job = db.train("fast", bits=128)
child = os.fork()
if child == 0:
    # Dropped, closed, collected at the end: nothing of it is the child's.
    with db:
        assert repr(job) == "<kithdb.Job: of another process>" and repr(db).endswith(": of another process>")
        del replica, job
        sys.exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
job.wait()
print(len(db.recommend(0, k=3)), len(replica.recommend(0, k=3)))
"""


@pytest.fixture
def place(tastes, tmp_path):
    tastes.snapshot_to(tmp_path / "place")
    return tmp_path / "place"


def refusals(reader):
    """What calls of this process are told."""
    calls = [
        lambda: reader.recommend(users=list(range(USERS)), k=3),
        lambda: reader.recommend(0),
        reader.users,
        lambda: reader.insert(1, 2) if hasattr(reader, "insert") else reader.refresh(),
        lambda: reader.train("fast") if hasattr(reader, "train") else reader.fault(),
    ]
    told = []
    for call in calls:
        try:
            told.append(repr(call()))
        except kithdb.StorageError as error:
            told.append(str(error))
    reader.close()
    return told


@pytest.mark.parametrize("kind", ["database", "replica"])
def test_a_forked_process_is_refused_at_once(tastes, place, kind):
    reader = tastes if kind == "database" else kithdb.open_snapshot(place, follow=0.05)
    before = reader.recommend(0)
    OPEN["reader"] = reader
    with multiprocessing.get_context("fork").Pool(2) as pool:
        for told in pool.map_async(_refused, range(2)).get(timeout=60):
            assert len(told) == 5
            assert all(f"opened in process {os.getpid()}, of which this is a fork: open it in this process" in one for one in told)
    assert reader.recommend(0) == before


def _refused(_):
    return refusals(OPEN["reader"])


def _opened(place):
    with kithdb.open_snapshot(place) as replica:
        return replica.recommend(users=[0, 1], k=3)[0].tolist()


def test_a_forked_process_opens_a_snapshot_of_its_own(tastes, place):
    expected = tastes.recommend(users=[0, 1], k=3)[0].tolist()
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.map_async(_opened, [place] * 2).get(timeout=60) == [expected] * 2


def test_a_forked_process_ends_in_order(tastes, place, tmp_path):
    with kithdb.open(tmp_path / "db") as db:
        db.insert_many(taste_pairs())
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", SCRIPT, tmp_path / "db", place], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "3 3\n", "")
