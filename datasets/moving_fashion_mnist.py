"""Moving Fashion-MNIST: pictures of clothes that fly straight and bounce off the walls of a small canvas.

Real or synthetic: real pictures, synthetic motion. Grey, [T, 1, canvas, canvas].
Source: Fashion-MNIST (Xiao, Rasul and Vollgraf, arXiv 1708.07747), 28x28, by the parameter `source`.
    official  its 60,000 training pictures, and the test sequences published with OpenSTL
    images    its 60,000 training pictures, and its 10,000 test pictures
Licence: Fashion-MNIST MIT. The terms of the test sequences are not stated.
Split: by picture, before any sequence is made: the last tenth of the train pictures is validation's; test has the
    pictures of the Fashion-MNIST test set, or the published sequences.
Motion: as Moving MNIST's.
Files, below the user's folder (those missing are downloaded where they are published):
    moving_fmnist/train-images-idx3-ubyte.gz   idx of unsigned bytes [60000, 28, 28]
    moving_fmnist/t10k-images-idx3-ubyte.gz    images: idx of unsigned bytes [10000, 28, 28]
    moving_fmnist/fmnist_test_seq.npy          official: uint8 [20, 10000, 64, 64], time first, or its .npy.tar
    Debian's package dataset-fashion-mnist has both picture files: link /usr/share/datasets/fashion-mnist to
    moving_fmnist. It packs the same pictures anew, so that the card notes another md5 than the published one.
Official setting: canvas 64, digits 2, digit_size 28, step [0.1, 0.1], observed 10, predicted 10, 10,000 test sequences.
Differs from it: as Moving MNIST does; with images, the test sequences are drawn by the same rule, not the published.
"""

from pathlib import Path
from typing import Literal

from datasets._dataset import write
from datasets._moving import DigitSize, Step, motion
from datasets._moving_files import Published, read
from datasets._official import File
from datasets._params import Count, Counts, Seed, Side

NAME = "moving_fashion_mnist"
FOLDER = "moving_fmnist"
HOST = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
TRAIN, TEST, SEQUENCES = "train-images-idx3-ubyte.gz", "t10k-images-idx3-ubyte.gz", "fmnist_test_seq.npy"
PUBLISHED = Published(
    File(f"{FOLDER}/{TRAIN}", (HOST + TRAIN,), "md5:8d4fb7e6c68d591d4c3dfef9ec88bf0d", 26421880),
    File(f"{FOLDER}/{TEST}", (HOST + TEST,), "md5:bef4ecab320f06d8554ea6380940ec79", 4422102),
    File(f"{FOLDER}/{SEQUENCES}"),
    File(
        f"{FOLDER}/{SEQUENCES}.tar",
        (f"https://github.com/chengtan9907/OpenSTL/releases/download/v0.1.0/{SEQUENCES}.tar",),
    ),
)
SAID = {
    "official": (
        "Fashion-MNIST training set; test sequences as published with OpenSTL",
        "Fashion-MNIST MIT; terms of the test sequences not stated",
        "last tenth of the train pictures for validation; the published test sequences",
    ),
    "images": (
        "Fashion-MNIST training and test set",
        "Fashion-MNIST MIT",
        "last tenth of the train pictures for validation; Fashion-MNIST test pictures for test",
    ),
}


def prepare(
    root: Path,
    out: Path,
    source: Literal["official", "images"],
    canvas: Side,
    digits: Count,
    digit_size: DigitSize,
    step: Step,
    observed: Count,
    predicted: Count,
    sequences: Counts,
    seed: Seed,
) -> None:
    """Writes the canonical form to `out`; `root` is the user's folder of official files.

    source: official or images, as above. The others are Moving MNIST's; digits are pictures of clothes.
    """
    params = {k: v for k, v in locals().items() if k not in ("root", "out")}
    found = read(NAME, root, PUBLISHED, source, motion(NAME, params), params)
    card = {
        "name": NAME,
        "title": "Moving Fashion-MNIST",
        "synthetic": False,
        "kind": "real pictures, synthetic motion",
        "interval": "a frame, of no physical length",
        "observed": observed,
        "predicted": predicted,
        "params": params,
        "read": found.read,
        "notes": found.notes,
        **dict(zip(("source", "licence", "split"), SAID[source], strict=True)),
    }
    write(out, found.splits, card)
