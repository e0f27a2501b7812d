"""What is declared rather than programmed: the files of ``schema/``, wherever they are.

A wheel carries them as ``zeratul/_schema``; in a source tree (and an editable install) they are
the directory ``schema`` beside the package.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from zeratul.errors import InternalError

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable


def declared(name: str) -> bytes:
    """The bytes of one declared file, for example ``models/documents/model.json``.

    Args:
        name: its path inside ``schema/``, with ``/`` between the parts.

    Raises:
        InternalError: this installation has no such file.
    """
    parts = name.split("/")
    # Names come from our own code; this keeps a careless caller inside the directory all the same.
    if not all(parts) or "." in parts or ".." in parts:
        raise InternalError(f"not the name of a declared file: `{name}`")
    try:
        return _root().joinpath(*parts).read_bytes()
    except OSError as error:
        raise InternalError(f"the declared file `{name}` is not installed") from error


def _root() -> Traversable:
    # Asked of this package, not of `zeratul`: a regular package always has exactly one place.
    here = files(__package__)
    if not isinstance(here, Path):
        raise InternalError("the package must be installed as files, not run from an archive")
    package = here.parent
    installed = package / "_schema"
    return installed if installed.is_dir() else package.parent / "schema"
