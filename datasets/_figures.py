"""Stick figures that act: their bodies, how they move, and how they are drawn.

A figure has twelve parts of constant length. The angles of its joints are short Fourier series of one phase, so that
a pose repeats after one period. A part is drawn as a capsule, the points within its radius of a segment, with an
edge one pixel wide. Lengths are in body heights, places in sides of the (square) picture, angles in radians from
straight down, positive towards where the figure faces (or outwards, when it faces the viewer).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

PARTS = ("arm", "forearm", "thigh", "shin", "foot")  # of each of the two sides, the near one first
TRUNK, HEAD = 10, 11
PROFILE = (5, 6, 7, 8, 9, 2, 3, 4, TRUNK, HEAD, 0, 1)  # what is drawn first is covered by what is drawn later
FRONTAL = (7, 8, 9, 2, 3, 4, TRUNK, HEAD, 5, 6, 0, 1)
LENGTHS = np.array([0.17, 0.19, 0.24, 0.25, 0.07] * 2 + [0.30, 0.07])
RADII = np.array([0.032, 0.027, 0.045, 0.034, 0.026] * 2 + [0.068, 0.058])
NECK = 0.07  # from the shoulders to where the head begins
SHOULDER, HIP = 0.11, 0.045  # half of the width between the joints of a figure that faces the viewer
TOES = 1.35  # angle of the foot to the shin
FAR = 0.75  # the far limbs of a profile are darker by this factor


class Series(NamedTuple):
    """The angle c0 + c1 sin(phase + p1) + c2 sin(2 phase + p2), all but c0 multiplied by how far a person reaches."""

    c0: float
    c1: float = 0.0
    p1: float = 0.0
    c2: float = 0.0
    p2: float = 0.0

    def at(self, phase: Array, reach: float) -> Array:
        swing = self.c1 * np.sin(phase + self.p1) + self.c2 * np.sin(2 * phase + self.p2)
        return self.c0 + reach * swing


@dataclass(frozen=True)
class Motion:
    """An action. arm, thigh: from straight down; elbow, knee: what the outer part turns on top of (or against) that.

    cadence: periods a second. apart: by how much of a period the second side lags. stance: half of the angle between
    the thighs at rest. flight: the highest rise of the hips. gain: how much further a period carries the figure than
    the legs measure; 0 for one that stays where it is.
    """

    frontal: bool
    cadence: float
    apart: float
    arm: Series
    elbow: Series
    thigh: Series
    knee: Series
    stance: float = 0.0
    lean: float = 0.0
    flight: float = 0.0
    gain: float = 0.0


QUARTER, HALF = np.pi / 2, np.pi
STAND, STRAIGHT = Series(0.12), Series(0.02)
# A punch extends the arm by (1 + sin phase)**2 / 4, which is 3/8 + sin(phase) / 2 - cos(2 phase) / 8.
MOTIONS = {
    "boxing": Motion(
        False, 1.3, 0.5, Series(0.75, 0.6, 0, 0.15, -QUARTER), Series(1.51, -1.05, 0, 0.2625, QUARTER),
        Series(0.10, 0.03), Series(0.25, 0.06, 0, 0.08), stance=0.28, lean=0.1,
    ),
    "handclapping": Motion(
        True, 1.4, 0.0, Series(0.70, 0.25, QUARTER), Series(2.4, -1.65, QUARTER), STAND, STRAIGHT
    ),
    "handwaving": Motion(True, 0.9, 0.0, Series(1.75, 0.95), Series(0.15, 0.25, -0.6), STAND, STRAIGHT),
    "jogging": Motion(
        False, 1.25, 0.5, Series(-0.1, 0.6, HALF), Series(1.35, 0.2, HALF), Series(0.22, 0.50),
        Series(0.80, 0.60, QUARTER + 0.6), lean=0.08, flight=0.03, gain=1.0,
    ),
    "running": Motion(
        False, 1.45, 0.5, Series(-0.1, 0.9, HALF), Series(1.55, 0.3, HALF), Series(0.32, 0.72),
        Series(1.05, 0.85, QUARTER + 0.6), lean=0.17, flight=0.05, gain=1.05,
    ),
    "walking": Motion(
        False, 0.95, 0.5, Series(0.0, 0.42, HALF), Series(0.3, 0.12, HALF), Series(0.06, 0.43),
        Series(0.45, 0.35, QUARTER + 0.5, 0.08, QUARTER + 1.0), lean=0.03, gain=1.0,
    ),
}  # fmt: skip
ACTIONS = tuple(MOTIONS)


@dataclass(frozen=True)
class Scene:
    """One figure before one background, the whole of what a film of it shows.

    lengths, radii, shades: [12], lengths and radii in body heights. direction: 1 or -1. scale: body height. place:
    where the hips are at first, along the path of a figure that goes. ground: how far down the feet are. margin: how
    far out of the picture a figure that goes turns around. waves: [K, 4], the amplitude, frequencies (across, down)
    and phase of the background's texture on top of `light`.
    """

    motion: Motion
    lengths: Array
    radii: Array
    shades: Array
    cadence: float
    reach: float
    phase: float
    direction: int
    scale: float
    place: float
    ground: float
    margin: float
    light: float
    waves: Array


def scene(seed: int, person: int, action: int, clip: int) -> Scene:
    """What clip `clip` of a person's action shows: the body is the person's, in all clips, the rest the clip's own."""
    motion = MOTIONS[ACTIONS[action]]
    own = np.random.default_rng([seed, 0, person])
    lengths = LENGTHS * np.concatenate([np.tile(own.uniform(0.93, 1.07, 5), 2), own.uniform(0.93, 1.07, 2)])
    radii = RADII * own.uniform(0.85, 1.25) * np.repeat(own.uniform(0.9, 1.1, 3), (10, 1, 1))
    skin, top, bottom = own.uniform((0.30, 0.08, 0.08), (0.50, 0.45, 0.40))
    shades = np.array([top, skin, bottom, bottom, 0.5 * bottom] * 2 + [0.85 * top, skin])
    if not motion.frontal:
        shades[5:10] *= FAR
    pace, reach = own.uniform(0.88, 1.12), own.uniform(0.88, 1.12)
    drawn = np.random.default_rng([seed, 1, person, action, clip])
    scale = drawn.uniform(0.58, 0.74)
    return Scene(
        motion=motion,
        lengths=lengths,
        radii=radii,
        shades=shades,
        cadence=motion.cadence * pace * drawn.uniform(0.93, 1.07),
        reach=reach,
        phase=drawn.uniform(0, 2 * np.pi),
        direction=int(drawn.choice([-1, 1])),
        scale=scale,
        place=drawn.uniform(0, 1) if motion.gain else drawn.uniform(0.36, 0.64),
        ground=0.52 + 0.54 * scale + drawn.uniform(-0.03, 0.03),
        margin=0.45 * scale + drawn.uniform(0, 0.08),
        light=drawn.uniform(0.68, 0.85),
        waves=np.column_stack(
            [drawn.uniform(0.003, 0.012, 8), drawn.uniform(-3, 3, (8, 2)), drawn.uniform(0, 2 * np.pi, 8)]
        ),
    )


def angles(motion: Motion, phase: Array, reach: float = 1.0) -> Array:
    """Angles [F, 2, 4] of arm, forearm, thigh and shin, for the near and the far side, at phases [F]."""
    both = phase[:, None] + 2 * np.pi * motion.apart * np.arange(2)
    arm, elbow = motion.arm.at(both, reach), motion.elbow.at(both, reach)
    thigh, knee = motion.thigh.at(both, reach) + motion.stance * np.array([1, -1]), motion.knee.at(both, reach)
    return np.stack([arm, arm + elbow, thigh, thigh - knee], axis=-1)


def place(scene: Scene, times: Array) -> tuple[Array, Array]:
    """Where across the picture the hips are at `times` [F] in seconds, and which way the figure faces, 1 or -1.

    A figure that goes crosses the picture, turns around out of sight and comes back, at the speed of its legs: in a
    period a leg of length l that swings by +-a carries the body by 4 l sin a (times `gain`).
    """
    facing = np.full(len(times), scene.direction)
    if not scene.motion.gain:
        return np.full(len(times), scene.place), facing
    leg = scene.lengths[2] + scene.lengths[3]
    speed = scene.motion.gain * 4 * leg * np.sin(scene.reach * scene.motion.thigh.c1) * scene.cadence * scene.scale
    span = 1 + 2 * scene.margin
    gone = (scene.place * span + speed * times) % (2 * span)
    back = gone > span
    across = np.where(back, 2 * span - gone, gone) - scene.margin
    return (across if scene.direction > 0 else 1 - across), np.where(back, -facing, facing)


def segments(scene: Scene, times: Array) -> Array:
    """The two ends [F, 12, 2, 2] of every part, as (across, down) in sides of the picture, at `times` [F] seconds."""
    motion, lengths = scene.motion, scene.lengths
    phase = 2 * np.pi * scene.cadence * times + scene.phase
    turned = angles(motion, phase, scene.reach)  # [F, 2, 4]
    sides = np.array([1, -1]) if motion.frontal else np.array([1, 1])

    def along(angle: Array, length: Any) -> Array:
        return np.stack([np.sin(angle) * sides, np.cos(angle)], axis=-1) * length

    hips = np.zeros((len(times), 2, 2))
    hips[..., 0] = HIP * sides * motion.frontal
    knees = hips + along(turned[..., 2], lengths[2])
    ankles = knees + along(turned[..., 3], lengths[3])
    toes = ankles + along(turned[..., 3] + TOES, lengths[4])
    lean = np.array([np.sin(motion.lean), -np.cos(motion.lean)])
    neck = np.zeros((len(times), 2)) + lengths[TRUNK] * lean
    shoulders = neck[:, None] + np.stack([SHOULDER * sides * motion.frontal, np.zeros(2)], axis=-1)
    elbows = shoulders + along(turned[..., 0], lengths[0])
    hands = elbows + along(turned[..., 1], lengths[1])
    limbs = [shoulders, elbows, hips, knees, ankles], [elbows, hands, knees, ankles, toes]
    ends = np.stack([np.stack(end, axis=2) for end in limbs], axis=3).reshape(len(times), 10, 2, 2)
    low, high = neck + NECK * lean, neck + (NECK + lengths[HEAD]) * lean
    middle = np.stack([np.stack([np.zeros_like(neck), neck], axis=1), np.stack([low, high], axis=1)], axis=1)
    ends = np.concatenate([ends, middle], axis=1)
    # The lower foot stands on the ground, but for the flight, which is longest when the legs are furthest apart.
    drop = ankles[..., 1].max(axis=1) + motion.flight * (1 - np.cos(2 * phase)) / 2
    across, facing = place(scene, times)
    ends[..., 0] = across[:, None, None] + scene.scale * facing[:, None, None] * ends[..., 0]
    ends[..., 1] = scene.ground + scene.scale * (ends[..., 1] - drop[:, None, None])
    return ends


def in_view(scene: Scene, times: Array) -> NDArray[np.bool_]:
    """Whether any part of the figure is in the picture at `times` [F]."""
    across, radii = segments(scene, times)[..., 0], scene.scale * scene.radii[:, None]
    seen: NDArray[np.bool_] = np.any((across + radii > 0) & (across - radii < 1), axis=(1, 2))
    return seen


def persons(split: str, validation: list[int]) -> list[int]:
    """Who is in a split: 17 to 25 in test, as in KTH; those named in validation; the rest of 1 to 16 in train."""
    if split == "test":
        return list(range(17, 26))
    return [person for person in range(1, 17) if (person in validation) == (split == "validation")]


def casting(people: list[int], clips: int) -> list[tuple[int, int, int]]:
    """(person, action, clip) of all films of these persons, `clips` of each action, in order."""
    return list(product(people, range(len(ACTIONS)), range(clips)))


def starts(scenes: Iterable[Scene], times: Array, observed: int, length: int, stride: int) -> NDArray[np.int64]:
    """Where sequences of `length` frames start if films of the scenes at `times` [F] follow one another.

    One is taken every `stride` frames of a film, if the figure is seen, at least in part, in every observed frame:
    it may leave the picture in what is to be predicted, but does not come out of nowhere.
    """
    first = np.arange(0, len(times) - length + 1, stride)
    found = [
        film * len(times) + first[in_view(one, times)[first[:, None] + np.arange(observed)].all(axis=1)]
        for film, one in enumerate(scenes)
    ]
    return np.concatenate(found)


def background(scene: Scene, side: int) -> NDArray[np.float32]:
    """What is behind the figure, [side, side]: even light with plane waves on it, the same in all frames."""
    at = (np.arange(side) + 0.5) / side
    waves = (a * np.cos(2 * np.pi * (u * at + v * at[:, None]) + p) for a, u, v, p in scene.waves)
    return (scene.light + sum(waves)).astype(np.float32)


def film(scene: Scene, times: Array, side: int) -> NDArray[np.float32]:
    """Frames [F, side, side] of the scene at `times` [F] in seconds, without noise; values within [0, 1]."""
    ends = (segments(scene, times) * side).astype(np.float32)
    radii = (scene.radii * scene.scale * side).astype(np.float32)
    reach = np.ceil(scene.lengths * scene.scale * side + 2 * radii).astype(int) + 3  # of the window around a part
    rim = int(reach.max())  # around the picture, so that every window lies in it
    canvas = np.repeat(np.pad(background(scene, side), rim)[None], len(times), axis=0)
    for part in FRONTAL if scene.motion.frontal else PROFILE:
        _draw(canvas, ends[:, part], radii[part], np.float32(scene.shades[part]), int(reach[part]), rim)
    return canvas[:, rim:-rim, rim:-rim]


def _draw(canvas: Array, ends: Array, radius: Any, shade: Any, size: int, rim: int) -> None:
    """Draws one capsule into every frame, [F, P, P] with `rim` pixels around; ends [F, 2, 2] in pixels."""
    width = canvas.shape[1]
    corner = np.floor(ends.min(axis=1) - radius).astype(int) - 1 + rim
    corner = corner.clip(0, width - size)  # out of sight the windows pile up in the rim, which is cut off
    inside = np.arange(size)
    columns, rows = (corner[:, axis, None] + inside for axis in (0, 1))
    start, along = ends[:, 0], ends[:, 1] - ends[:, 0]
    x = (columns - rim + np.float32(0.5)).astype(np.float32)[:, None, :] - start[:, 0, None, None]
    y = (rows - rim + np.float32(0.5)).astype(np.float32)[:, :, None] - start[:, 1, None, None]
    u, v = along[:, 0, None, None], along[:, 1, None, None]
    nearest = ((x * u + y * v) / (u * u + v * v)).clip(0, 1)  # on the segment, from its start to its end
    distance = np.hypot(x - nearest * u, y - nearest * v)
    cover = (radius + np.float32(0.5) - distance).clip(0, 1)
    flat = canvas.reshape(-1)
    index = (np.arange(len(canvas)) * width * width)[:, None, None] + rows[:, :, None] * width + columns[:, None, :]
    under = flat[index]
    flat[index] = under + cover * (shade - under)
