"""The bundle every contract and the command line hold."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from zeratul.dispatch.engine import Engine
from zeratul.domain.limits import Limits
from zeratul.service.administration.applications import Applications
from zeratul.service.administration.audit_log import AuditLog
from zeratul.service.administration.declared_names import ensure_declared_names
from zeratul.service.administration.settings import Settings
from zeratul.service.ground.caller import Caller
from zeratul.service.ground.directory import DEFAULT_APPLICATION
from zeratul.service.ground.foundation import Foundation
from zeratul.service.groups.groups import Groups
from zeratul.service.keys.keys import Keys
from zeratul.service.questions.access import Access
from zeratul.service.questions.permissions import Permissions
from zeratul.service.relationships.relationships import Relationships
from zeratul.service.relationships.transfers import Transfers
from zeratul.service.roles.assignments import Assignments
from zeratul.service.roles.policies import Policies
from zeratul.service.roles.roles import Roles
from zeratul.service.roles.tenants import Tenants
from zeratul.service.rules.catalog import Catalogs
from zeratul.service.rules.models import Models
from zeratul.service.tokens.issuers import Issuers
from zeratul.service.tokens.tokens import Tokens

if TYPE_CHECKING:
    from collections.abc import Callable

    from zeratul.service.ground.decisions import Decisions
    from zeratul.store.interface import Store


def system_clock_ms() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """All use cases over one store in one process."""

    store: Store
    engine: Engine
    limits: Limits
    now_ms: Callable[[], int]
    applications: Applications
    keys: Keys
    models: Models
    catalog: Catalogs
    relationships: Relationships
    access: Access
    groups: Groups
    policies: Policies
    roles: Roles
    assignments: Assignments
    tenants: Tenants
    permissions: Permissions
    transfers: Transfers
    issuers: Issuers
    tokens: Tokens
    audit: AuditLog
    settings: Settings
    decisions: Decisions

    @classmethod
    def build(
        cls,
        store: Store,
        *,
        limits: Limits | None = None,
        clock_ms: Callable[[], int] = system_clock_ms,
    ) -> Services:
        """The services over a store, with an application ``default`` in it.

        Raises:
            StoreError: the store can not be read, or written at its first use.
        """
        chosen = limits or Limits()
        engine = Engine(store, chosen)
        foundation = Foundation(store, engine, chosen, clock_ms)
        services = cls(
            store=store,
            engine=engine,
            limits=chosen,
            now_ms=clock_ms,
            applications=Applications(foundation),
            keys=Keys(foundation),
            models=Models(foundation),
            catalog=Catalogs(foundation),
            relationships=Relationships(foundation),
            access=Access(foundation),
            groups=Groups(foundation),
            policies=Policies(foundation),
            roles=Roles(foundation),
            assignments=Assignments(foundation),
            tenants=Tenants(foundation),
            permissions=Permissions(foundation),
            transfers=Transfers(foundation),
            issuers=Issuers(foundation),
            tokens=Tokens(foundation),
            audit=AuditLog(foundation),
            settings=Settings(foundation),
            decisions=foundation.decisions,
        )
        ensure_declared_names(store, chosen)
        services.applications.ensure_default()
        services.keys.ensure_index()
        return services

    def local_caller(self, application_id: str = DEFAULT_APPLICATION) -> Caller:
        """A caller in this process, who may do everything in the application.

        Raises:
            NotFoundError: there is no such application.
        """
        number = self.applications.number(application_id)
        return Caller(application_id, number, "local", is_root=True)

    def close(self) -> None:
        """Store what is noted, answer what waits, then release the store."""
        self.keys.close()
        self.decisions.close()
        self.store.close()
