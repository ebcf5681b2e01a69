"""Whatever bytes a file holds, a reader answers or refuses in one line. HYPOTHESIS_EXAMPLES=100000 for more.

What reads, and what it reads well, stands in benchmarks/inputs.py, which tries a million inputs.
"""

import ast
import json
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks import inputs
from benchmarks.inputs import READERS, answers

ROOT = Path(__file__).resolve().parents[2]
many = settings(
    max_examples=int(os.environ.get("HYPOTHESIS_EXAMPLES", "40")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)
# Bytes of every kind: noise, text, JSON, brackets that never close, and the alphabets of cells and of pickles.
contents = st.one_of(
    st.binary(max_size=300),
    st.text(max_size=100).map(lambda text: text.encode("utf-8", "surrogatepass")),
    json_values.map(lambda value: json.dumps(value).encode()),
    st.sampled_from((b"[", b'{"a":', b"[[")).map(lambda part: part * 3000),
    st.text(alphabet="|~+0123456789none_skip_connect:.<>", max_size=60).map(str.encode),
    st.binary(max_size=60).map(lambda part: b"\x80\x02}q\x01(" + part + b"u."),
)


@pytest.mark.parametrize("name", READERS)
@many
@given(content=contents)
def test_any_bytes(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / READERS[name].file).write_bytes(content)
    answers(lambda: READERS[name].read(tmp_path), len(content))


@pytest.mark.parametrize("name", READERS)
@many
@given(share=st.floats(0, 1), part=st.binary(max_size=8), kept=st.floats(0, 1))
def test_any_damage(name: str, share: float, part: bytes, kept: float, tmp_path: Path) -> None:
    """Some bytes are others, and perhaps the end is missing."""
    whole = inputs.whole(name)
    place = int(share * len(whole))
    damaged = whole[:place] + part + whole[place + len(part) :]
    (tmp_path / READERS[name].file).write_bytes(damaged[: len(damaged) if kept > 0.5 else int(2 * kept * len(damaged))])
    answers(lambda: READERS[name].read(tmp_path))


REFUSED = ("table", "packed table", "own method", "archive", "archive 100", "proofs")  # too small, not allowed, too old


@pytest.mark.parametrize("name", [name for name in READERS if name not in REFUSED])
def test_the_example_is_read(name: str, tmp_path: Path) -> None:
    """Else its damage would all be refused for another reason."""
    (tmp_path / READERS[name].file).write_bytes(inputs.whole(name))
    READERS[name].read(tmp_path)


def test_inputs_are_made_again_from_seed_and_number() -> None:
    whole = inputs.whole("settings")
    made = [inputs.mutated(whole, random.Random(f"0 {number}")) for number in range(200)]
    assert made == [inputs.mutated(whole, random.Random(f"0 {number}")) for number in range(200)]
    assert len(set(made)) > 190


def test_control_a_fault_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RecursionError):
        answers(lambda: json.loads("[" * 100_000))
    with pytest.raises(AssertionError, match="on 2 lines"):
        answers(_two_lines)
    broken = {
        "deep": inputs.Reader("x", lambda folder: json.loads(inputs.content_of(folder)), lambda: b"[" * 100_000, ()),
        "slow": inputs.Reader("x", _for_ever, lambda: b"x", ()),
    }
    monkeypatch.setattr(inputs, "READERS", broken)
    monkeypatch.setattr(inputs, "PATIENCE", 0.2)
    monkeypatch.setattr(inputs, "mutated", lambda content, dice: content)
    monkeypatch.setattr(inputs, "whole", lambda name: broken[name].example())
    deep, slow = inputs.some(7, 10, 2, list(broken))
    assert deep.startswith("deep, input 10 of seed 7, ")
    assert "RecursionError" in deep
    assert "Hangs: it took more than 0 s" in slow


def _two_lines() -> None:
    raise ValueError("one\ntwo")


def _for_ever(folder: Path) -> None:
    while True:
        pass


# ------------------------------------------------------------------ the list is complete

READING = {
    "read_bytes", "read_text", "read_json", "parse_json", "read_toml", "loads", "frombuffer", "fromfile", "reader",
    "genops", "safe_open", "ParquetFile", "ZipFile", "open", "fromstring", "literal_eval", "read_array",
}  # fmt: skip


def reads(file: Path) -> Iterator[str]:
    """Calls in a file that read something, by their names."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            called: Any = node.func
            name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
            modes = [part.value for part in node.args if isinstance(part, ast.Constant)]
            if name in READING and not (name == "open" and set(modes) & {"w", "wb", "ab", "x"}):
                yield name


def test_every_module_that_reads_is_tried_or_says_why_not() -> None:
    reached = {module for reader in READERS.values() for module in reader.modules}
    found = {
        file.relative_to(ROOT).as_posix()
        for floor in ("nas", "theory", "simulate")
        for file in (ROOT / floor).rglob("*.py")
        if any(reads(file))
    }
    assert found - reached == inputs.OWN.keys()
    assert not reached & inputs.OWN.keys()
    assert all((ROOT / module).exists() for module in reached)


def test_control_a_new_reader_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "x.py").write_text("import json\ndef read(file):\n    return json.loads(file.read_text())\n")
    (tmp_path / "y.py").write_text("def write(file):\n    file.open('wb').write(b'')\n")
    assert sorted(reads(tmp_path / "x.py")) == ["loads", "read_text"]
    assert not list(reads(tmp_path / "y.py"))
