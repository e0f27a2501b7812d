"""Every route of this contract, in one table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zeratul.api.authaz.access import AccessHandlers
from zeratul.api.authaz.administration import AdministrationHandlers
from zeratul.api.authaz.assignments import AssignmentHandlers
from zeratul.api.authaz.audit import AuditHandlers
from zeratul.api.authaz.catalog import CatalogHandlers
from zeratul.api.authaz.floor import ConstantChecks
from zeratul.api.authaz.groups import GroupHandlers
from zeratul.api.authaz.issuers import IssuerHandlers
from zeratul.api.authaz.lists import ListHandlers
from zeratul.api.authaz.permissions import PermissionHandlers
from zeratul.api.authaz.policies import PolicyHandlers
from zeratul.api.authaz.relationships import RelationshipHandlers
from zeratul.api.authaz.roles import RoleHandlers
from zeratul.api.authaz.transfers import TransferHandlers
from zeratul.api.routes import Route

if TYPE_CHECKING:
    from zeratul.api.forwarding import Forwarder
    from zeratul.api.work import Work
    from zeratul.domain.limits import Limits
    from zeratul.service.services import Services

PREFIX = "/api/v1"


def routes(
    services: Services,
    limits: Limits,
    work: Work,
    forwarder: Forwarder | None,
    *,
    floor: bool = False,
) -> list[Route]:
    """The table; handlers are bound to the services (checks to a constant, for a floor)."""
    deciding = ConstantChecks() if floor else services.access
    access = AccessHandlers(deciding, limits, work, forwarder)
    relationships = RelationshipHandlers(services, limits, work, forwarder)
    lists = ListHandlers(services, limits, work)
    transfers = TransferHandlers(services, limits, work)
    administration = AdministrationHandlers(services, limits, work)
    audit = AuditHandlers(services, limits, work)
    catalog = CatalogHandlers(services, limits, work)
    groups = GroupHandlers(services, limits, work)
    issuers = IssuerHandlers(services, limits, work)
    policies = PolicyHandlers(services, limits, work)
    roles = RoleHandlers(services, limits, work)
    assignments = AssignmentHandlers(services, limits, work)
    permissions = PermissionHandlers(services, work, forwarder)

    small, large = "small_body_bytes_max", "body_bytes_max"
    authorization = f"{PREFIX}/authorization"
    facts = f"{authorization}/relationships"
    return [
        # Asked most, looked up first.
        Route("POST", f"{authorization}/check", access.check, express=access.check_now),
        Route("POST", f"{authorization}/check/bulk", access.check_many),
        Route("POST", f"{authorization}/check-bulk", access.check_many),
        Route("POST", f"{authorization}/explain", access.explain, heavy=True, body_limit=small),
        Route("GET", f"{authorization}/expand", access.expand, heavy=True, body_limit=small),
        Route("GET", f"{authorization}/who-can", lists.who_can, heavy=True, body_limit=small),
        Route("GET", f"{authorization}/what-can", lists.what_can, heavy=True, body_limit=small),
        Route("POST", facts, relationships.write),
        Route("DELETE", facts, relationships.delete),
        Route("GET", facts, relationships.read),
        Route("POST", f"{facts}/bulk", relationships.bulk, heavy=True, body_limit=large),
        Route("POST", f"{facts}/import", transfers.load, heavy=True),
        Route("GET", f"{facts}/export", transfers.dump, heavy=True, body_limit=small),
        *permissions.routes(),
        *policies.routes(),
        *roles.routes(),
        *assignments.routes(),
        *administration.routes(),
        *audit.routes(),
        *catalog.routes(),
        *groups.routes(),
        *issuers.routes(),
    ]
