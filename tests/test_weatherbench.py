"""WeatherBench: windows, values and splits against a slow reading of the same files, and what bad files get."""

import dataclasses
import hashlib
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import pytest
from conftest import refused
from numpy.typing import NDArray
from official import weatherbench as official
from official.weatherbench import FOLDER, PARAMS

import datasets
from datasets import weatherbench

YEARS = {"train": [2010, 2011], "validation": [2016], "test": [2017]}
SPOILT = f"{FOLDER}/{official.file_name(2016)}"
HOURS = official.hours(2016)
KELVIN = official.temperature(HOURS)
DIMS = {"time": 40, "lat": 32, "lon": 64}
ENDLESS = {"time": None, "lat": 32, "lon": 64}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Official files that tests read alone."""
    root = tmp_path_factory.mktemp("official")
    assert official.build(root) == PARAMS
    return root


@pytest.fixture
def root(built: Path, tmp_path: Path) -> Path:
    """Official files that a test may spoil."""
    return Path(shutil.copytree(built, tmp_path / "root"))


@pytest.fixture(autouse=True)
def no_download(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weatherbench, "DOWNLOAD", dataclasses.replace(weatherbench.DOWNLOAD, urls=()))


def prepared(root: Path, out: Path, **changed: Any) -> Path:
    datasets.prepare("weatherbench", root, out, **{**PARAMS, **changed})
    return out


def card(folder: Path) -> Any:
    return json.loads((folder / "card.json").read_text())


def arrays(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.npy"))}


def truth(split: str) -> tuple[NDArray[np.float64], list[int]]:
    """Kelvin [F, 32, 64] and hours of a split, as the builder made them."""
    time = np.concatenate([official.hours(year) for year in YEARS[split]])
    return official.temperature(time).astype(np.float64), time.tolist()


# --- what is made -----------------------------------------------------------------------------------------------------


def test_values_are_those_of_the_files_by_the_train_moments(built: Path, tmp_path: Path) -> None:
    folder = prepared(built, tmp_path / "out")
    value = datasets.card("weatherbench", folder, wanted=PARAMS)["value"]
    mean, std = truth("train")[0].mean(), truth("train")[0].std()
    assert value == {"unit": "K", "offset": pytest.approx(mean - 4 * std), "scale": pytest.approx(8 * std)}
    for split in YEARS:
        kelvin, _ = truth(split)
        frames = datasets.open("weatherbench", folder, split).frames
        assert frames.shape == (len(kelvin), 1, 32, 64)
        assert np.allclose(frames[:, 0], 0.5 + (kelvin - mean) / (8 * std), rtol=0, atol=1e-6)
        assert np.allclose(value["offset"] + value["scale"] * frames[:, 0], kelvin, rtol=0, atol=1e-4)
    wrong_by_some = np.square(1.5 / (8 * std)) / 4  # a quarter of the pixels 1.5 K off
    assert value["scale"] * np.sqrt(wrong_by_some) == pytest.approx(np.sqrt(1.5**2 / 4))


@pytest.mark.parametrize(("length", "stride"), [(12, 1), (12, 2), (7, 5), (24, 24)])
def test_windows_are_hours_in_a_row(length: int, stride: int, built: Path, tmp_path: Path) -> None:
    folder = prepared(built, tmp_path / "out", observed=4, predicted=length - 4, stride=stride)
    for split in YEARS:
        _, time = truth(split)
        wanted, wait = [], 0  # frames until a window may start again
        for first in range(len(time)):
            if first and time[first] != time[first - 1] + 1:
                wait = 0
            if wait == 0 and time[first : first + length] == [time[first] + hour for hour in range(length)]:
                wanted.append(first)
            wait = (wait or stride) - 1
        sequences = datasets.open("weatherbench", folder, split)
        assert sequences.starts.tolist() == wanted
        assert sequences.observed == 4
        assert np.array_equal(sequences.batch([-1])[0], sequences.frames[wanted[-1] : wanted[-1] + length])


def test_a_window_crosses_new_year_but_no_gap(built: Path, tmp_path: Path) -> None:
    folder = prepared(built, tmp_path / "out", stride=1)
    assert {37, 47} <= set(datasets.open("weatherbench", folder, "train").starts.tolist())  # 2010 has 48 frames
    starts = datasets.open("weatherbench", folder, "test").starts
    assert starts.tolist() == [*range(19), *range(30, 38)]  # hour 30 of 50 is lost: frames 0 to 29, and 30 to 48
    assert card(folder)["notes"] == [
        "2010 is not whole: 48 of 8760 hours",
        "2011 is not whole: 36 of 8760 hours",
        "2016 is not whole: 40 of 8784 hours",
        "2017 is not whole: 49 of 8760 hours",
        "test: 1 gaps in time, which no window crosses; the first after 2017-07-02T05 h",
    ]
    for year, said in zip(official.DAYS, card(folder)["read"], strict=True):
        content = (built / FOLDER / official.file_name(year)).read_bytes()
        sha256 = hashlib.sha256(content).hexdigest()
        assert said == {"file": f"{FOLDER}/{official.file_name(year)}", "bytes": len(content), "sha256": sha256}


def test_only_the_train_years_set_the_scale(root: Path, tmp_path: Path) -> None:
    one = card(prepared(root, tmp_path / "one"))
    official.write(root / SPOILT, HOURS, KELVIN + np.float32(9))
    two = card(prepared(root, tmp_path / "two"))
    assert one["value"] == two["value"]
    assert one["files"]["train"] == two["files"]["train"]
    assert one["files"]["validation"]["mean"] < two["files"]["validation"]["mean"]


def test_blocks_do_not_show(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepared(built, tmp_path / "one")
    monkeypatch.setattr(weatherbench, "BLOCK", 7)
    year = weatherbench._Year(built / SPOILT, official.EPOCH + HOURS)
    assert [len(block) for block in weatherbench._blocks(year)] == [7, 7, 7, 7, 7, 5]
    prepared(built, tmp_path / "two")
    for split in YEARS:
        one, two = (datasets.open("weatherbench", tmp_path / folder, split).frames for folder in ("one", "two"))
        assert np.allclose(one, two, rtol=0, atol=1e-7)


def test_moments_are_those_of_all_values_together(random: np.random.Generator) -> None:
    blocks = [random.normal(280, 20, (size, 3, 4)) for size in (1, 5, 2)]
    mean, std = weatherbench.moments(blocks)
    assert mean == pytest.approx(np.concatenate(blocks).mean(), rel=1e-14)
    assert std == pytest.approx(np.concatenate(blocks).std(), rel=1e-12)


# --- the forms and places of files ------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", [official.classic, official.in_days, official.one_chunk, official.doubles])
def test_all_forms_of_a_file_are_read_alike(form: Callable[..., None], built: Path, root: Path, tmp_path: Path) -> None:
    for year in official.DAYS:
        form(root / FOLDER / official.file_name(year), official.hours(year), official.temperature(official.hours(year)))
    assert arrays(prepared(built, tmp_path / "one")) == arrays(prepared(root, tmp_path / "two"))


@pytest.mark.parametrize("place", ["2m_temperature", f"{FOLDER}/5.625deg"])
def test_other_places_and_years_that_nobody_asks_for(place: str, built: Path, tmp_path: Path) -> None:
    shutil.copytree(built / FOLDER, tmp_path / "root" / place)
    (tmp_path / "root" / place / official.file_name(2018)).write_bytes(b"never read")
    assert arrays(prepared(built, tmp_path / "one")) == arrays(prepared(tmp_path / "root", tmp_path / "two"))


@pytest.mark.parametrize("inside", ["", "2m_temperature/"])
@pytest.mark.parametrize("place", ["weatherbench", FOLDER])
def test_the_archive_is_unpacked_once(inside: str, place: str, built: Path, tmp_path: Path) -> None:
    archive = tmp_path / "root" / place / "2m_temperature_5.625deg.zip"
    archive.parent.mkdir(parents=True)
    with zipfile.ZipFile(archive, "w") as file:
        for year in official.DAYS:
            file.write(built / FOLDER / official.file_name(year), inside + official.file_name(year))
        file.writestr("notes.txt", "not wanted")
    one = arrays(prepared(built, tmp_path / "one"))
    assert one == arrays(prepared(tmp_path / "root", tmp_path / "two"))
    archive.unlink()
    assert one == arrays(prepared(tmp_path / "root", tmp_path / "three"))
    assert not list(tmp_path.rglob("notes.txt"))


# --- what is wrong with a file ----------------------------------------------------------------------------------------


def spoilt(root: Path, says: str, **changed: Any) -> None:
    """Expects a refusal that leaves nothing behind."""
    refused(says, prepared, root, root.parent / "out", **changed)
    assert [path.name for path in root.parent.iterdir()] == [root.name]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "no bytes found"),
        (b"<!DOCTYPE html><html></html>", "an HTML page found"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n", "a git-LFS pointer found"),
        (b"neither this nor that", "not a readable netCDF file"),
        (b"CDF\x01" + bytes(3), "not a readable netCDF file"),
        (b"\x89HDF\r\n\x1a\n" + bytes(500), "not a readable netCDF file"),
    ],
)
def test_what_is_no_netcdf_file(content: bytes, says: str, root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (root / SPOILT).write_bytes(content)
    spoilt(root, f"{SPOILT}: {says}")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("share", [0.01, 0.3, 0.9, 0.999])
@pytest.mark.parametrize("form", [official.write, official.classic])
def test_a_truncated_file(share: float, form: Callable[..., None], root: Path) -> None:
    form(root / SPOILT, HOURS, KELVIN)
    content = (root / SPOILT).read_bytes()
    (root / SPOILT).write_bytes(content[: int(share * len(content))])
    spoilt(root, f"{SPOILT}: ")


def test_a_folder_and_a_second_file_of_a_year(root: Path) -> None:
    (root / FOLDER / "2m_temperature_2016.nc").mkdir()
    spoilt(root, "a second file of 2016 found")
    (root / SPOILT).unlink()
    spoilt(root, "2m_temperature_2016.nc: a folder found")


def test_missing_years_no_file_at_all_and_bad_archives(root: Path) -> None:
    (root / SPOILT).unlink()
    (root / FOLDER / official.file_name(2010)).unlink()
    spoilt(root, "no file of 2010, 2016 found")
    shutil.rmtree(root / FOLDER)
    spoilt(root, "2m_temperature_5.625deg.zip: missing")
    for content in (b"", b"<html></html>", b"PK\x03\x04 and no more"):
        (root / "weatherbench/2m_temperature_5.625deg.zip").write_bytes(content)
        spoilt(root, "2m_temperature_5.625deg.zip: ")


@pytest.mark.parametrize(
    ("says", "dims", "create"),
    [
        (r"t2m\(lat, lon, time\) found, wanted t2m\(time, lat, lon\)", {"lat": 32, "lon": 64, "time": 40}, {}),
        (r"t2m\(time, lon, lat\) found", {"time": 40, "lon": 64, "lat": 32}, {}),
        (r"t2m\(time, level, lat, lon\) found", {"time": 40, "level": 1, "lat": 32, "lon": 64}, {}),
        ("t2m of .*'lat': 64, 'lon': 128.* found, wanted .*lat 32, lon 64", {"time": 40, "lat": 64, "lon": 128}, {}),
        ("t2m of .*'time': 0.* found, wanted 1 to 8784 hours", {"time": 0, "lat": 32, "lon": 64}, {}),
        ("t2m of .*'time': 8785.* found, wanted 1 to 8784 hours", {"time": 8785, "lat": 32, "lon": 64}, {}),
        ("lat, lon, time, z found, wanted the variable t2m", DIMS, {"name": "z"}),
        ("t2m of int16 found", DIMS, {"kind": "i2"}),
        ("t2m of <class 'str'> found", DIMS, {"kind": str}),
        ("t2m in chunks of 40960000 values found", ENDLESS, {"chunksizes": (20000, 32, 64)}),
        (r"no value found at \(time, lat, lon\) \(0, 0, 0\), wanted 150 to 350 K", DIMS, {}),
    ],
)
def test_a_wrong_header(says: str, dims: dict[str, int | None], create: dict[str, Any], root: Path) -> None:
    official.without_values(root / SPOILT, dims, **create)
    spoilt(root, f"{SPOILT}: {says}")


def test_a_time_that_lies_about_its_length(root: Path) -> None:
    official.without_values(root / SPOILT, ENDLESS)
    with netCDF4.Dataset(root / SPOILT, "a") as file:
        file["time"][10**9] = 0
    assert (root / SPOILT).stat().st_size < 10**6
    spoilt(root, "'time': 1000000001.* found, wanted 1 to 8784 hours")


@pytest.mark.parametrize(
    ("value", "says"),
    [(np.nan, "no value"), (np.inf, "inf"), (-9.5, "-9.5"), (9.96921e36, "9.96921e\\+36"), (222.5, "no value")],
)
def test_a_wrong_value_is_shown_with_its_place(
    value: float, says: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weatherbench, "BLOCK", 16)
    values = KELVIN.copy()
    values[21, 3, 60] = value
    official.write(root / SPOILT, HOURS, values, fill_value=222.5)  # which masks it
    spoilt(root, rf"{SPOILT}: {says} found at \(time, lat, lon\) \(21, 3, 60\), wanted 150 to 350 K; .* in kelvin")


@pytest.mark.parametrize(
    ("time", "says"),
    [
        (HOURS + 366 * 24, "2017-02-28 00:00:00 found at time 0, wanted 2016 alone"),
        (HOURS + 307 * 24 - 8, "2017-01-01 00:00:00 found at time 32, wanted 2016 alone"),
        (np.where(HOURS[9] == HOURS, HOURS[8], HOURS), "2016-02-28 08:00:00 found at time 9, wanted an hour later"),
        (HOURS[::-1], "2016-02-29 14:00:00 found at time 1, wanted an hour later"),
        (HOURS + 0.5, "2016-02-28 00:30:00 found at time 0, wanted whole hours"),
        (np.where(HOURS[5] == HOURS, np.nan, HOURS), "time without a value found at 5"),
        (HOURS + 10**12, "not a readable netCDF file"),
    ],
)
def test_a_wrong_time(time: NDArray[Any], says: str, root: Path) -> None:
    official.write(root / SPOILT, time, KELVIN)
    spoilt(root, f"{SPOILT}: {says}")


@pytest.mark.parametrize(
    ("name", "said"), [("units", "parsecs since 1900-1-1"), ("units", "K"), ("calendar", "noleap")]
)
def test_a_time_that_cannot_be_told(name: str, said: str, root: Path) -> None:
    with netCDF4.Dataset(root / SPOILT, "a") as file:
        file["time"].setncattr(name, said)
    spoilt(root, f"{SPOILT}: not a readable netCDF file")


def test_files_of_two_grids_and_a_grid_without_values(root: Path) -> None:
    with netCDF4.Dataset(root / SPOILT, "a") as file:
        file["lat"][:] = official.LAT[::-1]
    spoilt(root, f"{SPOILT}: lat from 87.1875 to -87.1875 found, wanted -87.1875 to 87.1875")
    with netCDF4.Dataset(root / SPOILT, "a") as file:
        file["lat"][3] = np.nan
    spoilt(root, f"{SPOILT}: lat without a value found at 3")


def test_what_the_train_years_cannot_scale(root: Path) -> None:
    even = np.full((48, 32, 64), 270, dtype=np.float32)
    for year in YEARS["train"]:
        time = official.hours(year)
        official.write(root / FOLDER / official.file_name(year), time, even[: len(time)])
    spoilt(root, r"270 K everywhere in \[2010, 2011\] found")
    official.write(root / FOLDER / official.file_name(2010), official.hours(2010), even + np.arange(64) / 64)
    spoilt(root, "weatherbench, validation: .*2016_5.625deg.nc: .* wanted at most 8 standard deviations")


def test_windows_that_no_run_of_hours_serves(root: Path, tmp_path: Path) -> None:
    spoilt(root, r"test: at most 30 consecutive hours found, wanted observed \+ predicted, 31", observed=25)
    prepared(root, tmp_path / "out", observed=24)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("train", span) for span in ([2011, 2010], [2010, 2016], [2010], [2010, 2010, 2011], 2010, ["2010", "2011"])],
        *[("validation", [2017, 2017]), ("validation", [1816, 1816]), ("test", [2016, 2017]), ("test", [2009, 2009])],
        *[("observed", 0), ("predicted", -1), ("stride", 0), ("stride", 1.5)],
    ],
)
def test_a_bad_parameter_is_named(name: str, value: Any, built: Path, tmp_path: Path) -> None:
    refused("dataset 'weatherbench': ", prepared, built, tmp_path / "out", **{name: value})
    assert list(tmp_path.iterdir()) == []
