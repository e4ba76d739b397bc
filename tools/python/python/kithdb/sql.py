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


@dataclass(frozen=True)
class Dialect:
    """What differs between engines."""

    #: The bits in which two words differ.
    xor: Callable[[str, str], str]
    #: The best ``k`` (score, -rank) pairs of a group, as a list, of columns ``score`` and ``rank``.
    best: Callable[[int], str]
    #: One row an entry of such a list ``best`` of a table, whose columns are ``user_row``, ``score`` and ``rank``.
    entries: Callable[[str], str]
    #: How a join is called that keeps the rows without a partner.
    anti_join: str
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
        """What a user's row has for scoring, of columns as they are stored."""
        words = [f"p{plane}w{word}" for plane in range(self.planes) for layer in range(len(self._layers)) for word in self._words(layer)]
        return ", ".join(words + [f"{self._factor(layer)} AS factor{layer}" for layer in range(len(self._layers))])

    def score(self, user: str = "u", item: str = "i") -> str:
        """The score of two tables' rows."""
        score = ""
        for layer in reversed(range(len(self._layers))):
            bits, planes = self._layers[layer]["bits"], range(self.planes)
            differing = (f"{2 ** (self.planes - 1 - plane)} * {self._differing(layer, f'{user}.p{plane}w', f'{item}.w')}" for plane in planes)
            product = f"({bits * (2**self.planes - 1)} - 2 * ({' + '.join(differing)}))"
            inner = rounded(f"{wide(f'{user}.factor{layer}')} * {wide(product)}")
            term = rounded(f"{wide(f'{item}.scaler{layer}')} * {wide(inner)}")
            score = rounded(f"{wide(score)} + {wide(term)}") if score else term
        # Adding to +0.0, as the definition does, makes +0.0 of -0.0, and an optimiser may leave such a sum out.
        return f"CASE WHEN {score} = 0 THEN {rounded('0')} ELSE {score} END"


def classes(most: int, k: int, items: int) -> list[tuple[int, int, int]]:
    """Users by how much they have: from, below, and how long a list has to be so that ``k`` are left when what they have is taken out, of so many items."""
    bounds, low, high = [], 0, 1
    while low <= most:
        bounds.append((low, high, max(min(k + high - 1, items), 1)))
        low, high = high, high * 4
    return bounds


def query(score: Score, dialect: Dialect, k: int, most_seen: int, shards: int = 1) -> str:
    """Everybody's list over tables of users, items and of what users have: user, position, item, score.

    What a user has is taken out of a list that is longer by as much, so that no pair of users and items is looked up: users are taken by how much they have, a
    class at a time. Items are taken in so many ``shards``, each by other rows, whose lists are merged.
    """
    for name, count in (("k", k), ("shards", shards)):
        if not isinstance(count, (int, np.integer)) or count < 1:
            raise InvalidArgumentError(f"{name} = {count!r}: pass a whole number, at least 1")
    users, items, seen = dialect.users, dialect.items, dialect.seen
    by_degree = classes(most_seen, k, score.items)
    if by_degree[-1][2] > dialect.longest:
        raise InvalidArgumentError(
            f"k = {k}, beside up to {most_seen} items that a user has: lists have at most {dialect.longest} entries on this engine; choose a smaller k"
        )
    scored = f"SELECT u.user_row AS user_row, i.rank AS rank, {score.score()} AS score FROM sharded u JOIN {items} AS i ON i.rank % {shards} = u.shard"
    if shards == 1:
        scored = f"SELECT u.user_row AS user_row, i.rank AS rank, {score.score()} AS score FROM people u CROSS JOIN {items} AS i"
    best = [
        f"SELECT user_row, {dialect.best(length)} AS best FROM ({scored} WHERE u.has >= {low} AND u.has < {high}) AS scored GROUP BY user_row"
        for low, high, length in by_degree
    ]
    entries = " UNION ALL ".join(dialect.entries(f"({part})") for part in best)
    numbers = " UNION ALL ".join(f"SELECT {shard} AS shard" for shard in range(shards))
    return f"""
    WITH degrees AS (SELECT user_row, CAST(count(*) AS INT) AS has FROM {seen} AS s GROUP BY user_row),
    people AS (
        SELECT p.user_row AS user_row, COALESCE(has, 0) AS has, {score.user_columns()}
        FROM {users} AS p LEFT JOIN degrees ON p.user_row = degrees.user_row
    ),
    sharded AS (SELECT people.*, shard FROM people CROSS JOIN ({numbers}) AS numbers),
    entries AS ({entries}),
    unseen AS (
        SELECT e.user_row, e.rank, e.score FROM entries e {dialect.anti_join} {seen} AS s ON e.user_row = s.user_row AND e.rank = s.rank
    ),
    numbered AS (
        SELECT user_row, rank, score, CAST(row_number() OVER (PARTITION BY user_row ORDER BY score DESC, rank) AS INT) AS position FROM unseen
    )
    SELECT p.user AS user, n.position AS position, i.item AS item, n.score AS score
    FROM numbered n JOIN {users} AS p ON p.user_row = n.user_row JOIN {items} AS i ON i.rank = n.rank
    WHERE n.position <= {k}
    """
