"""A user's own name is loaded from where it says, and what cannot be loaded is named."""

from pathlib import Path

import pytest

from nas.running import plugins


def test_a_name_with_a_colon_is_the_users_own() -> None:
    assert plugins.is_own("package.module:name")
    assert not plugins.is_own("advantage")


def test_the_object_itself_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_plugin.py").write_text("thing = ['mine']\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert plugins.load("own_plugin:thing", "method") == ["mine"]


@pytest.mark.parametrize("name", ["no_such_module:thing", "nas.policy:no_such_name", ".relative:thing", ":thing"])
def test_what_cannot_be_loaded_is_one_line(name: str) -> None:
    with pytest.raises(ValueError, match=f"^cannot load landscape '{name}': ") as refused:
        plugins.load(name, "landscape")
    assert "\n" not in str(refused.value)
