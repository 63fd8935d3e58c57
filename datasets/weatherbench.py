"""WeatherBench: the temperature of the air over the whole globe, hour by hour.

Real or synthetic: real, the ERA5 reanalysis of observations. Temperature 2 m above ground, [T, 1, 32, 64] (latitude,
    longitude; 5.625 degrees), one frame an hour.
Source: WeatherBench (Rasp and others, Journal of Advances in Modeling Earth Systems 2020, doi 10.1029/2020MS002203).
    Below your folder: weatherbench/2m_temperature/2m_temperature_YEAR_*.nc (2m_temperature/ is looked at too), or the
    archive weatherbench/2m_temperature_5.625deg.zip, which is downloaded where neither is found.
Licence: ERA5 is free to use with credit to the Copernicus Climate Change Service; the host of the regridded files
    states their terms.
Split: by whole years, train before validation before test. A sequence is a window of consecutive hours; windows may
    share frames with their neighbours, never with another split, and none crosses a gap in time.
Values: 0.5 + (t2m - mean) / (8 std), with mean and std of the train split alone, so that 0 to 1 is the mean ± 4 std.
    An error is turned into kelvin by 8 std, which is `scale` of the card's value: RMSE in K = scale * sqrt(MSE), where
    MSE is the mean over pixels.
Official setting (OpenSTL): train [2010, 2015], validation [2016, 2016], test [2017, 2018], observed 12, predicted 12,
    stride 1.
Differs from it: OpenSTL selects on the test years, divides by std rather than 8 std, and leaves out the last frame of
    each split.
"""

import math
import re
from calendar import isleap
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import netCDF4
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from datasets._archives import extract
from datasets._card import SPLITS, DatasetError
from datasets._dataset import Split, write
from datasets._official import File, looked_at, obtain, sniff
from datasets._params import Count, demand
from datasets._sequences import Starts

Year = Annotated[int, Field(ge=1900, le=2100)]
Span = Annotated[list[Year], Field(min_length=2, max_length=2)]
Times = NDArray[np.datetime64]

PLACES = ("weatherbench/2m_temperature", "2m_temperature")  # below the user's folder
ARCHIVE = "2m_temperature_5.625deg.zip"
DOWNLOAD = File(
    f"weatherbench/{ARCHIVE}",
    ("https://dataserv.ub.tum.de/s/m1524895/download?path=%2F5.625deg%2F2m_temperature&files=" + ARCHIVE,),
    instead="2m_temperature_<year>_5.625deg.nc in weatherbench/2m_temperature",
)
NAME = re.compile(r"2m_temperature_(\d{4})(_.*)?\.nc")
UNPACKED = 8 * 2**30  # bytes; 40 years of 72 MB each
SIZES = {"time": 366 * 24, "lat": 32, "lon": 64}  # of `time` the most there can be, a leap year's hours
HOUR = np.timedelta64(1, "h")
BLOCK = 512  # frames read at a time, 8 MB as float64
COLDEST, WARMEST = 150.0, 350.0  # kelvin; no air near the ground was ever beyond
FREEZING = 273.15  # sums of squares are taken from here, where they lose no digits
SPREADS = 8  # standard deviations that 0 to 1 spans, and how far from the mean a value may lie


class _Year(NamedTuple):
    """One file, and the hours of its frames, datetime64[h] [F]."""

    path: Path
    times: Times


def prepare(
    root: Path, out: Path, train: Span, validation: Span, test: Span, observed: Count, predicted: Count, stride: Count
) -> None:
    """Writes the canonical form to `out` from the official files below `root`.

    train, validation, test: first and last year. observed, predicted: frames, which are hours. stride: hours from the
    start of a window to that of the next.
    """
    params = {k: v for k, v in locals().items() if k not in ("root", "out")}
    spans = {"train": train, "validation": validation, "test": test}
    for split, span in spans.items():
        demand("weatherbench", span[0] <= span[1], f"{split} {span}", "[first year, last year]")
    apart = train[1] < validation[0] and validation[1] < test[0]
    demand("weatherbench", apart, f"years {list(spans.values())}", "train before validation before test")
    years = {split: range(first, last + 1) for split, (first, last) in spans.items()}
    files = _scan(_find(root, [year for split in SPLITS for year in years[split]]))
    parts = {split: [files[year] for year in years[split]] for split in SPLITS}
    mean, std = moments(block for year in parts["train"] for block in _blocks(year))
    if not std:
        raise DatasetError(f"weatherbench: {mean:.6g} K everywhere in {train} found, wanted temperatures that vary")
    splits = {split: _split(split, parts[split], observed + predicted, stride, mean, std) for split in SPLITS}
    card = {
        "name": "weatherbench",
        "title": "WeatherBench",
        "synthetic": False,
        "kind": "real: reanalysis of observations, temperature 2 m above ground",
        "source": "WeatherBench (Rasp and others 2020), ERA5 regridded to 5.625 degrees",
        "licence": "ERA5: Copernicus, free with credit; regridded files: terms of their host",
        "split": "by whole years, train before validation before test",
        "interval": "1 hour",
        "observed": observed,
        "predicted": predicted,
        "params": params,
        "value": {"unit": "K", "offset": mean - SPREADS / 2 * std, "scale": SPREADS * std},
        "read": [looked_at(root, year.path) for year in files.values()],
        "notes": _notes(parts),
    }
    write(out, splits, card)


def runs(times: Times) -> list[tuple[int, int]]:
    """Runs of consecutive hours in `times` (datetime64[h] [F]): the first frame of each, and one past its last."""
    return list(pairwise([0, *(np.flatnonzero(np.diff(times) != HOUR) + 1).tolist(), len(times)]))


def windows(times: Times, length: int, stride: int) -> Starts:
    """Starts [N] of the windows of `length` frames, `stride` apart in each run of consecutive hours."""
    return np.concatenate([np.arange(first, last - length + 1, stride) for first, last in runs(times)])


def moments(blocks: Iterable[NDArray[np.float64]]) -> tuple[float, float]:
    """Mean and standard deviation (of the population) of all values in kelvin, block by block."""
    count, total, squares = 0, 0.0, 0.0
    for block in blocks:
        away = block - FREEZING
        count, total, squares = count + away.size, total + float(away.sum()), squares + float(np.square(away).sum())
    mean = total / count
    return FREEZING + mean, float(np.sqrt(max(squares / count - mean**2, 0)))


# --- which files ------------------------------------------------------------------------------------------------------


def _find(root: Path, years: list[int]) -> dict[int, Path]:
    """The file of each year; the archive is looked for, or downloaded, only where there is no file at all."""
    folder = next((root / place for place in PLACES if _named(root / place)), root / PLACES[0])
    named = _named(folder)
    if not named:
        archives = [root / place / ARCHIVE for place in PLACES if (root / place / ARCHIVE).exists()]
        archive = archives[0] if archives else obtain(root, DOWNLOAD)
        extract(archive, folder, lambda name: bool(NAME.fullmatch(name.rpartition("/")[2])), UNPACKED)
        named = _named(folder)
    missing = [year for year in years if year not in named]
    if missing:
        said = f"no file of {', '.join(map(str, missing))} found, wanted 2m_temperature_YEAR_5.625deg.nc"
        raise DatasetError(f"{folder}: {said}; put it there, or change the years in params.yaml")
    return {year: named[year] for year in years}


def _named(folder: Path) -> dict[int, Path]:
    named: dict[int, Path] = {}
    for path in sorted(folder.rglob("2m_temperature_*.nc")):  # an archive may bring a folder of its own
        if match := NAME.fullmatch(path.name):
            year = int(match[1])
            if year in named:
                raise DatasetError(f"{path}: a second file of {year} found beside {named[year]}; remove one of them")
            named[year] = path
    return named


# --- what is in a file ------------------------------------------------------------------------------------------------


@contextmanager
def _opened(path: Path) -> Iterator[netCDF4.Dataset]:
    """The file, open; what its library finds broken, then or while it is read, is a DatasetError."""
    sniff(path, "a netCDF file of WeatherBench")
    try:
        with netCDF4.Dataset(path) as file:
            yield file
    except DatasetError:
        raise
    except (ArithmeticError, AttributeError, LookupError, OSError, RuntimeError, TypeError, ValueError) as error:
        said = " ".join(str(error).split())
        raise DatasetError(f"{path}: not a readable netCDF file ({said}); get it again") from None


def _variable(path: Path, file: netCDF4.Dataset, name: str, *dims: str) -> Any:
    """A variable of numbers, its header held against what it must be before anything of it is read."""

    def require(holds: bool, found: Any, wanted: Any) -> None:
        if not holds:
            raise DatasetError(f"{path}: {found} found, wanted {wanted}; use the 5.625 degree files of WeatherBench")

    require(name in file.variables, ", ".join(sorted(file.variables)) or "no variable", f"the variable {name}")
    variable = file.variables[name]
    require(variable.dimensions == dims, f"{name}({', '.join(variable.dimensions)})", f"{name}({', '.join(dims)})")
    kind = getattr(variable.dtype, "kind", "")  # of text and of types a file defines there is none
    require(kind in (["f"] if name == "t2m" else list("fiu")), f"{name} of {variable.dtype}", "floats")
    sizes = dict(zip(dims, variable.shape, strict=True))
    fits = all(size == SIZES[dim] or (dim == "time" and 1 <= size < SIZES[dim]) for dim, size in sizes.items())
    require(fits, f"{name} of {sizes}", f"1 to {SIZES['time']} hours, lat 32, lon 64")
    chunks = variable.chunking()  # what the library allocates to read anything, whatever the file holds
    cells = math.prod(chunks) if isinstance(chunks, list) else 1
    require(cells <= math.prod(SIZES.values()), f"{name} in chunks of {cells} values", "no more than a year's")
    return variable


def _coordinate(path: Path, file: netCDF4.Dataset, name: str) -> NDArray[np.float64]:
    values = np.ma.filled(_variable(path, file, name, name)[:].astype(np.float64), np.nan)
    if not (there := np.isfinite(values)).all():
        raise DatasetError(f"{path}: {name} without a value found at {np.argmin(there)}; get it again")
    return values


def _times(path: Path, file: netCDF4.Dataset, year: int) -> Times:
    """The hour of each frame, datetime64[h] [F], which rises within `year`."""
    values, axis = _coordinate(path, file, "time"), file.variables["time"]
    dates = netCDF4.num2date(
        values,
        str(getattr(axis, "units", "none")),
        str(getattr(axis, "calendar", "standard")),
        only_use_cftime_datetimes=False,
        only_use_python_datetimes=True,
    )
    exact = np.array(dates, dtype="datetime64[us]")
    times = (exact + np.timedelta64(30, "m")).astype("datetime64[h]")

    def refuse(wrong: NDArray[np.bool_], wanted: str) -> None:
        if wrong.any():
            at = int(np.argmax(wrong))
            raise DatasetError(f"{path}: {exact[at].item()} found at time {at}, wanted {wanted}; get the file again")

    refuse(np.abs(exact - times) > np.timedelta64(1, "s"), "whole hours")
    refuse(times.astype("datetime64[Y]") != np.datetime64(str(year)), f"{year} alone, as the file's name says")
    refuse(np.diff(times, prepend=times[0] - 1) <= 0 * HOUR, "an hour later than that before it")
    return times


def _scan(paths: dict[int, Path]) -> dict[int, _Year]:
    """The times of each file; all must have one grid."""
    scanned: dict[int, _Year] = {}
    grid: list[NDArray[np.float64]] = []
    for year, path in paths.items():
        with _opened(path) as file:
            _variable(path, file, "t2m", *SIZES)
            scanned[year] = _Year(path, _times(path, file, year))
            own = [_coordinate(path, file, name) for name in ("lat", "lon")]
        grid = grid or own
        for name, here, there in zip(("lat", "lon"), own, grid, strict=True):
            if not np.array_equal(here, there):
                said = f"{name} from {here[0]:g} to {here[-1]:g} found, wanted {there[0]:g} to {there[-1]:g}"
                raise DatasetError(f"{path}: {said} in the same steps as in the first file; use files of one grid")
    return scanned


def _blocks(year: _Year) -> Iterator[NDArray[np.float64]]:
    """t2m of a file in kelvin, float64 [<= BLOCK, 32, 64] at a time; DatasetError at what can be no temperature."""
    with _opened(year.path) as file:
        variable = _variable(year.path, file, "t2m", *SIZES)
        for first in range(0, len(year.times), BLOCK):
            block = np.ma.filled(variable[first : first + BLOCK].astype(np.float64), np.nan)
            wrong = np.argwhere(~((block >= COLDEST) & (block <= WARMEST)))  # what has no value is wrong, too
            if len(wrong):
                time, lat, lon = wrong[0].tolist()
                value = block[time, lat, lon]
                said = "no value" if np.isnan(value) else f"{value:.6g}"
                where = f"(time, lat, lon) {(first + time, lat, lon)}, wanted {COLDEST:g} to {WARMEST:g} K"
                raise DatasetError(f"{year.path}: {said} found at {where}; get the file again, in kelvin")
            yield block


# --- what is made of it -----------------------------------------------------------------------------------------------


def _split(split: str, years: list[_Year], length: int, stride: int, mean: float, std: float) -> Split:
    times = np.concatenate([year.times for year in years])
    starts = windows(times, length, stride)
    if not len(starts):
        longest = max(last - first for first, last in runs(times))
        said = f"at most {longest} consecutive hours found, wanted observed + predicted, {length}"
        raise DatasetError(f"weatherbench, {split}: {said}; get whole files, or change them in params.yaml")
    blocks = (block for year in years for block in _scaled(year, mean, std))
    return Split((len(times), 1, SIZES["lat"], SIZES["lon"]), np.float32, blocks, starts, unit_range=False)


def _scaled(year: _Year, mean: float, std: float) -> Iterator[NDArray[np.float32]]:
    for block in _blocks(year):
        away = (block - mean) / std
        if np.abs(away).max() > SPREADS:
            said = f"{block.min():.6g} to {block.max():.6g} K found, wanted at most {SPREADS} standard deviations"
            train = f"({std:.6g} K) from the train years' mean ({mean:.6g} K)"
            raise DatasetError(f"{year.path}: {said} {train}; train on more of the year")
        yield (0.5 + away / SPREADS).astype(np.float32)[:, None]


def _notes(parts: dict[str, list[_Year]]) -> list[str]:
    """Which years are not whole, and where time jumps within a split."""
    notes = []
    for times in (year.times for years in parts.values() for year in years):
        year = int(str(times[0])[:4])
        whole = (365 + isleap(year)) * 24
        if len(times) != whole:
            notes.append(f"{year} is not whole: {len(times)} of {whole} hours")
    for split, years in parts.items():
        times = np.concatenate([year.times for year in years])
        gaps = [str(times[last - 1]) for _, last in runs(times)[:-1]]
        if gaps:
            notes.append(f"{split}: {len(gaps)} gaps in time, which no window crosses; the first after {gaps[0]} h")
    return notes
