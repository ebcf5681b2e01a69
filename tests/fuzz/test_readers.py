"""Whatever bytes a file holds, a reader answers or refuses in one line. HYPOTHESIS_EXAMPLES=100000 for more."""

import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import save

from nas.data import cifar10, cifar100, images, nasbench201, ptb
from nas.running import config, plugins, runs
from nas.settings import SearchSettings
from nas.spaces import nasbench201 as cells
from nas.spaces import recurrent
from simulate import study
from simulate.run import Machine, Setting
from theory import card

many = settings(
    max_examples=int(os.environ.get("HYPOTHESIS_EXAMPLES", "60")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)
# Bytes of every kind: noise, text, JSON, and brackets that never close.
contents = st.one_of(
    st.binary(max_size=300),
    st.text(max_size=100).map(lambda text: text.encode("utf-8", "surrogatepass")),
    json_values.map(lambda value: json.dumps(value).encode()),
    st.sampled_from((b"[", b'{"a":', b"[[")).map(lambda part: part * 3000),
)
Reader = Callable[[Path], Any]


def _table(folder: Path) -> Any:
    return nasbench201.load(folder)


def _text(folder: Path) -> Any:
    return ptb.from_files([str(folder / "x")])


def _toml(folder: Path) -> Any:
    return config.load(SearchSettings, folder / "x")


def _policy(folder: Path) -> Any:
    return card.read_policy(str(folder / "x"), 2, 2)


READERS: dict[str, tuple[str, Reader]] = {
    "settings": ("x", _toml),
    "records": (runs.METRICS, runs.records),
    "sessions": (runs.META, runs.sessions),
    "result": (runs.RESULT, runs.result),
    "checkpoint": (runs.CHECKPOINT, lambda folder: runs.read_checkpoint(folder / runs.CHECKPOINT)),
    "study": ("x", lambda folder: study.load(folder / "x")),
    "text": ("x", _text),
    "policy": ("x", _policy),
    "table": ("nasbench201.csv", _table),
    "packed table": ("nasbench201.csv.gz", _table),
    "archive": ("cifar-10-binary.tar.gz", cifar10.load),
    "larger archive": ("cifar-100-python.tar.gz", cifar100.load),
}


@pytest.mark.parametrize("name", READERS)
@many
@given(content=contents)
def test_any_bytes(name: str, content: bytes, tmp_path: Path) -> None:
    file, read = READERS[name]
    (tmp_path / file).write_bytes(content)
    answers(lambda: read(tmp_path))


def _picture(kind: str) -> bytes:
    """A small image, or an archive of some."""
    content = io.BytesIO()
    pixels = np.arange(6 * 8 * 8, dtype=np.uint8).reshape(6, 8, 8)
    if kind == "NPZ":
        np.savez(content, x=pixels, y=np.arange(6) % 2)
    else:
        Image.fromarray(pixels[0]).save(content, kind)
    return content.getvalue()


PICTURES = {kind: _picture(kind) for kind in (*images.FORMATS, "NPZ")}


@pytest.mark.parametrize("kind", PICTURES)
@many
@given(share=st.floats(0, 1), part=st.binary(max_size=8), kept=st.floats(0, 1))
def test_any_damage_of_an_image(kind: str, share: float, part: bytes, kept: float, tmp_path: Path) -> None:
    """Some bytes are others, and perhaps the end is missing."""
    whole = PICTURES[kind]
    place = int(share * len(whole))
    damaged = whole[:place] + part + whole[place + len(part) :]
    file = tmp_path / ("a.npz" if kind == "NPZ" else "a.png")
    file.write_bytes(damaged[: len(damaged) if kept > 0.5 else int(2 * kept * len(damaged))])
    answers(lambda: images.load(file) if kind == "NPZ" else images.read(file))


@pytest.mark.parametrize("parse", [cells.read, recurrent.parse, lambda name: plugins.load(name, "method")])
@many
@given(text=st.text(max_size=60) | st.text(alphabet="|~+0123456789none_skip_connect:.<>", max_size=60))
def test_any_name(parse: Callable[[str], Any], text: str) -> None:
    answers(lambda: parse(text))


@pytest.mark.parametrize("read", [part.read for each in (cifar10, cifar100) for part in (each.BINARY, each.PYTHON)])
@many
@given(content=st.binary(max_size=200) | st.binary(max_size=60).map(lambda part: b"\x80\x02}q\x01(" + part + b"u."))
def test_any_batch(read: Callable[[bytes, str], Any], content: bytes) -> None:
    answers(lambda: read(content, "a batch"))


@many
@given(about=json_values)
def test_any_facts_in_a_checkpoint(about: Any, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(save({"x": torch.zeros(2)}, {"about": json.dumps(about)}))
    answers(lambda: runs.read_checkpoint(tmp_path / "x"))


CELL = study.run_cell(Setting(edges=2, candidates=2, steps=2, every=1, replicates=2), Machine("numpy"))


@many
@given(place=st.integers(0, len(CELL) - 1), part=st.binary(min_size=1, max_size=8))
def test_any_damage_of_a_cell(place: int, part: bytes, tmp_path: Path) -> None:
    (tmp_path / "cells").mkdir(exist_ok=True)
    (tmp_path / "cells" / "a.parquet").write_bytes(CELL[:place] + part + CELL[place + len(part) :])
    answers(lambda: study.read(tmp_path))


@many
@given(text=st.text(max_size=40))
def test_any_setting(text: str) -> None:
    answers(lambda: config.load(SearchSettings, sets=[text]))
    answers(lambda: config.load(SearchSettings, sets=[f"rate={text}"]))


def answers(read: Callable[[], Any]) -> None:
    """It returns, or refuses in one line."""
    try:
        read()
    except ValueError as error:
        said = str(error)
    else:
        return
    assert said.count("\n") == 0, said
    assert 0 < len(said) < 5000


def test_control_a_traceback_is_seen() -> None:
    with pytest.raises(RecursionError):
        answers(lambda: json.loads("[" * 100_000))
    with pytest.raises(AssertionError):
        answers(_two_lines)


def _two_lines() -> None:
    raise ValueError("one\ntwo")
