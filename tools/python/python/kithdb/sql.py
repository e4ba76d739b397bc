"""The score in plain SQL: what DuckDB and Spark run over an export of :meth:`kithdb.Database.export_parquet`.

With ``P`` bits a dimension of the query, ``d`` bits of a layer, ``x`` its planes (the sign first) and ``y`` an item's words, a layer adds
``scaler_item * (factor * product)`` to the score, where::

    product = d (2^P - 1) - 2 sum_b 2^(P-1-b) sum_w bit_count(x[b, w] ^ y[w])              exact, in integers
    factor  = weight^2 * (scaler_user * (d / magnitude))                                   each operation rounded to 32 bits
    magnitude = d + sum_(b>0) 2^(P-b) (d - sum_w bit_count(x[b, w] ^ x[0, w]))             exact, in integers

Layers are added from the last to the first, from 0, each sum rounded. An operation is done in 64 bits and cast to 32: that rounds as the operation in 32 bits
does, for sums, products and quotients of 32-bit floats, so that every engine gives the bits the library gives.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .exceptions import InvalidArgumentError

#: One in so many of a round's items is in the round before.
SHARE = 16


@dataclass(frozen=True)
class Dialect:
    """What differs between engines."""

    #: The bits in which two words differ.
    xor: Callable[[str, str], str]
    #: The best ``k`` (score, -rank) pairs of a group, as a list, the best first, of columns ``score`` and ``rank``.
    best: Callable[[int], str]
    #: The score of the ``k``-th of such a list ``best``; NULL where it is shorter.
    last: Callable[[int], str]
    #: One row an entry of such a list ``best`` of a table, whose columns are ``user_row``, ``score`` and ``rank``.
    entries: Callable[[str], str]
    #: All values of a group, as a list.
    gathered: Callable[[str], str]
    #: Whether a list has a value.
    contains: Callable[[str, str], str]
    #: How long a list ``best`` can be.
    longest: int
    #: How the tables are called in a query.
    users: str
    items: str
    seen: str


def rounded(expression: str) -> str:
    """A result in 32 bits."""
    return f"CAST({expression} AS FLOAT)"


def wide(expression: str) -> str:
    """An operand in 64 bits."""
    return f"CAST({expression} AS DOUBLE)"


def number(value: float) -> str:
    """A constant, exactly."""
    return f"CAST('{float(value)!r}' AS DOUBLE)"


class Score:
    """The expressions of one export at so many bits a dimension of the query."""

    def __init__(self, manifest: dict[str, Any], query_bits: int | None, dialect: Dialect) -> None:
        stored = manifest["query_bits"]
        self.planes = stored if query_bits is None else query_bits
        if not 1 <= self.planes <= stored:
            raise InvalidArgumentError(f"query_bits = {query_bits}: choose 1 to {stored}, which are stored")
        self._layers = manifest["layers"]
        self._dialect = dialect
        #: How many items there are to score.
        self.items = int(manifest["rows"]["items"])

    def _words(self, layer: int) -> range:
        first = sum(before["words"] for before in self._layers[:layer])
        return range(first, first + self._layers[layer]["words"])

    def _differing(self, layer: int, one: str, other: str) -> str:
        """How many bits of a layer differ; ``one`` and ``other`` are names of words but for their numbers."""
        counts = (f"CAST(bit_count({self._dialect.xor(f'{one}{word}', f'{other}{word}')}) AS INT)" for word in self._words(layer))
        return f"({' + '.join(counts)})"

    def _factor(self, layer: int) -> str:
        bits = self._layers[layer]["bits"]
        magnitude = f"{bits}"
        for plane in range(1, self.planes):
            magnitude += f" + {2 ** (self.planes - plane)} * ({bits} - {self._differing(layer, f'p{plane}w', 'p0w')})"
        weight = np.float32(self._layers[layer]["weight"])
        share = rounded(f"{wide(str(bits))} / {wide(f'({magnitude})')}")
        scaled = rounded(f"{wide(f'scaler{layer}')} * {wide(share)}")
        return rounded(f"{number(float(np.float32(weight * weight)))} * {wide(scaled)}")

    def user_columns(self) -> str:
        """What a user's row has for scoring, of columns as they are stored; an engine that is told that nothing is NULL does not look for it in every pair."""
        words = [f"p{plane}w{word}" for plane in range(self.planes) for layer in range(len(self._layers)) for word in self._words(layer)]
        factors = [f"COALESCE({self._factor(layer)}, {rounded('0')}) AS factor{layer}" for layer in range(len(self._layers))]
        return ", ".join([f"COALESCE({word}, 0) AS {word}" for word in words] + factors)

    def item_columns(self) -> str:
        """What an item's row has for scoring, alike."""
        words = [f"COALESCE(w{word}, 0) AS w{word}" for layer in range(len(self._layers)) for word in self._words(layer)]
        scalers = [f"COALESCE(scaler{layer}, {rounded('0')}) AS scaler{layer}" for layer in range(len(self._layers))]
        return ", ".join(words + scalers)

    def score(self, user: str = "u", item: str = "i") -> str:
        """The score of two tables' rows, but for the sign of a zero."""
        score = ""
        for layer in reversed(range(len(self._layers))):
            bits, planes = self._layers[layer]["bits"], range(self.planes)
            differing = (f"{2 ** (self.planes - 1 - plane)} * {self._differing(layer, f'{user}.p{plane}w', f'{item}.w')}" for plane in planes)
            product = f"({bits * (2**self.planes - 1)} - 2 * ({' + '.join(differing)}))"
            inner = rounded(f"{wide(f'{user}.factor{layer}')} * {wide(product)}")
            term = rounded(f"{wide(f'{item}.scaler{layer}')} * {wide(inner)}")
            score = rounded(f"{wide(score)} + {wide(term)}") if score else term
        return score


def whole(name: str, count: Any, least: int = 1) -> int:
    """A count that an argument is."""
    if not isinstance(count, (int, np.integer)) or isinstance(count, bool) or count < least:
        raise InvalidArgumentError(f"{name} = {count!r}: pass a whole number, at least {least}")
    return int(count)


def positive(score: str) -> str:
    """A score whose zero is +0.0. Adding to that, as the definition does, makes it of -0.0, and an optimiser may leave such a sum out."""
    return f"CASE WHEN {score} = 0 THEN {rounded('0')} ELSE {score} END"


def strides(items: int, k: int) -> list[int]:
    """The rounds before the last: each looks at every so many-th item, a sixteenth of the next, and at no fewer than twice what a list has."""
    found: list[int] = []
    stride = SHARE
    while items // stride >= 2 * k:
        found.insert(0, stride)
        stride *= SHARE
    return found


def _lists(score: Score, dialect: Dialect, length: int, users: str, items: str, condition: str, hint: str) -> str:
    """The lists of a round: the best of some items that users do not have, of pairs under a condition."""
    return f"""
        SELECT user_row, {dialect.best(length)} AS best FROM (
            SELECT user_row, rank, {positive("score")} AS score FROM (
                SELECT /*+ {hint} */ u.*, i.rank AS rank, {score.score()} AS score FROM {users} AS u CROSS JOIN {items} AS i
            ) AS raw WHERE {condition} AND (had IS NULL OR NOT {dialect.contains("had", "rank")})
        ) AS scored GROUP BY user_row
    """


def query(score: Score, dialect: Dialect, k: int, shards: int = 1, tasks: int = 1) -> str:
    """Everybody's list over tables of users, items and of what users have: user, position, item, score.

    An engine scores a pair of a user and an item in nanoseconds, and sorts it into a list in microseconds. So it goes in rounds: the k-th best of some of the
    items scores no more than the k-th best of all, and the next round goes on with the pairs alone that score as much as that.

    Spark splits the users over ``tasks``, and the items of the last round over ``shards``, whose lists it merges; with one shard a task has all items. Other
    engines take these hints for comments.
    """
    length = max(min(whole("k", k), score.items), 1)
    shards = whole("item_shards", shards)
    if length > dialect.longest:
        raise InvalidArgumentError(f"k = {k}: lists have at most {dialect.longest} entries on this engine; choose a smaller k")
    spread = f"/*+ REPARTITION({tasks}, user_row) */"
    users, bounds, bound = "people", "", "TRUE"
    for stride in strides(score.items, length):
        some = f"rank % {stride} = 0 AND {bound}"
        bounds += f"""
    lists{stride} AS ({_lists(score, dialect, length, users, "goods", some, "BROADCAST(i)")}),
    bounded{stride} AS (
        SELECT {spread} people.*, COALESCE({dialect.last(length)}, CAST('-Infinity' AS FLOAT)) AS least
        FROM people LEFT JOIN lists{stride} AS lists ON people.user_row = lists.user_row
    ),"""
        users, bound = f"bounded{stride}", "score >= least"
    together = "BROADCAST(i)" if shards == 1 else "SHUFFLE_REPLICATE_NL(i)"
    return f"""
    WITH had AS (SELECT user_row, {dialect.gathered("rank")} AS had FROM {dialect.seen} AS s GROUP BY user_row),
    people AS (
        SELECT {spread} p.user_row AS user_row, had, {score.user_columns()}
        FROM {dialect.users} AS p LEFT JOIN had ON p.user_row = had.user_row
    ),
    goods AS (SELECT COALESCE(rank, 0) AS rank, {score.item_columns()} FROM {dialect.items} AS g),
    shards AS (SELECT /*+ REPARTITION({shards}, rank) */ * FROM goods),{bounds}
    lists AS ({_lists(score, dialect, length, users, "goods" if shards == 1 else "shards", bound, together)}),
    entries AS ({dialect.entries("lists")}),
    numbered AS (
        SELECT user_row, rank, score, CAST(row_number() OVER (PARTITION BY user_row ORDER BY score DESC, rank) AS INT) AS position FROM entries
    )
    SELECT p.user AS user, n.position AS position, i.item AS item, n.score AS score
    FROM numbered n JOIN {dialect.users} AS p ON p.user_row = n.user_row JOIN {dialect.items} AS i ON i.rank = n.rank
    """
