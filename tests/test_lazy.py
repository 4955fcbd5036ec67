"""Imports that wait: what is loaded, when, and that no other import is touched."""

import builtins
import sys
import threading
from pathlib import Path
from types import ModuleType

import pytest

from index.lazy import Later, lazy_imports, loaded

SOURCE = """
from index.lazy import lazy_imports

with lazy_imports(__name__):
    from far_away import thing, other
    import json as plain
"""


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A module that imports `far_away` later."""
    (tmp_path / "far_away.py").write_text("thing = [1]\nother = 'text'\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "far_away", raising=False)
    module = ModuleType("asking")
    exec(SOURCE, vars(module))
    return module


def test_a_module_is_loaded_when_its_name_is_used(asked: ModuleType) -> None:
    assert asked.thing == Later("far_away", "thing")
    assert asked.thing.__name__ == "thing"
    assert "far_away" not in sys.modules
    assert loaded(asked.thing) == [1]
    assert loaded(asked.other) == "text"
    assert loaded(asked.thing) is sys.modules["far_away"].thing


def test_other_imports_are_what_they_are(asked: ModuleType) -> None:
    assert asked.plain is sys.modules["json"]  # no name is taken from it
    with lazy_imports("another"):
        from json import dumps
    assert dumps({}) == "{}"
    assert loaded(dumps) is dumps


def test_what_is_not_there_is_said_when_it_is_used(asked: ModuleType) -> None:
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        loaded(Later("no_such_module", "thing"))
    with pytest.raises(AttributeError, match="no_such_thing"):
        loaded(Later("far_away", "no_such_thing"))


def test_imports_are_as_before_behind_the_block() -> None:
    before = builtins.__import__
    with lazy_imports("asking"):
        assert builtins.__import__ is not before
    assert builtins.__import__ is before
    with pytest.raises(ZeroDivisionError), lazy_imports("asking"):
        raise ZeroDivisionError
    assert builtins.__import__ is before


def test_threads_load_it_once(asked: ModuleType) -> None:
    found: list[object] = []
    threads = [threading.Thread(target=lambda: found.append(loaded(asked.thing))) for _ in range(16)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(found) == 16
    assert all(each is found[0] for each in found)
