"""Reads one run's TOML file into dataclasses. Unknown keys, missing keys and wrong types are listed all at once."""

from __future__ import annotations

import dataclasses
import tomllib
import types
import typing
from pathlib import Path

_T = typing.TypeVar("_T")


class SettingsError(ValueError):
    """The file cannot be used; the message has a line for each problem."""


def load(kind: type[_T], path: Path) -> _T:
    """Reads `path` as `kind`, a frozen dataclass. Relative paths in it start at the folder of the file."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path}: {error}") from error
    problems: list[str] = []
    made = _table(kind, table, "", path.resolve().parent, problems)
    if problems:
        raise SettingsError("\n".join(f"{path}: {problem}" for problem in problems))
    return made


def _table(kind: type, table: dict, prefix: str, folder: Path, problems: list[str]):
    hints = typing.get_type_hints(kind)
    known = {f.name: f for f in dataclasses.fields(kind)}
    problems += [f"{prefix}{key}: no such key; there are {', '.join(known)}" for key in table if key not in known]
    values = {}
    for name, field in known.items():
        if name in table:
            values[name] = _value(hints[name], table[name], prefix + name, folder, problems)
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            problems.append(f"{prefix}{name}: missing")
            values[name] = None
    return kind(**values)


def _value(hint, value, name: str, folder: Path, problems: list[str]):
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        hint = next(a for a in arguments if a is not type(None))
        origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if dataclasses.is_dataclass(hint) and isinstance(value, dict):
        return _table(hint, value, name + ".", folder, problems)
    if origin in (tuple, list) and isinstance(value, list):
        return origin(_value(arguments[0], item, f"{name}[{i}]", folder, problems) for i, item in enumerate(value))
    if origin is dict and isinstance(value, dict):
        return {k: _value(arguments[1], item, f"{name}.{k}", folder, problems) for k, item in value.items()}
    if origin is typing.Literal:
        if value in arguments:
            return value
        problems.append(f"{name}: expected {' or '.join(map(str, arguments))}, found {value!r}")
        return None
    if hint is Path and isinstance(value, str):
        return folder / value
    if hint is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if hint in (int, str, bool, dict) and type(value) is hint:
        return value
    if hint is typing.Any:
        return value
    wanted = getattr(origin or hint, "__name__", str(hint))
    problems.append(f"{name}: expected {'table' if dataclasses.is_dataclass(hint) else wanted}, found {value!r}")
    return None


def replaced(settings, changes: dict):
    """A copy of nested dataclasses with single values changed, by dotted names: `{"lora.rank": 8}`."""
    for name, value in changes.items():
        head, _, rest = name.partition(".")
        if not any(f.name == head for f in dataclasses.fields(settings)):
            raise SettingsError(f"{name}: no such key")
        inner = getattr(settings, head)
        settings = dataclasses.replace(settings, **{head: replaced(inner, {rest: value}) if rest else value})
    return settings
