"""What each tensor operation computes, and a mode of torch that counts it, for benchmarks/operations.py.

Synaptic operations after Yik et al., "The NeuroBench framework for benchmarking neuromorphic computing algorithms and
systems", 2025: a convolution or matrix product all of whose inputs are -1, 0 or 1 accumulates (AC), every other one
multiplies and accumulates (MAC).
"""

from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakTensorKeyDictionary

from neurons import NeuronError

KINDS = ("additions", "multiplications", "comparisons", "transcendental")  # of operations on single elements
ADD, MULTIPLY, COMPARE, TRANSCEND = KINDS

# What an operation does for each element of its result.
ELEMENTWISE: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("add", "sub", "rsub", "neg"), (ADD,)),
    **dict.fromkeys(("mul", "div", "reciprocal", "square", "remainder", "fmod"), (MULTIPLY,)),
    **dict.fromkeys(("addcmul", "addcdiv"), (ADD, MULTIPLY)),
    "lerp": (ADD, ADD, MULTIPLY),
    **dict.fromkeys(("ge", "gt", "le", "lt", "eq", "ne", "where", "maximum", "minimum", "masked_fill"), (COMPARE,)),
    **dict.fromkeys(("clamp", "clamp_min", "clamp_max", "hardtanh", "relu", "threshold", "heaviside"), (COMPARE,)),
    **dict.fromkeys(("abs", "sign", "sgn", "isnan", "isinf", "floor", "ceil", "round", "trunc"), (COMPARE,)),
    **dict.fromkeys(("logical_and", "logical_or", "logical_xor", "logical_not"), (COMPARE,)),
    **dict.fromkeys(("bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_not"), (COMPARE,)),
    "leaky_relu": (COMPARE, MULTIPLY),
    **dict.fromkeys(("exp", "exp2", "expm1", "log", "log1p", "log2", "pow", "sqrt", "rsqrt"), (TRANSCEND,)),
    **dict.fromkeys(("sigmoid", "tanh", "softplus", "erf", "sin", "cos", "sinh", "cosh", "atan"), (TRANSCEND,)),
    "silu": (MULTIPLY, TRANSCEND),
}
# What an operation does for each element that it takes in.
REDUCTIONS = {
    **dict.fromkeys(("sum", "mean", "cumsum"), ADD),
    **dict.fromkeys(("prod", "cumprod"), MULTIPLY),
    **dict.fromkeys(("any", "all", "amax", "amin", "max", "min"), COMPARE),
}
NORMS = {"native_group_norm", "native_layer_norm", "native_batch_norm", "cudnn_batch_norm", "_batch_norm_no_update"}
CONVOLUTIONS = {"convolution", "_convolution"}
# Matrix products, and where their two factors stand among the arguments; what stands before them is added.
PRODUCTS = {"mm": 0, "bmm": 0, "mv": 0, "addmm": 1, "baddbmm": 1, "addmv": 1}
# Moving, shaping and making of elements; views are known by themselves.
FREE = {
    *("cat", "stack", "repeat", "roll", "flip", "index", "index_select", "gather", "constant_pad_nd"),
    *("pixel_shuffle", "pixel_unshuffle", "_unsafe_view", "_reshape_alias"),
    *("clone", "copy", "_to_copy", "contiguous", "lift_fresh", "fill", "zero"),
    *("empty", "zeros", "ones", "full", "arange", "scalar_tensor", "empty_strided", "empty_like", "zeros_like"),
    *("ones_like", "full_like", "new_empty", "new_zeros", "new_ones", "new_full", "new_empty_strided"),
    *("promote_types", "result_type", "_local_scalar_dense", "is_nonzero"),
}


@dataclass
class Contraction:
    """All runs of one weight in one pass over a batch; `spikes`: whether all that it met so far was -1, 0 or 1."""

    dense: int = 0  # products of a weight and an input, zeros among them; the zeros around a map are no inputs
    effective: int = 0  # those of them whose input is not zero
    inputs: int = 0  # elements read
    runs: int = 0  # time steps in which it ran
    weights: int = 0
    spikes: bool = True


@dataclass
class Part:
    """What ran in one part of the network; `steps_at_once`: it takes many time steps as one batch."""

    name: str
    steps_at_once: bool
    contractions: dict[str, Contraction] = field(default_factory=dict)
    elements: Counter[str] = field(default_factory=Counter)

    def sums(self) -> dict[str, int]:
        """Over the whole batch: synaptic operations, and operations on single elements by kind."""
        sites = self.contractions.values()
        synaptic = {
            "mac": sum(site.dense for site in sites if not site.spikes),
            "ac": sum(site.effective for site in sites if site.spikes),
            "dense": sum(site.dense for site in sites),
            "effective": sum(site.effective for site in sites),
        }
        return {**synaptic, **{kind: self.elements[kind] for kind in (*KINDS, "normalisation")}}

    def per_sequence(self, batch: int) -> dict[str, Any]:
        """The part's counts, as operations.count describes them."""
        sites = [
            {
                "name": name,
                "spike_driven": site.spikes,
                "mac": 0.0 if site.spikes else site.dense / batch,
                "ac": site.effective / batch if site.spikes else 0.0,
                "dense": site.dense / batch,
                "effective": site.effective / batch,
                "inputs": site.inputs / batch,
                "weights": site.weights,
                "runs": site.runs,
            }
            for name, site in self.contractions.items()
        ]
        return {**{what: number / batch for what, number in self.sums().items()}, "contractions": sites}


class Counting(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts every operation into the part that is being run.

    A tensor is `fixed` where it does not depend on the frames: parameters, buffers, and what is made of them alone. It
    is the same for all sequences, would be worked out once on a device, and is counted nowhere.
    """

    def __init__(self, network: nn.Module, batch: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.batch = batch
        self.part: Part | None = None
        self.met: set[str] = set()  # parameters that took part in something counted
        # tensor -> whether it is fixed, and the parameters that are in it
        self.known: Any = WeakTensorKeyDictionary()
        for name, parameter in network.named_parameters():
            self.known[parameter] = (True, frozenset([name]))
        for buffer in network.buffers():
            self.known[buffer] = (True, frozenset())
        self.written: dict[int, Any] = {}  # storages of fixed tensors into which something else was written

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        name = func._schema.name.partition("::")[2]
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        # A constant that a step makes anew is as fixed as a buffer; what is drawn is not.
        drawn = torch.Tag.nondeterministic_seeded in func.tags
        fixed = name == "lift_fresh" or (not drawn and all(self._fixed(tensor) for tensor in tensors))
        sources = frozenset[str]().union(*(self._sources(tensor) for tensor in tensors))
        if not fixed and not self._free(func, name):
            self._count(name, args, kwargs, result)
            self.met |= sources
            sources = frozenset()
        if func._schema.is_mutable and not fixed:
            for tensor in tree_leaves(result):
                self._write(tensor)
        for made in tree_leaves(result):
            if isinstance(made, Tensor):
                self.known[made] = (fixed, sources)
        return result

    def depends(self, tensor: Tensor) -> None:
        """Declares a tensor that stands for something which changes with the frames, whatever it was made of."""
        self.known[tensor] = (False, frozenset())

    def _fixed(self, tensor: Tensor) -> bool:
        return bool(self.known.get(tensor, (False,))[0]) and tensor.untyped_storage()._cdata not in self.written

    def _write(self, tensor: Any) -> None:
        """Notes that all views of what `tensor` is a part of depend on the frames from now on."""
        if isinstance(tensor, Tensor) and self._fixed(tensor):
            storage = tensor.untyped_storage()
            self.written[storage._cdata] = storage  # kept, so that no other storage gets its address

    def _sources(self, tensor: Tensor) -> frozenset[str]:
        found: frozenset[str] = self.known.get(tensor, (False, frozenset()))[1]
        return found

    def _free(self, func: Any, name: str) -> bool:
        return func.is_view or name in FREE or name.rstrip("_") in FREE

    def _count(self, name: str, args: Any, kwargs: Any, result: Any) -> None:
        if self.part is None:
            raise NeuronError(f"operation {name!r} ran outside of the layers and the readout, where none is counted")
        base = name if name.startswith("__") else name.rstrip("_")
        elements = self.part.elements
        if base in CONVOLUTIONS:
            self._convolution(args, result)
        elif base in PRODUCTS and all(kwargs.get(factor, 1) == 1 for factor in ("alpha", "beta")):
            first, second = args[PRODUCTS[base] :][:2]
            self._product(first, second if second.ndim > 1 else second[:, None])
            elements[ADD] += PRODUCTS[base] * result.numel()
        elif base in NORMS:
            elements["normalisation"] += result[0].numel()
        elif base in REDUCTIONS and len([a for a in args if isinstance(a, Tensor)]) == 1:
            made = tree_leaves(result)[0].numel()
            elements[REDUCTIONS[base]] += args[0].numel() - (0 if base.startswith("cum") else made)
            elements[MULTIPLY] += made if base == "mean" else 0
        elif base in ELEMENTWISE and not changes_nothing(base, args):
            kinds = (MULTIPLY,) if base == "pow" and args[1:2] == (2,) else ELEMENTWISE[base]
            for kind in kinds:
                elements[kind] += result.numel()
            if kwargs.get("alpha", kwargs.get("value", 1)) != 1:
                elements[MULTIPLY] += result.numel()
        elif base not in ELEMENTWISE:
            raise NeuronError(
                f"{self.part.name} runs the operation {name!r}, and what that computes is not known; "
                "add it to the tables of benchmarks/counting.py"
            )

    def _convolution(self, args: Any, result: Tensor) -> None:
        inputs, weight, bias, stride, padding, dilation, transposed, _, groups = args[:9]
        axes = zip(inputs.shape[2:], result.shape[2:], weight.shape[2:], stride, padding, dilation, strict=True)
        reached = [fan_out(*axis, transposed) for axis in axes]
        outputs = weight.shape[1] if transposed else weight.shape[0] // groups
        active = torch.count_nonzero(inputs, dim=(0, 1))
        dense = inputs.shape[0] * inputs.shape[1] * outputs
        for along in reversed(reached):
            active = (active * torch.tensor(along, device=active.device)).sum(-1)
            dense *= sum(along)
        self._contracted(weight, inputs, dense, int(active) * outputs)
        if bias is not None and self.part:
            self.part.elements[ADD] += result.numel()

    def _product(self, first: Tensor, second: Tensor) -> None:
        rows, columns = first.shape[-2], second.shape[-1]
        dense = first.numel() * columns
        # With two factors that change with the frames, the one that is spikes drives the other.
        if self._fixed(first) or (not self._fixed(second) and is_ternary(second) and not is_ternary(first)):
            self._contracted(first, second, dense, int(torch.count_nonzero(second)) * rows)
        else:
            self._contracted(second, first, dense, int(torch.count_nonzero(first)) * columns)

    def _contracted(self, weight: Tensor, inputs: Tensor, dense: int, effective: int) -> None:
        assert self.part is not None  # noqa: S101 (for the type checker: _count has made sure)
        name = " ".join(sorted(self._sources(weight))) or f"no parameter, {list(weight.shape)}"
        site = self.part.contractions.setdefault(name, Contraction(weights=weight.numel()))
        site.dense += dense
        site.effective += effective
        site.inputs += inputs.numel()
        site.runs += inputs.shape[0] // self.batch if self.part.steps_at_once else 1
        site.spikes = site.spikes and is_ternary(inputs)


def changes_nothing(name: str, args: Any) -> bool:
    """Whether an operation multiplies by the number 1 or adds the number 0, as formulas with a part left out do."""
    neutral = {"mul": 1, "div": 1, "add": 0, "sub": 0}.get(name)
    return neutral is not None and isinstance(args[1], int | float) and args[1] == neutral


def is_ternary(tensor: Tensor) -> bool:
    """Whether every element is -1, 0 or 1."""
    return bool(((tensor == 0) | (tensor.abs() == 1)).all())


@cache
def fan_out(
    size: int, out: int, kernel: int, stride: int, padding: int, dilation: int, transposed: bool
) -> tuple[int, ...]:
    """How many products each of `size` inputs enters along one axis of a convolution with `out` outputs."""
    met = [0] * size
    for tap in range(kernel):
        for i in range(size if transposed else out):
            there = i * stride - padding + tap * dilation
            if transposed and 0 <= there < out:
                met[i] += 1
            elif not transposed and 0 <= there < size:
                met[there] += 1
    return tuple(met)
