"""What `help()` says: every argument of what is written in Rust is in its text."""

import ast
import inspect
from pathlib import Path

import pytest

import kithdb

STUB = ast.parse((Path(kithdb.__file__).parent / "_kithdb.pyi").read_text())


def arguments():
    """Class, method and its arguments, of all that is public in the stub."""
    for kind in STUB.body:
        if isinstance(kind, ast.ClassDef):
            for method in kind.body:
                if isinstance(method, ast.FunctionDef) and not method.name.startswith("_"):
                    given = method.args
                    yield kind.name, method.name, [one.arg for one in given.posonlyargs + given.args + given.kwonlyargs if one.arg != "self"]


@pytest.mark.parametrize(("kind", "method", "names"), arguments())
def test_help_names_every_argument(kind, method, names):
    has = getattr(kithdb._kithdb, kind)
    text = inspect.getdoc(getattr(has, method))
    assert text and len(text.split()) > 3
    for name in names:
        assert name in inspect.signature(getattr(has, method)).parameters
        assert f"`{name}`" in text or f"`{name}=" in text, f"{name} is not in the text"


@pytest.mark.parametrize("function", [kithdb.open, kithdb.open_snapshot, kithdb.Database.insert_many, kithdb.Database.load_parquet, kithdb.Database.recommend_all,
                                      kithdb.Database.export_parquet, kithdb.Database.train, kithdb.Database.compact, kithdb.Database.evaluate, kithdb.Job.wait])
def test_help_of_what_is_written_in_python_names_every_argument(function):
    for name in inspect.signature(function).parameters:
        assert name in ("self", "options") or f"``{name}" in inspect.getdoc(function) or f"``{name}=" in inspect.getdoc(function), name


def test_help_names_every_model(db):
    with pytest.raises(kithdb.InvalidArgumentError, match="choose one of ") as refused:
        db.train(model="none")
    models = str(refused.value).partition("choose one of ")[2].split(", ")
    assert "recipe" in models
    for model in models:
        assert f"``{model}``" in inspect.getdoc(db.train)
