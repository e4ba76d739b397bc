"""Parquet in and out, and the score in SQL: on DuckDB, and on Spark where there is a Java for it."""

import json
import shutil

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import ITEMS, USERS, examples, taste_pairs

import kithdb
from kithdb import duck
from kithdb.parquet import manifest_of
from kithdb.sql import Score, query, strides


def test_interactions_come_from_files_and_folders(db, tmp_path):
    folder = tmp_path / "history"
    folder.mkdir()
    for part, rows in enumerate(([("ann", "x", 2.0)], [("bob", "x", 1.0), ("ann", "y", 3.0)])):
        frame = pd.DataFrame(rows, columns=["who", "what", "weight"])
        pq.write_table(pa.Table.from_pandas(frame.assign(more=1)), folder / f"part-{part}.parquet")
    assert db.load_parquet(folder, user="who", item="what").new == 3
    assert sorted(db.history("ann")) == [("x", 2.0, None), ("y", 3.0, None)]
    assert db.load_parquet(folder / "part-0.parquet", user="who", item="what").repeated == 1
    with pytest.raises(kithdb.InvalidArgumentError, match="no column"):
        db.load_parquet(folder)


def write(path, **columns):
    pq.write_table(pa.table(columns), path)


def test_files_of_a_folder_have_the_columns_of_all(db, tmp_path):
    """What the first file lacks is not left out of the others."""
    history = tmp_path / "history"
    history.mkdir()
    write(history / "a.parquet", user=["ann"], item=["x"])
    write(history / "b.parquet", user=["bob"], item=["y"], time=[5])
    assert db.load_parquet(history).new == 2
    assert db.history("bob") == [("y", 1.0, 5)] and db.history("ann") == [("x", 1.0, None)]
    write(history / "c.parquet", user=["cid"], item=["z"], weight=[2.0])
    with pytest.raises(kithdb.InvalidArgumentError, match="a.parquet has no column 'weight', which .*c.parquet has: load them apart"):
        db.load_parquet(history)
    for part in "ab":
        (history / f"{part}.parquet").unlink()
    write(history / "d.parquet", user=pa.array(["dan"]).dictionary_encode(), item=pa.array(["z"], pa.large_string()), weight=pa.array([3], pa.int8()))
    assert db.load_parquet(history).new == 2
    assert db.history("dan") == [("z", 3.0, None)] and db.history("cid") == [("z", 2.0, None)]


def test_files_that_do_not_fit_are_refused(db, tmp_path):
    history = tmp_path / "history"
    history.mkdir()
    twice = history / "twice.parquet"
    pq.write_table(pa.table([pa.array(["a"]), pa.array(["b"]), pa.array(["x"])], names=["user", "user", "item"]), twice)
    with pytest.raises(kithdb.InvalidArgumentError, match="several columns are called 'user'"):
        db.load_parquet(twice)
    text = history / "text.parquet"
    text.write_text("user,item")
    with pytest.raises(kithdb.InvalidArgumentError, match="text.parquet cannot be read"):
        db.load_parquet(text)
    kinds = history / "kinds"
    kinds.mkdir()
    write(kinds / "a.parquet", user=["ann"], item=["x"])
    write(kinds / "b.parquet", user=[1], item=["x"], more=[1])
    with pytest.raises(kithdb.InvalidArgumentError, match="'user' is of string in .*a.parquet and of int64 in .*b.parquet"):
        db.load_parquet(kinds)
    assert len(db.users()) == 0


def test_filters_hold_for_every_piece_of_everybodys_lists(named, tmp_path, monkeypatch):
    monkeypatch.setattr(kithdb.parquet, "USERS", 7)
    some = ["i00", "i01", "i02", "i03"]
    for filters in ({"allow": some}, {"deny": some}):
        (name, items), = filters.items()
        assert named.recommend_all(tmp_path / "sets.parquet", k=3, **{name: named.item_set(items)}) == USERS
        assert named.recommend_all(tmp_path / "walked.parquet", k=3, **{name: iter(items)}) == USERS
        assert pq.read_table(tmp_path / "walked.parquet").equals(pq.read_table(tmp_path / "sets.parquet"))


def test_everybodys_lists_go_into_a_file(named, tmp_path, monkeypatch):
    monkeypatch.setattr(kithdb.parquet, "USERS", 7)
    path = tmp_path / "lists.parquet"
    assert named.recommend_all(path, k=3) == USERS
    rows = pq.read_table(path).to_pylist()
    assert len(rows) == 3 * USERS and list(tmp_path.iterdir()) == [path]
    for start, user in enumerate(named.users().tolist()):
        own = rows[3 * start : 3 * start + 3]
        assert [(row["user"], row["position"]) for row in own] == [(user, 1), (user, 2), (user, 3)]
        assert [(row["item"], row["score"]) for row in own] == named.recommend(user, k=3)
    assert named.recommend_all(path, k=2, users=["u01", "nobody", "u02"], deny=["i00"]) == 2
    assert set(pq.read_table(path).column("user").to_pylist()) == {"u01", "u02"}
    for k in ("three", 2.5, 0):
        with pytest.raises(kithdb.InvalidArgumentError, match=f"^k = {k!r}: "):
            named.recommend_all(tmp_path / "other.parquet", k=k)
    with pytest.raises(kithdb.UnknownIdError):
        named.recommend_all(tmp_path / "other.parquet", users=["nobody"], errors="raise")
    assert list(tmp_path.iterdir()) == [path]


def test_an_export_has_what_its_page_says(named, tmp_path):
    folder = tmp_path / "export"
    manifest = named.export_parquet(folder)
    assert manifest == json.loads((folder / "manifest.json").read_text())
    assert sorted(path.name for path in folder.iterdir()) == ["items.parquet", "manifest.json", "retired.parquet", "seen.parquet", "users.parquet"]
    assert manifest["content_hash"] == named.stats()["generation"]["content_hash"]
    assert manifest["rows"] == {"items": ITEMS, "users": USERS, "seen": len(list(taste_pairs())), "retired": 0}
    items = pq.read_table(folder / "items.parquet")
    assert items.schema.names == ["item", "rank", "w0", "w1", "w2", "w3", "scaler0"]
    assert items.schema.types == [pa.string(), pa.int32(), *[pa.int64()] * 4, pa.float32()]
    assert items.column("item").to_pylist() == sorted(named.items().tolist())
    users = pq.read_table(folder / "users.parquet")
    assert users.schema.names == ["user", "user_row", *[f"p{plane}w{word}" for plane in range(4) for word in range(4)], "scaler0"]
    seen = pq.read_table(folder / "seen.parquet").to_pylist()
    names = [(users.column("user")[row["user_row"]].as_py(), items.column("item")[row["rank"]].as_py()) for row in seen]
    assert sorted(names) == sorted((f"u{user:02}", f"i{item:02}") for user, item in taste_pairs())
    with pytest.raises(kithdb.InvalidArgumentError, match="not empty"):
        named.export_parquet(folder)
    with pytest.raises(kithdb.InvalidArgumentError, match="manifest"):
        duck.recommend_all(None, tmp_path)


@pytest.mark.parametrize("codes", [False, True])
def test_an_export_of_items_alone_has_all_files(tmp_path, codes):
    duckdb = pytest.importorskip("duckdb")
    with kithdb.open(tmp_path / "db", background=False) as db:
        if codes:
            db.import_codes(np.full((9, 16), 7, np.uint8), np.ones((9, 1), np.float32), [1.0])
        else:
            db.import_embeddings(np.random.default_rng(3).normal(size=(9, 16)).astype(np.float32), bits=128)
        manifest = db.export_parquet(tmp_path / "export")
        assert manifest["rows"] == {"items": 9, "users": 0, "seen": 0, "retired": 0}
        users = pq.read_table(tmp_path / "export" / "users.parquet")
        layers = range(len(manifest["layers"]))
        words = [f"p{plane}w{word}" for plane in range(manifest["query_bits"]) for word in range(2)]
        assert users.num_rows == 0 and users.schema.names == ["user", "user_row", *words, *(f"scaler{layer}" for layer in layers)]
        connection = duckdb.connect()
        assert duck.recommend_all(connection, tmp_path / "export", 5).fetchall() == []


def test_an_export_that_fails_leaves_nothing(named, tmp_path, monkeypatch):
    with kithdb.open(tmp_path / "db", background=False) as db:
        db.insert("ann", "x")
        with pytest.raises(kithdb.NotTrainedError):
            db.export_parquet(tmp_path / "new" / "export")
    assert not (tmp_path / "new").exists()
    (tmp_path / "there").mkdir()

    def broken(*_):
        raise OSError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(kithdb.parquet, "_seen", broken)
        with pytest.raises(OSError, match="full"):
            named.export_parquet(tmp_path / "there")
    assert list((tmp_path / "there").iterdir()) == []
    assert named.export_parquet(tmp_path / "there")["rows"]["users"] == USERS


def ids_of_kinds():
    return [
        ("int", int, pa.int64()),
        ("uint", lambda n: n if n < 7 else 2**63 + n, pa.uint64()),
        ("str", lambda n: f"n{n:02}", pa.string()),
        ("bytes", lambda n: b"\xff\n\x00" + bytes([n, 0]), pa.binary()),
    ]


@pytest.mark.parametrize(("kind", "make", "arrow"), ids_of_kinds(), ids=lambda value: value if isinstance(value, str) else "")
def test_a_column_of_ids_has_one_type_of_every_kind_of_them(tmp_path, monkeypatch, kind, make, arrow):
    """Some groups of rows have small numbers alone, or nobody's list; a table of nothing has a type too."""
    monkeypatch.setattr(kithdb.parquet, "USERS", 3)
    duckdb = pytest.importorskip("duckdb")
    with kithdb.open(tmp_path / "db", background=False) as db:
        db.insert_many((make(user), make(item)) for user, item in taste_pairs())
        db.train("fast", bits=128).wait()
        path = tmp_path / "lists.parquet"
        # The first know large items, or nothing at all.
        assert db.recommend_all(path, k=4) == USERS
        table = pq.read_table(path)
        assert (table.schema.field("user").type, table.schema.field("item").type) == (arrow, arrow)
        rows = table.to_pylist()
        for user in db.users().tolist():
            assert [(row["item"], row["score"]) for row in rows if row["user"] == user] == db.recommend(user, k=4)
        nobody = [make(50), make(51), make(52)]
        assert db.recommend_all(path, k=4, users=[*nobody, make(8)]) == 1
        assert pq.read_table(path).to_pylist() == [row for row in rows if row["user"] == make(8)]
        folder = tmp_path / "export"
        db.export_parquet(folder)
        types = {name: pq.read_table(folder / f"{name}.parquet").schema.field(column).type for name, column in (("users", "user"), ("items", "item"), ("retired", "item"))}
        assert set(types.values()) == {arrow}
        connection = duckdb.connect()
        check(db, duck.recommend_all(connection, folder, 4).df(), 4, None)
        db.retire_item(make(3))
        db.export_parquet(tmp_path / "later")
        assert pq.read_table(tmp_path / "later" / "retired.parquet").to_pydict() == {"item": [make(3)]}


def test_ids_in_a_list_stay_what_they_are(named, tmp_path):
    with pytest.raises(kithdb.InvalidArgumentError, match="u64 id was given"):
        named.recommend_all(tmp_path / "lists.parquet", users=["u01", 7])


def test_an_export_is_of_one_generation(tmp_path, monkeypatch):
    with kithdb.open(tmp_path / "db", background=False) as db:
        db.insert_many(taste_pairs())
        db.train("fast", bits=128).wait()
        plain = kithdb.Database.export

        def published_meanwhile(self, folder):
            outcome = plain(self, folder)
            if outcome["generation"] == 1:
                db.train("fast", bits=192, seed=9).wait()
            return outcome

        monkeypatch.setattr(kithdb.Database, "export", published_meanwhile)
        manifest = db.export_parquet(tmp_path / "export")
        assert (manifest["generation"], manifest["layers"][0]["bits"]) == (2, 192)
        assert manifest["content_hash"] == db.stats()["generation"]["content_hash"]


def check(db, lists, k, query_bits, users=None):
    """The same ids and the same bits of scores as the database's."""
    # DuckDB has bytes as what cannot be sorted by.
    plain = {name: [bytes(one) if isinstance(one, bytearray) else one for one in lists[name]] for name in ("user", "item")}
    frame = lists.assign(**plain).sort_values(["user", "position"])
    users = sorted(db.users().tolist()) if users is None else users
    ids, scores = db.recommend(users=users, k=k, query_bits=query_bits)
    there = ~np.isnan(scores)
    assert frame.item.tolist() == ids[there].tolist()
    found = frame.score.to_numpy(np.float32)
    assert found.view(np.uint32).tolist() == scores[there].view(np.uint32).tolist()
    assert frame.user.tolist() == [user for user, row in zip(users, there) for _ in range(row.sum())]


@pytest.fixture(scope="session")
def exports(tmp_path_factory):
    """Databases of several shapes of codes with what they export: one layer, several, odd widths, ties, users with much and with nothing left."""
    made = []
    random = np.random.default_rng(5)

    def make(name, fill):
        root = tmp_path_factory.mktemp(name)
        db = kithdb.open(root / "db", background=False)
        fill(db)
        folder = root / "export"
        db.export_parquet(folder)
        made.append((db, folder))

    def trained(db):
        # Some have one item, some nearly all, one all of them: nothing is left for their list.
        pairs = [(user, item) for user in range(200) for item in range(90) if (user * 7 + item * 13) % 200 <= user]
        db.insert_many(pairs)
        db.retire_item(11)
        db.train("fast", bits=192).wait()

    def layered(db):
        db.insert_many([(f"u{user}", f"i{item}") for user in range(200) for item in range(40) if (user * item + user) % 5 < 2])
        db.train("fast", model="bigear", bits=384, settings={"teacher.epochs": 3, "student.epochs": 2}).wait()

    def imported(widths):
        def fill(db):
            layers = len(widths)
            size = widths[0] // 8
            # Few different codes and scalers, so that many scores are equal.
            items = random.integers(0, 256, (50, layers * size), np.uint8)[random.integers(0, 6, 300)]
            users = random.integers(0, 256, (200, layers, 4, size), np.uint8)
            scale = lambda rows: random.choice(np.array([0.0, 0.25, 1.5, 0.1, 3.3333], np.float32), (rows, layers))  # noqa: E731
            weights = (np.arange(layers) + 1) / np.float32(layers)
            db.import_codes(items, np.maximum(scale(300), 0.1), weights.tolist(), np.arange(300) * 3, users, np.maximum(scale(200), 0.05), None)
            db.insert_many({"user": random.integers(0, 200, 2600), "item": random.integers(0, 300, 2600) * 3})
            db.compact("minor").wait()

        return fill

    make("trained", trained)
    make("layered", layered)
    make("imported", imported([64, 64, 64]))
    make("odd", imported([24, 24]))
    yield made
    for db, _ in made:
        db.close()


@pytest.mark.parametrize("which", range(4))
@pytest.mark.parametrize(("k", "query_bits"), [(10, 1), (10, 4), (200, 2), (3, 4), (1, None)])
def test_duckdb_gives_ids_and_bits_of_the_library(exports, which, k, query_bits):
    duckdb = pytest.importorskip("duckdb")
    db, folder = exports[which]
    # A relation lives no longer than its connection.
    connection = duckdb.connect()
    check(db, duck.recommend_all(connection, folder, k, query_bits=query_bits).df(), k, query_bits)


@pytest.mark.parametrize("which", range(4))
@pytest.mark.parametrize("k", [1, 7])
def test_rounds_bound_lists_and_leave_them_as_they_are(exports, monkeypatch, which, k):
    """Several rounds, which a few items make where each has half of the next."""
    duckdb = pytest.importorskip("duckdb")
    monkeypatch.setattr(kithdb.sql, "SHARE", 2)
    db, folder = exports[which]
    connection = duckdb.connect()
    lists = duck.recommend_all(connection, folder, k, query_bits=2)
    assert k == 7 or "lists4 AS" in query(Score(manifest_of(folder), 2, duck.DIALECT), duck.DIALECT, k)
    check(db, lists.df(), k, 2)


def test_an_item_that_is_retired_later_is_left_out(exports, tmp_path):
    duckdb = pytest.importorskip("duckdb")
    db, folder = exports[0]
    later = tmp_path / "later"
    shutil.copytree(folder, later)
    pq.write_table(pa.table({"item": pa.array([3, 4], pa.int64())}), later / "retired.parquet")
    connection = duckdb.connect()
    lists = duck.recommend_all(connection, later, 5).df()
    assert not {3, 4} & set(lists.item)
    ids, _ = db.recommend(users=[0], k=5, deny=[3, 4])
    assert lists[lists.user == 0].item.tolist() == [item for item in ids[0].tolist() if item >= 0]


def test_rounds_are_of_enough_items():
    """Each of a sixteenth of the next, the first of fewer than would fill another."""
    for k in (1, 10, 5000):
        for items in (0, 8, 31, 32, 10_000, 10_000_000):
            *rounds, last = [*strides(items, k), 1]
            assert all(before == 16 * after for before, after in zip(rounds, [*rounds[1:], last]))
            assert all(items // stride >= 2 * k for stride in rounds)
            assert items // (16 * [*rounds, last][0]) < 2 * k


def test_lists_of_all_items_and_more(exports):
    duckdb = pytest.importorskip("duckdb")
    db, folder = exports[0]
    connection = duckdb.connect()
    check(db, duck.recommend_all(connection, folder, 2_000_000, query_bits=1).df(), 90, 1)
    for k in (0, "three"):
        with pytest.raises(kithdb.InvalidArgumentError, match=f"k = {k!r}: pass a whole number"):
            duck.recommend_all(connection, folder, k)
    with pytest.raises(kithdb.InvalidArgumentError, match="users = 2.5: pass a whole number, at least 0"):
        duck.recommend_all(connection, folder, 5, users=2.5)
    assert duck.recommend_all(connection, folder, 5, users=0).fetchall() == []
    score = Score({"query_bits": 1, "layers": [], "rows": {"items": 2_000_000}}, 1, duck.DIALECT)
    with pytest.raises(kithdb.InvalidArgumentError, match="k = 1000000: lists have at most 999999 entries"):
        query(score, duck.DIALECT, 1_000_000)


@pytest.mark.parametrize("later", [False, True])
def test_the_page_on_parquet_does_what_it_says(db, tmp_path, later):
    pytest.importorskip("duckdb")
    db.insert_many(taste_pairs())
    db.train("fast", bits=128).wait()
    if later:
        db.insert(0, 1)
    names = {"db": db}
    exec(examples("docs/parquet.md", tmp_path), names)
    assert db.stats()["tail_changes"] == 0
    check(db, names["frame"], 20, 4)


def test_lists_leave_a_connection_as_it_was(exports):
    """Of two exports at once, in a connection whose own tables have the names of their columns and files."""
    duckdb = pytest.importorskip("duckdb")
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE users AS SELECT 7 AS user_row; CREATE TABLE items AS SELECT 8 AS item; CREATE TABLE seen AS SELECT 9 AS user_row")
        lists = [duck.recommend_all(connection, folder, 5, query_bits=1) for _, folder in exports]
        few = duck.recommend_all(connection, exports[2][1], 5, users=3)
        for (db, _), own in zip(exports, lists):
            check(db, own.df(), 5, 1)
        assert set(few.df().user) == {0, 1, 2}
        names = {name for (name,) in connection.execute("SELECT table_name FROM information_schema.tables").fetchall()}
        assert names == {"users", "items", "seen"} and connection.execute("SELECT * FROM users").fetchall() == [(7,)]
