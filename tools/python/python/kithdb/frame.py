"""Frames as the library takes them: the columns that count alone, so that a column of a type Arrow cannot carry is in nobody's way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .exceptions import InvalidArgumentError


def narrowed(frame: Any, names: Mapping[str, str | None]) -> Any:
    """The columns of a frame or table that interactions are made of; ``names`` are those its caller gave to ``user``, ``item``, ``weight`` and ``time``.

    What is no frame of pandas or polars and no table of pyarrow, a stream for one, comes back as it is.

    :raises InvalidArgumentError: where a column that is needed is not there, or two have its name.
    """
    if hasattr(frame, "reset_index"):
        return _of_pandas(frame, names)
    if not hasattr(frame, "select") or not hasattr(frame, "schema"):
        return frame
    columns = getattr(frame, "column_names", None) or getattr(frame, "columns", None)
    if not isinstance(columns, list) or not all(isinstance(name, str) for name in columns):
        return frame
    chosen = frame.select(_wanted(columns, names))
    if type(frame).__module__.partition(".")[0] != "polars":
        return chosen
    # A column of nothing but nulls has no type of its own there, and its stream is one that no other reads.
    typeless = [name for name, kind in chosen.schema.items() if str(kind) == "Null"]
    return chosen.cast(dict.fromkeys(typeless, int)) if typeless else chosen


def _of_pandas(frame: Any, names: Mapping[str, str | None]) -> Any:
    if not hasattr(frame, "columns"):
        raise InvalidArgumentError(f"rows of type {type(frame).__name__}, which has one column: pass a frame with columns user and item")
    columns, index = list(frame.columns), [name for name in frame.index.names if name is not None]
    if any(name in index and name not in columns for name in (part if given is None else given for part, given in names.items())):
        frame = frame.reset_index(level=[name for name in index if name not in columns])
        columns = list(frame.columns)
    return frame[_wanted(columns, names)].reset_index(drop=True)


def _wanted(columns: list[Any], names: Mapping[str, str | None]) -> list[str]:
    wanted = []
    for part, given in names.items():
        name = part if given is None else given
        if columns.count(name) > 1:
            raise InvalidArgumentError(f"several columns are called {name}: rename all but one, or pass the name of another as {part}=")
        if name in columns:
            wanted.append(name)
        elif given is not None or part in ("user", "item"):
            raise InvalidArgumentError(f"no column {name!r}: pass its name as {part}=; the columns are {', '.join(map(str, columns))}")
    return list(dict.fromkeys(wanted))
