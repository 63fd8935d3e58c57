"""params.yaml, read and checked: which cells exist, and with what settings each is run."""

import difflib
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from neurons import Firing, ResetGradient, Surrogate

PARAMS = Path("params.yaml")
Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Name = Annotated[str, Field(pattern=r"^\w+(-\w+)?$")]


class SettingsError(ValueError):
    """What a user can get wrong in params.yaml or on a command line, in one line."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FiringSettings(_Strict):
    """How every neuron of a table fires and resets; neurons.Firing says what the values mean."""

    surrogate: Surrogate = Firing.surrogate
    alpha: Annotated[float, Field(gt=0)] = Firing.alpha
    reset_gradient: ResetGradient = Firing.reset_gradient


class NetworkSettings(_Strict):
    """The network around the neuron."""

    patch: Count  # space-to-depth: side of the square of pixels that becomes channels
    layers: Count
    channels: Count
    kernel_size: Count  # of the input convolutions, odd
    groups: Count  # of the GroupNorm of the input current
    firing: FiringSettings = FiringSettings()
    precision: Literal["float32", "bfloat16"] = "float32"  # bfloat16: convolutions under autocast
    membrane: Literal["float32", "current"] = (
        "current"  # what neurons compute in: float32, or whatever their current comes in
    )
    recompute: Count | None = None  # steps in a stretch that is computed again for its backward pass, to save memory
    channels_last: bool = False  # memory layout of the maps
    compile: bool = False  # the neurons' step by torch.compile; a circuit's plain step

    @model_validator(mode="after")
    def _fits(self) -> "NetworkSettings":
        if self.channels % self.groups:
            raise ValueError(f"groups {self.groups} do not divide channels {self.channels}")
        if self.kernel_size % 2 == 0:
            raise ValueError(f"kernel_size {self.kernel_size} is even; an odd one keeps the size of the map")
        return self


class SamplingSettings(_Strict):
    """Scheduled sampling: the share of true frames among the inputs after the observed ones, by training step."""

    start: Share
    fall: Annotated[float, Field(ge=0)]  # per training step
    stop: Annotated[int, Field(ge=0)]  # the step from which on the share is 0


class TrainingSettings(_Strict):
    """How one network is trained and which of its states is kept."""

    seeds: Count
    steps: Count
    batch: Count
    learning_rate: Annotated[float, Field(gt=0)]
    final_learning_rate: Annotated[float, Field(ge=0)]
    warm_up: Share  # share of the steps over which the learning rate rises
    clip: Annotated[float, Field(gt=0)] | None  # greatest gradient norm; null: as it is
    sampling: SamplingSettings
    validate_every: Count  # training steps between two looks at the validation split
    device: Literal["auto", "cpu", "cuda"]
    devices: Count = 1  # processes that share each batch of a seed: that many GPUs, or cores of a CPU
    together: Count = 1  # seeds of a cell trained in one process, their parameters stacked
    workers: Count  # processes at once on a CPU, each on one thread: that many seeds, or `together` times as many
    loaders: Annotated[int, Field(ge=0)]  # processes of each seed that read batches ahead; 0: read as they are needed

    @model_validator(mode="after")
    def _shared(self) -> "TrainingSettings":
        if self.batch % self.devices:
            raise ValueError(f"devices {self.devices} do not divide batch {self.batch}")
        if self.devices > 1 and self.together > 1:
            raise ValueError(f"devices {self.devices} and together {self.together} exclude each other; set one to 1")
        return self


class CostSettings(_Strict):
    """How time is measured."""

    repeats: Count  # timed pairs, the neuron and LIF, of each kind of step at least
    seconds: Annotated[float, Field(ge=0)]  # how long to time each kind beyond them while its ratio is imprecise


class StabilitySettings(_Strict):
    """How long the means against the circuit's instability are tried."""

    seeds: Count
    steps: Count


class CellSettings(_Strict):
    """Everything about one dataset in one profile."""

    data: dict[str, Any]
    network: NetworkSettings
    training: TrainingSettings
    cost: CostSettings
    stability: StabilitySettings | None = None


class Settings(_Strict):
    """The whole of params.yaml."""

    profile: str
    datasets: Annotated[list[Name], Field(min_length=1)]
    stability: list[Name]  # the datasets on which the means against the circuit's instability are tried
    neurons: dict[Name, dict[str, Any]]
    profiles: dict[str, dict[str, CellSettings]]

    def cell(self, profile: str, dataset: str) -> CellSettings:
        """Settings of a dataset in a profile; SettingsError for unknown names."""
        return _named(f"dataset in profile {profile}:", dataset, _named("profile", profile, self.profiles))

    def neuron(self, name: str) -> dict[str, Any]:
        """Parameters of a listed neuron; SettingsError for one that is not."""
        return _named("neuron in params.yaml", name, self.neurons)


def kind(name: str) -> str:
    """The neuron or dataset that an entry of params.yaml names: what stands before a hyphen; behind it is a label."""
    return name.partition("-")[0]


def load(path: Path = PARAMS) -> Settings:
    """Reads and checks params.yaml; SettingsError names the first thing that is wrong with it."""
    try:
        raw = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        raise SettingsError(f"{path}: not found; run from the root of the project") from None
    except yaml.YAMLError as error:
        raise SettingsError(f"{path}: not YAML ({' '.join(str(error).split())})") from None
    try:
        settings = Settings.model_validate(raw)
    except ValidationError as error:
        raise SettingsError(f"{path}: {_first(error)}") from None
    settings.cell(settings.profile, settings.datasets[0])
    return settings


def _first(error: ValidationError) -> str:
    found = error.errors()[0]
    where = ".".join(str(part) for part in found["loc"]) or "the file"
    if found["type"] != "extra_forbidden":
        return f"{where}: {found['msg']}, found {found['input']!r}"
    known = _fields(list(found["loc"][:-1]))
    return f"{where}: unknown parameter; {near(str(found['loc'][-1]), known)}"


def _fields(loc: list[Any]) -> list[str]:
    """Names that may stand at a place in the file, found by walking the models along it."""
    model: Any = Settings
    for part in loc:
        if getattr(model, "__origin__", None) is dict:
            model = model.__args__[1]
        else:
            model = model.model_fields[str(part)].annotation
            model = next((kind for kind in get_args(model) if hasattr(kind, "model_fields")), model)  # of an optional
    return list(getattr(model, "model_fields", {}))


def _named(kind: str, name: str, known: dict[str, Any]) -> Any:
    if name not in known:
        raise SettingsError(f"unknown {kind} {name!r}; {near(name, list(known))}")
    return known[name]


def near(name: str, known: list[str]) -> str:
    """The end of a message about an unknown name: the near ones, or all there are."""
    return f"did you mean {' or '.join(difflib.get_close_matches(name, known, n=3) or known)}?"
