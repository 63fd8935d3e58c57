"""params.yaml, read and checked: which cells exist, and with what settings each is run."""

import difflib
import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    PrivateAttr,
    ValidationError,
    model_validator,
)

from neurons import Firing, ResetGradient, Surrogate

PARAMS = Path("params.yaml")
Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Name = Annotated[str, Field(pattern=r"^\w+(-\w+)?$")]
ProfileName = Annotated[str, Field(pattern=r"^[\w-]+$")]  # a folder of results/
AS_WIDE_AS = "as_wide_as"  # in a line: the line whose network's parameter count this one's network is widened to
WIDE = "wide"  # label of such a line, by which the report knows it from a results table
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
    more_neurons: dict[ProfileName, dict[Name, dict[str, Any]]]  # lines of one profile alone
    profiles: dict[ProfileName, dict[Name, CellSettings]]
    _widened: dict[str, Any] = PrivateAttr(default_factory=dict)  # line -> its as_wide_as

    @model_validator(mode="wrap")
    @classmethod
    def _without_reserved(cls, raw: Any, validate: ModelWrapValidatorHandler[Self]) -> Self:
        """Takes as_wide_as out of the lines: what stays in `neurons` are arguments of the neurons' `build` alone."""
        if not isinstance(raw, dict):
            return validate(raw)
        more = raw.get("more_neurons")
        more = more if isinstance(more, dict) else {}
        widened: dict[str, Any] = {}
        kept = {"neurons": _arguments(raw.get("neurons"), widened)}
        kept |= {"more_neurons": {name: _arguments(lines, widened) for name, lines in more.items()}} if more else {}
        settings = validate({**raw, **{key: lines for key, lines in kept.items() if key in raw}})
        settings._widened = widened
        return settings

    @model_validator(mode="after")
    def _one_meaning(self) -> Self:
        for profile, lines in self.more_neurons.items():
            if profile not in self.profiles:
                raise ValueError(f"more_neurons.{profile}: unknown profile; {near(profile, list(self.profiles))}")
            for name, arguments in lines.items():
                others = [self.neurons, *(of for other, of in self.more_neurons.items() if other != profile)]
                if name in self.neurons or any(lines.get(name, arguments) != arguments for lines in others):
                    raise ValueError(f"more_neurons.{profile}.{name}: stands elsewhere too; give one of them a label")
        return self

    def of(self, profile: str) -> Self:
        """The same with the lines of a profile: those that all have, and then its own."""
        return self._with_lines({**self.neurons, **self.more_neurons.get(profile, {})})

    def of_all(self) -> Self:
        """The same with the lines of all profiles."""
        more = {name: params for lines in self.more_neurons.values() for name, params in lines.items()}
        return self._with_lines({**self.neurons, **more})

    def _with_lines(self, lines: dict[str, dict[str, Any]]) -> Self:
        return self.model_copy(update={"neurons": lines})

    def cell(self, profile: str, dataset: str) -> CellSettings:
        """Settings of a dataset in a profile; SettingsError for unknown names."""
        return _named(f"dataset in profile {profile}:", dataset, _named("profile", profile, self.profiles))

    def neuron(self, name: str) -> dict[str, Any]:
        """Parameters of a listed neuron's network; SettingsError for a neuron that is not listed.

        They are the arguments of its `build`, and for a widened line {"as_wide_as": {"neuron": ..., "params": ...}},
        the twin that network.Predictor widens it to.
        """
        params = _named("neuron in params.yaml", name, self.neurons)
        twin = self.twin(name)
        return {**params, AS_WIDE_AS: {"neuron": kind(twin), "params": self.neurons[twin]}} if twin else params

    def twin(self, name: str) -> str:
        """The line whose size a widened line's network takes; an empty string for a line that is not widened.

        A control is <neuron>-wide beside stc_<neuron>: the report pairs them by these names. SettingsError otherwise.
        """
        where, wanted = f"neurons.{name}.{AS_WIDE_AS}", f"stc_{kind(name)}"
        if name not in self._widened:
            if is_control(name):
                raise SettingsError(f"{where}: not found, and the label -{WIDE} wants it; add it, or change the label")
            return ""
        twin = self._widened[name]
        if not isinstance(twin, str) or twin not in self.neurons:
            known = [line for line in self.neurons if kind(line) == wanted] or list(self.neurons)
            raise SettingsError(f"{where}: params.yaml lists no neuron {twin!r}; {near(str(twin), known)}")
        if kind(twin) != wanted:
            raise SettingsError(
                f"{where}: {twin} found, wanted {wanted}, the circuit upon {kind(name)}; put that there"
            )
        if not is_control(name):
            raise SettingsError(f"{where}: wanted in a line {kind(name)}-{WIDE} only; rename the line {name}")
        return twin


def _arguments(lines: Any, widened: dict[str, Any]) -> Any:
    """Lines without their as_wide_as, which goes to `widened`; what is no line stays for the validation to refuse."""
    if not isinstance(lines, dict):
        return lines
    given = {name: line for name, line in lines.items() if isinstance(line, dict)}
    widened |= {name: line[AS_WIDE_AS] for name, line in given.items() if AS_WIDE_AS in line}
    kept = {name: {key: value for key, value in line.items() if key != AS_WIDE_AS} for name, line in given.items()}
    return {**lines, **kept}


def kind(name: str) -> str:
    """The neuron or dataset that an entry of params.yaml names: what stands before a hyphen; behind it is a label."""
    return name.partition("-")[0]


def is_control(name: str) -> bool:
    """Whether a line is a capacity control: a neuron whose network was widened to the size of its circuit twin's."""
    return name.partition("-")[2] == WIDE


def is_ablation(name: str) -> bool:
    """Whether a line is a circuit of which a part was taken out or changed: an experiment, no neuron to be ranked."""
    return name.startswith("stc_") and ABLATED.fullmatch(name.partition("-")[2]) is not None


def load(path: Path = PARAMS, profile: str | None = None) -> Settings:
    """Reads and checks params.yaml; SettingsError names the first thing that is wrong with it.

    `neurons` are the lines of `profile`, or of the profile that the file names.
    """
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
    for own in map(settings.of, settings.profiles):
        for name in own.neurons:
            own.twin(name)
    return settings.of(profile or settings.profile)


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
