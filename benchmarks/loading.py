"""Batches of a split on the device that computes, read ahead where that pays.

What a batch holds depends on its indices alone: the same bytes however many processes read.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from datasets import Sequences


class _Batches(Dataset[Tensor]):
    """A split as torch's loader asks for it, by the indices of a whole batch."""

    def __init__(self, split: Sequences) -> None:
        self.split = split

    def __getitem__(self, indices: Any) -> Tensor:
        return torch.from_numpy(self.split.batch(indices))


def batches(split: Sequences, order: Iterable[Any], device: torch.device, loaders: int) -> Iterator[Tensor]:
    """The batches float32 [B, T, C, H, W] at each of the indices (arrays or slices) that `order` gives, on `device`.

    `loaders` processes read ahead of the one that computes (0: none). Towards a GPU, batches lie in pinned memory, so
    that copying one overlaps with computing on another.
    """
    loader = DataLoader(
        _Batches(split),
        batch_size=None,  # `order` holds whole batches
        sampler=order,
        num_workers=loaders,
        pin_memory=device.type == "cuda",
        generator=torch.Generator(),  # its own: the loader leaves torch's global random state alone
    )
    for frames in loader:
        yield frames.to(device, non_blocking=True)
