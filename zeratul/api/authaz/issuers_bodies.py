"""Bodies of the calls around trusted issuers."""

from __future__ import annotations

from typing import Any

from zeratul.api.authaz.structures import Body
from zeratul.service.tokens.issuers import CLOCK_SKEW_S_DEFAULT


class IssuerBody(Body):
    """A trusted issuer as it shall be; its keys at ``jwksUri`` or in ``jwks``."""

    issuer: str
    audience: str
    jwks_uri: str | None = None
    jwks: dict[str, Any] | None = None
    algorithms: list[str] | None = None
    clock_skew_seconds: int = CLOCK_SKEW_S_DEFAULT
    user_claim: str = "sub"
    tenant_claim: str = "tenant_id"
