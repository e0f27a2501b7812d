"""Names and descriptions that people give to policies and roles."""

from __future__ import annotations

import hashlib
import re

import orjson

from zeratul.domain.relationship import WILDCARD, id_problem
from zeratul.errors import MalformedError

# LIMIT: a name is shown in menus.
NAME_LENGTH_MAX = 200
# LIMIT: a description is read in a form; longer texts belong elsewhere.
DESCRIPTION_LENGTH_MAX = 1_024

# Line breaks and tabs may stand in a description, nothing else that is not shown.
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_DIGEST_BYTES = 16


def require_name(text: str) -> None:
    """Whether a text may be a name.

    Raises:
        MalformedError: it is empty, too long or not printable.
    """
    problem = None
    if not text:
        problem = "a name must not be empty"
    elif len(text) > NAME_LENGTH_MAX:
        problem = f"a name has at most {NAME_LENGTH_MAX} characters"
    else:
        # The rules of ids, but `#` is no mark here.
        found = id_problem(text.replace("#", "-"))
        problem = found.replace("an id", "a name") if found else None
    if problem:
        raise MalformedError(problem, field="name")


def require_description(text: str) -> None:
    """Whether a text may be a description.

    Raises:
        MalformedError: it is too long or not printable.
    """
    if len(text) > DESCRIPTION_LENGTH_MAX:
        raise MalformedError(
            f"a description has at most {DESCRIPTION_LENGTH_MAX:,} characters",
            field="description",
        )
    if _UNPRINTABLE.search(text):
        raise MalformedError(
            "a description must not contain control characters or surrogates", field="description"
        )


def require_tenant(text: str, field: str = "tenantId") -> None:
    """Whether a text may name a tenant.

    Raises:
        MalformedError: it breaks the rules of ids, or is a star.
    """
    problem = id_problem(text)
    if problem:
        raise MalformedError(problem, field=field)
    if text == WILDCARD:
        # A star where an id is expected would be a mistake with a large effect.
        raise MalformedError("a tenant id must not be `*`", field=field)


def label_digest(tenant_id: str | None, name: str) -> str:
    """What a name is found by: names of one tenant (None: the application's) are unique."""
    return _digest(orjson.dumps([tenant_id, name]))


def tenant_digest(tenant_id: str) -> str:
    """What a tenant is found by: ids of documents are short, tenants' need not be."""
    return _digest(orjson.dumps([tenant_id]))


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=_DIGEST_BYTES).hexdigest()
