"""params.yaml, read and checked: which cells exist, and with what settings each is run."""

import difflib
import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError, model_validator

from benchmarks import params
from neurons import Firing, ResetGradient, Surrogate

PARAMS = Path("params.yaml")
Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Name = Annotated[str, Field(pattern=r"^\w+(-\w+)?$")]
ProfileName = Annotated[str, Field(pattern=r"^[\w-]+$")]  # a folder of results/
AS_WIDE_AS = "as_wide_as"  # among a control's parameters: the circuit variant to whose size its network is widened
WIDE = "wide"  # label of a control, by which the report knows it from a results table
ABLATED = re.compile(r"temporal|spatial|none|detach|groups\d+")  # labels of a circuit with a part taken out or changed


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
    """Scheduled sampling: the share of true frames among the inputs after the observed ones, in a straight line."""

    start: Share  # at the first step
    end: Share
    until: Share  # the share of the steps after which it is `end`


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
    workers: Count  # processes at once on a CPU, each on one thread: that many seeds
    loaders: Annotated[int, Field(ge=0)]  # processes of each seed that read batches ahead; 0: read as they are needed

    @model_validator(mode="after")
    def _shared(self) -> "TrainingSettings":
        if self.batch % self.devices:
            raise ValueError(f"devices {self.devices} do not divide batch {self.batch}")
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
    controls: list[Name] = []  # of which neurons there is a capacity control, an entry <neuron>-wide
    more_neurons: dict[ProfileName, dict[Name, dict[str, Any]]]  # entries of one profile alone
    more_controls: dict[ProfileName, list[Name]] = {}  # controls of one profile alone
    profiles: dict[ProfileName, dict[Name, CellSettings]]
    _everywhere: dict[str, dict[str, Any]] = PrivateAttr(default_factory=dict)  # entries that all profiles have

    @model_validator(mode="after")
    def _one_meaning(self) -> Self:
        for where, profiles in (("more_neurons", self.more_neurons), ("more_controls", self.more_controls)):
            for profile in profiles:
                if profile not in self.profiles:
                    raise ValueError(f"{where}.{profile}: unknown profile; {near(profile, list(self.profiles))}")
        for profile, entries in self.more_neurons.items():
            for name, arguments in entries.items():
                others = [self.neurons, *(own for of, own in self.more_neurons.items() if of != profile)]
                if name in self.neurons or any(other.get(name, arguments) != arguments for other in others):
                    raise ValueError(f"more_neurons.{profile}.{name}: stands elsewhere too; give one of them a label")
        return self

    @model_validator(mode="after")
    def _controlled(self) -> Self:
        _refuse_widened("neurons", "controls", self.neurons)
        made = _controls("controls", self.controls, self.neurons, {})
        elsewhere: dict[str, str] = {}
        for profile, entries in self.more_neurons.items():
            _refuse_widened(f"more_neurons.{profile}", f"more_controls.{profile}", entries)
        for profile, names in self.more_controls.items():
            where, entries = f"more_controls.{profile}", {**self.neurons, **self.more_neurons.get(profile, {})}
            for name, of in _controls(where, names, entries, made).items():
                if elsewhere.setdefault(name, of) != of:
                    raise ValueError(f"{where}: {name} is made of {of}, elsewhere of {elsewhere[name]}; keep one")
        self._everywhere = {**self.neurons, **_widened(self.controls, self.neurons)}
        return self

    def of_all(self) -> Self:
        """The same with the entries of all profiles."""
        return self.of(*self.profiles)

    def of(self, *profiles: str) -> Self:
        """The same with the entries of profiles, controls among them: those that all have, and then their own."""
        entries = dict(self._everywhere)
        for profile in profiles:
            entries |= self.more_neurons.get(profile, {})
            entries |= _widened(self.more_controls.get(profile, []), entries)
        return self.model_copy(update={"neurons": entries})

    def cell(self, profile: str, dataset: str) -> CellSettings:
        """Settings of a dataset in a profile; SettingsError for unknown names."""
        return _named(f"dataset in profile {profile}:", dataset, _named("profile", profile, self.profiles))

    def neuron(self, name: str) -> dict[str, Any]:
        """Parameters of a listed neuron's network; SettingsError for a neuron that is not listed.

        They are the arguments of its `build`, and for a control {"as_wide_as": {"neuron": ..., "params": ...}}, the
        circuit variant that network.Predictor widens it to.
        """
        arguments = _named("neuron in params.yaml", name, self.neurons)
        twin = self.twin(name)
        return {**arguments, AS_WIDE_AS: {"neuron": kind(twin), "params": self.neurons[twin]}} if twin else arguments

    def twin(self, name: str) -> str:
        """The entry whose network's size a control's takes, its circuit variant; an empty string for other entries."""
        return f"stc_{kind(name)}" if is_control(name) else ""


def _widened(names: list[str], entries: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The controls of `names`: entries with the same arguments."""
    return {f"{kind(name)}-{WIDE}": entries[name] for name in names}


def _controls(
    where: str, names: list[str], entries: dict[str, dict[str, Any]], before: dict[str, str]
) -> dict[str, str]:
    """Which of `names` each control is made of; ValueError for one that cannot be, or that stands in `before`."""
    made: dict[str, str] = {}
    for name in names:
        control, twin = f"{kind(name)}-{WIDE}", f"stc_{kind(name)}"
        if name.startswith("stc_") or is_control(name):
            what = "control" if is_control(name) else "circuit"
            raise ValueError(f"{where}: {name} is a {what}, wanted the neuron; write {kind(name).removeprefix('stc_')}")
        if name not in entries:
            plain = [entry for entry in entries if not entry.startswith("stc_")]
            raise ValueError(f"{where}: params.yaml lists no neuron {name!r}; {near(name, plain)}")
        if twin not in entries:
            raise ValueError(
                f"{where}: {name} wants an entry {twin}, to whose size it is widened; add it, or drop {name}"
            )
        other = made.get(control) or before.get(control)
        if other:
            raise ValueError(f"{where}: {control} is made of {other} already; drop {name}")
        made[control] = name
    return made


def _refuse_widened(where: str, controls: str, entries: dict[str, dict[str, Any]]) -> None:
    """ValueError for a control that is written as an entry."""
    for name, arguments in entries.items():
        if is_control(name) or AS_WIDE_AS in arguments:
            raise ValueError(f"{where}.{name}: a control is not an entry; list {kind(name)} under `{controls}`")


def kind(name: str) -> str:
    """The neuron or dataset that an entry of params.yaml names: what stands before a hyphen; behind it is a label."""
    return name.partition("-")[0]


def is_control(name: str) -> bool:
    """Whether an entry is a capacity control: a neuron in a network as large as that of its circuit variant."""
    return name.partition("-")[2] == WIDE


def is_ablation(name: str) -> bool:
    """Whether a line is a circuit of which a part was taken out or changed: an experiment, no neuron to be ranked."""
    return name.startswith("stc_") and ABLATED.fullmatch(name.partition("-")[2]) is not None


def load(path: Path = PARAMS, profile: str | None = None) -> Settings:
    """Reads and checks params.yaml; SettingsError names the first thing that is wrong with it.

    `neurons` are the entries of `profile`, or of the profile that the file names, controls among them.
    """
    try:
        raw = params.read(path)
        settings = Settings.model_validate(params.whole(raw))
    except FileNotFoundError:
        raise SettingsError(f"{path}: not found; run from the root of the project") from None
    except params.WrittenError as error:
        raise SettingsError(f"{path}: {error}") from None
    except ValidationError as error:
        raise SettingsError(f"{path}: {_first(error, raw)}") from None
    settings.cell(settings.profile, settings.datasets[0])
    return settings.of(profile or settings.profile)


def _first(error: ValidationError, raw: Any) -> str:
    """The first thing that is wrong, with its place in the file, of which `raw` is the content."""
    found = error.errors()[0]
    loc = params.place(raw, found["loc"])
    where = ".".join(str(part) for part in loc) or "the file"
    if found["type"] == "extra_forbidden":
        return f"{where}: unknown parameter; {near(str(loc[-1]), _fields(list(found['loc'][:-1])))}"
    if found["type"] == "value_error":
        return f"{where}: {found['ctx']['error']}" if loc else str(found["ctx"]["error"])
    if found["type"] == "missing":
        shared = len(loc) > 3 and loc[3] in params.SHARED
        return f"{where}: required; add it" + (f", or to {loc[0]}.{loc[1]}.{params.DEFAULTS}" if shared else "")
    return f"{where}: {found['msg']}, found {found['input']!r}"


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
