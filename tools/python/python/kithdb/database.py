"""The database, as an application opens it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from . import _kithdb, parquet
from .columns import ids_of, times_of, weights_of
from .exceptions import InvalidArgumentError
from .frame import narrowed
from .job import Job


class Inserted(NamedTuple):
    """What became of interactions that were inserted together."""

    new: int
    """Of a user with an item they had not touched before."""
    updated: int
    """Of a pair that was there, and has another weight or time since."""
    repeated: int
    """Of a pair that was there and stays as it was."""

    @property
    def interactions(self) -> int:
        """All of them."""
        return self.new + self.updated + self.repeated


class _Reading(_kithdb.Reader):
    """What every reader has beside what is written in Rust."""

    def evaluate(
        self,
        test: Any,
        k: int | np.integer[Any] | Iterable[int | np.integer[Any]] = 20,
        *,
        query_bits: int | None = None,
        user: str | None = None,
        item: str | None = None,
    ) -> dict[str, Any]:
        """Recommends to every user of ``test`` and measures how many of the held-out items come back.

        ``test`` is a mapping of users to their items, anything with ``__arrow_c_stream__``, or a sparse matrix whose rows and columns are ids. Interactions
        the database has are masked, all other items ranked; users who cannot be answered count as missed. The keys are like ``recall@20``, ``ndcg@20``, for
        every length ``k`` of lists. ``query_bits`` are the bits a dimension of users that queries take (1 to 8). ``user`` and ``item`` name the columns of a
        frame.
        """
        if _is_sparse(test):
            rows, columns, _ = _coordinates(test)
            truth: dict[Any, Any] = {}
            order = np.argsort(rows, kind="stable")
            names, starts = np.unique(rows[order], return_index=True)
            for name, items in zip(names.tolist(), np.split(columns[order], starts[1:])):
                truth[name] = items
            test = truth
        elif isinstance(test, Mapping):
            test = dict(test)
        elif not hasattr(test, "__arrow_c_stream__"):
            raise InvalidArgumentError(
                f"a test of type {type(test).__name__}: pass a mapping of users to items, a frame or table, or a sparse matrix"
            )
        else:
            test = narrowed(test, {"user": user, "item": item})
        cuts = list(k) if isinstance(k, Iterable) else [k]
        return self._evaluate(test, cuts, query_bits, user, item)


class Database(_kithdb.Database, _Reading):
    """An open database, from :func:`kithdb.open`. One process opens a database at a time; its methods may be called from any thread."""

    def insert_many(
        self,
        rows: Any,
        *,
        user: str | None = None,
        item: str | None = None,
        weight: str | None = None,
        time: str | None = None,
        users: Sequence[Any] | np.ndarray | None = None,
        items: Sequence[Any] | np.ndarray | None = None,
    ) -> Inserted:
        """Inserts many interactions, durably; what became of them.

        ``rows`` is one of

        - anything with ``__arrow_c_stream__``: a frame of pandas or polars, a table or reader of pyarrow, a relation of DuckDB. ``user=``, ``item=``,
          ``weight=`` and ``time=`` name its columns; without them they are ``user``, ``item`` and, where there are such, ``weight`` and ``time``;
        - a mapping of such names to columns: numpy arrays, lists;
        - a sparse matrix of scipy, users by items, whose values are weights. ``users=`` and ``items=`` are the ids of its rows and columns; without them
          ids are the numbers of rows and columns;
        - an iterable of tuples: (user, item), (user, item, weight) or (user, item, weight, time).

        Ids are integers from 0 to 2^64 - 1, strings or bytes; weights are above 0; times are timestamps, dates or whole milliseconds since 1970. A row
        without a user, an item or a weight is refused with its number, from 0: rows before it may be stored then, and inserting them again changes nothing, unless weights add up (repeats="sum").
        """
        names = {"user": user, "item": item, "weight": weight, "time": time}
        if (users is not None or items is not None) and not _is_sparse(rows):
            raise InvalidArgumentError("users= and items= are ids of the rows and columns of a sparse matrix: pass names of columns as user= and item=")
        if hasattr(rows, "__arrow_c_stream__"):
            return Inserted(*self._insert_stream(narrowed(rows, names), *names.values()))
        # A matrix that is a dictionary of keys is a mapping, too.
        if isinstance(rows, Mapping) and not _is_sparse(rows):
            return self._insert_mapping(rows, *names.values())
        for part, name in names.items():
            if name is not None:
                raise InvalidArgumentError(f"{part}={name!r} names a column, and rows of type {type(rows).__name__} have no names: leave it out")
        if _is_sparse(rows):
            return self._insert_sparse(rows, users, items)
        if hasattr(rows, "columns"):
            raise InvalidArgumentError(
                f"rows of type {type(rows).__name__} without a stream of Arrow: frames have one from pandas 2.2 and polars 1.4 on; upgrade, collect what is "
                "lazy, or pass a mapping of names to columns"
            )
        if isinstance(rows, (str, bytes)) or not isinstance(rows, Iterable):
            raise InvalidArgumentError(
                f"rows of type {type(rows).__name__}: pass a frame or table, a mapping of columns, a sparse matrix, or tuples"
            )
        return Inserted(*self._insert_tuples(rows))

    def _insert_sparse(self, matrix: Any, users: Any, items: Any) -> Inserted:
        if len(matrix.shape) != 2:
            raise InvalidArgumentError(f"a matrix of shape {list(matrix.shape)}: pass users by items")
        if matrix.dtype.kind not in "biuf":
            raise InvalidArgumentError(f"a matrix of {matrix.dtype}: its values are weights, which are numbers above 0")
        rows, columns, weights = _coordinates(matrix)
        users, items = (None if ids is None else ids_of(ids) for ids in (users, items))
        for name, ids, length in (("users", users, matrix.shape[0]), ("items", items, matrix.shape[1])):
            if ids is not None and len(ids) != length:
                raise InvalidArgumentError(f"{len(ids)} {name} for {length} of the matrix: pass one id each")
        return Inserted(*self._insert_matrix(rows, columns, weights.astype(np.float32), users, items))

    def _insert_mapping(self, rows: Mapping[str, Any], user: str | None, item: str | None, weight: str | None, time: str | None) -> Inserted:
        def column(part: str, name: str | None) -> Any:
            if (name or part) in rows:
                return rows[name or part]
            if name is None and part in ("weight", "time"):
                return None
            raise InvalidArgumentError(f"no column {name or part!r}: pass its name as {part}=; the columns are {', '.join(map(str, rows))}")

        weights, times = column("weight", weight), column("time", time)
        return Inserted(
            *self._insert_columns(
                column("user", user),
                column("item", item),
                None if weights is None else weights_of(weights),
                None if times is None else times_of(times),
            )
        )

    def load_parquet(
        self, path: str | os.PathLike[str], *, user: str | None = None, item: str | None = None, weight: str | None = None, time: str | None = None
    ) -> Inserted:
        """:meth:`insert_many` of the Parquet file at ``path``, or of all files of a folder, a batch at a time. Needs pyarrow.

        ``user``, ``item``, ``weight`` and ``time`` name the columns, as they do there. A file that lacks one that another has is refused, but for times.
        """
        return parquet.load(self, path, {"user": user, "item": item, "weight": weight, "time": time})

    def recommend_all(self, path: str | os.PathLike[str], k: int = 10, *, users: Sequence[Any] | np.ndarray | None = None, **options: Any) -> int:
        """Writes the lists of all users, or of these ``users``, at most ``k`` long, to a Parquet file at ``path`` of ``user``, ``position`` (from 1), ``item``
        and ``score``; how many users have one. ``options`` are those of :meth:`recommend`. Users who cannot be answered are left out, unless ``or_popular``
        or ``errors="raise"``."""
        return parquet.recommend_all(self, path, k, users, options)

    def export_parquet(self, folder: str | os.PathLike[str]) -> dict[str, Any]:
        """Writes the codes of the current generation, with all that scoring them elsewhere needs, to a ``folder``, absent or empty, of Parquet files:
        ``docs/parquet.md`` has the format, :mod:`kithdb.spark` and :mod:`kithdb.duck` read it. What has come since the generation is not in its codes: compact
        first."""
        return parquet.export(self, folder)

    def train(
        self,
        preset: str = "balanced",
        *,
        model: str | None = None,
        bits: int | None = None,
        layers: int | None = None,
        query_bits: int | None = None,
        threads: int | None = None,
        seed: int | None = None,
        novelty: float | None = None,
        half_life_days: float | None = None,
        memory_limit: int | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> Job:
        """Trains on everything stored so far, in the background; queries go on meanwhile.

        ``preset`` is how much time to take: ``fast``, ``balanced`` or ``best``. ``model`` is ``recipe`` (the default, and the best in general), ``ials``,
        ``mf``, ``onebp``, ``lightgcn``, ``ngcf``, ``sgcn``, ``pinsage``, ``mixgcf``, ``gcn-cf``, ``spectralcf``, ``dgcn-bincf``, ``l2q-gcn``,
        ``l2q-gcn_anl``, ``bigear`` or ``bigear++``, and ``settings`` are numbers and switches of it by name, which ``kithdb train --help`` lists. ``bits`` are
        those of a code (768), ``layers`` the hops of a model that propagates, ``query_bits`` the bits a dimension kept of every user (4). ``novelty`` is how
        much less popular items are recommended (0 to 1), ``half_life_days`` how long it takes for an interaction to count half as much (no decay). ``threads``
        are one a processor by default, and the result does not depend on them; ``seed`` (1) is of all random numbers. A training that by its estimate would
        hold more bytes than ``memory_limit`` is refused.

            job = db.train("fast")
            job.wait()
        """
        keywords = {
            "preset": preset,
            "model": model,
            "bits": bits,
            "layers": layers,
            "query_bits": query_bits,
            "threads": threads,
            "seed": seed,
            "novelty": novelty,
            "half_life_days": half_life_days,
            "memory_limit": memory_limit,
            "settings": None if settings is None else dict(settings),
        }
        return Job(self._train(keywords))

    def compact(self, kind: str = "minor") -> Job:
        """Folds what has come since the generation into the next one. Its ``kind`` is what is learned again: what was touched (``minor``), all rows from where
        they are (``major``), or everything from nothing (``full``). The job of a minor one fails where nothing has come: ``stats()["tail_changes"]`` is 0."""
        return Job(self._compact(kind))

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Replica(_kithdb.Replica, _Reading):
    """Snapshots of a database that another process owns, from :func:`open_snapshot`: all that reads, and nothing that writes."""

    def __enter__(self) -> Replica:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_snapshot(place: str | os.PathLike[str], *, follow: float | None = None) -> Replica:
    """Opens the newest snapshot of a folder, the ``place`` that :meth:`Database.snapshot_to` or ``kithdb snapshot`` wrote into, read-only; any number of processes may, and share
    the memory of what is large. With ``follow`` it goes on to newer ones by itself, looking for one every so many seconds."""
    return Replica(place, follow)


def open(
    path: str | os.PathLike[str],
    *,
    create: bool = True,
    repeats: str | None = None,
    recall: float | None = None,
    memory_limit: int | None = None,
    background: bool = True,
    kept_generations: int | None = None,
    cache_bytes: int | None = None,
) -> Database:
    """Opens the database in the directory ``path``; makes one where there is none, unless ``create`` is false.

    ``repeats`` is what an interaction that comes again means: ``last`` (the default), ``sum``, ``max`` or ``first``; it is settled when the database is made.
    ``recall`` is the share of the exact list that queries look for (1: exact). ``background`` is whether it compacts by itself while it is open.
    A training that by its estimate would hold more bytes than ``memory_limit`` is refused (none by default); storage keeps ``cache_bytes`` in its cache
    (64 MiB). ``kept_generations`` (2, 1 to 16) stay on the disk for :meth:`Database.rollback`, the newest among them.
    """
    return Database(
        path,
        create=create,
        repeats=repeats,
        recall=recall,
        memory_limit=memory_limit,
        background=background,
        kept_generations=kept_generations,
        cache_bytes=cache_bytes,
    )


def _is_sparse(rows: Any) -> bool:
    return hasattr(rows, "tocoo") and hasattr(rows, "nnz")


def _coordinates(matrix: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows, columns and values of what is not zero in a sparse matrix, values of one place added up."""
    matrix = matrix.tocsr(copy=True)
    matrix.sum_duplicates()
    matrix.eliminate_zeros()
    matrix = matrix.tocoo()
    return matrix.row.astype(np.int64), matrix.col.astype(np.int64), matrix.data
