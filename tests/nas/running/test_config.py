"""Settings: what wins, what is refused and how it says so."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, Literal, TypeVar

import pytest

from nas.running import config

N = TypeVar("N")


@dataclass(frozen=True)
class Network:
    units: int = 3
    mode: Literal["eager", "fast"] = "eager"

    def __post_init__(self) -> None:
        if self.units < 1:
            raise ValueError(f"units must be positive, not {self.units}")


@dataclass(frozen=True)
class Search:
    rate: float = 0.1
    clip: float | None = None
    decay: float | None = 1.0


@dataclass(frozen=True)
class Experiment(Generic[N]):
    network: N
    search: Search = field(default_factory=Search)


def load(*sets: str, file: Path | None = None) -> Experiment[Network]:
    return config.load(Experiment[Network], file, sets, base={"network": {"units": 5}})


def test_later_sources_win(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('[network]\nunits = 7\nmode = "fast"\n')
    assert load().network == Network(5, "eager")
    assert load(file=file).network == Network(7, "fast")
    assert load("network.units=9", "search.rate=1", file=file) == Experiment(Network(9, "fast"), Search(1.0))


def test_dump_and_load_are_inverse() -> None:
    settings = load("search.clip=2.5", "network.mode=fast", "search.decay=none")
    assert settings.search == Search(clip=2.5, decay=None)
    for some in (settings, load()):
        assert config.load(Experiment[Network], base=config.tomllib.loads(config.dump(some))) == some
    assert config.digest(settings) != config.digest(load())
    assert config.digest(load()) == config.digest(load())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("search.lrr=1", r"^unknown setting search.'lrr'; known: clip, decay, rate$"),
        ("serch.rate=1", r"^unknown setting 'serch'; known: network, search$"),
        ("network.units=many", r"^setting network.units: Expected `int`, got `str`$"),
        ("search.rate=true", r"^setting search.rate: Expected `float`, got `bool`$"),
        ("network.mode=slow", r"^setting network.mode: Invalid enum value 'slow'; known: eager, fast$"),
        ("network.units=0", r"^setting network: units must be positive, not 0$"),
        ("search.rate=none", r"^setting search.rate: Expected `float`, got `str`$"),
        ("search=3", r"^setting search: Expected `object`, got `int`$"),
        ("rate", r"^--set 'rate': write it as section.key=value$"),
    ],
)
def test_bad_settings_are_refused_with_their_path(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load(text)


def test_bad_files_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"cannot read settings .*missing.toml: No such file"):
        load(file=tmp_path / "missing.toml")
    broken = tmp_path / "broken.toml"
    broken.write_text("[network\n")
    with pytest.raises(ValueError, match=r"broken.toml are not valid TOML"):
        load(file=broken)


# ------------------------------------------------------------------ files and values of strangers


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"rate = \xff", "is not UTF-8: byte 0xff at offset 7"),
        (b"x = " + b"[" * 3000, "are nested too deeply"),
        (b"x = 1" + b"0" * 5000, "are not valid TOML"),
        (b"# " + b"x" * (16 << 20), "more than the 16,777,216 bytes"),
    ],
)
def test_whatever_a_file_holds_is_one_line_that_names_it(content: bytes, says: str, tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=says) as caught:
        config.read_toml(file)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_byte_order_mark_is_no_part_of_toml(tmp_path: Path) -> None:
    (tmp_path / "settings.toml").write_bytes(b"\xef\xbb\xbfrate = 0.1\n")
    assert config.read_toml(tmp_path / "settings.toml") == {"rate": 0.1}


@dataclass(frozen=True)
class Bounded:
    units: int = 3
    rate: float = 0.1

    def __post_init__(self) -> None:
        config.within(self, units=(1, 100))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("rate=.001", "write .001 as 0.001"),
        ("rate=1.", "write 1. as 1.0"),
        ("units=0", "units must be at least 1, not 0"),
        ("units=101", "units must be at most 100, not 101"),
        (f"units=1{'0' * 400}", "units must be at most 100, not a larger number"),
        (f"units=1{'0' * 5000}", "Expected `int`"),
        ("units=" + "[" * 3000, "--set units: its value is nested too deeply"),
    ],
)
def test_a_value_is_refused_with_its_rule(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        config.load(Bounded, sets=[text])
    assert config.load(Bounded, sets=["units=100", "rate=0.001"]) == Bounded(100, 0.001)  # control
