"""Snapshots of a database that another process owns."""

import subprocess
import sys
import time

import numpy as np
import pytest
from conftest import USERS

import kithdb


def test_a_snapshot_answers_as_the_database_did(named, tmp_path):
    place = tmp_path / "place"
    outcome = named.snapshot_to(place)
    assert outcome["generation"] == named.generation and not outcome["repeated"]
    with kithdb.open_snapshot(place) as replica:
        for ours, theirs in zip(replica.recommend(users=replica.users(), k=7), named.recommend(users=named.users(), k=7)):
            assert ours.tolist() == theirs.tolist() or np.array_equal(ours, theirs, equal_nan=True)
        assert replica.similar_items("i00") == named.similar_items("i00")
        assert sorted(replica.history("u03")) == sorted(named.history("u03"))
        assert not hasattr(replica, "insert") and not replica.refresh()
        assert replica.evaluate({"u00": ["i00"]})["users"] == 1
    with pytest.raises(kithdb.StorageError, match="closed"):
        replica.recommend("u00")
    for nothing in (tmp_path, tmp_path / "none"):
        with pytest.raises(kithdb.InvalidArgumentError, match="no snapshot"):
            kithdb.open_snapshot(nothing)
    with pytest.raises(kithdb.InvalidArgumentError, match="follow"):
        kithdb.open_snapshot(place, follow=0)


def test_another_process_follows_while_this_one_owns(db, tmp_path):
    db.insert_many((f"u{user}", f"i{item}") for user in range(USERS) for item in range(user % 3, 12, 3))
    db.train("fast", bits=128).wait()
    place = tmp_path / "place"
    db.snapshot_to(place)
    script = (
        "import kithdb, sys, time\n"
        "replica = kithdb.open_snapshot(sys.argv[1], follow=0.05)\n"
        "print(len(replica.history('u0')), flush=True)\n"
        "start = time.monotonic()\n"
        "while len(replica.history('u0')) == 4 and time.monotonic() < start + 30: time.sleep(0.01)\n"
        "print(len(replica.history('u0')), replica.fault(), flush=True)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(place)], stdout=subprocess.PIPE, text=True) as reader:
        assert reader.stdout.readline() == "4\n"
        db.insert("u0", "i1")
        db.snapshot_to(place)
        start = time.monotonic()
        assert reader.stdout.readline() == "5 None\n"
        assert time.monotonic() - start < 20
