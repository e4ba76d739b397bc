"""Every kind of object interactions come in, and what is refused of them."""

import datetime

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse as sp

import kithdb
from kithdb import InvalidArgumentError

USERS = ["ann", "bob", "ann", "cid"]
ITEMS = ["x", "x", "y", "z"]


def everything(db):
    """All interactions, as a sorted list of (user, item, weight, time)."""
    return sorted((user, *one) for user in db.users().tolist() for one in db.history(user))


PLAIN = [("ann", "x", 1.0, None), ("ann", "y", 1.0, None), ("bob", "x", 1.0, None), ("cid", "z", 1.0, None)]


def duck(frame):
    duckdb = pytest.importorskip("duckdb")
    return duckdb.connect().from_arrow(pa.table(frame))


@pytest.mark.parametrize(
    "table",
    [
        pd.DataFrame,
        lambda columns: pd.DataFrame(columns, dtype="string"),
        lambda columns: pd.DataFrame(columns).astype("category"),
        lambda columns: pd.DataFrame(columns, index=[7, 3, 9, 1]),
        pl.DataFrame,
        lambda columns: pl.DataFrame(columns).with_columns(pl.all().cast(pl.Categorical)),
        pa.table,
        lambda columns: pa.table({name: pa.array(column).dictionary_encode() for name, column in columns.items()}),
        lambda columns: pa.table({name: pa.array(column, pa.string_view()) for name, column in columns.items()}),
        lambda columns: pa.table(columns).to_reader(max_chunksize=2),
        lambda columns: pa.concat_tables([pa.table(columns).slice(0, 3), pa.table(columns).slice(3)]),
        duck,
        dict,
        lambda columns: list(zip(*columns.values())),
        lambda columns: zip(*columns.values()),
    ],
    ids=["pandas", "pandas-string", "pandas-categorical", "pandas-index", "polars", "polars-categorical", "pyarrow", "dictionary", "view",
         "reader", "chunks", "duckdb", "mapping", "tuples", "iterator"],
)
def test_names_come_in_and_back(db, table):
    assert db.insert_many(table({"user": USERS, "item": ITEMS})) == (4, 0, 0)
    assert everything(db) == PLAIN
    assert db.insert_many(table({"user": USERS, "item": ITEMS})) == kithdb.Inserted(new=0, updated=0, repeated=4)


@pytest.mark.parametrize("kind", ["int8", "int32", "int64", "uint16", "uint32", "uint64"])
def test_numbers_of_any_width_come_in_and_back_as_integers(db, kind):
    columns = {"user": np.array([1, 2, 1, 3], kind), "item": np.array([9, 9, 8, 7], kind)}
    for rows in (columns, pa.table(columns), pd.DataFrame(columns), pl.DataFrame(columns)):
        assert db.insert_many(rows).interactions == 4
        assert everything(db) == [(1, 8, 1.0, None), (1, 9, 1.0, None), (2, 9, 1.0, None), (3, 7, 1.0, None)]
        assert db.users().dtype == np.int64 and db.users().tolist() == [1, 2, 3]


def test_the_largest_numbers_stay_what_they_are(db):
    most = 2**64 - 1
    db.insert_many({"user": np.array([most], np.uint64), "item": np.array([2**63], np.uint64)})
    assert db.users().dtype == np.uint64 and db.users().tolist() == [most]
    assert db.history(most)[0][0] == 2**63


def test_bytes_come_in_and_back(db):
    db.insert_many(pa.table({"user": [b"\x00a", b"b"], "item": [b"x", b"x"]}))
    assert db.users().tolist() == [b"\x00a", b"b"]
    db.insert(b"c", b"x")
    assert len(db.users()) == 3


@pytest.mark.parametrize("form", [sp.csr_matrix, sp.csr_array, sp.csc_matrix, sp.coo_matrix])
def test_a_sparse_matrix_is_users_by_items(db, form):
    matrix = form(sp.coo_matrix(([2.0, 1.0, 3.0, 1.0, 0.0], ([0, 1, 0, 3, 2], [0, 0, 2, 1, 1])), shape=(4, 3)))
    assert db.insert_many(matrix).new == 4
    assert everything(db) == [(0, 0, 2.0, None), (0, 2, 3.0, None), (1, 0, 1.0, None), (3, 1, 1.0, None)]
    assert db.recommend(0, k=3, or_popular=True) == [(1, 1.0)]


def test_rows_and_columns_of_a_matrix_have_names(db):
    matrix = sp.csr_matrix(np.array([[1, 0, 2], [0, 3, 0]], np.float32))
    db.insert_many(matrix, users=["ann", "bob"], items=np.array(["x", "y", "z"]))
    assert everything(db) == [("ann", "x", 1.0, None), ("ann", "z", 2.0, None), ("bob", "y", 3.0, None)]
    with pytest.raises(InvalidArgumentError, match="2 items for 3"):
        db.insert_many(matrix, users=["ann", "bob"], items=["x", "y"])
    with pytest.raises(InvalidArgumentError, match="sparse matrix"):
        db.insert_many(pa.table({"user": USERS, "item": ITEMS}), users=["ann"])


TIME = datetime.datetime(2024, 6, 1, 12, 30, tzinfo=datetime.timezone.utc)
MILLISECONDS = int(TIME.timestamp() * 1000)


@pytest.mark.parametrize(
    "time",
    [
        pa.array([TIME, None], pa.timestamp("us", "UTC")),
        pa.array([TIME, None], pa.timestamp("s", "Europe/Berlin")),
        pa.array([TIME.replace(tzinfo=None), None], pa.timestamp("ns")),
        pa.array([MILLISECONDS, None], pa.int64()),
    ],
    ids=["us", "zone", "naive-is-utc", "integers"],
)
def test_weights_and_times_come_along(db, time):
    table = pa.table({"who": ["a", "b"], "what": ["x", "y"], "stars": [5, 3], "at": time})
    db.insert_many(table, user="who", item="what", weight="stars", time="at")
    assert everything(db) == [("a", "x", 5.0, MILLISECONDS), ("b", "y", 3.0, None)]
    db.insert_many([("c", "x", 0.5), ("d", "x", 2, MILLISECONDS)])
    assert everything(db)[2:] == [("c", "x", 0.5, None), ("d", "x", 2.0, MILLISECONDS)]
    db.insert_many({"user": ["e"], "item": ["x"], "weight": np.array([2.5]), "time": np.array([MILLISECONDS], "datetime64[ms]")})
    assert db.history("e") == [("x", 2.5, MILLISECONDS)]


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (pa.table({"user": ["a", None], "item": ["x", "y"]}), ["row 1", "user"]),
        (pa.table({"user": ["a", "b"], "item": ["x", None]}), ["row 1", "item"]),
        (pa.table({"user": pa.array(["a", None]).dictionary_encode(), "item": ["x", "y"]}), ["row 1", "user"]),
        (pa.table({"user": ["a", "b"], "item": ["x", "y"], "weight": [1.0, None]}), ["row 1", "weight"]),
        (pd.DataFrame({"user": ["a", None], "item": ["x", "y"]}), ["row 1", "user"]),
        (pd.DataFrame({"user": pd.Categorical(["a", None]), "item": ["x", "y"]}), ["row 1", "user"]),
        (pd.DataFrame({"user": [1, None], "item": [1, 2]}), ["Float64", "int64"]),
        (pl.DataFrame({"user": [None, "a"], "item": ["x", "y"]}), ["row 0", "user"]),
        ([("a", "x"), (None, "y")], ["row 1", "user"]),
        ([("a", "x"), ("b",)], ["row 1", "tuples"]),
        ([("a", "x"), ("b", 1.5)], ["1.5", "integers, strings or bytes"]),
        ([("a", True)], ["True"]),
        (pa.table({"user": [1, -5], "item": [1, 2]}), ["row 1", "-5", "2^64-1"]),
        (pa.table({"user": ["a", ""], "item": ["x", "y"]}), ["row 1", "1 to 512"]),
        (pa.table({"user": ["a", "b"], "item": ["x", "y"], "weight": [1.0, -1.0]}), ["row 1", "weight -1"]),
        (pa.table({"user": ["a"], "item": ["x"], "weight": ["many"]}), ["weight", "numbers"]),
        (pa.table({"user": ["a"], "item": ["x"], "time": ["noon"]}), ["time", "milliseconds"]),
        (pa.table({"user": [[1]], "item": ["x"]}), ["user", "integers, strings or bytes"]),
        (pa.table({"customer": ["a"], "item": ["x"]}), ["no column", "customer", "user="]),
        (pa.table([pa.array(["a"]), pa.array(["b"]), pa.array(["x"])], names=["user", "user", "item"]), ["two columns", "user"]),
        (pd.DataFrame([["a", "b", "x"]], columns=["user", "user", "item"]), ["several columns", "user"]),
        ({"user": ["a", "b"], "item": ["x"]}, ["2 users and 1"]),
        ({"user": ["a"]}, ["no column", "item"]),
        ("ann", ["type str"]),
        (7, ["type int"]),
    ],
)
def test_what_cannot_be_taken_is_refused_by_place(db, rows, says):
    with pytest.raises(InvalidArgumentError) as refused:
        db.insert_many(rows)
    assert all(part in str(refused.value) for part in says), str(refused.value)
    assert len(db.users()) <= 1


def test_what_came_before_the_row_is_stored_and_may_come_again(db):
    table = pa.table({"user": ["a", "b", None], "item": ["x", "x", "x"]})
    with pytest.raises(InvalidArgumentError, match="row 2"):
        db.insert_many(table.to_reader(max_chunksize=2))
    assert everything(db) == [("a", "x", 1.0, None), ("b", "x", 1.0, None)]
    assert db.insert_many(table.slice(0, 2)).repeated == 2


def test_ids_of_another_kind_are_refused(db):
    db.insert("a", "x")
    with pytest.raises(InvalidArgumentError, match="of kind string"):
        db.insert_many(pa.table({"user": [1], "item": ["x"]}))
    with pytest.raises(InvalidArgumentError):
        db.insert(1, "x")


def test_a_stream_that_breaks_off_says_so(db):
    def batches():
        yield pa.record_batch({"user": ["a"], "item": ["x"]})
        raise RuntimeError("the network is gone")

    reader = pa.RecordBatchReader.from_batches(pa.schema({"user": pa.string(), "item": pa.string()}), batches())
    with pytest.raises(InvalidArgumentError, match="broke off"):
        db.insert_many(reader)
    assert everything(db) == [("a", "x", 1.0, None)]


@pytest.mark.parametrize("ids", [["a", "b"], np.array(["a", "b"], object), pd.Series(["a", "b"]), pl.Series(["a", "b"]), pa.array(["a", "b"]),
                                 pa.chunked_array([["a"], ["b"]]), ("a", "b"), {"a": 1, "b": 2}.keys()])
def test_many_ids_come_in_any_container(db, ids):
    db.insert_many([("a", "x"), ("b", "y")])
    found, _ = db.recommend(users=ids, k=1, or_popular=True)
    assert found.tolist() == [["y"], ["x"]]
    with pytest.raises(InvalidArgumentError, match="place 1"):
        db.recommend(users=["a", None], or_popular=True)


def test_a_test_set_is_a_frame_a_mapping_or_a_matrix(tastes):
    from conftest import held_out

    pairs = [(user, item) for user, items in held_out().items() for item in items]
    frame = pd.DataFrame(pairs, columns=["user", "item"])
    matrix = sp.csr_matrix((np.ones(len(pairs)), (frame.user, frame.item)))
    renamed = pl.DataFrame({"who": frame.user.to_numpy(), "what": frame.item.to_numpy()})
    measured = [tastes.evaluate(held_out()), tastes.evaluate(frame), tastes.evaluate(matrix), tastes.evaluate(renamed, user="who", item="what")]
    assert measured[0]["recall@20"] == 1.0 and all(one == measured[0] for one in measured)
    with pytest.raises(InvalidArgumentError, match="type list"):
        tastes.evaluate([1, 2])
