"""What is written in Rust. Ids are `int`, `str` or `bytes`; arrays of ids are int64, uint64 or objects."""

import os
from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any, TypeAlias, final, overload

import numpy as np
import numpy.typing as npt
from typing_extensions import Self, disjoint_base

__all__ = ["Database", "ItemSet", "Job", "Reader", "Replica", "__version__"]

_Id: TypeAlias = int | np.integer[Any] | str | bytes
_Ids: TypeAlias = Iterable[Any] | npt.NDArray[Any]
_Hits: TypeAlias = list[tuple[Any, float]]
_Lists: TypeAlias = tuple[npt.NDArray[Any], npt.NDArray[np.float32]]
_Vectors: TypeAlias = npt.NDArray[np.floating[Any] | np.integer[Any]]

__version__: str

@final
class ItemSet:
    """A set of items to filter with, built once for many queries. It belongs to the opening of the database that built it."""

    def __len__(self) -> int: ...
    def unknown(self) -> list[Any]:
        """The ids nobody knew when it was built: misspelt, or not touched yet."""

@disjoint_base
class Reader:
    """Everything that reads."""

    @property
    def generation(self) -> int | None:
        """The generation whose codes answer; None before the first training."""

    @overload
    def recommend(
        self,
        user: _Id,
        k: int = 10,
        *,
        users: None = None,
        items: None = None,
        allow: ItemSet | _Ids | None = None,
        deny: ItemSet | _Ids | None = None,
        include_seen: bool = False,
        or_popular: bool = False,
        query_bits: int | None = None,
        recall: float | None = None,
        diversify: float = 0.0,
        min_score: float | None = None,
        errors: str = "raise",
    ) -> _Hits: ...
    @overload
    def recommend(
        self,
        user: None = None,
        k: int = 10,
        *,
        users: None = None,
        items: _Ids,
        allow: ItemSet | _Ids | None = None,
        deny: ItemSet | _Ids | None = None,
        include_seen: bool = False,
        or_popular: bool = False,
        query_bits: int | None = None,
        recall: float | None = None,
        diversify: float = 0.0,
        min_score: float | None = None,
        errors: str = "raise",
    ) -> _Hits: ...
    @overload
    def recommend(
        self,
        user: None = None,
        k: int = 10,
        *,
        users: _Ids,
        items: None = None,
        allow: ItemSet | _Ids | None = None,
        deny: ItemSet | _Ids | None = None,
        include_seen: bool = False,
        or_popular: bool = False,
        query_bits: int | None = None,
        recall: float | None = None,
        diversify: float = 0.0,
        min_score: float | None = None,
        errors: str = "raise",
    ) -> _Lists:
        """Recommends items to a user (a list of (id, score), best first), to go with a basket of items (the same), or to each of many users (an array of
        ids and one of scores, ``[users, k]``; rows that are shorter end in -1 or None, and NaN).

        What a user has is left out unless ``include_seen``. ``allow`` and ``deny`` are ids or an :class:`ItemSet`, and work before the best are taken.
        ``or_popular`` answers with what most users have where there is nothing else to go by. ``query_bits`` (1 to 8) and ``recall`` (a share of the exact
        list) trade exactness for time; ``diversify`` (0 to 1) has items differ. With ``errors="ignore"`` users who cannot be answered get an empty row.
        """

    def similar_items(self, item: _Id, k: int = 10, *, allow: ItemSet | _Ids | None = None, deny: ItemSet | _Ids | None = None) -> _Hits:
        """The items most similar to an item, best first, without the item."""

    def similar_users(self, user: _Id, k: int = 10) -> _Hits:
        """The users most similar to a user, best first, without the user."""

    def nearest_to_vector(
        self, vector: _Vectors, k: int = 10, *, allow: ItemSet | _Ids | None = None, deny: ItemSet | _Ids | None = None
    ) -> _Hits:
        """The items nearest to a vector like those that were imported; elsewhere of one float a bit of the codes."""

    def explain(self, user: _Id, item: _Id) -> dict[str, Any]:
        """Why an item has the score a query of a user gives it: ``score``; ``layers``, what each adds; ``pulls``, the user's own items with what each adds to
        ``folded_score``, largest first; ``kept``, of a model that cuts edges those of the user's items whose edges stayed, else None."""

    def users(self) -> npt.NDArray[Any]:
        """The ids of all users, in the order in which they came."""

    def items(self) -> npt.NDArray[Any]:
        """The ids of all items, in the order in which they came."""

    def retired_items(self) -> npt.NDArray[Any]:
        """The ids of items no query returns."""

    def history(self, user: _Id) -> list[tuple[Any, float, int | None]]:
        """What a user has: (item, weight, milliseconds since 1970 or None); nothing for a user nobody knows."""

    def item_set(self, items: _Ids) -> ItemSet:
        """A set of items to pass as ``allow=`` or ``deny=`` to many calls."""

    def _id_kinds(self) -> tuple[str | None, str | None]: ...
    def _evaluate(self, truth: Any, k: Sequence[int | np.integer[Any]], query_bits: int | None, user: str | None, item: str | None) -> dict[str, Any]: ...

class Database(Reader):
    """What :class:`kithdb.Database` is made of."""

    def __new__(
        cls,
        path: str | os.PathLike[str],
        *,
        create: bool = True,
        repeats: str | None = None,
        recall: float | None = None,
        memory_limit: int | None = None,
        background: bool = True,
        kept_generations: int | None = None,
        cache_bytes: int | None = None,
    ) -> Self: ...
    def close(self) -> None:
        """Closes the database; a training that runs is cancelled. It may be closed twice. What went wrong with the last files is raised, and that a call of
        another thread has not ended within a second, after which the database closes by itself."""

    def insert(self, user: _Id, item: _Id, weight: float = 1.0, time: int | np.datetime64 | date | None = None) -> None:
        """Records that a user touched an item, ``time`` in milliseconds since 1970 or a datetime; on the disk when it returns."""

    def remove(self, user: _Id, item: _Id) -> bool:
        """Takes an interaction back; whether there was one."""

    def forget_user(self, user: _Id) -> bool:
        """Forgets a user; whether they were known."""

    def retire_item(self, item: _Id) -> bool:
        """Retires an item, so that no query returns it; whether it was known and not retired before."""

    def unretire_item(self, item: _Id) -> bool:
        """Lets queries return a retired item again; whether it was retired."""

    def rollback(self, generation: int) -> int:
        """Goes back to the codes of a generation that is kept; the number of the generation that has them now."""

    def import_embeddings(
        self,
        items: _Vectors | str | os.PathLike[str],
        item_ids: _Ids | None = None,
        users: _Vectors | str | os.PathLike[str] | None = None,
        user_ids: _Ids | None = None,
        *,
        metric: str = "dot",
        bits: int | None = None,
        passes: int | None = None,
        query_bits: int = 4,
        seed: int = 1,
    ) -> dict[str, Any]:
        """Encodes float vectors made elsewhere, ``[rows, dims]`` or ``[rows, layers, dims]``, and publishes the codes. Paths of .npy files
        are read a piece at a time. Without ids, row r is id r."""

    def import_codes(
        self,
        item_codes: npt.NDArray[np.uint8],
        item_scalers: _Vectors,
        layer_weights: Sequence[float],
        item_ids: _Ids | None = None,
        user_codes: npt.NDArray[np.uint8] | None = None,
        user_scalers: _Vectors | None = None,
        user_ids: _Ids | None = None,
    ) -> dict[str, Any]:
        """Publishes packed codes made elsewhere: items ``[items, bytes]``, bit j of a layer's byte b its dimension 8 b + j; users alike, or ``[users, layers,
        planes, bytes a layer]``, the sign first; scalers ``[rows, layers]``. What :meth:`export` writes."""

    def export(self, folder: str | os.PathLike[str]) -> dict[str, Any]:
        """Writes the codes of the current generation to a folder of .npy files."""

    def stats(self) -> dict[str, Any]:
        """Counts and sizes."""

    def verify(self) -> dict[str, Any]:
        """Reads everything stored and checks every record, count and hash; ``ok`` sums it up."""

    def backup(self, folder: str | os.PathLike[str]) -> None:
        """Writes a compact copy of the database, one of its own, into a folder that is absent or empty; reads and writes go on meanwhile."""

    def snapshot_to(self, place: str | os.PathLike[str], *, interactions: bool = True, keep: int = 2) -> dict[str, Any]:
        """Writes the database as it is now into a folder that any number of processes read: :func:`kithdb.open_snapshot`. ``keep`` snapshots stay there."""

    def _insert_stream(
        self, stream: Any, user: str | None, item: str | None, weight: str | None, time: str | None
    ) -> tuple[int, int, int]: ...
    def _insert_columns(self, users: Any, items: Any, weights: Any, times: Any) -> tuple[int, int, int]: ...
    def _insert_matrix(self, rows: Any, columns: Any, weights: Any, users: Any, items: Any) -> tuple[int, int, int]: ...
    def _insert_tuples(self, tuples: Any) -> tuple[int, int, int]: ...
    def _train(self, keywords: dict[str, Any]) -> Job: ...
    def _compact(self, kind: str) -> Job: ...

class Replica(Reader):
    """What :class:`kithdb.Replica` is made of."""

    def __new__(cls, place: str | os.PathLike[str], follow: float | None = None) -> Self: ...
    def refresh(self) -> bool:
        """Goes on to the newest snapshot; whether that is another one."""

    def fault(self) -> str | None:
        """What kept it from going on by itself when it last looked; it goes on trying."""

    def close(self) -> None:
        """Lets go of the snapshot. It may be closed twice."""

@final
class Job:
    """What :class:`kithdb.Job` is made of."""

    def progress(self) -> tuple[str, int, int]: ...
    def cancel(self) -> None: ...
    def is_finished(self) -> bool: ...
    def wait_timeout(self, seconds: float) -> bool: ...
    def outcome(self) -> dict[str, Any]: ...
