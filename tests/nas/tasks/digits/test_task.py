"""The task `digits` has its parts, and a preset that ends within seconds."""

from nas import methods, tasks
from nas.tasks import experiments
from nas.tasks.digits import task
from nas.tasks.digits.network import Settings


def test_it_is_found_by_its_name_and_serves_every_method() -> None:
    assert tasks.find("digits") is task.TASK
    assert all(task.TASK.fits(Settings(), method) for method in methods.METHODS.values())
    assert task.space(Settings(zero=True)).zero == "none"
    assert task.space(Settings()).zero is None


def test_the_preset_is_short() -> None:
    experiment = experiments.load("digits", "quick")
    assert 0 < experiment.search.warmup_epochs < experiment.search.epochs <= 100
