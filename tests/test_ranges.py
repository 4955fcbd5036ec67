"""One tensor from the Hub: the bytes asked for are its bytes, whatever the server does."""

import json
import os
import shutil
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import hub
import huggingface_hub
import models
import numpy as np
import pytest
from numpy.typing import NDArray

from index.errors import SourceError
from index.sources import hub as hub_source
from index.sources import one_tensor, ranges
from index.sources.load import Source, load

ID = "tiny/Qwen3"
Load = Callable[..., Source]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, NDArray[np.uint8]]:
    folder = tmp_path_factory.mktemp("untied") / "Tiny-Qwen3"
    return folder, models.save_qwen3(folder, tied=False)


@pytest.fixture
def model(original: tuple[Path, NDArray[np.uint8]], tmp_path: Path) -> Path:
    """A copy of the model that a test may change."""
    folder = tmp_path / "model"
    folder.mkdir()
    for file in original[0].iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    return folder


@pytest.fixture
def server(model: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[hub.Hub]:
    """A Hub that has the model, and nothing kept of it yet."""
    with hub.serve({ID: model}) as server:
        point_at(server.endpoint, tmp_path / "home", monkeypatch)
        yield server


def point_at(endpoint: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have huggingface_hub ask a server, as HF_ENDPOINT does before it is imported, and wait for nothing."""
    constants = huggingface_hub.constants
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", endpoint + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(home))
    monkeypatch.setattr(huggingface_hub.utils._headers, "get_token", lambda: "hf_secret")
    monkeypatch.setattr(ranges, "PAUSE_SECONDS", 0.0)


@pytest.fixture
def fetch(server: hub.Hub, tmp_path: Path) -> Load:
    return lambda **options: load(ID, cache=tmp_path / "cache", **options)


def shard_of(folder: Path) -> tuple[Path, int, int]:
    """The file that holds lm_head.weight, and the tensor's first byte and end in it, read from its header here."""
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    path = folder / index["weight_map"]["lm_head.weight"]
    (length,) = struct.unpack("<Q", path.read_bytes()[:8])
    first, last = json.loads(path.read_bytes()[8 : 8 + length])["lm_head.weight"]["data_offsets"]
    return path, 8 + length + first, 8 + length + last


def cached(tmp_path: Path, ending: str) -> list[Path]:
    return sorted((tmp_path / "cache").rglob(f"*{ending}"))


def same(source: Source, original: tuple[Path, NDArray[np.uint8]]) -> bool:
    return source.gamma.tobytes() == original[1].tobytes()


def test_the_bytes_asked_for_are_those_of_the_header_and_of_one_tensor(
    server: hub.Hub, fetch: Load, model: Path, original: tuple[Path, NDArray[np.uint8]], tmp_path: Path
) -> None:
    path, start, end = shard_of(model)
    (length,) = struct.unpack("<Q", path.read_bytes()[:8])
    source = fetch()
    assert [(part.name, part.start, part.end) for part in server.parts] == [
        (path.name, 0, 8),
        (path.name, 8, 8 + length),
        (path.name, start, end),
    ]
    assert end - start == source.gamma.nbytes < path.stat().st_size - 8 - length  # there are other tensors in the file
    assert same(source, original)
    assert (source.tensor, source.notes) == ("lm_head.weight", ())
    assert cached(tmp_path, ".part") == []


def test_what_was_fetched_is_not_asked_for_again_and_serves_without_the_hub(
    server: hub.Hub, fetch: Load, original: tuple[Path, NDArray[np.uint8]], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    fetch()
    asked = len(server.parts)
    assert same(fetch(), original)
    assert len(server.parts) == asked
    point_at("http://127.0.0.1:9", tmp_path / "home", monkeypatch)
    assert same(fetch(), original)
    for path in cached(tmp_path, "lm_head.weight.safetensors"):
        path.unlink()
    with pytest.raises(SourceError, match=r"not reached; only cached files were seen"):
        fetch()


def test_the_kept_file_is_a_safetensors_file_of_that_tensor(fetch: Load, model: Path, tmp_path: Path) -> None:
    from safetensors import safe_open

    fetch()
    (path,) = cached(tmp_path, "lm_head.weight.safetensors")
    shard, start, end = shard_of(model)
    with safe_open(path, framework="np") as file:
        assert list(file.keys()) == ["lm_head.weight"]
        assert file.metadata()["bytes"] == f"{start}-{end - 1}/{shard.stat().st_size}"
    (length,) = struct.unpack("<Q", path.read_bytes()[:8])
    assert length % 8 == 0
    assert path.read_bytes()[8 + length :] == shard.read_bytes()[start:end]


@pytest.mark.parametrize("breaks", [[8, 3], [8, 10**6, 1000, 1000, 7], [8, 10**6, 0, 0, 0, 0, 10_000]])
def test_an_answer_that_breaks_off_is_gone_on_with(
    breaks: list[int], server: hub.Hub, fetch: Load, model: Path, original: tuple[Path, NDArray[np.uint8]]
) -> None:
    server.faults.breaks = list(breaks)
    assert same(fetch(), original)
    _, start, end = shard_of(model)
    parts = [part for part in server.parts if part.start >= start]
    assert len(server.parts) == 3 + sum(1 for bytes_sent in breaks if bytes_sent < 10**6) - 1
    assert sum(1 for part in parts if part.end != end) == 0
    assert [part.start for part in parts] == sorted(part.start for part in parts)


def test_a_server_that_fails_again_and_again_is_given_up_and_gone_on_with_later(
    server: hub.Hub, fetch: Load, model: Path, original: tuple[Path, NDArray[np.uint8]], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(one_tensor, "SYNC_BYTES", 4096)
    server.faults.breaks = [8, 10**6, 10_000, *[0] * (ranges.TRIES - 1)]
    with pytest.raises(SourceError, match=r"failed 5 times at byte [\d,]+ of [\d,]+ .*what has come is kept"):
        fetch()
    (part,) = cached(tmp_path, ".part")
    (length,) = struct.unpack("<Q", part.read_bytes()[:8])
    assert part.stat().st_size == 8 + length + 10_000
    asked = len(server.parts)
    assert same(fetch(), original)
    _, start, end = shard_of(model)
    (again,) = server.parts[asked:]  # the header is not asked for again
    # From the last place where the disk was made to have all before it.
    kept = (8 + length + 10_000 - 1) // 4096 * 4096 - 8 - length
    assert (again.start, again.end) == (start + kept, end)


def test_a_part_that_a_power_cut_left_with_zeros_at_its_end_is_cut_back(
    server: hub.Hub, fetch: Load, original: tuple[Path, NDArray[np.uint8]], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(one_tensor, "SYNC_BYTES", 4096)
    server.faults.breaks = [8, 10**6, 10_000, *[0] * (ranges.TRIES - 1)]
    with pytest.raises(SourceError):
        fetch()
    (part,) = cached(tmp_path, ".part")
    whole = part.read_bytes()
    part.write_bytes(whole[: len(whole) // 4096 * 4096].ljust(len(whole), b"\0"))
    assert same(fetch(), original)


def test_ctrl_c_keeps_what_has_come(
    server: hub.Hub, fetch: Load, original: tuple[Path, NDArray[np.uint8]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(one_tensor, "SYNC_BYTES", 4096)
    server.faults.breaks = [8, 10**6, 9000]
    told: list[int] = []

    def stop(step: str, done: int, total: int) -> None:
        told.append(done)
        if len(told) == 2:
            raise KeyboardInterrupt

    with pytest.raises(one_tensor.Interrupted) as caught:
        fetch(progress=stop)
    assert caught.value.path.stat().st_size > 9000
    asked = len(server.parts)
    assert same(fetch(), original)
    assert server.parts[asked].start > server.parts[asked - 1].start


def test_a_server_without_ranges_is_asked_for_the_shard_and_it_is_said(
    server: hub.Hub, fetch: Load, original: tuple[Path, NDArray[np.uint8]], model: Path
) -> None:
    server.faults.whole = True
    source = fetch()
    assert same(source, original)
    assert source.notes == (f"{shard_of(model)[0].name} of {ID} on the Hub was fetched whole: "
                            "its server sends no parts of files",)  # fmt: skip
    asked = len(server.parts)
    assert same(fetch(), original)  # out of the Hub's own cache
    assert len(server.parts) == asked


@pytest.mark.parametrize(
    ("faults", "words"),
    [
        ({"content_range": "bytes 0-{last}/{total}"}, "its server answers with bytes 0-"),
        ({"content_range": "bytes {start}-{last}/*"}, r"its server answers with bytes \d+-\d+/\*"),
        ({"content_range": "bytes {start}-{last}/1{total}"}, "what it says cannot be trusted"),
        ({"content_length": 7}, "of 7 bytes; what it says cannot be trusted"),
        ({"content_length": 10**9}, "of 1000000000 bytes; what it says cannot be trusted"),
        ({"surplus": b"more"}, "sent more bytes than it was asked for"),
    ],
)
def test_a_server_that_lies_about_lengths_is_refused(
    faults: dict, words: str, server: hub.Hub, fetch: Load, tmp_path: Path
) -> None:
    server.faults = hub.Faults(**faults)
    with pytest.raises(SourceError, match=words):
        fetch()
    assert cached(tmp_path, ".safetensors") == []


def test_a_server_that_is_busy_is_asked_again(
    server: hub.Hub, fetch: Load, original: tuple[Path, NDArray[np.uint8]]
) -> None:
    server.faults.statuses = [503, 429, 500, 502]
    assert same(fetch(), original)
    assert [(part.start, part.end) for part in server.parts][:5] == 5 * [(0, 8)]


@pytest.mark.parametrize(
    ("statuses", "words"),
    [
        ([503] * ranges.TRIES, "failed 5 times at byte 0 .*it answers 503"),
        ([416], "has [0-9,]+ bytes as the Hub says, and fewer as its server does"),
        ([404], "could not be fetched from the Hub: .*404"),
        ([403], "could not be fetched from the Hub: .*403"),
    ],
)
def test_what_a_server_refuses_is_said(statuses: list[int], words: str, server: hub.Hub, fetch: Load) -> None:
    server.faults.statuses = list(statuses)
    with pytest.raises(SourceError, match=words):
        fetch()
    assert len(server.parts) == len(statuses)


def test_a_part_that_was_compressed_on_the_way_is_not_taken_for_the_bytes(
    server: hub.Hub, fetch: Load, original: tuple[Path, NDArray[np.uint8]]
) -> None:
    server.faults.encoding = "gzip"
    source = fetch()
    assert "its server sends no parts of files" in source.notes[0]
    assert same(source, original)


def test_a_part_without_an_etag_is_not_believed(server: hub.Hub, fetch: Load) -> None:
    server.faults.silent_etag = True
    assert "fetched whole" in fetch().notes[0]


def test_a_file_that_changes_between_requests_is_noticed(
    server: hub.Hub, fetch: Load, model: Path, original: tuple[Path, NDArray[np.uint8]], tmp_path: Path
) -> None:
    path, start, _ = shard_of(model)
    before = path.read_bytes()
    after = before[:start] + bytes(2) + before[start + 2 :]
    for changes in ([after], [before, after], [before, before, after]):
        shutil.rmtree(tmp_path / "cache", ignore_errors=True)
        path.write_bytes(before)
        server.faults = hub.Faults(changes=list(changes), breaks=[8, 10**6, 100])
        with pytest.raises(SourceError, match="was changed while it was fetched; run it again"):
            fetch()
    # Another file is another entry of the cache: nothing of the one before goes into it.
    server.faults = hub.Faults()
    assert fetch().gamma.tobytes() == bytes(2) + original[1].tobytes()[2:]
    path.write_bytes(before)
    assert same(fetch(), original)


def test_a_token_does_not_go_to_the_host_that_a_file_is_sent_on_to(
    server: hub.Hub, fetch: Load, model: Path, original: tuple[Path, NDArray[np.uint8]]
) -> None:
    with hub.serve({ID: model}) as other:
        server.faults.sent_on = other.endpoint.replace("127.0.0.1", "localhost")
        assert same(fetch(), original)
        assert len(server.parts) == len(other.parts) == 3
        assert all(part.authorized for part in server.parts)
        assert not any(part.authorized for part in other.parts)
        # The other host's own file is another: what the Hub says of it decides.
        other.faults.changes = [b"x" * 10_000]


@pytest.fixture
def sending(server: hub.Hub, model: Path) -> Iterator[hub.Hub]:
    """A host that the Hub sends on to, as it does: by an address that it signs, and that is good for one answer."""
    with hub.serve({ID: model}) as other:
        other.signatures = set()
        server.faults.signs_for = other
        yield other


@pytest.mark.parametrize("relative", [False, True])
def test_a_signed_address_on_another_host_is_followed(
    relative: bool,
    server: hub.Hub,
    sending: hub.Hub,
    fetch: Load,
    model: Path,
    original: tuple[Path, NDArray[np.uint8]],
) -> None:
    server.faults.relative = relative  # first to a path of its own, which still gets the token
    assert same(fetch(), original)
    _, start, end = shard_of(model)
    assert [(part.start, part.end) for part in sending.parts][-1] == (start, end)
    assert {(part.start, part.end) for part in server.parts} == {(part.start, part.end) for part in sending.parts}
    assert all(part.authorized for part in server.parts)
    assert not any(part.authorized for part in sending.parts)
    assert sending.refused == 0


def test_an_address_that_has_expired_is_asked_for_again(
    server: hub.Hub, sending: hub.Hub, fetch: Load, original: tuple[Path, NDArray[np.uint8]], model: Path
) -> None:
    """Between the Hub's answer and the other host's, and between two parts of one tensor."""
    _, start, end = shard_of(model)
    server.faults.expired = [False, True, False, False, True, True, False]
    sending.faults.breaks = [8, 10_000_000, 100]
    assert same(fetch(), original)
    assert sending.refused == 3
    assert [(part.start, part.end) for part in sending.parts][-2:] == [(start, end), (start + 100, end)]


def test_addresses_that_expire_at_once_are_given_up(server: hub.Hub, sending: hub.Hub, fetch: Load) -> None:
    server.faults.expired = [True] * 99
    with pytest.raises(SourceError, match=r"its server failed 5 times at byte 0 .*answers 403"):
        fetch()
    assert sending.refused == 5


def test_headers_that_cannot_be_are_refused_before_a_tensor_is_asked_for(
    server: hub.Hub, fetch: Load, model: Path
) -> None:
    path, _, _ = shard_of(model)
    whole = path.read_bytes()
    (length,) = struct.unpack("<Q", whole[:8])
    header = json.loads(whole[8 : 8 + length])
    entry = header["lm_head.weight"]
    cases: list[tuple[bytes, str]] = [
        (whole[:-1], "its tensors take"),
        (whole + b"x", "its tensors take"),
        (b"\xff" * 8 + whole[8:], "its header claims"),
        (struct.pack("<Q", 1 << 30) + whole[8:], "its header claims"),
        (whole[:5], "its header claims"),
        (whole[:8] + b"[" * length + whole[8 + length :], "is no JSON"),
    ]
    for wrong, words in (
        ({**entry, "data_offsets": [-1, 5]}, "is no whole safetensors file"),
        ({**entry, "shape": "x"}, "is no whole safetensors file"),
    ):
        text = json.dumps({**header, "lm_head.weight": wrong}).encode().ljust(length)
        cases.append((struct.pack("<Q", len(text)) + text + whole[8 + length :], words))
    for content, words in cases:
        path.write_bytes(content)
        server.parts.clear()
        with pytest.raises(SourceError, match=words):
            fetch()
        assert len(server.parts) <= 2


def test_a_tensor_that_disagrees_with_its_bytes_is_refused(server: hub.Hub, fetch: Load, model: Path) -> None:
    path, _, _ = shard_of(model)
    whole = path.read_bytes()
    (length,) = struct.unpack("<Q", whole[:8])
    header = json.loads(whole[8 : 8 + length])
    for shape in ([400, 33], [10**9, 10**9], [400]):
        header["lm_head.weight"]["shape"] = shape
        text = json.dumps(header).encode().ljust(length)
        path.write_bytes(struct.pack("<Q", len(text)) + text + whole[8 + length :])
        with pytest.raises(SourceError, match=r"no whole safetensors file|wanted \(tokens, width\)"):
            fetch()


def test_a_cache_that_cannot_be_written_says_so(server: hub.Hub, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(SourceError, match=r"what comes from the Hub cannot be kept in .*cache"):
        load(ID, cache=tmp_path / "cache")


def test_damaged_leftovers_are_fetched_again(
    server: hub.Hub, fetch: Load, original: tuple[Path, NDArray[np.uint8]], tmp_path: Path
) -> None:
    fetch()
    (header,) = cached(tmp_path, "header")
    (path,) = cached(tmp_path, "lm_head.weight.safetensors")
    for damage in (lambda: header.write_bytes(b"x"), lambda: path.write_bytes(path.read_bytes()[:-1]),
                   lambda: path.write_bytes(b"y" * path.stat().st_size)):  # fmt: skip
        damage()
        assert same(fetch(), original)


def test_two_revisions_with_one_file_share_what_is_kept(
    server: hub.Hub, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hub.serve({ID: model}, branches=("main", "step2")) as both:
        point_at(both.endpoint, tmp_path / "home", monkeypatch)
        load(ID, cache=tmp_path / "cache")
        asked = len(both.parts)
        load(f"{ID}@step2", cache=tmp_path / "cache")
        assert len(both.parts) == asked
    assert len(cached(tmp_path, "lm_head.weight.safetensors")) == 1


def test_names_that_lead_out_are_refused(tmp_path: Path) -> None:
    folder = hub_source.HubFolder(ID, None, cache=tmp_path / "cache")
    folder._commit = "0" * 40
    with pytest.raises(SourceError, match="no plain file name"):
        folder.holding("../x.safetensors", ["W"])
    assert os.listdir(tmp_path) == []
