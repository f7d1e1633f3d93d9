"""The datasets that trainwell knows by name, where their authors publish them, and what their classes are called."""

import gzip
import importlib.util
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from trainwell.data.download import RemoteFile
from trainwell.data.source import Numbered, Source

MNIST_SERVERS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
FASHION_SERVERS = (
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
)
CIFAR_SERVERS = ("https://www.cs.toronto.edu/~kriz/",)


@dataclass(frozen=True)
class Known:
    """A dataset with a name.

    Args:
        name: the one that `load` takes, and of its folder.
        files: what is published; () for the one that scikit-learn ships.
        classes: in the order of the labels; () if the files tell.
        source: whose it is.
    """

    name: str
    files: tuple[RemoteFile, ...] = ()
    classes: tuple[str, ...] = ()
    source: str = field(default="")


def _idx(servers: tuple[str, ...], checksums: tuple[str, str, str, str]) -> tuple[RemoteFile, ...]:
    names = [f"{part}-{what}-ubyte.gz" for part in ("train", "t10k") for what in ("images-idx3", "labels-idx1")]
    return tuple(
        RemoteFile(name, tuple(server + name for server in servers), f"md5:{md5}")
        for name, md5 in zip(names, checksums, strict=True)
    )


def _cifar(name: str, md5: str) -> tuple[RemoteFile, ...]:
    return (RemoteFile(name, tuple(server + name for server in CIFAR_SERVERS), f"md5:{md5}"),)


KNOWN = {
    known.name: known
    for known in (
        Known("digits", (), tuple("0123456789"), "UCI Optical Recognition of Handwritten Digits, as in scikit-learn"),
        Known(
            "mnist",
            _idx(
                MNIST_SERVERS,
                (
                    "f68b3c2dcbeaaa9fbdd348bbdeb94873",
                    "d53e105ee54ea40749a09fcbcd1e9432",
                    "9fb629c4189551a2d022fa330f9573f3",
                    "ec29112dd5afa0611ce80d1b7f02629c",
                ),
            ),
            tuple("0123456789"),
            "LeCun, Cortes, Burges: the MNIST database of handwritten digits",
        ),
        Known(
            "fashion-mnist",
            _idx(
                FASHION_SERVERS,
                (
                    "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
                    "25c81989df183df01b3e8a0aad5dffbe",
                    "bef4ecab320f06d8554ea6380940ec79",
                    "bb300cfdad3c16e7a12a480ee83cd310",
                ),
            ),
            (
                "T-shirt/top",
                "Trouser",
                "Pullover",
                "Dress",
                "Coat",
                "Sandal",
                "Shirt",
                "Sneaker",
                "Bag",
                "Ankle boot",
            ),
            "Xiao, Rasul, Vollgraf 2017, arXiv:1708.07747",
        ),
        Known(
            "cifar10",
            _cifar("cifar-10-binary.tar.gz", "c32a1d4ab5d03f1284b67883e8d87530"),
            ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
            "Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images",
        ),
        Known(
            "cifar100",
            _cifar("cifar-100-binary.tar.gz", "03b5dce01913d631647c71ecec9e9cb8"),
            (),
            "Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images",
        ),
    )
}


def known_names() -> list[str]:
    """The names that `load` takes besides paths."""
    return sorted(KNOWN)


def read_digits() -> Source:
    """The 1797 handwritten digits of scikit-learn, 8×8 with levels 0…16 scaled to 0…255.

    The file is read from the package without importing scikit-learn, which takes a second.
    """
    spec = importlib.util.find_spec("sklearn")
    file = Path(spec.origin).parent / "datasets" / "data" / "digits.csv.gz" if spec and spec.origin else Path()
    if file.is_file():
        with gzip.open(file, "rb") as stream:
            table = np.array(stream.read().replace(b"\n", b",").rstrip(b",").split(b","), np.float64).reshape(-1, 65)
        levels, labels = table[:, :64], table[:, 64].astype(np.int64)
    else:
        from sklearn.datasets import load_digits

        levels, labels = load_digits(return_X_y=True)
    return Source(
        kind="image",
        X=np.rint(levels * (255 / 16)).astype(np.uint8).reshape(-1, 1, 8, 8),
        labels=labels,
        ids=Numbered(len(labels)),
        provenance={"format": "CSV of scikit-learn"},
    )
