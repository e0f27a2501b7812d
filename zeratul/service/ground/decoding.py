"""JSON as typed values: decoders made once, every complaint named by its field.

msgspec decodes and validates at C speed and stops at its first finding; what it says is put into
our words and our error classes here, and nowhere else.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec
from msgspec import inspect

from zeratul.errors import MalformedError, UnknownNameError, ValidationError

if TYPE_CHECKING:
    from zeratul.errors import InputError

T = TypeVar("T")

_AT = re.compile(r"(?s)(.*) - at `(?:key in )?\$(.*)`")
_UNKNOWN_FIELD = re.compile(r"(?s)Object contains unknown field `(.*)`")
_MISSING_FIELD = re.compile(r"Object missing required field `(.*)`")
_STEP = re.compile(r"\.([^.\[]+)|\[[^\]]*\]")

# Our words for JSON's types: a client knows no Python.
_WORDS = {
    "str": "a string",
    "int": "an integer",
    "float": "a number",
    "bool": "true or false",
    "array": "an array",
    "object": "an object",
    "null": "null",
    "datetime": "a time (RFC 3339)",
}
_TYPES = re.compile(r"`([a-z0-9]+(?: \| [a-z0-9]+)*)`")


class Decoder(Generic[T]):
    """Decodes one kind of body, item or line; ``what`` is what complaints call it."""

    __slots__ = ("_decode", "kind", "what")

    def __init__(self, kind: type[T], *, what: str = "the body") -> None:
        self.kind = kind
        self.what = what
        self._decode = msgspec.json.Decoder(kind).decode

    def __call__(self, raw: bytes | msgspec.Raw, *, prefix: str = "") -> T:
        """The value of a body.

        Args:
            raw: the JSON text.
            prefix: put before the names of fields, for example ``writes[3].``.

        Raises:
            MalformedError: it is not JSON, not UTF-8 or nested beyond reason.
            UnknownNameError: a field nobody declared; names the nearest.
            ValidationError: a field is missing or of another type.
        """
        try:
            return self._decode(raw)
        except msgspec.ValidationError as error:
            raise _translated(str(error), self, prefix) from None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise _not_json(error, self.what, prefix) from None
        except RecursionError:
            raise MalformedError("the JSON is nested too deeply", field=_trim(prefix)) from None


def _not_json(error: Exception, what: str, prefix: str) -> MalformedError:
    text = "not valid UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
    text = text.removeprefix("JSON is malformed: ").strip()
    return MalformedError(f"{what} is not JSON: {text}", field=_trim(prefix))


def _translated(text: str, decoder: Decoder[Any], prefix: str) -> InputError:
    found = _AT.fullmatch(text)
    message, path = (found[1], found[2]) if found else (text, "")
    where = prefix + path.removeprefix(".")
    unknown = _UNKNOWN_FIELD.fullmatch(message)
    if unknown:
        known = _fields_at(decoder.kind, path)
        return UnknownNameError("field", unknown[1], known, field=_join(where, unknown[1]))
    missing = _MISSING_FIELD.fullmatch(message)
    if missing:
        return ValidationError({_join(where, missing[1]): ["is missing"]})
    message = _TYPES.sub(_in_words, message)
    message = message[:1].lower() + message[1:]
    if not _trim(where):
        return MalformedError(f"{decoder.what}: {message}")
    return ValidationError({_trim(where) or "": [message]})


def _in_words(types: re.Match[str]) -> str:
    return " or ".join(_WORDS.get(each, each) for each in types[1].split(" | "))


def _join(where: str, name: str) -> str:
    shown = name if len(name) <= 128 else name[:64] + "…"  # LIMIT: a stranger chose the name
    where = where.rstrip(".")
    return f"{where}.{shown}" if where else shown


def _trim(where: str) -> str | None:
    return where.rstrip(".") or None


def _fields_at(kind: type, path: str) -> list[str]:
    """Names of the fields of the object at a path inside a type."""
    at: Any = inspect.type_info(kind)
    for step in _STEP.finditer(path):
        at = _below(at, step[1])
    found = _structure(at)
    return [each.encode_name for each in found.fields] if found else []


def _below(at: Any, name: str | None) -> Any:
    for option in _options(at):
        if name is None and isinstance(option, inspect.ListType | inspect.VarTupleType):
            return option.item_type
        if name is not None and isinstance(option, inspect.StructType):
            for each in option.fields:
                if each.encode_name == name:
                    return each.type
    return None


def _structure(at: Any) -> inspect.StructType | None:
    return next((each for each in _options(at) if isinstance(each, inspect.StructType)), None)


def _options(at: Any) -> tuple[Any, ...]:
    return at.types if isinstance(at, inspect.UnionType) else (at,)
