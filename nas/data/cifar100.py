"""Where do CIFAR-100's images come from, and which checksums do the published files have?

As CIFAR-10's (nas/data/cifar10.py), but with 100 classes in 20 superclasses, and all training images in one file.
The published files were not at hand here: how they are read is tested on files written in their form.
"""

from functools import partial
from pathlib import Path

from nas.data import cifar
from nas.data.cifar import Edition, Images

CLASSES = 100  # the published numbers: "fine" labels

BINARY = Edition(
    "cifar-100-binary",
    "cifar-100-binary.tar.gz",
    "sha256",
    {  # as the Ruby port of torchvision lists them; what it lists of CIFAR-10 is what was verified here
        "train.bin": "f31298fc616915fa142368359df1c4ca2ae984d6915ca468b998a5ec6aeebf29",
        "test.bin": "d8b1e6b7b3bee4020055f0699b111f60b1af1e262aeb93a0b659061746f8224a",
    },
    partial(cifar.read_binary, classes=CLASSES, label_bytes=2),
)
PYTHON = Edition(
    "cifar-100-python",
    "cifar-100-python.tar.gz",
    "md5",
    {  # as torchvision.datasets.CIFAR100 lists them
        "train": "16019d7e3df5f24257cddd939b257f8d",
        "test": "f0ef6b0ae62326f3e7ffdfab6717acfc",
    },
    partial(cifar.read_pickle, classes=CLASSES, key="fine_labels"),
)
SOURCE = cifar.source(
    "CIFAR-100",
    "https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",
    "03b5dce01913d631647c71ecec9e9cb8",  # as that page gives it
    BINARY,
    PYTHON,
)


def load(data: Path | None = None) -> tuple[Images, Images]:
    """The 50,000 training and 10,000 test images, labelled by their class; see `nas.data.cifar.load`."""
    return cifar.load(SOURCE, (BINARY, PYTHON), data)
