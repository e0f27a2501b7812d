"""The bundle every contract and the command line hold."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from zeratul.dispatch.engine import Engine
from zeratul.domain.limits import Limits
from zeratul.service.access import Access
from zeratul.service.applications import DEFAULT_APPLICATION, Applications
from zeratul.service.caller import Caller
from zeratul.service.foundation import Foundation
from zeratul.service.keys import Keys
from zeratul.service.models import Models
from zeratul.service.relationships import Relationships
from zeratul.service.transfers import Transfers

if TYPE_CHECKING:
    from collections.abc import Callable

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
    relationships: Relationships
    access: Access
    transfers: Transfers

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
            relationships=Relationships(foundation),
            access=Access(foundation),
            transfers=Transfers(foundation),
        )
        services.applications.ensure_default()
        return services

    def local_caller(self, application_id: str = DEFAULT_APPLICATION) -> Caller:
        """A caller in this process, who may do everything in the application.

        Raises:
            NotFoundError: there is no such application.
        """
        number = self.applications.number(application_id)
        return Caller(application_id, number, "local", is_root=True)

    def close(self) -> None:
        """Answer what waits, then release the store."""
        self.store.close()
