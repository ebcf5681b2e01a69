"""The bridge from code to theorem: proves what is so, and not what is not."""

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


@pytest.fixture(scope="module")
def prove() -> ModuleType:
    path = Path(__file__).resolve().parents[2] / "proofs" / "prove_symbolically.py"
    spec = importlib.util.spec_from_file_location("prove_symbolically", path)
    if spec is None or spec.loader is None:
        raise ImportError(path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_claim_is_proved(prove: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert prove.main(["T4"]) == 0
    assert capsys.readouterr().out.startswith("T4: proved (8 expressions)")


@pytest.mark.parametrize("name", ["counterfactual", "marginalised", "muprop", "reinforce", "reinforce_leave_one_out"])
def test_an_estimator_is_unbiased(name: str, prove: ModuleType) -> None:
    assert set(prove.bias(prove.UNBIASED[name])) == {0}


def test_control_the_wrong_sign_is_not_proved(prove: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    def wrong(p: Any, a: tuple[int, ...], gates: Any) -> Any:
        return -prove.UNBIASED["reinforce"](p, a, gates)

    assert not prove.show("wrong", prove.bias(wrong), "its mean is E[L (a - p)]")
    assert "wrong: NOT ZERO" in capsys.readouterr().out


def test_an_unknown_claim_is_refused(prove: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert prove.main(["T99"]) == 2
    assert "unknown claim 'T99'; known: T1, T2" in capsys.readouterr().err
