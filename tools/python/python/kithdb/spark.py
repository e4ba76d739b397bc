"""Everybody's list on Spark 4, over an export of :meth:`kithdb.Database.export_parquet`, and MLlib's implicit ALS as a teacher of codes.

For what outgrows one machine: ``docs/spark.md`` has a worked example and the arithmetic.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .exceptions import InvalidArgumentError
from .parquet import manifest_in, manifest_of
from .sql import Dialect, Score, query, whole

if TYPE_CHECKING:
    from .database import Database

DIALECT = Dialect(
    xor=lambda a, b: f"({a} ^ {b})",
    best=lambda k: f"max_by(struct(score, rank), struct(score, -rank), {k})",
    last=lambda k: f"get(best, {k - 1}).score",
    entries=lambda table: f"SELECT user_row, e.rank AS rank, e.score AS score FROM (SELECT user_row, explode(best) AS e FROM {table} AS best) AS lists",
    gathered=lambda column: f"collect_list({column})",
    contains=lambda values, value: f"array_contains({values}, {value})",
    # max_by() keeps so many.
    longest=100_000,
    users="{users}",
    items="{items}",
    seen="{seen}",
)


def recommend_all(
    spark: Any, folder: str | os.PathLike[str], k: int = 10, *, query_bits: int | None = None, users: int | None = None, item_shards: int = 1
) -> Any:
    """The exact top ``k`` of every user as a data frame of ``user``, ``position``, ``item`` and ``score``, lazily: ids and score bits are those of
    ``db.recommend(users=..., query_bits=...)``.

    Work is split over users and ``item_shards`` shards of the items: each task scores its users against its shard, keeps the best of each, and the lists of the
    shards are merged. ``users`` takes the first so many users alone. ``folder`` is a path, or a URL of what Spark reads.
    """
    root = os.fspath(folder).rstrip("/")
    score = Score(_manifest(spark, root), query_bits, DIALECT)

    def read(name: str) -> Any:
        return spark.read.parquet(f"{root}/{name}.parquet")

    people, seen = read("users"), read("seen")
    if users is not None:
        some = f"user_row < {whole('users', users, 0)}"
        people, seen = people.where(some), seen.where(some)
    # An item that was retired is in no list; its rank stays free.
    items = read("items").join(read("retired"), "item", "left_anti")
    # A few tasks a core, whatever the file's row groups are.
    tasks = 4 * spark.sparkContext.defaultParallelism
    return spark.sql(query(score, DIALECT, k, item_shards, tasks), users=people, items=items, seen=seen)


def _manifest(spark: Any, root: str) -> dict[str, Any]:
    """The manifest of an export. Behind a URL is what Spark alone may read."""
    if "://" not in root and not root.startswith("file:"):
        return manifest_of(root)
    from pyspark.errors import AnalysisException

    path = f"{root}/manifest.json"
    try:
        return manifest_in(spark.read.text(path, wholetext=True).first()[0], path)
    except AnalysisException as error:
        raise InvalidArgumentError(f"{root} has no manifest.json: pass a folder that export_parquet() wrote") from error


def train_als(
    spark: Any,
    interactions: Any,
    db: Database,
    *,
    user: str = "user",
    item: str = "item",
    weight: str | None = None,
    rank: int = 64,
    alpha: float = 10.0,
    regularization: float = 0.1,
    iterations: int = 10,
    seed: int = 1,
    bits: int | None = None,
    query_bits: int = 4,
) -> dict[str, Any]:
    """Fits MLlib's implicit ALS to a data frame of interactions and publishes its factors as codes of ``db``.

    Ids are integers below 2^31, or strings. Factors are written row by row to a file, from which they are encoded a piece at a time: no machine holds them
    twice. The interactions go into the database by :meth:`kithdb.Database.load_parquet`, before or after, so that what users have is left out of their lists.
    """
    from pyspark.ml.recommendation import ALS
    from pyspark.sql import functions as F

    frame = interactions.select(F.col(user).alias("user"), F.col(item).alias("item"), (F.col(weight) if weight else F.lit(1.0)).cast("float").alias("weight"))
    frame, user_labels = _numbered(frame, "user")
    frame, item_labels = _numbered(frame, "item")
    als = ALS(
        rank=rank, alpha=alpha, regParam=regularization, maxIter=iterations, seed=seed, implicitPrefs=True, userCol="user", itemCol="item", ratingCol="weight"
    )
    model = als.fit(frame)
    with tempfile.TemporaryDirectory() as folder:
        users, user_ids = _factors(model.userFactors, user_labels, Path(folder) / "users.npy", rank)
        items, item_ids = _factors(model.itemFactors, item_labels, Path(folder) / "items.npy", rank)
        return db.import_embeddings(items, item_ids, users, user_ids, metric="dot", bits=bits, query_bits=query_bits)


def _numbered(frame: Any, column: str) -> tuple[Any, list[str] | None]:
    """The frame with integers in a column, and the strings they stand for; none where they are the ids themselves."""
    kind = dict(frame.dtypes)[column]
    if kind in ("tinyint", "smallint", "int", "bigint"):
        low, high = frame.selectExpr(f"min({column})", f"max({column})").first()
        if low is None or low < 0 or high >= 2**31:
            raise InvalidArgumentError(f"column {column!r} is from {low} to {high}: MLlib takes integers from 0 to 2^31 - 1; cast the column to string")
        return frame.withColumn(column, frame[column].cast("int")), None
    if kind != "string":
        raise InvalidArgumentError(f"column {column!r} is of {kind}: pass integers or strings")
    from pyspark.ml.feature import StringIndexer

    indexer = StringIndexer(inputCol=column, outputCol=f"{column}_number", stringOrderType="alphabetAsc").fit(frame)
    numbered = indexer.transform(frame)
    return numbered.withColumn(column, numbered[f"{column}_number"].cast("int")).drop(f"{column}_number"), list(indexer.labels)


def _factors(factors: Any, labels: list[str] | None, path: Path, rank: int) -> tuple[Path, Any]:
    """Writes factors to a .npy file in the order of ids; the file, and the ids."""
    factors = factors.orderBy("id")
    rows = factors.count()
    vectors = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(rows, rank))
    ids = np.empty(rows, np.int64)
    for at, (number, features) in enumerate(factors.toLocalIterator()):
        ids[at] = number
        vectors[at] = features
    vectors.flush()
    del vectors
    return path, ids if labels is None else [labels[number] for number in ids]
