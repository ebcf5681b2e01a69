"""Where do CIFAR-10's images come from, and which checksums do the published files have?

How they are read: nas/data/cifar.py. CIFAR-100's are those of nas/data/cifar100.py.
"""

from functools import partial
from pathlib import Path

from nas.data import cifar
from nas.data.cifar import Edition, Images

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

BINARY = Edition(
    "cifar-10-batches-bin",
    "cifar-10-binary.tar.gz",
    "sha256",
    {
        "data_batch_1.bin": "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
        "data_batch_2.bin": "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
        "data_batch_3.bin": "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
        "data_batch_4.bin": "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
        "data_batch_5.bin": "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
        "test_batch.bin": "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
    },
    partial(cifar.read_binary, classes=len(CLASSES)),
)
PYTHON = Edition(
    "cifar-10-batches-py",
    "cifar-10-python.tar.gz",
    "md5",
    {  # as torchvision.datasets.CIFAR10 lists them
        "data_batch_1": "c99cafc152244af753f735de768cd75f",
        "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
        "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
        "data_batch_4": "634d18415352ddfa80567beed471001a",
        "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
        "test_batch": "40351d587109b95175f43aff81a1287e",
    },
    partial(cifar.read_pickle, classes=len(CLASSES)),
)
SOURCE = cifar.source(
    "CIFAR-10",
    "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
    "c32a1d4ab5d03f1284b67883e8d87530",  # as that page gives it
    BINARY,
    PYTHON,
)


def load(data: Path | None = None) -> tuple[Images, Images]:
    """The 50,000 training and 10,000 test images, labels the index into `CLASSES`; see `nas.data.cifar.load`."""
    return cifar.load(SOURCE, (BINARY, PYTHON), data)
