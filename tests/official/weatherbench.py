"""WeatherBench's files of t2m at 5.625 degrees, a few days a year of a globe with a day, a night and a wave."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
from numpy.typing import NDArray

DAYS = {  # first day and hours of each file; train's two years meet at midnight, one hour of test is lost
    2010: ("2010-12-30", 48),
    2011: ("2011-01-01", 36),
    2016: ("2016-02-28", 40),
    2017: ("2017-07-01", 50),
}
LOST = {2017: [30]}
LAT = np.linspace(-87.1875, 87.1875, 32)
LON = np.arange(64) * 5.625
FOLDER = "weatherbench/2m_temperature"
PARAMS: dict[str, Any] = {
    "train": [2010, 2011],
    "validation": [2016, 2016],
    "test": [2017, 2017],
    "observed": 6,
    "predicted": 6,
    "stride": 2,
}
EPOCH = np.datetime64("1900-01-01T00", "h")


def hours(year: int) -> NDArray[np.int64]:
    """Hours since 1900 of the frames of a year [F]."""
    day, count = DAYS[year]
    first = (np.datetime64(day, "h") - EPOCH).astype(np.int64)
    return first + np.delete(np.arange(count), LOST.get(year, []))


def temperature(time: NDArray[np.int64]) -> NDArray[np.float32]:
    """Kelvin [F, 32, 64] at hours since 1900: warm at the equator and where it is noon, with a wave that goes round."""
    hour, lat, lon = time[:, None, None], np.radians(LAT)[:, None], np.radians(LON)
    noon = np.cos(lon + 2 * np.pi * (hour % 24 - 12) / 24)
    wave = np.cos(3 * lon - 2 * np.pi * hour / 61.8)  # never again in step with the day
    return (248 + 50 * np.cos(lat) ** 2 + 6 * np.cos(lat) * noon + 4 * np.sin(2 * lat) * wave).astype(np.float32)


def write(path: Path, time: NDArray[Any], values: NDArray[Any], **create: Any) -> None:
    """A file as WeatherBench has it: t2m [F, 32, 64] of floats, compressed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with netCDF4.Dataset(path, "w", format=create.pop("format", "NETCDF4")) as file:
        for name, content in (("time", time), ("lat", LAT), ("lon", LON)):
            file.createDimension(name, len(content))
            axis = file.createVariable(name, content.dtype.str[1:], (name,))
            axis[:] = content
        file["time"].units, file["time"].calendar = "hours since 1900-01-01 00:00:00", "gregorian"
        file["lat"].units, file["lon"].units = "degrees_north", "degrees_east"
        settings = {"zlib": True, "fill_value": np.nan} | create
        t2m = file.createVariable("t2m", values.dtype.str[1:], ("time", "lat", "lon"), **settings)
        t2m.units, t2m.long_name = "K", "2 metre temperature"
        t2m[:] = values


def classic(path: Path, time: NDArray[Any], values: NDArray[Any]) -> None:
    """The same in the format of netCDF 3."""
    write(path, time.astype(np.int32), values, format="NETCDF3_CLASSIC", zlib=False)


def in_days(path: Path, time: NDArray[Any], values: NDArray[Any]) -> None:
    """The same with times in fractions of a day."""
    first = (np.datetime64("2010-01-01T00", "h") - EPOCH).astype(np.int64)
    write(path, (time - first) / 24, values)
    with netCDF4.Dataset(path, "a") as file:
        file["time"].units, file["time"].calendar = "days since 2010-01-01", "proleptic_gregorian"


def one_chunk(path: Path, time: NDArray[Any], values: NDArray[Any]) -> None:
    """The same, compressed as a whole."""
    write(path, time, values, chunksizes=values.shape, shuffle=True)


def doubles(path: Path, time: NDArray[Any], values: NDArray[Any]) -> None:
    """The same as float64, not compressed."""
    write(path, time, values.astype(np.float64), zlib=False)


def without_values(
    path: Path, dims: Mapping[str, int | None], name: str = "t2m", kind: Any = "f4", **create: Any
) -> None:
    """A file whose t2m has these dimensions and was never written; axes of the right length are right."""
    right = {40: hours(2016), None: hours(2016), 32: LAT, 64: LON}
    with netCDF4.Dataset(path, "w") as file:
        for dim, size in dims.items():
            file.createDimension(dim, size)
            axis = file.createVariable(dim, "f8", (dim,))
            if size in right:
                axis[:] = right[size]
        file["time"].units = "hours since 1900-01-01"
        file.createVariable(name, kind, tuple(dims), **create)


def file_name(year: int) -> str:
    """What WeatherBench calls the file of a year."""
    return f"2m_temperature_{year}_5.625deg.nc"


def build(root: Path) -> dict[str, Any]:
    """Writes weatherbench/2m_temperature/2m_temperature_YEAR_5.625deg.nc of four years."""
    for year in DAYS:
        write(root / FOLDER / file_name(year), hours(year), temperature(hours(year)))
    return dict(PARAMS)
