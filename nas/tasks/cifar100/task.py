"""The task `cifar100`: cells of NAS-Bench-201 on CIFAR-100, with network, settings and presets of `cifar10`.

Judged by the table's columns of CIFAR-100. There the benchmark trains on all 50,000 training images and has halves of
the 10,000 test images for validation and test; a cell trained from scratch here is judged on all 10,000.
"""

from dataclasses import replace
from functools import partial

from nas.data import cifar100
from nas.tasks.cells.network import ImageKind
from nas.tasks.cifar10 import task as cifar10
from nas.tasks.cifar10.export import export
from nas.tasks.cifar10.measure import measure
from nas.tasks.cifar10.network import DataSet, build
from nas.tasks.cifar10.scratch import evaluate

CIFAR100 = DataSet(
    "cifar100",
    "CIFAR-100",
    ImageKind(  # of the training pixels, as NAS-Bench-201 rounds them
        cifar100.CLASSES, mean=(129.3, 124.1, 112.4), deviation=(68.2, 65.4, 70.4)
    ),
    cifar100.load,
)
TASK = replace(
    cifar10.TASK,
    name="cifar100",
    build=partial(build, of=CIFAR100),
    evaluate=partial(evaluate, of=CIFAR100),
    measure=measure(CIFAR100, "NAS-Bench-201 test accuracy of the derived cell on CIFAR-100 (%)"),
    export=partial(export, of=CIFAR100),
)
