"""Everybody's list on DuckDB, over an export of :meth:`kithdb.Database.export_parquet`: without the library, by SQL alone."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from .parquet import manifest_of
from .sql import Dialect, Score, query, whole

DIALECT = Dialect(
    xor=lambda a, b: f"xor({a}, {b})",
    best=lambda k: f"max({{'score': score, 'rank': -rank}}, {k})",
    last=lambda k: f"best[{k}].score",
    entries=lambda table: f"SELECT user_row, -e.rank AS rank, e.score AS score FROM (SELECT user_row, unnest(best) AS e FROM {table} AS best) AS lists",
    gathered=lambda column: f"list({column})",
    contains=lambda values, value: f"list_contains({values}, {value})",
    # max() keeps fewer than a million.
    longest=999_999,
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

    some = "" if users is None else f" WHERE user_row < {whole('users', users, 0)}"
    # An item that was retired is in no list; its rank stays free. Subqueries leave nothing behind in the connection, whose own tables may be called the same.
    dialect = replace(
        DIALECT,
        users=f"(SELECT * FROM read_parquet('{path('users.parquet')}'){some})",
        items=f"(SELECT * FROM read_parquet('{path('items.parquet')}') "
        f"WHERE item NOT IN (SELECT item FROM read_parquet('{path('retired.parquet')}') WHERE item IS NOT NULL))",
        seen=f"(SELECT * FROM read_parquet('{path('seen.parquet')}'){some})",
    )
    return connection.sql(f"SELECT * FROM ({query(score, dialect, k)}) AS lists ORDER BY user, position")
