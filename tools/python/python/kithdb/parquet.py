"""Parquet in and out, through pyarrow: interactions, everybody's lists, and the codes with all that scoring them needs. ``docs/parquet.md`` has the format."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ._kithdb import ItemSet
from .columns import ids_of
from .exceptions import InvalidArgumentError

if TYPE_CHECKING:
    from .database import Database, Inserted

#: The version of the format of an export.
VERSION = 1
#: Files of an export, beside its manifest.
TABLES = ("items.parquet", "users.parquet", "seen.parquet", "retired.parquet")
#: Users whose lists are made and written at a time.
USERS = 1 << 15
#: Places of lists that are made at a time.
PLACES = 1 << 24
#: Rows that are written at a time.
ROWS = 1 << 17


def _pyarrow() -> Any:
    try:
        import pyarrow
        import pyarrow.dataset
        import pyarrow.parquet
    except ImportError as error:
        raise ImportError("Parquet needs pyarrow: pip install 'kithdb[parquet]'") from error
    return pyarrow


def load(db: Database, path: str | os.PathLike[str], names: dict[str, str | None]) -> Inserted:
    """Inserts the rows of a file, or of all files of a folder, a batch at a time.

    :raises InvalidArgumentError: for what is no Parquet, for columns of one name, and where a file lacks a column that another has, but for times.
    """
    pa = _pyarrow()
    try:
        # A schema that is given is not looked for, in the first file alone.
        dataset = pa.dataset.dataset(path, schema=pa.schema([]), format="parquet")
        schemas = {fragment.path: fragment.physical_schema for fragment in dataset.get_fragments()}
    except pa.ArrowException as error:
        raise InvalidArgumentError(f"{path} cannot be read: {error}") from error
    wanted = [(part, given or part) for part, given in names.items()]
    fields = [(name, _common_type(pa, part, name, schemas)) for part, name in wanted if any(name in schema.names for schema in schemas.values())]
    # Where one of them is missing `insert_many` says which columns there are.
    columns = pa.schema(fields) if fields else next(iter(schemas.values()), pa.schema([]))
    return db.insert_many(dataset.replace_schema(columns).scanner().to_reader(), **names)


def _common_type(pa: Any, part: str, name: str, schemas: dict[str, Any]) -> Any:
    """The type of a column, from the schemas of all files by their paths."""
    for path, schema in schemas.items():
        if schema.names.count(name) > 1:
            raise InvalidArgumentError(f"{path}: several columns are called {name!r}: rename all but one")
    types = {path: schema.field(name).type for path, schema in schemas.items() if name in schema.names}
    first = next(iter(types))
    for path in schemas:
        if path not in types and part != "time":
            raise InvalidArgumentError(f"{path} has no column {name!r}, which {first} has: load them apart")
    common = types[first]
    for path, kind in types.items():
        if kind == common:
            continue
        plain = [one.value_type if pa.types.is_dictionary(one) else one for one in (common, kind)]
        try:
            common = pa.unify_schemas([pa.schema([(name, one)]) for one in plain], promote_options="permissive").field(name).type
        except pa.ArrowException as error:
            raise InvalidArgumentError(f"column {name!r} is of {types[first]} in {first} and of {kind} in {path}: cast one of them") from error
    return common


def recommend_all(db: Database, path: str | os.PathLike[str], k: int, users: Sequence[Any] | np.ndarray | None, options: dict[str, Any]) -> int:
    """Writes everybody's list; how many users have one."""
    pa = _pyarrow()
    # What somebody forgotten or unplaced meanwhile misses is their row, not the file.
    options = {"errors": "ignore", **options}
    if not isinstance(k, (int, np.integer)):
        raise InvalidArgumentError(f"k = {k!r}: pass a whole number")
    # Every piece is filtered by the same items, whatever can be walked through once alone.
    for name in ("allow", "deny"):
        if options.get(name) is not None and not isinstance(options[name], ItemSet):
            options[name] = db.item_set(options[name])
    everybody = db.users() if users is None else ids_of(users)
    kinds = db._id_kinds()
    user_type, item_type = _type(pa, kinds[0], everybody), _type(pa, kinds[1], db.items())
    step = max(min(USERS, PLACES // max(k, 1)), 1)
    writer, listed = None, 0
    temporary = Path(f"{os.fspath(path)}.tmp")
    try:
        for start in range(0, max(len(everybody), 1), step):
            some = everybody[start : start + step]
            ids, scores = db.recommend(users=some, k=k, **options)
            there = ~np.isnan(scores)
            rows, positions = np.nonzero(there)
            table = pa.table(
                {
                    "user": pa.array(some[rows], user_type),
                    "position": pa.array((positions + 1).astype(np.int32)),
                    "item": pa.array(ids[there], item_type),
                    "score": pa.array(scores[there]),
                }
            )
            if writer is None:
                writer = pa.parquet.ParquetWriter(temporary, table.schema)
            writer.write_table(table)
            listed += int(there.any(axis=1).sum())
    except BaseException:
        if writer is not None:
            writer.close()
        temporary.unlink(missing_ok=True)
        raise
    if writer is not None:
        writer.close()
    os.replace(temporary, path)
    return listed


def _type(pa: Any, kind: str | None, ids: np.ndarray) -> Any:
    """The type of a column of ids, the same for every piece of it: ``kind`` is what the ids of its side are, ``ids`` those that are known."""
    if kind == "str":
        return pa.string()
    if kind == "bytes":
        return pa.binary()
    if ids.dtype == object:
        large = any(isinstance(one, (int, np.integer)) and one >= 2**63 for one in ids)
    else:
        large = ids.dtype.kind == "u" and bool((ids.astype(np.uint64) >= np.uint64(2**63)).any())
    return pa.uint64() if large else pa.int64()


def _exported(db: Database, folder: Path) -> dict[str, Any]:
    """Writes the codes as .npy files; what the database says of the generation that they are of."""
    while True:
        generation = db.export(folder)["generation"]
        stats = db.stats()
        # Another one may have been published between the two.
        if stats["generation"]["number"] == generation:
            return stats


def export(db: Database, folder: str | os.PathLike[str]) -> dict[str, Any]:
    """Writes the codes of the current generation, with all that scoring them needs; the manifest."""
    pa = _pyarrow()
    folder = Path(folder)
    if folder.exists() and any(folder.iterdir()):
        raise InvalidArgumentError(f"{folder} is not empty: pass a folder that is absent or empty")
    made = [one for one in (folder, *folder.parents) if not one.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Files go where they belong when all are there, the manifest last: a folder without one is not whole.
        with tempfile.TemporaryDirectory(dir=folder) as building:
            manifest = _export(pa, db, Path(building))
            for name in (*TABLES, "manifest.json"):
                os.replace(Path(building, name), folder / name)
    except BaseException:
        for one in made:
            with contextlib.suppress(OSError):
                one.rmdir()
        raise
    return manifest


def _export(pa: Any, db: Database, folder: Path) -> dict[str, Any]:
    """Writes the files of an export into a folder, the .npy files they are made from beside them; the manifest."""
    codes = folder / "codes"
    stats = _exported(db, codes)
    written = _Codes(codes, db._id_kinds())
    batches = (written.items(), written.users(), _seen(db, written), [{"item": pa.array(db.retired_items(), written.item_type)}])
    rows = [_write(pa, folder / name, of_file) for name, of_file in zip(TABLES, batches)]
    manifest = {
        "format": "kithdb-parquet",
        "version": VERSION,
        "generation": stats["generation"]["number"],
        "content_hash": stats["generation"]["content_hash"],
        "tail_changes": stats["tail_changes"],
        "layers": [{"bits": written.width, "words": written.layer_words, "weight": float(weight)} for weight in written.weights],
        "query_bits": written.planes,
        "rows": {name.removesuffix(".parquet"): count for name, count in zip(TABLES, rows)},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
    return manifest


def manifest_of(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """The manifest of an export."""
    path = Path(folder) / "manifest.json"
    try:
        return manifest_in(path.read_text(), path)
    except FileNotFoundError as error:
        raise InvalidArgumentError(f"{folder} has no manifest.json: pass a folder that export_parquet() wrote") from error


def manifest_in(text: str, path: str | os.PathLike[str]) -> dict[str, Any]:
    """The manifest of an export whose file at ``path`` holds this text."""
    manifest: dict[str, Any] = json.loads(text)
    if manifest.get("format") != "kithdb-parquet" or manifest.get("version") != VERSION:
        raise InvalidArgumentError(f"{path} is of format {manifest.get('format')} {manifest.get('version')}: this version reads {VERSION}")
    return manifest


class _Codes:
    """A folder of .npy files as columns, read a piece at a time."""

    def __init__(self, folder: Path, kinds: tuple[str | None, str | None]) -> None:
        pa = _pyarrow()
        self._folder = folder
        self.weights = np.load(folder / "layer_weights.npy")
        self._item_codes = self._map("items_codes")
        layers = len(self.weights)
        self._layer_bytes = self._item_codes.shape[1] // layers
        self.width = self._layer_bytes * 8
        self.layer_words = -(-self.width // 64)
        self.user_ids, self.item_ids = self._ids("queries", kinds[0]), self._ids("items", kinds[1])
        self.user_type, self.item_type = _type(pa, kinds[0], self.user_ids), _type(pa, kinds[1], self.item_ids)
        planes = folder / "queries_planes.npy"
        if planes.exists():
            self._user_codes = np.load(planes, mmap_mode="r")
        elif (folder / "queries_codes.npy").exists():
            codes = self._map("queries_codes")
            self._user_codes = codes.reshape(len(codes), layers, 1, self._layer_bytes)
        else:
            self._user_codes = np.zeros((0, layers, 1, self._layer_bytes), np.uint8)
        self.planes = int(self._user_codes.shape[2])

    def _map(self, name: str) -> np.ndarray:
        array: np.ndarray = np.load(self._folder / f"{name}.npy", mmap_mode="r")
        return array

    def _ids(self, side: str, kind: str | None) -> np.ndarray:
        numbers, lines = self._folder / f"{side}_ids.npy", self._folder / f"{side}_ids.txt"
        if numbers.exists():
            ids: np.ndarray = np.load(numbers)
            return ids.astype(np.int64) if len(ids) == 0 or ids.max() < 2**63 else ids
        if lines.exists():
            with lines.open(encoding="utf-8", newline="\n") as file:
                written = (line.removesuffix("\n") for line in file)
                return ids_of([bytes.fromhex(line) for line in written] if kind == "bytes" else list(written))
        return np.zeros(0, np.int64)

    def _words(self, packed: np.ndarray) -> np.ndarray:
        """64-bit words of layers, ``[..., layers, words]``, of bytes, ``[..., layers, bytes]``."""
        padded = np.zeros((*packed.shape[:-1], self.layer_words * 8), np.uint8)
        padded[..., : packed.shape[-1]] = packed
        return padded.view("<i8")

    def items(self) -> Any:
        """Batches of columns, in the order of ids, which is that of ranks."""
        pa = _pyarrow()
        scalers, layers = self._map("items_scalers"), len(self.weights)
        for start in range(0, max(len(self._item_codes), 1), ROWS):
            piece = slice(start, start + ROWS)
            codes = np.asarray(self._item_codes[piece])
            words = self._words(codes.reshape(len(codes), layers, self._layer_bytes)).reshape(len(codes), layers * self.layer_words)
            columns = {"item": pa.array(self.item_ids[piece], self.item_type), "rank": pa.array(np.arange(start, start + len(codes), dtype=np.int32))}
            columns |= {f"w{at}": pa.array(np.ascontiguousarray(words[:, at])) for at in range(words.shape[1])}
            columns |= {f"scaler{layer}": pa.array(np.ascontiguousarray(scalers[piece, layer], np.float32)) for layer in range(layers)}
            yield columns

    def users(self) -> Any:
        """Batches of columns: words by plane, the sign first."""
        pa = _pyarrow()
        layers = len(self.weights)
        scalers = self._map("queries_scalers") if len(self._user_codes) else np.zeros((0, layers), np.float32)
        for start in range(0, max(len(self._user_codes), 1), ROWS):
            piece = slice(start, start + ROWS)
            codes = np.asarray(self._user_codes[piece])
            words = self._words(codes)
            columns = {"user": pa.array(self.user_ids[piece], self.user_type), "user_row": pa.array(np.arange(start, start + len(codes), dtype=np.int64))}
            for plane in range(self.planes):
                of_plane = words[:, :, plane, :].reshape(len(codes), layers * self.layer_words)
                columns |= {f"p{plane}w{at}": pa.array(np.ascontiguousarray(of_plane[:, at])) for at in range(of_plane.shape[1])}
            columns |= {f"scaler{layer}": pa.array(np.ascontiguousarray(scalers[piece, layer], np.float32)) for layer in range(layers)}
            yield columns


def _seen(db: Database, codes: _Codes) -> Any:
    """Batches of what users have, by the rows of users and the ranks of items; what has no code is in no list anyway."""
    pa = _pyarrow()
    ranks = {item: rank for rank, item in enumerate(codes.item_ids.tolist())}
    none = pa.array([], pa.int64()), pa.array([], pa.int32())
    for start in range(0, max(len(codes.user_ids), 1), USERS):
        rows: list[int] = []
        items: list[int] = []
        for row, user in enumerate(codes.user_ids[start : start + USERS].tolist(), start):
            own = sorted(ranks[item] for item, _, _ in db.history(user) if item in ranks)
            rows.extend([row] * len(own))
            items.extend(own)
        columns = (pa.array(rows, pa.int64()), pa.array(items, pa.int32())) if rows else none
        yield {"user_row": columns[0], "rank": columns[1]}


def _write(pa: Any, path: Path, batches: Any) -> int:
    """Writes batches of columns; how many rows."""
    writer, rows = None, 0
    try:
        for columns in batches:
            table = pa.table(columns)
            if writer is None:
                writer = pa.parquet.ParquetWriter(path, table.schema)
            writer.write_table(table)
            rows += table.num_rows
    finally:
        if writer is not None:
            writer.close()
    return rows
