"""Which form of the CIFAR-10 network serves a method, and which one is audited."""

from dataclasses import replace

import pytest

from nas import methods
from nas.spaces import nasbench201
from nas.tasks.cifar10 import task
from nas.tasks.cifar10.network import Settings

STATIC = Settings(static=True, precision="bfloat16")


@pytest.mark.parametrize("name", ["advantage", "reinforce", "gdas", "parsec", "random", "debiased_advantage"])
def test_the_static_form_serves_methods_that_run_one_operation_an_edge(name: str) -> None:
    assert task.form(STATIC, methods.find(name)) == STATIC
    assert task.TASK.fits(STATIC, methods.find(name))


@pytest.mark.parametrize("name", ["proxyless", "darts", "muprop", "snas"])
def test_the_others_get_the_sparse_form(name: str) -> None:
    assert not task.TASK.fits(STATIC, methods.find(name))
    assert task.form(STATIC, methods.find(name)) == replace(STATIC, static=False)


def test_an_audit_rounds_least() -> None:
    assert task.audited(STATIC) == Settings()
    assert task.audited(replace(STATIC, channels=4)).channels == 4


def test_the_space_follows_the_settings() -> None:
    assert task.space(Settings(zero=True)).operations == nasbench201.OPERATIONS
    assert task.space(Settings()).zero is None
    assert {"paper", "quick", "small"} <= task.TASK.known_presets().keys()
