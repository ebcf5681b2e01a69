"""A fingerprint changes with what decides a network's numbers, and with nothing else."""

import hashlib
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from nas.supernets import fingerprint
from nas.supernets.batches import Batches


def batches(seed: int = 0, size: int = 4, first: float = 0.0) -> Batches:
    inputs = torch.arange(8.0).reshape(8, 1)
    inputs[0] = first
    return Batches(inputs, torch.arange(8) % 2, size, seed)


def test_batches_tell_data_order_and_size_apart() -> None:
    same = fingerprint.of_batches(batches())
    assert fingerprint.of_batches(batches()) == same
    for other in (batches(seed=1), batches(size=2), batches(first=9.0)):
        assert fingerprint.of_batches(other) != same


def turned(inputs: Tensor, generator: torch.Generator) -> Tensor:
    return -inputs


def test_batches_tell_what_changes_them_and_in_which_order() -> None:
    plain = batches()
    data = hashlib.sha256(plain.inputs.numpy().tobytes() + plain.targets.numpy().tobytes()).hexdigest()[:10]
    assert fingerprint.of_batches(plain) == f"8 examples {data}, 4 a minibatch, shuffled by 0"
    changed = f"8 examples {data}, 4 a minibatch, shuffled by 0, by turned with 0"
    assert fingerprint.of_batches(replace(plain, transform=turned)) == changed
    assert fingerprint.of_batches(replace(plain, shuffle=False)) == f"8 examples {data}, 4 a minibatch, in order"


def test_models_are_told_apart_by_their_form_not_by_their_weights() -> None:
    def form(*layers: nn.Module) -> str:
        return fingerprint.of_model(nn.Sequential(*layers))

    assert form(nn.Linear(2, 3)) == form(nn.Linear(2, 3))  # drawn anew
    assert (
        len(
            {
                form(nn.Linear(2, 3)),
                form(nn.Linear(2, 4)),
                form(nn.Linear(2, 3), nn.Dropout(0.1)),
                form(nn.Linear(2, 3), nn.Dropout(0.2)),
            }
        )
        == 4
    )


def test_functions_are_told_apart_by_name_and_by_what_they_were_given() -> None:
    smooth = partial(functional.cross_entropy, label_smoothing=0.1)
    assert fingerprint.of_callable(functional.cross_entropy) == "cross_entropy"
    assert fingerprint.of_callable(smooth) == "cross_entropy(label_smoothing=0.1)"
    assert fingerprint.of_callable(partial(functional.cross_entropy, 3, reduction="sum")) == (
        "cross_entropy(3, reduction='sum')"
    )
    assert fingerprint.of_callable(nn.MSELoss()) == "MSELoss()"
    assert " at 0x" not in fingerprint.of_callable(partial(functional.cross_entropy, weight=object()))
