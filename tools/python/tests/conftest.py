"""What tests share: databases whose right answers are known."""

import re
from pathlib import Path

import pytest

import kithdb

#: Two tastes: even users have even items, odd ones odd items, each but one of their own.
USERS, ITEMS = 40, 20


def taste_pairs():
    for user in range(USERS):
        for item in range(user % 2, ITEMS, 2):
            if item // 2 != user // 2 % (ITEMS // 2):
                yield user, item


def held_out():
    return {user: [user // 2 % (ITEMS // 2) * 2 + user % 2] for user in range(USERS)}


def examples(page, folder):
    """The blocks of Python of a page of the documentation, one after another; files they name are in a folder."""
    blocks = re.findall(r"^```python\n(.*?)^```", (Path(__file__).parents[1] / page).read_text(), re.DOTALL | re.MULTILINE)
    return re.sub(r'"(history|codes|lists|shop\.kith|lists\.parquet)"', lambda name: repr(str(folder / name[1])), "\n".join(blocks))


@pytest.fixture
def db(tmp_path):
    with kithdb.open(tmp_path / "shop.kith") as db:
        yield db


@pytest.fixture(scope="session")
def tastes(tmp_path_factory):
    """A trained database of integer ids."""
    with kithdb.open(tmp_path_factory.mktemp("tastes") / "db", background=False) as db:
        db.insert_many(taste_pairs())
        db.train("fast", bits=256).wait()
        yield db


@pytest.fixture(scope="session")
def named(tmp_path_factory):
    """The same, with names."""
    with kithdb.open(tmp_path_factory.mktemp("named") / "db", background=False) as db:
        db.insert_many((f"u{user:02}", f"i{item:02}") for user, item in taste_pairs())
        db.train("fast", bits=256).wait()
        yield db
