"""Spark gives ids and bits of the library, and its ALS becomes codes. Skipped where there is no pyspark or no Java."""

import re
import shutil
import subprocess

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import examples, taste_pairs
from test_parquet import check, exports  # noqa: F401

import kithdb

pyspark = pytest.importorskip("pyspark")
#: The oldest Java that this Spark runs on.
JAVA = 17


def java():
    """The version of Java that there is, as its first number; 0 where there is none, or it does not say."""
    if shutil.which("java") is None:
        return 0
    said = subprocess.run(["java", "-version"], capture_output=True, text=True, check=False).stderr
    # Before 9 it was called 1.8 and the like.
    version = re.search(r'version "(?:1\.)?(\d+)', said)
    return int(version[1]) if version else 0


if java() < JAVA:
    pytest.skip(f"Spark needs Java {JAVA} or later, here is {java() or 'none'}: apt-get install default-jre-headless", allow_module_level=True)

from kithdb import spark as on_spark  # noqa: E402


@pytest.fixture(scope="module")
def spark():
    from pyspark.sql import SparkSession

    session = (
        SparkSession.builder.master("local[2]")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.shuffle.partitions", "2")
        .config("spark.driver.memory", "1g")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.host", "127.0.0.1")
        .getOrCreate()
    )
    session.sparkContext.setLogLevel("ERROR")
    yield session
    session.stop()


@pytest.mark.parametrize(("which", "k", "query_bits", "shards"), [(0, 10, 1, 1), (0, 10, 4, 3), (1, 10, 4, 1), (2, 200, 1, 2), (2, 10, 4, 1), (2, 3, 4, 2), (3, 1, 4, 1)])
def test_spark_gives_ids_and_bits_of_the_library(spark, exports, which, k, query_bits, shards):  # noqa: F811
    db, folder = exports[which]
    lists = on_spark.recommend_all(spark, folder, k, query_bits=query_bits, item_shards=shards)
    check(db, lists.toPandas(), k, query_bits)


def test_lists_of_all_items_and_more(spark, exports):  # noqa: F811
    db, folder = exports[0]
    check(db, on_spark.recommend_all(spark, folder, 2_000_000, query_bits=1).toPandas(), 90, 1)


def test_an_export_is_read_by_its_url(spark, exports):  # noqa: F811
    db, folder = exports[3]
    check(db, on_spark.recommend_all(spark, folder.as_uri(), 5, query_bits=1).toPandas(), 5, 1)
    with pytest.raises(kithdb.InvalidArgumentError, match="no manifest.json"):
        on_spark.recommend_all(spark, folder.parent.as_uri(), 5)


@pytest.mark.parametrize("names", [False, True])
def test_factors_of_als_become_codes(spark, tmp_path, names):
    name = (lambda user, item: (f"u{user:02}", f"i{item:02}")) if names else (lambda user, item: (user, item))
    pairs = [name(user, item) for user, item in taste_pairs()]
    history = tmp_path / "history.parquet"
    pq.write_table(pa.table({"user": [user for user, _ in pairs], "item": [item for _, item in pairs]}), history)
    with kithdb.open(tmp_path / "db", background=False) as db:
        db.load_parquet(history)
        outcome = on_spark.train_als(spark, spark.read.parquet(str(history)), db, rank=8, bits=256, iterations=5)
        assert outcome["generation"] == 1
        hits = 0
        for user in range(40):
            (best, _), = db.recommend(name(user, 0)[0], k=1)
            hits += best == name(0, user // 2 % 10 * 2 + user % 2)[1]
        assert hits >= 36, hits
        db.export_parquet(tmp_path / "export")
        check(db, on_spark.recommend_all(spark, tmp_path / "export", 5, query_bits=4).toPandas(), 5, 4)
        lists = tmp_path / "lists"
        on_spark.recommend_all(spark, tmp_path / "export", 5).write.parquet(str(lists))
        assert pq.read_table(lists).num_rows == np.isfinite(db.recommend(users=db.users(), k=5)[1]).sum()


def test_the_page_on_spark_does_what_it_says(spark, tmp_path):
    pairs = list(taste_pairs())
    (tmp_path / "history").mkdir()
    pq.write_table(pa.table({"user": [user for user, _ in pairs], "item": [item for _, item in pairs]}), tmp_path / "history" / "part.parquet")
    exec(examples("docs/spark.md", tmp_path), {"spark": spark})
    lists = pq.read_table(tmp_path / "lists").to_pylist()
    assert {row["user"] for row in lists} == {user for user, _ in pairs}
    assert not {(row["user"], row["item"]) for row in lists} & set(pairs)


def test_ids_that_mllib_cannot_take_are_refused(spark, tmp_path):
    with kithdb.open(tmp_path / "db", background=False) as db:
        for rows in ([(2**31, 1)], [(-1, 1)]):
            with pytest.raises(kithdb.InvalidArgumentError, match="string"):
                on_spark.train_als(spark, spark.createDataFrame(rows, ["user", "item"]), db)
        with pytest.raises(kithdb.InvalidArgumentError, match="double"):
            on_spark.train_als(spark, spark.createDataFrame([(1.5, 1)], ["user", "item"]), db)
