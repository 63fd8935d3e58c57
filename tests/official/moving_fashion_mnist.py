"""Moving Fashion-MNIST as it is published, with few pictures: idx files of pictures, and test sequences in a tar."""

import io
import tarfile
from pathlib import Path
from typing import Any

import numpy as np

from official.moving_mnist import PARAMS, TEST, TRAIN, VALIDATION, pictures, sequences, write_idx

NAME = "fmnist_test_seq.npy"


def build(root: Path) -> dict[str, Any]:
    """Writes both idx files and fmnist_test_seq.npy.tar to moving_fmnist/."""
    folder = root / "moving_fmnist"
    write_idx(folder / "train-images-idx3-ubyte.gz", pictures(TRAIN + VALIDATION, 4))
    write_idx(folder / "t10k-images-idx3-ubyte.gz", pictures(TEST, 5))
    content = io.BytesIO()
    np.save(content, sequences(6))
    with tarfile.open(folder / f"{NAME}.tar", "w") as tar:
        member = tarfile.TarInfo(NAME)
        member.size = len(content.getvalue())
        content.seek(0)
        tar.addfile(member, content)
    return PARAMS
