"""Code for grouped convolutions of one shape, written by llvmlite and compiled by LLVM (see neurons/_kernels.py).

It is imported when the first kernel is wanted: a process whose neurons need none does without 80 MiB of compiler.
"""

import ctypes
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import llvmlite.binding as llvm
import torch
from llvmlite import ir

from neurons._kernels import BYTES, Geometry, divisor

ROWS = 8  # most rows whose sums are in registers at once
SUMS = 28  # most cells of a kernel whose sums are in registers at once

_INT, _POINTER = ir.IntType(64), ir.PointerType()
_REALS = {torch.float32: ("f32", ir.FloatType()), torch.float64: ("f64", ir.DoubleType())}


class _Writer(ir.IRBuilder):  # type: ignore[misc]
    """Writes LLVM's instructions for vectors of a geometry's lanes; offsets count numbers, not bytes."""

    def __init__(self, function: ir.Function, of: Geometry) -> None:
        super().__init__(function.append_basic_block())
        (name, self.real), self.size = _REALS[of.dtype], BYTES[of.dtype]
        self.vector = ir.VectorType(self.real, of.lanes)
        self.of, self.lanes, self.pad = of, of.lanes, of.kernel_size // 2
        self.rows, self.row = of.height + 2 * self.pad, of.width + 2 * self.pad  # of a padded map
        declared = {
            f"llvm.fma.v{of.lanes}{name}": ir.FunctionType(self.vector, [self.vector] * 3),
            f"llvm.vector.reduce.fadd.v{of.lanes}{name}": ir.FunctionType(self.real, [self.real, self.vector]),
        }
        self._fma, self._sum = (ir.Function(function.module, kind, name) for name, kind in declared.items())

    def number(self, value: int) -> ir.Constant:
        return ir.Constant(_INT, value)

    def offset(self, *terms: tuple[Any, int]) -> Any:
        """The sum of products of an index and a constant."""
        total: Any = self.number(0)
        for index, times in terms:
            index = index if isinstance(index, ir.Value) else self.number(index)
            total = self.add(total, self.mul(index, self.number(times)))
        return total

    def at(self, base: Any, *terms: tuple[Any, int]) -> Any:
        return self.gep(base, [self.offset(*terms)], source_etype=self.real)

    def lanes_at(self, base: Any, *terms: tuple[Any, int]) -> Any:
        return self.load(self.at(base, *terms), align=self.size, typ=self.vector)

    def put(self, value: Any, base: Any, *terms: tuple[Any, int]) -> None:
        self.store(value, self.at(base, *terms), align=self.size)

    def spread(self, base: Any, *terms: tuple[Any, int]) -> Any:
        """One number in every lane."""
        nothing = ir.Constant(self.vector, ir.Undefined)
        first = self.insert_element(nothing, self.load(self.at(base, *terms), typ=self.real), ir.Constant(_INT, 0))
        return self.shuffle_vector(first, nothing, ir.Constant(ir.VectorType(ir.IntType(32), self.lanes), None))

    def multiply_add(self, one: Any, other: Any, to: Any) -> Any:
        return self.call(self._fma, [one, other, to])

    def total(self, vector: Any) -> Any:
        """The sum of all lanes, from the first to the last."""
        return self.call(self._sum, [ir.Constant(self.real, 0.0), vector])

    def zeros(self, count: int) -> list[Any]:
        return [ir.Constant(self.vector, None)] * count

    @contextmanager
    def loop(self, count: Any, carried: Sequence[Any] = ()) -> Iterator[tuple[Any, list[Any]]]:
        """`count` times, at least once: the index, and a list of what is carried from one turn to the next."""
        before, body, after = self.block, self.append_basic_block(), self.append_basic_block()
        self.branch(body)
        self.position_at_end(body)
        index = self.phi(_INT)
        phis = [self.phi(one.type) for one in carried]
        values = list(phis)
        yield index, values
        following = self.add(index, self.number(1))
        for phi, first, last in zip([index, *phis], [self.number(0), *carried], [following, *values], strict=True):
            phi.add_incoming(first, before)
            phi.add_incoming(last, self.block)
        count = count if isinstance(count, ir.Value) else self.number(count)
        self.cbranch(self.icmp_signed("<", following, count), body, after)
        self.position_at_end(after)

    def padded(self, channels: int) -> Any:
        """Room for so many maps with zeros around them, all zero."""
        room: Any = self.alloca(self.real, self.number(channels * self.rows * self.row))
        room.align = 64
        room.type = _POINTER  # llvmlite still gives it one that knows what it points to
        with self.loop(channels * self.rows * self.row) as (i, _):
            self.put(ir.Constant(self.real, 0.0), room, (i, 1))
        return room

    def fill(self, room: Any, channels: int, maps: Any) -> None:
        """Copies maps into what `padded` made."""
        of = self.of
        with self.loop(channels) as (i, _), self.loop(of.height) as (y, _):
            for x in range(0, of.width, self.lanes):
                values = self.lanes_at(maps, (i, of.height * of.width), (y, of.width), (x, 1))
                self.put(values, room, (i, self.rows * self.row), (y, self.row), (self.pad * (self.row + 1) + x, 1))


def convolution(write: _Writer, maps: Any, weight: Any, made: Any, batch: Any) -> None:
    """Sums of some rows of one or two outputs are in registers, while a group's channels and kernels pass."""
    of, k = write.of, write.of.kernel_size
    cells, kernel, padded = of.height * of.width, of.inputs * k * k, write.rows * write.row
    rows, pair = divisor(of.height, ROWS), 2 if of.outputs % 2 == 0 else 1
    room = write.padded(of.inputs)
    with write.loop(batch) as (b, _), write.loop(of.groups) as (g, _):
        group = write.offset((b, of.groups), (g, 1))
        write.fill(room, of.inputs, write.at(maps, (group, of.inputs * cells)))
        with write.loop(of.outputs // pair) as (o, _):
            kernels = write.at(weight, (g, of.outputs * kernel), (o, pair * kernel))
            into = write.at(made, (group, of.outputs * cells), (o, pair * cells))
            with write.loop(of.height // rows) as (tall, _), write.loop(of.width // write.lanes) as (wide, _):
                corner = write.at(room, (tall, rows * write.row), (wide, write.lanes))
                with write.loop(of.inputs, write.zeros(pair * rows)) as (i, sums):
                    own, seen = write.at(kernels, (i, k * k)), write.at(corner, (i, padded))
                    for r, q in ((r, q) for r in range(k) for q in range(k)):
                        factors = [write.spread(own, (e * kernel + r * k + q, 1)) for e in range(pair)]
                        for y in range(rows):
                            values = write.lanes_at(seen, ((y + r) * write.row + q, 1))
                            for e, factor in enumerate(factors):
                                sums[e * rows + y] = write.multiply_add(factor, values, sums[e * rows + y])
                for e, y in ((e, y) for e in range(pair) for y in range(rows)):
                    there = (tall, rows * of.width), (wide, write.lanes), (e * cells + y * of.width, 1)
                    write.put(sums[e * rows + y], into, *there)


def correlation(write: _Writer, maps: Any, gradient: Any, made: Any, batch: Any) -> None:
    """Sums of some rows of one kernel are in registers, while all maps of the batch pass."""
    of, k = write.of, write.of.kernel_size
    cells, per, across = of.height * of.width, max(1, SUMS // k), write.number(of.width // write.lanes)
    room = write.padded(1)
    with write.loop(of.groups) as (g, _), write.loop(of.outputs) as (o, _), write.loop(of.inputs) as (i, _):
        into = write.at(made, (g, of.outputs * of.inputs * k * k), (o, of.inputs * k * k), (i, k * k))
        for top in range(0, k, per):
            taps = [(r, q) for r in range(top, min(k, top + per)) for q in range(k)]
            with write.loop(batch, write.zeros(len(taps))) as (b, sums):
                group = write.offset((b, of.groups), (g, 1))
                write.fill(room, 1, write.at(maps, (group, of.inputs * cells), (i, cells)))
                given = write.at(gradient, (group, of.outputs * cells), (o, cells))
                with write.loop(of.height * of.width // write.lanes, sums) as (n, inner):
                    y, x = write.udiv(n, across), write.mul(write.urem(n, across), write.number(write.lanes))
                    factor = write.lanes_at(given, (n, write.lanes))
                    seen = write.at(room, (y, write.row), (x, 1))
                    for tap, (r, q) in enumerate(taps):
                        values = write.lanes_at(seen, (r * write.row + q, 1))
                        inner[tap] = write.multiply_add(factor, values, inner[tap])
                sums[:] = inner
            for (r, q), one in zip(taps, sums, strict=True):
                write.put(write.total(one), into, (r * k + q, 1))


@cache
def _machine() -> Any:
    """LLVM's knowledge of this CPU."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    target, features = llvm.Target.from_default_triple(), llvm.get_host_cpu_features().flatten()
    return target.create_target_machine(cpu=llvm.get_host_cpu_name(), features=features, opt=3)


def compiled(body: Callable[..., None], of: Geometry) -> Callable[[int, int, int, int], None]:
    """The function of three addresses and the size of the batch (at least 1) that `body` writes."""
    module, machine = ir.Module(), _machine()
    kind = ir.FunctionType(ir.VoidType(), [_POINTER, _POINTER, _POINTER, _INT])
    function = ir.Function(module, kind, "kernel")
    for argument in function.args[:3]:
        argument.add_attribute("noalias")
    write = _Writer(function, of)
    body(write, *function.args)
    write.ret_void()
    checked = llvm.parse_assembly(str(module))
    checked.verify()
    passes = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=2))
    passes.getModulePassManager().run(checked, passes)
    engine = llvm.create_mcjit_compiler(checked, machine)
    engine.finalize_object()
    call: Any = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 3, ctypes.c_int64)(engine.get_function_address("kernel"))
    call.engine = engine  # which owns the code
    return call
