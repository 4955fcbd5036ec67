"""`explore` as a program: what its threads share, the map beside the bundle, ports, Ctrl-C and missing extras."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from browsing import bundle_of, request, served
from conftest import invoke

from index.api import QUESTIONS
from index.errors import ParameterError
from index.pictures.explore import map as explore_map
from index.pictures.explore import server as explore_server
from index.pictures.explore.app import application
from index.pictures.explore.opened import OpenedBundle, WatchedBundle
from index.pictures.explore.suggest import Suggestions

TEXTS = [f"token{place}" for place in range(40)]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bundle_of(tmp_path_factory.mktemp("explored"), TEXTS)


@pytest.fixture(scope="module")
def opened(bundle: Path) -> OpenedBundle:
    return WatchedBundle(bundle, explore_map.default_path(bundle)).current()


# --- the bundle behind the pages ----------------------------------------------------------------------------------


def test_threads_share_what_is_computed_once(opened: OpenedBundle, monkeypatch: pytest.MonkeyPatch) -> None:
    fresh = OpenedBundle(opened.vocabulary, Path("none"))
    made, together = [], threading.Barrier(8)

    def count(*_: object) -> Suggestions:
        made.append(1)
        return Suggestions(opened.vocabulary.vocabulary)

    monkeypatch.setattr("index.pictures.explore.opened.Suggestions", count)

    def suggest(_: int) -> Suggestions:
        together.wait()
        return fresh.suggestions

    with ThreadPoolExecutor(8) as pool:
        assert len({id(each) for each in pool.map(suggest, range(8))}) == 1
    assert len(made) == 1


def test_many_readers_at_once_see_what_one_sees(bundle: Path) -> None:
    paths = [f"token/{row}?top={1 + row % 20}" for row in range(30)] + ["vocabulary", "", "suggest?q=f"] * 4
    with served(bundle) as running, httpx.Client(base_url=running.address, timeout=60) as client:
        alone = [client.get(path).text for path in paths]
    with (
        served(bundle) as running,
        httpx.Client(base_url=running.address, timeout=60) as client,
        ThreadPoolExecutor(12) as pool,
    ):
        assert list(pool.map(lambda path: client.get(path).text, paths)) == alone


# --- the map ------------------------------------------------------------------------------------------------------


@pytest.fixture
def places(opened: OpenedBundle, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """What laying out would return."""
    V = len(opened.vocabulary)
    made = np.random.default_rng(0).normal(size=(V, 2)).astype(np.float32)
    monkeypatch.setattr(explore_map, "lay_out", lambda *_: made)
    return made


def test_a_map_is_kept_and_read(opened: OpenedBundle, places: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "new" / "map.parquet"
    assert explore_map.read_map(path, opened.vocabulary) is None
    explore_map.make_map(opened.vocabulary, path)
    assert [each.name for each in path.parent.iterdir()] == ["map.parquet"]
    table = pq.read_table(path)
    axes = ("x", "y", "kept_15")
    assert table.column_names == ["token_id", *(f"{label}_{axis}" for label in ("causal", "cosine") for axis in axes)]
    found = explore_map.read_map(path, opened.vocabulary)
    assert found is not None
    V = len(places)
    address = f"/map/{found.fingerprint}"
    app = application(opened.vocabulary.folder, path, QUESTIONS)
    packed = request(app, address).content
    np.testing.assert_array_equal(np.frombuffer(packed, "<f4", 2 * V).reshape(2, V).T, places)
    np.testing.assert_array_equal(np.frombuffer(packed, "<i4", V, 8 * V), np.arange(V))
    for label in ("causal", "cosine"):
        assert request(app, f"{address}/places/{label}").content == packed[: 8 * V]


@pytest.mark.parametrize("umask", [0o022, 0o027])
def test_a_map_is_as_readable_as_any_file(umask: int, opened: OpenedBundle, places: np.ndarray, tmp_path: Path) -> None:
    before = os.umask(umask)
    try:
        (tmp_path / "any").touch()
        explore_map.make_map(opened.vocabulary, tmp_path / "map.parquet")
    finally:
        os.umask(before)
    assert (tmp_path / "map.parquet").stat().st_mode == (tmp_path / "any").stat().st_mode


@pytest.mark.parametrize("content", ["Parquet", "text"])
def test_no_other_file_is_taken_for_a_map(
    content: str, bundle: Path, opened: OpenedBundle, places: np.ndarray, tmp_path: Path
) -> None:
    path = tmp_path / "mine.parquet"
    if content == "Parquet":
        pq.write_table(pa.table({"mine": [1, 2]}), path)
    else:
        path.write_text("mine")
    before = path.read_bytes()
    with pytest.raises(ParameterError, match=r"mine\.parquet is .*no map"):
        explore_map.make_map(opened.vocabulary, path)
    for options in ((), ("--map",)):
        said = invoke("query.py", "explore", "--index", bundle, "--map-file", path, "--no-browser", *options)
        assert (said.code, said.out) == (2, "")
    assert path.read_bytes() == before


def test_a_map_file_that_is_not_there(bundle: Path, tmp_path: Path) -> None:
    said = invoke("query.py", "explore", "--index", bundle, "--map-file", tmp_path / "map.parquet", "--no-browser")
    assert said.code == 2
    assert "map.parquet is no map of bundle; pass --map to make it" in said.err


def test_a_map_is_not_put_into_the_bundle(opened: OpenedBundle, places: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="lies in a bundle's folder"):
        explore_map.make_map(opened.vocabulary, opened.vocabulary.folder / "map.parquet")
    (tmp_path / "file").touch()
    with pytest.raises(ParameterError, match="cannot be written"):
        explore_map.make_map(opened.vocabulary, tmp_path / "file" / "map.parquet")


# --- the command --------------------------------------------------------------------------------------------------


def test_the_command_starts_and_ends_quietly(bundle: Path) -> None:
    with served(bundle) as running:
        assert httpx.get(running.address, timeout=60).status_code == 200
        port = httpx.URL(running.address).port
        taken = invoke("query.py", "explore", "--index", bundle, "--port", port, "--no-browser")
        assert (taken.code, taken.out) == (2, "")
        assert taken.err == (
            f"error: port {port} of 127.0.0.1 is in use; pass another --port, or --port 0 for any that is free\n"
        )
        assert running.interrupt() == (0, "", "")
    # At once again: no connection of before holds the port.
    explore_server.listen(port or 0).close()


def test_only_this_machine_is_listened_to() -> None:
    with explore_server.listen(0) as listening:
        assert listening.getsockname()[0] == "127.0.0.1"
        assert explore_server.address_of(listening) == f"http://127.0.0.1:{listening.getsockname()[1]}/"


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_port_that_is_none(port: int, bundle: Path) -> None:
    said = invoke("query.py", "explore", "--index", bundle, "--port", port, "--no-browser")
    assert (said.code, said.err) == (2, f"error: --port must be from 0 to 65535, got: {port}\n")


def test_a_missing_extra_is_named(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = {"openTSNE"}
    monkeypatch.setattr("index.files.find_spec", lambda library: None if library in missing else object())
    said = invoke("query.py", "explore", "--index", bundle, "--map", "--no-browser")
    assert (said.code, said.out) == (2, "")
    assert "`uv run --extra explore --extra map query.py explore --map" in said.err
    for library in ("starlette", "uvicorn", "jinja2", "vl_convert"):
        missing = {library}
        said = invoke("query.py", "explore", "--index", bundle, "--no-browser")
        assert (said.code, said.out) == (2, "")
        assert f"needs {library}" in said.err
        assert "`uv run --extra explore query.py explore" in said.err
