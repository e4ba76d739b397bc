"""Everybody's list on DuckDB, over an export of :meth:`kithdb.Database.export_parquet`: without the library, by SQL alone."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from .parquet import manifest_of
from .sql import Dialect, Score, query

DIALECT = Dialect(
    xor=lambda a, b: f"xor({a}, {b})",
    best=lambda k: f"max({{'score': score, 'rank': -rank}}, {k})",
    entries=lambda table: f"SELECT user_row, -e.rank AS rank, e.score AS score FROM (SELECT user_row, unnest(best) AS e FROM {table} AS best) AS lists",
    anti_join="ANTI JOIN",
    users="users",
    items="items",
    seen="seen",
)


def recommend_all(connection: Any, folder: str | os.PathLike[str], k: int = 10, *, query_bits: int | None = None, users: int | None = None) -> Any:
    """The exact top ``k`` of every user as a relation of ``user``, ``position``, ``item`` and ``score``: ids and score bits are those of
    ``db.recommend(users=..., query_bits=...)``. ``users`` takes the first so many users alone."""
    folder = Path(folder)
    score = Score(manifest_of(folder), query_bits, DIALECT)

    def path(name: str) -> str:
        return str(folder / name).replace("'", "''")

    some = "" if users is None else f"WHERE user_row < {int(users)}"
    # An item that was retired is in no list; its rank stays free.
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP VIEW users AS SELECT * FROM read_parquet('{path("users.parquet")}') {some};
        CREATE OR REPLACE TEMP VIEW items AS SELECT * FROM read_parquet('{path("items.parquet")}')
            WHERE item NOT IN (SELECT item FROM read_parquet('{path("retired.parquet")}') WHERE item IS NOT NULL);
        CREATE OR REPLACE TEMP VIEW seen AS SELECT * FROM read_parquet('{path("seen.parquet")}') {some};
        """
    )
    most = connection.execute("SELECT COALESCE(max(has), 0) FROM (SELECT count(*) AS has FROM seen GROUP BY user_row)").fetchall()[0][0]
    return connection.sql(f"SELECT * FROM ({query(score, DIALECT, k, most)}) AS lists ORDER BY user, position")
