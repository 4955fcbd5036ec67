"""`--sweep`: a bundle of each source; what is finished is kept, what fails is named, and the rest goes on."""

import json
import os
import shutil
from pathlib import Path

import h5py
import hub
import ml_dtypes
import models
import numpy as np
import pytest
import trained
from conftest import Outcome, invoke
from interrupted import contents
from numpy.typing import NDArray
from safetensors.numpy import save_file
from test_ranges import point_at

import index
from index.build.build import build
from index.build.settings import Settings
from index.bundle.sweep import read_sweep
from index.errors import ParameterError, SourceError
from index.sources.listed import in_order, listed_sources
from index.sources.stack import open_stack

SMALL = ("--neighbors", 20)


def swept(*arguments: object) -> Outcome:
    return invoke("build_index.py", *arguments, *SMALL)


def outcomes(*arguments: object) -> dict[str, dict]:
    return {each["step"]: each for each in swept(*arguments, "--json").json}


def save(path: Path, seed: int, rows: int = 60, width: int = 6) -> Path:
    np.save(path, np.random.default_rng(seed).normal(size=(rows, width)).astype(np.float32))
    return path


@pytest.fixture(scope="module")
def stack() -> NDArray[np.uint16]:
    return trained.trained()[8:14]  # the fourth and the fifth are the same


@pytest.fixture(scope="module")
def stacked(stack: NDArray[np.uint16], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("stack") / "stack.safetensors"
    save_file({"W": stack, "steps": np.array([0, 1, 2, 10, 20, 100])}, path)
    return path


# --- stacks ---------------------------------------------------------------------------------------------------------


def test_each_matrix_of_a_stack_is_the_bundle_of_that_matrix_alone(
    stack: NDArray[np.uint16], stacked: Path, tmp_path: Path
) -> None:
    found = outcomes("--sweep", stacked, "--as", "bf16", "--out", tmp_path / "out")
    assert list(found) == [f"step{number}" for number in (0, 1, 2, 10, 20, 100)]
    assert [each["outcome"] for each in found.values()] == [*4 * ["built"], "same", "built"]
    assert found["step20"]["same_as"] == "step10"
    assert found["step20"]["bundle"] == found["step10"]["bundle"] == str(tmp_path / "out" / "step10")
    for number in (0, 3, 5):
        np.save(tmp_path / "alone.npy", stack[number])
        alone = build(
            Settings(source=str(tmp_path / "alone.npy"), out=tmp_path / "alone", neighbors=20, overwrite=True)
        )
        own, other = contents(tmp_path / "out" / list(found)[number]), contents(alone.folder)
        assert own.keys() == other.keys()
        assert [name for name in own if own[name] != other[name]] == ["manifest.json"]  # which names its source
        facts = json.loads(own["manifest.json"])["source"]
        assert (facts["location"], facts["tensor"]) == (f"{stacked}[{number}]", "W")
    assert sorted(os.listdir(tmp_path / "out")) == [".sweep.lock", "step0", "step1", "step10", "step100", "step2",
                                                    "sweep.json"]  # fmt: skip


@pytest.mark.parametrize("ending", [".safetensors", ".npy", ".h5"])
@pytest.mark.parametrize("dtype", ["bits", np.float32, np.float16])
def test_every_kind_of_stack_gives_the_same_matrices(
    ending: str, dtype: object, stack: NDArray[np.uint16], tmp_path: Path
) -> None:
    numbers = stack.view(ml_dtypes.bfloat16)
    values = stack if dtype == "bits" else numbers.astype(dtype)  # type: ignore[arg-type]
    path = tmp_path / f"s{ending}"
    if ending == ".npy":
        np.save(path, values)
    elif ending == ".safetensors":
        save_file({"W": values}, path)
    else:
        with h5py.File(path, "w") as file:
            file.create_dataset("W", data=values, compression="gzip")
    opened = open_stack(path, bits="bf16" if dtype == "bits" else None)
    assert opened.names == tuple(f"step{number}" for number in range(6))
    for number in range(6):
        source = opened.load(number, None)
        assert source.gamma.dtype == (ml_dtypes.bfloat16 if dtype == "bits" else dtype)
        np.testing.assert_array_equal(source.gamma.astype(np.float64), numbers[number].astype(np.float64))


def test_stacks_that_cannot_be_are_refused(stack: NDArray[np.uint16], tmp_path: Path) -> None:
    def h5(name: str, **arrays: NDArray) -> Path:
        with h5py.File(tmp_path / name, "w") as file:
            for key, array in arrays.items():
                file[key] = array
        return tmp_path / name

    save(tmp_path / "flat.npy", 0)
    (tmp_path / "no.h5").write_bytes(b"x" * 100)
    with h5py.File(tmp_path / "outside.h5", "w") as file:
        file.create_dataset("W", (2, 3, 4), "f4", external=[(str(tmp_path / "flat.npy"), 0, 96)])
    with h5py.File(tmp_path / "link.h5", "w") as file:
        file["W"] = h5py.ExternalLink(str(h5("other.h5", W=stack)), "W")
    cases: list[tuple[Path, str | None, str]] = [
        (h5("bits.h5", W=stack), None, "pass as=bf16 if these are the bits of bfloat16"),
        (h5("floats.h5", W=stack.astype(np.float32)), "bf16", "holds float32; as=bf16 is of uint16"),
        (h5("ints.h5", W=stack.astype(np.int32)), None, "holds int32; a stack is of float64"),
        (h5("two.h5", a=stack, b=stack), "bf16", "wanted one tensor (steps, tokens, width), it holds a"),
        (h5("none.h5", a=stack[0]), "bf16", "wanted one tensor (steps, tokens, width), it holds a (120, 4)"),
        (h5("empty.h5", a=stack[:0]), "bf16", "none zero"),
        (h5("steps.h5", W=stack, steps=np.zeros(6, int)), "bf16", "names no 6 different steps"),
        (h5("fewer.h5", W=stack, steps=np.arange(5)), "bf16", "names no 6 different steps"),
        (tmp_path / "flat.npy", None, "wanted one tensor (steps, tokens, width), it holds flat (60, 6)"),
        (tmp_path / "no.h5", None, "is no HDF5 file that can be read"),
        (tmp_path / "outside.h5", None, "its numbers lie in other files"),
        (tmp_path / "link.h5", "bf16", "it holds nothing"),
        (tmp_path / "absent.h5", None, "there is no such file"),
    ]
    for path, bits, words in cases:
        with pytest.raises((SourceError, ParameterError)) as caught:
            open_stack(path, bits=bits)
        assert words in str(caught.value)


# --- killed, stopped, failed ----------------------------------------------------------------------------------------


def test_what_fails_is_named_and_the_rest_goes_on(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        save(tmp_path / f"m{number}.npy", number)
    bad = np.load(tmp_path / "m2.npy")
    bad[4, 1] = np.nan
    np.save(tmp_path / "m2.npy", bad)
    listed = tmp_path / "list.txt"
    listed.write_text("# checkpoints\n\n" + "".join(f"{tmp_path}/m{number}.npy\n" for number in (3, 1, 2, 4)))
    done = swept("--sweep", listed, "--out", tmp_path / "out", "--json")
    assert done.code == 1
    found = {each["step"]: each for each in json.loads(done.out)}
    assert list(found) == ["m1", "m2", "m3", "m4"]
    assert {name: each["outcome"] for name, each in found.items()} == {
        "m1": "built",
        "m2": "failed",
        "m3": "built",
        "m4": "failed",
    }
    assert "has NaN or infinite values in 1 of 60 rows: 4" in found["m2"]["error"]
    assert "no such file or folder" in found["m4"]["error"]
    assert "m2: failed: " in done.err
    record = {step.name: step for step in read_sweep(tmp_path / "out").steps}
    assert (record["m2"].built, record["m3"].built) == (False, True)
    # Mended, they are built; the others are kept.
    save(tmp_path / "m2.npy", 2)
    save(tmp_path / "m4.npy", 1)
    found = outcomes("--sweep", listed, "--out", tmp_path / "out")
    assert {name: each["outcome"] for name, each in found.items()} == {
        "m1": "kept",
        "m2": "built",
        "m3": "kept",
        "m4": "same",
    }
    assert found["m4"]["same_as"] == "m1"
    told = swept("--sweep", listed, "--out", tmp_path / "out")
    assert told.code == 0
    assert "same matrix as m1" in told.out
    assert "4 steps of 4 have a bundle." in told.out


def test_the_same_matrix_with_other_tokens_is_built(tmp_path: Path) -> None:
    weights = save(tmp_path / "W.npy", 0, rows=40)
    for name, count in (("a", 40), ("b", 38)):
        folder = tmp_path / name
        models.save_tokenizer(folder, models.word_tokenizer(count))
        (folder / "config.json").write_text("{}")
        save_file({"lm_head.weight": np.load(weights)}, folder / "model.safetensors")
    shutil.copytree(tmp_path / "a", tmp_path / "c")
    (tmp_path / "list").write_text("".join(f"{tmp_path / name}\n" for name in "abc"))
    found = outcomes("--sweep", tmp_path / "list", "--out", tmp_path / "out")
    assert [found[name]["outcome"] for name in "abc"] == ["built", "built", "same"]
    assert found["c"]["same_as"] == "a"


def test_settings_of_a_sweep_stay_and_overwrite_builds_anew(tmp_path: Path) -> None:
    save(tmp_path / "m1.npy", 1)
    (tmp_path / "list").write_text(f"{tmp_path}/m1.npy\n")
    arguments = ("--sweep", tmp_path / "list", "--out", tmp_path / "out")
    assert swept(*arguments).code == 0
    other = swept(*arguments, "--ridge", 0.1)
    assert other.code == 2
    assert "was swept with --ridge 1e-06, not 0.1: all bundles of a sweep have the same; pass --overwrite" in other.err
    assert outcomes(*arguments, "--ridge", 0.1, "--overwrite")["m1"]["outcome"] == "built"
    assert index.open(tmp_path / "out" / "m1").manifest.settings.ridge == 0.1
    # A bundle of another source in a step's place is not taken for it.
    save(tmp_path / "n.npy", 3)
    (tmp_path / "list").write_text(f"m1\t{tmp_path}/n.npy\n")
    done = swept(*arguments, "--ridge", 0.1)
    assert done.code == 1
    assert "m1.npy, not of" in done.err


def test_ctrl_c_says_how_far_it_came(stacked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import index.build.step as module

    original, calls = module.build, []

    def build_two(*arguments: object, **named: object) -> object:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return original(*arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "build", build_two)
    done = swept("--sweep", stacked, "--as", "bf16", "--out", tmp_path / "out")
    assert done.code == 130
    assert "2 steps done; the same command goes on from there" in done.err


# --- lists and the Hub ----------------------------------------------------------------------------------------------


def test_names_by_their_numbers_and_lists_as_they_are() -> None:
    assert in_order(["step10", "step2", "step1"]) == ["step1", "step2", "step10"]
    assert in_order(["m-1-step10", "m-1-step9"]) == ["m-1-step9", "m-1-step10"]
    assert in_order(["base", "sft", "dpo"]) == ["base", "sft", "dpo"]
    assert in_order(["step3", "main", "step1"]) == ["step3", "main", "step1"]


def test_a_list_names_its_steps(tmp_path: Path) -> None:
    path = tmp_path / "list"
    path.write_text("base\torg/model@main\norg/model@step2 \n\n# org/model@step3\n")
    assert listed_sources(str(path)) == {"base": "org/model@main", "model-step2": "org/model@step2"}
    for text, words in (
        ("a/x.npy\nb/x.npy\n", "would both be called x"),
        ("", "empty"),
        ("# nothing\n", "lists no source"),
        ("../x\tgamma.npy\n", "is no name for a step"),
        ("A B\tgamma.npy\n", "is no name for a step"),
    ):
        path.write_text(text)
        with pytest.raises(SourceError) as caught:
            listed_sources(str(path))
        assert words in str(caught.value)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SourceError, match="no UTF-8 text"):
        listed_sources(str(path))
    with pytest.raises(SourceError, match="there is no such file"):
        listed_sources(str(tmp_path / "absent"))


def test_branches_on_the_hub_are_listed_fetched_and_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tmp_path / "model"
    models.save_tokenizer(model, models.word_tokenizer(50))
    (model / "config.json").write_text("{}")
    branches = ("main", "step1", "step2", "step10", "other")
    for number, branch in enumerate(branches):
        shutil.copytree(
            model, model / branch, ignore=lambda folder, names: [name for name in names if name in branches]
        )
        rows = np.random.default_rng(min(number, 2)).normal(size=(50, 6)).astype(np.float32)
        other = np.random.default_rng(number).normal(size=(99, 9)).astype(np.float32)
        save_file({"lm_head.weight": rows, "model.layers.0.weight": other}, model / branch / "model.safetensors")
    with hub.serve({"org/tiny": model}, branches=branches) as server:
        point_at(server.endpoint, tmp_path / "home", monkeypatch)
        monkeypatch.setattr("huggingface_hub.hf_api.constants.ENDPOINT", server.endpoint)
        monkeypatch.chdir(tmp_path)
        found = outcomes("--sweep", "org/tiny@step*", "--out", tmp_path / "out", "--cache", tmp_path / "cache")
        assert {name: each["outcome"] for name, each in found.items()} == {
            "tiny-step1": "built", "tiny-step2": "built", "tiny-step10": "same"
        }  # fmt: skip
        assert found["tiny-step10"]["source"] == "org/tiny@step10"
        assert all(part.end - part.start < 50 * 6 * 4 + 1 for part in server.parts)  # none of the other tensor's bytes
        with pytest.raises(
            SourceError, match=r"has no branch or tag checkpoint\* on the Hub; it has main, step1, step2"
        ):
            listed_sources("org/tiny@checkpoint*")
        with pytest.raises(SourceError, match="no model 'org/absent' on the Hub"):
            listed_sources("org/absent@*")
    assert [step["step"] for step in invoke("query.py", "timeline", tmp_path / "out", "--json").json] == list(found)
    point_at("http://127.0.0.1:9", tmp_path / "home", monkeypatch)
    with pytest.raises(SourceError, match="cannot be asked for on the Hub"):
        listed_sources("org/tiny@step*")


def test_what_does_not_go_together_is_said_in_one_line(stacked: Path, tmp_path: Path) -> None:
    for arguments, words in (
        (("x", "--sweep", "y", "--out", "z"), "--sweep y lists the sources, and x is named besides"),
        (("--sweep", stacked, "--as", "bf16"), "a sweep needs --out"),
        (("--sweep", stacked, "--as", "fp8", "--out", "z"), "--as must be bf16, got: fp8"),
        (("--as", "bf16"), "--as bf16 goes with --sweep"),
        (("--sweep", tmp_path / "absent", "--out", "z"), "there is no such file"),
        (
            ("--sweep", stacked, "--as", "bf16", "--out", "z", "--distances", "d.pt"),
            "--distances d.pt is of one model",
        ),
        (("--sweep", stacked, "--as", "bf16", "--out", stacked), "cannot be written"),
    ):
        done = swept(*arguments)
        assert (done.code, done.out, done.err.count("\n")) == (2, "", 1), done
        assert words in done.err
    (tmp_path / "list").write_text("x.npy\n")
    done = swept("--sweep", tmp_path / "list", "--as", "bf16", "--out", tmp_path / "z")
    assert "--as bf16 goes with a stack of matrices" in done.err
