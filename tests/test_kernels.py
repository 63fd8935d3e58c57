"""The circuit's compiled convolutions against PyTorch's own, and what they refuse."""

from typing import Any

import pytest
import torch
from torch import Tensor

from neurons._kernels import MOST_CHANNELS, Geometry, GroupedConvolution

GEOMETRIES = {
    "the circuit's": Geometry(torch.float64, 16, 2, 4, 8, 8, 5),
    "one pathway": Geometry(torch.float64, 16, 2, 2, 8, 8, 3),
    "depthwise, 1 x 1": Geometry(torch.float64, 32, 1, 1, 6, 6, 1),
    "a row in parts, an odd height": Geometry(torch.float64, 4, 4, 8, 11, 32, 5),
    "an odd width, a kernel wider than the map": Geometry(torch.float64, 3, 2, 5, 4, 5, 9),
    "one group, most channels": Geometry(torch.float64, 1, MOST_CHANNELS, 2 * MOST_CHANNELS, 16, 16, 3),
    "a kernel of two parts": Geometry(torch.float64, 2, 1, 2, 9, 13, 7),
}


def tensors(of: Geometry, batch: int = 3) -> tuple[Tensor, Tensor, Tensor]:
    """Maps, a weight, and a gradient of the outputs."""
    generator = torch.Generator().manual_seed(0)

    def drawn(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64).to(of.dtype)

    return (
        drawn(batch, of.groups * of.inputs, of.height, of.width),
        drawn(of.groups * of.outputs, of.inputs, of.kernel_size, of.kernel_size),
        drawn(batch, of.groups * of.outputs, of.height, of.width),
    )


def computed(of: Geometry, maps: Tensor, weight: Tensor, gradient: Tensor) -> list[Tensor]:
    """Outputs, and gradients of maps and weight."""
    own = GroupedConvolution(of)
    return [own(maps, weight), own.back(gradient, own.turn(weight)), own.to_weight(maps, gradient)]


def expected(of: Geometry, maps: Tensor, weight: Tensor, gradient: Tensor) -> list[Tensor]:
    """The same by PyTorch."""
    maps, weight = maps.clone().requires_grad_(), weight.clone().requires_grad_()
    made = torch.conv2d(maps, weight, padding=of.kernel_size // 2, groups=of.groups)
    return [made.detach(), *torch.autograd.grad(made, [maps, weight], gradient)]


def difference(ones: list[Tensor], others: list[Tensor]) -> float:
    """The greatest, relative to the greatest number of a tensor."""
    assert [one.shape for one in ones] == [other.shape for other in others]
    return max(
        float((one.double() - other.double()).abs().max() / other.abs().max())
        for one, other in zip(ones, others, strict=True)
    )


@pytest.mark.parametrize("name", GEOMETRIES)
def test_outputs_and_gradients_are_pytorchs(name: str) -> None:
    of = GEOMETRIES[name]
    assert of.fits()
    given = tensors(of)
    assert difference(computed(of, *given), expected(of, *given)) < 1e-13


@pytest.mark.parametrize("name", GEOMETRIES)
def test_float32_is_as_near_to_the_truth_as_float32_can_be(name: str) -> None:
    of = Geometry(torch.float32, *(getattr(GEOMETRIES[name], field) for field in list(Geometry.__annotations__)[1:]))
    given = tensors(of)
    exact = expected(of, *(one.double() for one in given))
    found = computed(of, *given)
    assert {one.dtype for one in found} == {torch.float32}
    assert difference(found, exact) < 1e-6


def test_sums_are_chains_of_fused_multiply_adds() -> None:
    """1 + e squared is 1 + 2 e + e e; where products were rounded, e e would be lost before the sum."""
    of, e = Geometry(torch.float32, 1, 2, 1, 4, 4, 1), 2.0**-13
    maps = torch.tensor([1.0, 1 + e]).view(1, 2, 1, 1).expand(1, 2, 4, 4)
    weight = torch.tensor([-(1 + 2 * e), 1 + e]).view(1, 2, 1, 1)
    assert set(GroupedConvolution(of)(maps, weight).flatten().tolist()) == {e * e}


@pytest.mark.parametrize("batch", [1, 2, 7])
def test_maps_of_a_batch_do_not_meet(batch: int) -> None:
    of = GEOMETRIES["the circuit's"]
    maps, weight, gradient = tensors(of, batch)
    own = GroupedConvolution(of)
    apart = torch.cat([own(one[None], weight) for one in maps])
    assert torch.equal(own(maps, weight), apart)
    turned = own.turn(weight)
    assert torch.equal(own.back(gradient, turned), torch.cat([own.back(one[None], turned) for one in gradient]))


def test_an_empty_batch() -> None:
    of = GEOMETRIES["the circuit's"]
    given = tensors(of, 0)
    assert [one.shape for one in computed(of, *given)] == [one.shape for one in expected(of, *given)]
    assert not computed(of, *given)[2].any()


def test_any_layout() -> None:
    of = GEOMETRIES["the circuit's"]
    maps, weight, gradient = tensors(of)
    other = [one.contiguous(memory_format=torch.channels_last) for one in (maps, weight, gradient)]
    own = GroupedConvolution(of)
    assert torch.equal(own(maps, weight), own(*other[:2]))
    assert torch.equal(own.to_weight(maps, gradient), own.to_weight(other[0], other[2]))


@pytest.mark.parametrize(
    "wrong",
    [
        {"maps": torch.zeros(3, 32, 8, 9, dtype=torch.float64)},
        {"maps": torch.zeros(3, 31, 8, 8, dtype=torch.float64)},
        {"maps": torch.zeros(3, 32, 8, 8)},
        {"maps": torch.zeros(3, 32, 8, 8, dtype=torch.float64, device="meta")},
        {"weight": torch.zeros(64, 2, 3, 5, dtype=torch.float64)},
        {"gradient": torch.zeros(2, 64, 8, 8, dtype=torch.float64)},
    ],
    ids=["width", "channels", "dtype", "device", "kernel", "batch"],
)
def test_what_it_was_not_compiled_for_is_refused(wrong: dict[str, Any]) -> None:
    of = GEOMETRIES["the circuit's"]
    given = dict(zip(("maps", "weight", "gradient"), tensors(of), strict=True)) | wrong
    own = GroupedConvolution(of)
    with pytest.raises(
        ValueError, match=r"^found \[.*\] of torch\.float\d\d on \w+, wanted \[.*\] of torch\.float64 on"
    ):
        own.to_weight(given["maps"], given["gradient"]) if "weight" not in wrong else own(
            given["maps"], given["weight"]
        )


@pytest.mark.parametrize(
    ("geometry", "fits"),
    [
        (Geometry(torch.float32, 16, 4, 8, 32, 32, 5), True),
        (Geometry(torch.bfloat16, 16, 4, 8, 32, 32, 5), False),
        (Geometry(torch.float32, 16, 16, 32, 32, 32, 5), False),  # many channels a group: PyTorch's are as fast
        (Geometry(torch.float32, 16, 2, 4, 8, 17, 5), False),  # a prime width: one number at a time
        (Geometry(torch.float32, 16, 2, 4, 8, 3, 5), False),
        (Geometry(torch.float32, 16, 4, 8, 86, 88, 5), False),  # 8 x 90 x 92 x 4 bytes are more than 256 KiB
        (Geometry(torch.float32, 16, 4, 8, 84, 84, 5), True),
    ],
)
def test_where_they_serve(geometry: Geometry, fits: bool) -> None:
    assert geometry.fits() is fits


def test_vectors_are_equal_parts_of_a_row() -> None:
    widths = range(4, 40)
    lanes = [Geometry(torch.float32, 1, 1, 1, 4, width, 3).lanes for width in widths]
    assert all(width % lane == 0 and lane <= 16 for width, lane in zip(widths, lanes, strict=True))
