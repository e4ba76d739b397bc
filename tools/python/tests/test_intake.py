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
    return duckdb.from_arrow(pa.table(frame))


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


@pytest.mark.parametrize("form", [sp.csr_matrix, sp.csr_array, sp.csc_matrix, sp.coo_matrix, sp.lil_matrix, sp.dok_matrix, sp.dok_array])
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
        pa.array([MILLISECONDS, None], pa.int64()).dictionary_encode(),
    ],
    ids=["us", "zone", "naive-is-utc", "integers", "dictionary"],
)
def test_weights_and_times_come_along(db, time):
    table = pa.table({"who": ["a", "b"], "what": ["x", "y"], "stars": pa.array([5, 3]).dictionary_encode(), "at": time})
    db.insert_many(table, user="who", item="what", weight="stars", time="at")
    assert everything(db) == [("a", "x", 5.0, MILLISECONDS), ("b", "y", 3.0, None)]
    db.insert_many([("c", "x", 0.5), ("d", "x", 2, MILLISECONDS)])
    assert everything(db)[2:] == [("c", "x", 0.5, None), ("d", "x", 2.0, MILLISECONDS)]
    db.insert_many({"user": ["e"], "item": ["x"], "weight": np.array([2.5]), "time": np.array([MILLISECONDS], "datetime64[ms]")})
    assert db.history("e") == [("x", 2.5, MILLISECONDS)]


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (pa.table({"user": ["a", None], "item": ["x", "y"]}), "^row 1: no value in column \"user\": leave out"),
        (pa.table({"user": ["a", "b"], "item": ["x", None]}), "^row 1: no value in column \"item\""),
        (pa.table({"user": pa.array(["a", None]).dictionary_encode(), "item": ["x", "y"]}), "^row 1: no value in column \"user\""),
        (pa.table({"user": ["a", "b"], "item": ["x", "y"], "weight": [1.0, None]}), "^row 1: no value in column \"weight\""),
        (pd.DataFrame({"user": ["a", None], "item": ["x", "y"]}), "^row 1: no value in column \"user\""),
        (pd.DataFrame({"user": pd.Categorical(["a", None]), "item": ["x", "y"]}), "^row 1: no value in column \"user\""),
        (pl.DataFrame({"user": [None, "a"], "item": ["x", "y"]}), "^row 0: no value in column \"user\""),
        (pa.concat_tables([pa.table({"user": ["a"], "item": ["x"]}), pa.table({"user": [""], "item": ["x"]})]), "^row 1: user id of 0 bytes: ids have 1 to 512"),
        (pa.table({"user": [1, -5], "item": [1, 2]}), "^row 1: user id -5: integer ids are from 0"),
        (pa.table({"user": ["a", ""], "item": ["x", "y"]}), "^row 1: user id of 0 bytes: ids have 1 to 512"),
        (pa.table({"user": ["a", "b"], "item": ["x", "y"], "weight": [1.0, -1.0]}), r"^row 1: weight -1 of \(b, y\): weights are above 0"),
        ([("a", "x"), (None, "y")], "^row 1: no user: leave out"),
        ([("a", "x"), ("b", None)], "^row 1: no item: leave out"),
        ([("a", "x"), ("b",)], r"^row 1: \('b',\): pass tuples"),
        ([("a", "x"), "by"], "^row 1: 'by': pass tuples"),
        ([("a", "x"), (1, "y")], "^row 1: a u64 id was given for users, whose ids here are of kind string"),
        ([("a", "x"), ("b", 1.5)], "^row 1: id 1.5 of type float for the item: ids are integers, strings or bytes"),
        ([("a", "x"), ("b", True)], "^row 1: id True of type bool for the item"),
        ([("a", "x"), ("b", "y", None)], "^row 1: a weight of None: weights are numbers"),
        ([("a", "x"), ("b", "y", 1, "noon")], "^row 1: a time of 'noon': times are timestamps, dates, or whole milliseconds"),
        ([("a", "x"), ("b", "y", 1, True)], "^row 1: a time of True: times are timestamps"),
        ([("a", "x"), ("b", "y", 1, 2**63)], "^row 1: a time of 9223372036854775808: times"),
        ([("a", "x"), ("b", "y", 1, -(2**63))], "^row 1: a time of -9223372036854775808: times"),
        ([("a", "x"), ("", "y")], "^row 1: user id of 0 bytes"),
        ([("a", "x"), ("\ud800", "y")], r"^row 1: id '\\ud800' for the user: ids are text"),
        ([("a", "x"), ("b", "y", float("nan"))], "^row 1: weight NaN"),
        ({"user": ["a", None], "item": ["x", "y"]}, "^row 1: no user: leave out"),
        ({"user": ["a", "b"], "item": ["x", 1.5]}, "^row 1: id 1.5 of type float for the item"),
        ({"user": ["a", "b"], "item": pa.array(["x", None])}, "^row 1: no item: leave out"),
        ({"user": ["a", ""], "item": ["x", "y"]}, "^row 1: user id of 0 bytes"),
        ({"user": ["a", "b"], "item": ["x", "y"], "weight": [1.0, None]}, "^row 1: a weight of None: weights are numbers above 0; leave out"),
        ({"user": ["a", "b"], "item": ["x", "y"], "weight": [1.0, "many"]}, "^row (0|1): a weight of '.*': weights are numbers"),
        ({"user": ["a", "b"], "item": ["x", "y"], "weight": [1.0, -1.0]}, "^row 1: weight -1 of"),
        ({"user": ["a", "b"], "item": ["x", "y"], "weight": np.ones((2, 1))}, "^column 'weight' of shape"),
        ({"user": ["a", "b"], "item": ["x", "y"], "time": [MILLISECONDS, "noon"]}, "^row (0|1): a time of '.*': times are timestamps, dates, or whole milliseconds"),
        ({"user": ["a", "b"], "item": ["x", "y"], "time": [MILLISECONDS, 1.5]}, "^row 0: a time of .*: times are timestamps"),
        ({"user": ["a", "b"], "item": ["x", "y"], "time": np.array([0, 2**63], np.uint64)}, "^row 1: a time of 9223372036854775808"),
        ({"user": ["a", "b"], "item": ["x", "y"], "time": np.array([0, 2**62], "datetime64[s]")}, "^row 1: a time of .*64 bits"),
        ({"user": ["a", "b"], "item": ["x", "y"], "time": [None, np.datetime64(2**62, "D")]}, "^row 1: a time of .*64 bits"),
        ({"user": ["a", "b"], "item": ["x", "y"], "time": [[1], [1, 2]]}, "^column 'time'"),
        ({"user": ["a", "b"], "item": ["x", 1]}, "^row 1: a u64 id was given for items, whose ids here are of kind string"),
        (pa.table({"user": ["a", "b"], "item": ["x", "y"], "time": pa.array([None, 2**63], pa.uint64())}), '^row 1: a time in column "time" that 64 bits'),
        (pa.table({"user": ["a", "b"], "item": ["x", "y"], "time": pa.array([None, 2**62], pa.timestamp("s"))}), '^row 1: a time in column "time" that 64 bits'),
        (pa.table({"user": ["a", "b"], "item": ["x", "y"], "time": [0, -(2**63)]}), '^row 1: a time in column "time" that 64 bits'),
        (pd.DataFrame({"user": [1, None], "item": [1, 2]}), "Float64: .*int64"),
        (pa.table({"user": ["a"], "item": ["x"], "weight": ["many"]}), "weight.*numbers"),
        (pa.table({"user": ["a"], "item": ["x"], "time": ["noon"]}), "time.*milliseconds"),
        (pa.table({"user": [[1]], "item": ["x"]}), "user.*integers, strings or bytes"),
        (pa.table({"customer": ["a"], "item": ["x"]}), "no column.*user=.*customer"),
        (pa.table([pa.array(["a"]), pa.array(["b"]), pa.array(["x"])], names=["user", "user", "item"]), "several columns.*user"),
        (pa.table([pa.array(["a"]), pa.array(["b"]), pa.array(["x"])], names=["user", "user", "item"]).to_reader(), "two columns.*user"),
        (pd.DataFrame([["a", "b", "x"]], columns=["user", "user", "item"]), "several columns.*user"),
        ({"user": ["a", "b"], "item": ["x"]}, "2 users and 1"),
        (pl.DataFrame({"user": [None], "item": [None]}), "^row 0: no value in column \"user\""),
        (pl.DataFrame({"user": ["a"], "item": ["x"], "weight": [None]}), "^row 0: no value in column \"weight\""),
        (pa.table({"user": pa.nulls(1), "item": ["x"]}), "^row 0: no value in column \"user\""),
        (pd.DataFrame({"user": ["a", 1], "item": ["x", "y"]}), "type DataFrame do not come as a stream of Arrow"),
        (pd.Series(["a"]), "type Series, which has one column"),
        (pl.Series(["a"]), "type Series do not come as a stream of Arrow"),
        (pl.LazyFrame({"user": ["a"], "item": ["x"]}), "LazyFrame .*collect"),
        (sp.csr_matrix(np.array([[1 + 2j]])), "a matrix of complex128"),
        (sp.coo_array(np.array([1.0])), r"a matrix of shape \[1\]"),
        (sp.csr_matrix(np.array([[1.0, 0, 0], [0, 0, -2]])), "^row 1, column 2: weight -2 of"),
        ({"user": ["a"]}, "no column.*item"),
        ("ann", "type str"),
        (7, "type int"),
    ],
)
def test_what_cannot_be_taken_is_refused_by_place(db, rows, says):
    with pytest.raises(InvalidArgumentError, match=says):
        db.insert_many(rows)
    assert len(db.users()) <= 1


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"user": ["a", "b"], "item": ["x", "y"], "more": ["c", 1]}),
        pd.DataFrame({"user": ["a", "b"], "item": ["x", "y"]}, index=["c", 1]),
        pd.DataFrame([["a", "x", 1, 2], ["b", "y", 1, 2]], columns=["user", "item", "more", "more"]),
        pd.DataFrame({"item": ["x", "y"], "more": [{1: 2}, 3]}, index=pd.Index(["a", "b"], name="user")),
        pl.DataFrame({"user": ["a", "b"], "item": ["x", "y"], "more": [None, None]}),
        pl.DataFrame({"user": ["a", "b"], "item": ["x", "y"], "time": [None, None]}),
        pl.DataFrame({"user": ["a", "b"], "item": ["x", "y"]}).with_columns(more=pl.lit(1, pl.Int128)),
        pa.table({"user": ["a", "b"], "item": ["x", "y"], "time": pa.nulls(2)}),
        pa.table({"user": ["a", "b"], "item": ["x", "y"], "more": pa.array([1, 1]).run_end_encode() if hasattr(pa.Array, "run_end_encode") else [1, 1]}),
        [["a", "x"], ["b", "y"]],
    ],
)
def test_columns_that_do_not_count_are_in_nobodys_way(db, frame):
    assert db.insert_many(frame).new == 2
    assert everything(db) == [("a", "x", 1.0, None), ("b", "y", 1.0, None)]


@pytest.mark.parametrize(
    "nothing",
    [
        pd.DataFrame({"user": [], "item": []}),
        pl.DataFrame({"user": [], "item": []}),
        pl.DataFrame({"user": [], "item": [], "weight": [], "time": []}),
        pa.table({"user": pa.nulls(0), "item": pa.nulls(0)}),
        {"user": np.array([]), "item": pl.Series([])},
        sp.csr_matrix((3, 4)),
        [],
    ],
)
def test_nothing_is_nothing_to_insert(db, nothing):
    assert db.insert_many(nothing) == (0, 0, 0)


def test_a_name_where_rows_have_none_is_refused(db):
    for rows in ([("a", "x")], sp.csr_matrix(np.array([[1.0]]))):
        for names in ({"user": "who"}, {"weight": "stars"}):
            with pytest.raises(InvalidArgumentError, match="names a column"):
                db.insert_many(rows, **names)
    with pytest.raises(InvalidArgumentError, match="no column 'stars': pass its name as weight="):
        db.insert_many(pl.DataFrame({"user": ["a"], "item": ["x"]}), weight="stars")
    assert len(db.users()) == 0


def test_frames_without_a_stream_are_told_from_when_they_have_one(db):
    class Old:
        columns = ["user", "item"]

        def __iter__(self):
            return iter(self.columns)

    with pytest.raises(InvalidArgumentError, match="pandas 2.2 and polars 1.4"):
        db.insert_many(Old())


@pytest.mark.parametrize("raised", [ImportError, KeyboardInterrupt])
def test_what_is_missing_or_interrupts_a_stream_is_not_the_fault_of_its_rows(db, raised):
    class Frame:
        def __arrow_c_stream__(self, requested_schema=None):
            raise raised("pyarrow")

    with pytest.raises(raised, match="pyarrow"):
        db.insert_many(Frame())


def test_a_moment_falls_into_the_millisecond_before_it(db):
    """Whichever way it comes: none is rounded to 1970 from below."""
    for user, unit in enumerate(("ns", "us", "ms", "s")):
        times = np.array([-1, 1_999_999_999], f"datetime64[{unit}]")
        expected = times.astype("datetime64[ms]").astype(np.int64).tolist()
        for rows in ({"user": [user] * 2, "item": [1, 2], "time": times}, pa.table({"user": [user] * 2, "item": [1, 2], "time": times}),
                     [(user, item, 1.0, time) for item, time in enumerate(times, 1)]):
            db.insert_many(rows)
            assert [time for _, _, time in sorted(db.history(user))] == expected
            db.forget_user(user)
    db.insert(9, 1, time=TIME)
    assert db.history(9) == [(1, 1.0, MILLISECONDS)]
    with pytest.raises(InvalidArgumentError, match="a time of 'noon'"):
        db.insert(9, 1, time="noon")


@pytest.mark.parametrize("form", [lambda rows: iter(rows), lambda rows: pa.table(dict(zip(["user", "item"], zip(*rows)))), lambda rows: dict(zip(["user", "item"], zip(*rows)))])
def test_a_row_far_down_is_told_by_its_number(db, form):
    rows = [(f"u{row % 100}", f"i{row % 7}") for row in range(70_000)]
    rows[69_998] = ("u", "")
    with pytest.raises(InvalidArgumentError, match="^row 69998: item id of 0 bytes"):
        db.insert_many(form(rows))


def test_times_of_a_mapping_are_whatever_stands_for_a_time(db):
    zone = datetime.timezone(datetime.timedelta(hours=2))
    day = datetime.date(2024, 6, 1)
    times = [TIME, TIME.replace(tzinfo=None), TIME.astimezone(zone), pd.Timestamp(TIME), np.datetime64(TIME.replace(tzinfo=None)), MILLISECONDS, day, None, pd.NaT]
    db.insert_many({"user": list(range(len(times))), "item": [1] * len(times), "time": times})
    expected = [MILLISECONDS] * 6 + [MILLISECONDS // 86_400_000 * 86_400_000, None, None]
    assert [db.history(user)[0][2] for user in range(len(times))] == expected
    for column in (pd.Series([TIME, None]), np.array([TIME.replace(tzinfo=None), "NaT"], "datetime64[us]"), pa.array([TIME, None]), [TIME, None]):
        db.insert_many({"user": [100, 101], "item": [1, 1], "time": column})
        assert [db.history(user) for user in (100, 101)] == [[(1, 1.0, MILLISECONDS)], [(1, 1.0, None)]]
        db.remove(100, 1), db.remove(101, 1)


def test_ids_of_a_list_stay_what_they_are(db):
    """numpy would make text of numbers that stand beside text, and cut bytes at their end."""
    matrix = sp.csr_matrix(np.array([[1, 0], [0, 3]], np.float32))
    with pytest.raises(InvalidArgumentError, match=r"^users\[1\]: a u64 id was given"):
        db.insert_many(matrix, users=["ann", 7], items=["x", "y"])
    db.insert_many(matrix, users=["1", "2"], items=[b"x\x00", b"y"])
    assert db.users().tolist() == ["1", "2"] and db.items().tolist() == [b"x\x00", b"y"]


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
    for holes in (["a", None], pl.Series(["a", None]), pd.Series(["a", None], dtype=object)):
        with pytest.raises(InvalidArgumentError, match="place 1"):
            db.recommend(users=holes, or_popular=True)
    with pytest.raises(InvalidArgumentError, match="place 0"):
        db.recommend(users=pl.Series([None]), or_popular=True)
    assert db.recommend(users=pl.Series([]), k=2, or_popular=True)[0].shape == (0, 2)
    with pytest.raises(InvalidArgumentError, match="u64 id"):
        db.recommend(users=pd.Series(["a", 1]), or_popular=True)


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


def test_what_a_mask_hides_does_not_come_in(db):
    """Read as plain arrays, masked ones show it."""
    masked = np.ma.array([1, 2, 3], mask=[False, True, False])
    for part in ("user", "item", "weight", "time"):
        columns = {"user": [1, 2, 3], "item": [4, 5, 6], "weight": [1.0, 2.0, 3.0], part: masked}
        with pytest.raises(kithdb.InvalidArgumentError, match="masked"):
            db.insert_many(columns)
    assert len(db.users()) == 0
    assert db.insert_many({"user": np.ma.array([1, 2, 3]), "item": [4, 5, 6]}).new == 3
    with pytest.raises(kithdb.InvalidArgumentError, match="masked"):
        db.recommend(users=masked, or_popular=True)
    with pytest.raises(kithdb.InvalidArgumentError, match="masked"):
        db.import_embeddings(np.ma.array(np.ones((3, 64), np.float32), mask=np.eye(3, 64)))


def test_true_is_no_number(db):
    db.insert(1, 2)
    for call in (lambda: db.recommend(1, k=True, or_popular=True), lambda: db.insert(1, 3, weight=True), lambda: db.train("fast", seed=True)):
        with pytest.raises(kithdb.InvalidArgumentError, match="= True: pass a"):
            call()
