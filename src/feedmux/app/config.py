"""Read the settings from where people write them, and say clearly what is wrong with them.

Strongest first: command-line flags, the environment, ``.env`` in the working directory,
a TOML file (``--config FILE``, else ``feedmux.toml`` in the working directory), defaults.
An unknown name is an error in flags and in our TOML file, where only we can be meant; the
environment and ``.env`` belong to others too, so names that we do not know are ignored
there, and so are empty values.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal, NamedTuple, get_args, get_origin

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from pydantic_settings import DotEnvSettingsSource, EnvSettingsSource

from feedmux.app import authentication, cluster, rbac
from feedmux.app.bybit_url import is_bybit, venue_url
from feedmux.app.secret import Secret
from feedmux.app.section import note
from feedmux.app.settings import Settings, fields
from feedmux.model.errors import InvalidSetting, LocalError

TOML_FILE: Final = "feedmux.toml"
ENV_FILE: Final = ".env"
SET: Final = "--set"
_USER: Final = re.compile(r"//[^/\s]*@")
"""The user and the password in a URL."""
TOGETHER: Final = {
    "bybit_reconnect_delay_max": "a number not below BYBIT_RECONNECT_DELAY_INITIAL",
    "deribit_reconnect_delay_max": "a number not below DERIBIT_RECONNECT_DELAY_INITIAL",
    "alpaca_reconnect_delay_max": "a number not below ALPACA_RECONNECT_DELAY_INITIAL",
    "apca_api_key_id": "the id of an API key, because VENUES has alpaca",
    "apca_api_secret_key": "the secret of APCA_API_KEY_ID, because VENUES has alpaca",
    "venues": "at least one market, or RABBITMQ_HOST beside it",
    "tls_cert": "the path of the certificate, because TLS_KEY is set",
    "tls_key": "the path of its private key, because TLS_CERT is set",
    **authentication.TOGETHER,
    **cluster.TOGETHER,
}
"""What is expected of a setting that is right by itself, and wrong beside another one."""


class UnknownSetting(InvalidSetting):
    """A name that is no setting. Its value is not shown: it may be a misspelt secret's.

    Args:
        name: the name, as its user wrote it.
        nearest: the setting that was probably meant, or empty.
    """

    code = "UNKNOWN_SETTING"

    def __init__(self, name: str, nearest: str) -> None:
        super().__init__(name, Secret(""), "a known setting")
        self.nearest = nearest

    def __str__(self) -> str:
        hint = f"did you mean {self.nearest}?" if self.nearest else "`feedmux config print` lists all of them"
        return f"{self.name} is not a setting; {hint}"


class InvalidConfiguration(LocalError):
    """One or more settings cannot work; ``str()`` names every one on a line of its own.

    Args:
        problems: what is wrong, setting by setting; at least one.
    """

    code = "INVALID_CONFIGURATION"

    def __init__(self, problems: Sequence[InvalidSetting]) -> None:
        super().__init__(problems)
        self.problems = tuple(problems)

    def __str__(self) -> str:
        return "\n".join(map(str, self.problems))


class Layer(NamedTuple):
    """The settings of one source.

    Args:
        origin: where they stand: ``flag``, ``--set``, ``environment``, ``.env`` or the TOML file's path.
        values: attribute name to value, unchecked; unknown names may be among them.
        spelt: attribute name to what was written for it, where that may differ.
    """

    origin: str
    values: Mapping[str, Any]
    spelt: Mapping[str, str] = MappingProxyType({})

    def word(self, name: str) -> str:
        """Return ``name`` as the user of this source writes it: ``--port``, ``PORT``, ``port``."""
        if name in self.spelt:
            return self.spelt[name]
        if self.origin == "flag":
            return "--" + {"venues": "venue"}.get(name, name).replace("_", "-")
        return name.upper() if self.origin in {"environment", ENV_FILE} else name

    def place(self, name: str) -> str:
        """Return where ``name`` is to be corrected: its word, and the file or option it stands in."""
        if self.origin == SET:
            return f"{SET} {self.word(name)}"
        in_file = self.origin not in {"flag", "environment"}
        return f"{self.origin}: {self.word(name)}" if in_file else self.word(name)


def load(
    flags: Mapping[str, Any] | None = None,
    *,
    pairs: Mapping[str, str] | None = None,
    config: Path | None = None,
    defaults: Layer | None = None,
) -> Settings:
    """Read all sources and return the settings.

    Args:
        flags: overrides by setting name, in any case; a value of None was not given.
        pairs: what :func:`parse_pairs` read; flags are stronger.
        config: the TOML file; without it ``feedmux.toml`` of the working directory, if there.
        defaults: what a command has in the place of the settings' own.

    Raises:
        InvalidConfiguration: names everything that is wrong, not only the first.
    """
    layers = read_layers(flags, pairs=pairs, config=config)
    return build(layers if defaults is None else (*layers, defaults))


def parse_pairs(pairs: Sequence[str]) -> dict[str, str]:
    """Read the ``NAME=VALUE`` words of ``--set``; of a name that comes twice the last one counts.

    Raises:
        InvalidConfiguration: a word has no name or no ``=``.
    """
    wrong = [InvalidSetting(SET, pair, "NAME=VALUE") for pair in pairs if pair.find("=") < 1]
    if wrong:
        raise InvalidConfiguration(wrong)
    return dict(pair.split("=", 1) for pair in pairs)


def read_layers(
    flags: Mapping[str, Any] | None = None,
    *,
    pairs: Mapping[str, str] | None = None,
    config: Path | None = None,
) -> tuple[Layer, ...]:
    """Read the sources without judging their values; strongest first. Blocks on small files.

    Args:
        flags: see :func:`load`.
        pairs: see :func:`load`.
        config: see :func:`load`.

    Raises:
        InvalidConfiguration: a file cannot be read.
    """
    given = {rbac.attribute(name): value for name, value in (flags or {}).items() if value is not None}
    environment = EnvSettingsSource(Settings, case_sensitive=False, env_ignore_empty=True)
    return (
        Layer("flag", rbac.folded(given)),
        _set_layer(pairs or {}),
        Layer("environment", _variables(environment)),
        Layer(ENV_FILE, _read_env_file(Path(ENV_FILE))),
        _read_toml(config),
    )


def build(layers: Sequence[Layer]) -> Settings:
    """Check the values of all layers and return the settings; the first layer is the strongest.

    Raises:
        InvalidConfiguration: names everything that is wrong.
    """
    known = fields()
    values: dict[str, Any] = {
        name: value for layer in reversed(layers) for name, value in layer.values.items() if name in known
    }
    roles, wrong = rbac.read(layers)
    values.pop(rbac.FIELD, None)
    if roles:
        values[rbac.FIELD] = roles
    problems: list[InvalidSetting] = [*_unknown(layers, known), *wrong]
    try:
        settings = Settings(**{name: _stripped(value) for name, value in values.items()})
    except ValidationError as error:
        problems += _problems(error.errors(), layers)
    if problems:
        raise InvalidConfiguration(problems)
    return settings


def origin(layers: Iterable[Layer], name: str) -> Layer | None:
    """Return the layer that decides setting ``name``; None when the default does."""
    return next((layer for layer in layers if name in layer.values), None)


def expected(field: FieldInfo) -> str:
    """Say what a right value of a setting looks like."""
    if said := note(field, "expected"):
        return said
    annotation = field.annotation
    if get_origin(annotation) is Literal:
        return "one of " + ", ".join(get_args(annotation))
    if annotation is bool:
        return "true or false"
    if annotation not in (int, float):
        return "a text"
    bounds = {
        kind: getattr(rule, kind) for rule in field.metadata for kind in ("ge", "le") if hasattr(rule, kind)
    }
    noun = "a whole number" if annotation is int else "a number"
    return f"{noun} from {plain(bounds['ge'])} to {plain(bounds['le'])}"


def plain(value: object) -> str:
    """Write a value the way people write it: ``true``, ``auto``, ``a,b``, ``5.0``, ``***``."""
    if value is None:
        return "auto"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return rbac.text(value) if isinstance(value, dict) else str(value)


def notices(settings: Settings) -> tuple[str, ...]:
    """Return what a start should say once about its settings: one sentence each, for WARNING lines."""
    lines = [
        f"{name.upper()} was set and does nothing: {note(field, 'idle')}"
        for name, field in fields().items()
        if name in settings.model_fields_set and note(field, "idle")
    ]
    used = venue_url(settings, settings.bybit_category)
    given = settings.bybit_ws_url
    if "bybit_ws_url" in settings.model_fields_set and is_bybit(given) and given != used:
        rule = f"BYBIT_TESTNET={plain(settings.bybit_testnet)} and BYBIT_CATEGORY={settings.bybit_category}"
        lines.append(f"BYBIT_WS_URL={given} gives way to {rule}: {used} is used")
    return tuple(lines)


def _set_layer(pairs: Mapping[str, str]) -> Layer:
    values = {rbac.attribute(name): value for name, value in pairs.items()}
    return Layer(SET, rbac.folded(values), {rbac.attribute(name): name.strip() for name in pairs})


def _variables(source: EnvSettingsSource) -> dict[str, Any]:
    """The settings in an environment, or in a file of one."""
    return rbac.folded({**source(), **rbac.named(source.env_vars)})


def _stripped(value: Any) -> Any:
    return value.strip() if isinstance(value, str) else value


def _read_env_file(path: Path) -> dict[str, Any]:
    try:
        source = DotEnvSettingsSource(
            Settings,
            env_file=path,
            env_file_encoding="utf-8",
            case_sensitive=False,
            env_ignore_empty=True,
            dotenv_filtering="only_existing",
        )
        return _variables(source)
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidConfiguration(
            [InvalidSetting(ENV_FILE, str(path), f"a readable file ({error})")]
        ) from error


def _read_toml(config: Path | None) -> Layer:
    """Read the TOML file; its names may be written in any case."""
    path = config or Path(TOML_FILE)
    if config is None and not path.exists():
        return Layer(str(path), {})
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        wrong = InvalidSetting("--config", str(path), f"a readable file ({error.strerror})")
        raise InvalidConfiguration([wrong]) from error
    except ValueError as error:  # TOMLDecodeError and UnicodeDecodeError
        raise InvalidConfiguration(
            [InvalidSetting("--config", str(path), f"valid TOML ({error})")]
        ) from error
    return Layer(str(path), rbac.folded({name.lower(): value for name, value in table.items()}))


def _unknown(layers: Sequence[Layer], known: Mapping[str, FieldInfo]) -> Iterable[UnknownSetting]:
    for layer in layers:
        for name in layer.values:
            if name not in known:
                near = get_close_matches(name, known, n=1)
                yield UnknownSetting(layer.place(name), layer.word(near[0]) if near else "")


def _problems(details: Sequence[ErrorDetails], layers: Sequence[Layer]) -> Iterable[InvalidSetting]:
    """Translate pydantic's findings, one per setting."""
    known, seen = fields(), set[str]()
    for detail in details:
        name = str(detail["loc"][0]) if detail["loc"] else str(detail["ctx"]["error"])
        if name not in seen and detail["type"] != "default_factory_not_called":
            seen.add(name)
            yield _problem(name, known[name], layers, whole=bool(detail["loc"]))


def _problem(name: str, field: FieldInfo, layers: Sequence[Layer], *, whole: bool) -> InvalidSetting:
    layer = origin(layers, name)
    value = field.default if layer is None else layer.values[name]
    if field.annotation is Secret and not isinstance(value, Secret):
        value = Secret(str(value))
    elif isinstance(value, str):
        value = _USER.sub("//***@", value)
    want = expected(field) if whole else TOGETHER[name]
    return InvalidSetting(layer.place(name) if layer else name.upper(), value, want)
