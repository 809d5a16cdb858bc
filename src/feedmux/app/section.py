"""What every declaration of a setting is made of: its key, the types of values, the section.

:mod:`feedmux.app.settings` has the declarations themselves.
"""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, JsonValue
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from feedmux.core import origin
from feedmux.model.errors import InvalidSetting


def key(
    default: Any = ...,
    about: str = "",
    *,
    between: tuple[float, float] | None = None,
    unit: str = "",
    expected: str = "",
    idle: str = "",
    **more: Any,
) -> Any:
    """Declare one setting.

    Args:
        default: its value when nobody sets it; left out when ``more`` has a ``default_factory``.
        about: one sentence that says what it does.
        between: the lowest and the highest allowed number.
        unit: ``s``, ``bytes``, ... for numbers.
        expected: what a right value looks like, where type and bounds do not say it.
        idle: why it is accepted but does nothing; logged once at start when it was set.
        more: passed on to :func:`pydantic.Field`.
    """
    extra: dict[str, JsonValue] = {"unit": unit, "expected": expected, "idle": idle}
    if between is not None:
        more |= {"ge": between[0], "le": between[1]}
    return Field(default, description=about, json_schema_extra=extra, **more)


def _websocket_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"ws", "wss"} or not parts.hostname:
        raise ValueError("not a WebSocket URL")
    _ = parts.port  # raises ValueError when it is no port
    return text


def _origin(text: str) -> str:
    try:
        origin.entry(text)
    except InvalidSetting as error:
        raise ValueError("no origin") from error
    return text


def split(value: object) -> object:
    """Read ``a, b`` as two items; a list stays what it is."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


def auto(value: object) -> object:
    """Read ``auto`` as None."""
    return None if isinstance(value, str) and value.strip().lower() == "auto" else value


def upper(value: object) -> object:
    """Read a text in capitals."""
    return value.strip().upper() if isinstance(value, str) else value


def level(value: object) -> object:
    """Read the name of a log level, in the words of other programs too."""
    word = upper(value)
    return _LEVELS.get(word, word) if isinstance(word, str) else word


def lower(value: object) -> object:
    """Read a text in small letters."""
    return value.strip().lower() if isinstance(value, str) else value


def _power_of_two(value: int) -> int:
    if value & (value - 1):
        raise ValueError("no power of two")
    return value


PowerOfTwo = Annotated[int, AfterValidator(_power_of_two)]
Url = Annotated[str, AfterValidator(_websocket_url)]
Origin = Annotated[str, AfterValidator(_origin)]


_LEVELS = {
    "WARN": "WARNING",
    "TRACE": "DEBUG",
    "FATAL": "CRITICAL",
    "PANIC": "CRITICAL",
    "DISABLED": "CRITICAL",
}
"""Names that zerolog has; what it disables, we keep for defects."""


class Section(BaseSettings):
    """What all sections share: frozen, no unknown names, no finger on the environment."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, str_strip_whitespace=True, hide_input_in_errors=True
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Leave only what the caller passes: :func:`feedmux.app.config.load` reads the rest itself."""
        return (init_settings,)


def note(field: FieldInfo, name: str) -> str:
    """Return what a declaration says beside the sentence: its ``unit``, ``expected`` or ``idle``."""
    extra = field.json_schema_extra
    return str(extra[name]) if isinstance(extra, dict) else ""
