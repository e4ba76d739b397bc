"""Columns of numpy and of lists as the library takes them: ids as they are, weights in 32 bits, times in milliseconds."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from typing import Any

import numpy as np

from .exceptions import InvalidArgumentError

#: What stands for no time: numpy's NaT.
NO_TIME = np.iinfo(np.int64).min
#: What is said of what is none.
TIMES = "times are timestamps, dates, or whole milliseconds since 1970 that 64 bits hold; None where there is none"
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)


def ids_of(ids: Any) -> np.ndarray:
    """Ids as an array in which each is what it was: numpy would make one type of a list's, text of numbers among them."""
    if hasattr(ids, "__array__"):
        _refuse_masked("id", ids)
        return np.asarray(ids)
    if isinstance(ids, (str, bytes)) or not isinstance(ids, Iterable):
        raise InvalidArgumentError(f"{ids!r} for many ids: pass a sequence of ids")
    ids = list(ids)
    array = np.empty(len(ids), object)
    array[:] = ids
    return array


def weights_of(column: Any) -> np.ndarray:
    """Weights in 32 bits.

    :raises InvalidArgumentError: for what is no number, with its row.
    """
    weights = _flat("weight", column)
    if weights.dtype.kind in "iuf":
        return np.ascontiguousarray(weights, np.float32)
    return np.fromiter((_weight(row, weight) for row, weight in enumerate(weights.tolist())), np.float32, len(weights))


def times_of(column: Any) -> np.ndarray:
    """Times in milliseconds since 1970, :data:`NO_TIME` for none.

    :raises InvalidArgumentError: for what is no time, with its row.
    """
    times = _flat("time", column)
    if times.dtype.kind in "iu" and bool(((times > NO_TIME) & (times < 2**63)).all()):
        return np.ascontiguousarray(times, np.int64)
    if times.dtype.kind == "M":
        stamps, wrong = _stamps(times)
        if len(wrong):
            raise InvalidArgumentError(f"row {wrong[0]}: a time of {times[wrong[0]]!r}: {TIMES}")
        return stamps
    return np.fromiter((_milliseconds(row, time) for row, time in enumerate(times.tolist())), np.int64, len(times))


def milliseconds(time: Any) -> int:
    """A time in milliseconds since 1970, :data:`NO_TIME` for none.

    :raises InvalidArgumentError: for what is no time, and where 64 bits do not hold it.
    """
    if time is None:
        return NO_TIME
    if isinstance(time, np.datetime64):
        stamps, wrong = _stamps(np.array([time]))
        if len(wrong) == 0:
            return int(stamps[0])
    elif isinstance(time, datetime.datetime):
        # As everywhere: what has no zone is in UTC. A time that is none is not equal to itself.
        zoned = time if time.tzinfo else time.replace(tzinfo=datetime.timezone.utc)
        return (zoned - EPOCH) // datetime.timedelta(milliseconds=1) if time == time else NO_TIME
    elif isinstance(time, datetime.date):
        return (time - EPOCH.date()).days * 86_400_000
    elif isinstance(time, (int, np.integer)) and not isinstance(time, bool) and NO_TIME < time < 2**63:
        return int(time)
    raise InvalidArgumentError(f"a time of {time!r}: {TIMES}")


def _milliseconds(row: int, time: Any) -> int:
    try:
        return milliseconds(time)
    except InvalidArgumentError as error:
        raise InvalidArgumentError(f"row {row}: {error}") from None


def _stamps(times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The milliseconds that an array of datetime64 falls into, and the rows whose milliseconds 64 bits do not hold: numpy makes other times of those."""
    stamps = times.astype("datetime64[ms]")
    # What has a finer unit falls into a millisecond, and does not come back as it was.
    coarse = np.datetime_data(times.dtype)[0] in ("Y", "M", "W", "D", "h", "m", "s")
    wrong = ~np.isnat(times) & (stamps.astype(times.dtype) != times) if coarse else np.zeros(len(times), bool)
    return np.ascontiguousarray(stamps.astype(np.int64)), np.flatnonzero(wrong)


def _refuse_masked(name: str, column: Any) -> None:
    """As a plain array a column would show what its mask hides."""
    masked = np.flatnonzero(np.ma.getmaskarray(column) if isinstance(column, np.ma.MaskedArray) else False)
    if len(masked):
        raise InvalidArgumentError(f"row {masked[0]}: the {name} is masked: leave out the rows that have none, or fill them")


def _flat(name: str, column: Any) -> np.ndarray:
    _refuse_masked(name, column)
    try:
        array = np.asarray(column)
    except ValueError as error:
        raise InvalidArgumentError(f"column {name!r}: {error}: pass a value a row") from None
    if array.ndim != 1:
        raise InvalidArgumentError(f"column {name!r} of shape {list(array.shape)}: pass a value a row")
    return array


def _weight(row: int, weight: Any) -> float:
    try:
        if not isinstance(weight, (bool, str, bytes)):
            return float(weight)
    except (TypeError, ValueError):
        pass
    raise InvalidArgumentError(f"row {row}: a weight of {weight!r}: weights are numbers above 0; leave out the rows that have none")
