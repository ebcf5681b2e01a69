"""The site builds strictly, asks nothing of the network, and its reference holds all that can be called, asked and set.

What the reference must hold is found another way than it is made: in usage lines, by --dry-run, at the front doors.
"""

import importlib
import importlib.util
import re
import subprocess
import sys
import tomllib
import types
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def loaded(name: str) -> types.ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / "site" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


reference = loaded("reference")
COMMANDS = reference.commands()


def section(page: str, title: str) -> str:
    return page.partition(f"### {title}\n")[2].partition("\n##")[0]


def asked(words: list[str]) -> str:
    done = subprocess.run([sys.executable, "-m", *words], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout


@pytest.mark.parametrize("package", reference.PACKAGES)
def test_every_option_stands_in_the_reference(package: str) -> None:
    parser = importlib.import_module(f"{package}.__main__").parser()
    names = re.findall(r"^    ([a-z]+)(?: |$)", parser.format_help(), re.MULTILINE)
    assert names
    for name, inner, _ in reference.subcommands(parser):
        assert name in names, name
        options = set(re.findall(r"--[a-z][a-z-]*", inner.format_usage())) - {"--help"}
        missing = {option for option in options if f"`{option}" not in section(COMMANDS, f"{package} {name}")}
        assert not missing, (package, name, missing)


def test_control_an_option_of_another_command_is_missed() -> None:
    assert "`--randoms" in section(COMMANDS, "nas evaluate")
    assert "`--randoms" not in section(COMMANDS, "nas search")


@pytest.mark.parametrize("task", ["ptb", "cifar10"])
def test_every_setting_stands_in_the_reference(task: str) -> None:
    page = reference.settings()
    settings = tomllib.loads(asked(["nas", "search", task, "--dry-run"]))
    keys = {f"{table}.{key}" for table in ("search", "network") for key in settings[table]}
    assert len(keys) > 20
    shown = set(re.findall(r"^\| `([\w.]+)` \|", page, re.MULTILINE))
    assert keys <= shown, keys - shown
    assert "search.lrr" not in shown


def test_a_study_s_settings_stand_in_the_reference() -> None:
    study = tomllib.loads((ROOT / "simulate" / "studies" / "first.toml").read_text(encoding="utf-8"))
    shown = set(re.findall(r"^\| `([\w.]+)` \|", reference.settings(), re.MULTILINE))
    assert {*study, *study["base"], *study["grid"]} <= shown


@pytest.mark.parametrize("package", reference.PACKAGES)
def test_every_public_name_stands_in_the_reference(package: str) -> None:
    page = reference.interface(package)
    for name in importlib.import_module(package).__all__:
        assert f"## `{package}.{name}`\n" in page
    assert reference.undocumented(package) == []


def test_control_an_undocumented_name_stops_the_build(monkeypatch: pytest.MonkeyPatch) -> None:
    package = types.ModuleType("bare", "Nothing is said of its name.")
    package.__all__ = ["told", "untold"]  # type: ignore[attr-defined]
    package.told = lambda: 0  # type: ignore[attr-defined]
    package.told.__doc__ = "Says what it is."
    package.untold = lambda: 0  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "bare", package)
    monkeypatch.setattr(reference, "PACKAGES", ("bare",))
    with pytest.raises(ValueError, match=r"without a docstring: bare\.untold$"):
        reference.pages()


def test_examples_in_docstrings_become_code() -> None:
    shown = reference.prose("One.\n\n>>> f(1)\n2\n\nArgs: x.\nReturns: y.")
    assert shown == "One.\n\n```pycon\n>>> f(1)\n2\n```\n\n\n**Args.** x.\n\n**Returns.** y."


# ------------------------------------------------------------------ the build


def built(config: Path, to: Path) -> subprocess.CompletedProcess[str]:
    pytest.importorskip("material", reason="the extra `docs` is not installed")
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", str(config), "-d", str(to)]
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True)


def test_the_site_builds_strictly_and_asks_nothing_of_the_network(tmp_path: Path) -> None:
    done = built(ROOT / "mkdocs.yml", tmp_path / "site")
    assert done.returncode == 0, done.stdout + done.stderr
    pages = list((tmp_path / "site").rglob("*.html"))
    assert len(pages) > 20
    for page in pages:
        assert loads(page.read_text(encoding="utf-8")) == [], page
    assert (tmp_path / "site" / "worker.js").exists()


def loads(text: str) -> list[str]:
    """What a page would fetch from elsewhere when it is opened."""
    return re.findall(
        r'<(?:script|img|iframe)[^>]*src="(?:https?:)?//[^"]*|<link[^>]*rel="stylesheet"[^>]*//[^>]*', text
    )


def test_control_a_script_from_elsewhere_is_seen() -> None:
    assert loads('<script src="https://cdn.example/x.js"></script>')
    assert loads('<link href="//cdn.example/x.css" rel="stylesheet">') or loads('<img src="//cdn.example/x.png">')


@pytest.mark.parametrize(("link", "status"), [("other.md#there", 0), ("other.md#nowhere", 1), ("nowhere.md", 1)])
def test_control_a_link_that_leads_nowhere_stops_the_build(tmp_path: Path, link: str, status: int) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text(f"# Page\n\n[a link]({link})\n")
    (tmp_path / "docs" / "other.md").write_text("# Other\n\n## There\n")
    (tmp_path / "mkdocs.yml").write_text(
        f"INHERIT: {ROOT / 'mkdocs.yml'}\ndocs_dir: {tmp_path / 'docs'}\nhooks: []\nnav: [index.md, other.md]\n"
    )
    done = built(tmp_path / "mkdocs.yml", tmp_path / "site")
    assert done.returncode == status, done.stdout + done.stderr
