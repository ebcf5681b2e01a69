"""What does bfloat16 change in the loss and in the credit of a trained CIFAR-10 parent network?

    python benchmarks/cifar_precision.py RUN [--samples 64] [--seed 0] [--data DIR] [--device cpu|cuda]

The network of a run's last checkpoint answers for the same architectures, drawn from the run's policy, and the same
minibatches in float32 and in bfloat16. Printed are root mean squares of the differences, beside the standard deviations
over architectures and minibatches, which an estimator's noise comes from.
"""

import argparse
import platform
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from nas.__main__ import add_machine
from nas.estimators import first_order_credit
from nas.judging import audit
from nas.samples import ONE_HOT
from nas.tasks import experiments


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, metavar="RUN")
    parser.add_argument("--samples", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    add_machine(parser)
    options = parser.parse_args()
    wide, narrow = (answers(options, precision) for precision in ("float32", "bfloat16"))
    print(f"torch {torch.__version__}, Python {platform.python_version()}, {options.device}, n = {options.samples}")
    print(f"{'':8}{'error of 16 bits':>18}{'std in 32 bits':>16}{'correlation':>13}")
    for name, one, other in zip(("loss", "credit"), wide, narrow, strict=True):
        both = torch.stack((one.flatten(), other.flatten()))
        figures = f"{(one - other).square().mean().sqrt():>18.2g}{one.std():>16.2g}{torch.corrcoef(both)[0, 1]:>13.4f}"
        print(f"{name:8}{figures}")


def answers(options: argparse.Namespace, precision: str) -> tuple[Tensor, Tensor]:
    """Losses (n,) and first-order credits (n, E) of n architectures on n minibatches."""
    experiment = experiments.audited(experiments.reload(options.run))
    experiment = replace(experiment, network=replace(experiment.network, precision=precision))
    network, policy, _ = audit.reopened(options.run, experiment, options.data, options.device, options.seed)
    logits = policy.clamp_min(1e-30).log()
    generator = torch.Generator(device=options.device).manual_seed(options.seed)
    losses, credits = [], []
    for _ in range(options.samples):
        uniforms = torch.rand(ONE_HOT.noise(*network.space.shape), generator=generator, device=options.device)
        gates = ONE_HOT.sample(logits, uniforms, None).gates
        found = network.objective().gradients(gates, gates)
        losses.append(found.loss)
        credits.append(first_order_credit(gates, found.gate_gradient))
    return torch.stack(losses).double().cpu(), torch.stack(credits).double().cpu()


if __name__ == "__main__":
    main()
