"""Both forms of the text network serve every method; an audit asks the sparse one in 32 bits."""

from nas import methods
from nas.tasks.text import task
from nas.tasks.text.network import Settings

STATIC = Settings(static=True, precision="bfloat16", units=7)


def test_both_forms_serve_every_method() -> None:
    assert all(task.TASK.fits(STATIC, method) for method in methods.METHODS.values())


def test_an_audit_rounds_least() -> None:
    assert task.audited(STATIC) == Settings(units=7)
    assert task.audited(STATIC) != STATIC


def test_the_space_follows_the_settings() -> None:
    assert len(task.space(Settings(nodes=2)).edges) == 3  # 0 -> 1, 0 -> 2, 1 -> 2
    assert task.space(Settings(zero=False)).zero is None
    assert task.space(Settings()).zero == "zero"
    assert {"paper", "quick", "small"} <= task.TASK.known_presets().keys()
