"""The sample of `serve --demo`: an organisation's folders and documents for an empty store."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import orjson

from zeratul.cli.console import answer
from zeratul.cli.painting import painted
from zeratul.domain.relationship import ObjectRef, SubjectRef
from zeratul.door import open_services
from zeratul.graph.answers import CheckQuestion
from zeratul.language.declared import declared

if TYPE_CHECKING:
    from zeratul.config import Config
    from zeratul.service.ground.caller import Caller
    from zeratul.service.services import Services

SAMPLE = "models/documents"

# Through nested groups, an organisation and a folder: no grant names david, or this document.
GRANTED = CheckQuestion(
    SubjectRef("user", "david"), ObjectRef("document", "vacation-policy"), "can_read"
)
DENIED = CheckQuestion(
    SubjectRef("user", "hugo"), ObjectRef("document", "vacation-policy"), "can_read"
)


class Sample(NamedTuple):
    """What is shown once the server answers: two explanations, and what to paste.

    Attributes:
        granted, denied: the explanations.
        key: one that was made for this start; others are not shown.
    """

    granted: str
    denied: str
    key: str | None

    def show(self, url: str) -> None:
        """Print it for a server at this address."""
        answer("\nMay david read the vacation policy, and why?\n")
        answer(painted(self.granted))
        answer("And hugo?\n")
        answer(painted(self.denied))
        answer("In another terminal, share the document with hugo, check it, and see why:\n")
        if self.key is None:
            answer(
                "export ZERATUL_KEY=…  # the root key: printed by the first start, or your own\n"
            )
        share = {"subject": "user:hugo", "resource": "document", "resourceId": "vacation-policy"}
        calls = {
            "relationships": share | {"relation": "viewer"},
            "check": share | {"action": "can_read"},
            "explain": share | {"action": "can_read"},
        }
        for call, body in calls.items():
            answer(_curl(f"{url}/api/v1/authorization/{call}", self.key, body))
        answer(f"\nEvery call: {url}/docs (any user name, the key as password)")


def prepare(config: Config) -> Sample | None:
    """Load the sample into an empty store.

    Returns:
        What to show; None where the store holds something else already.

    Raises:
        ZeratulError: the store cannot be opened or written.
    """
    services = open_services(config.data, map_bytes=config.map_bytes)
    try:
        fresh = services.keys.ensure_root(config.root_key)
        if fresh:
            # At once: whatever goes wrong from here on, it cannot be shown again.
            answer(f"root key, shown this once: {fresh}")
        caller = services.local_caller()
        if not _load(services, caller):
            return None
        granted, denied = (services.access.explain(caller, each) for each in (GRANTED, DENIED))
        return Sample(granted.text, denied.text, fresh)
    finally:
        services.close()


def _load(services: Services, caller: Caller) -> bool:
    """Put the sample in; False where there is another model already."""
    model = orjson.loads(declared(f"{SAMPLE}/model.json"))
    found = services.models.get(caller)
    if found.schema_revision:
        return bool(found.model == model)
    services.models.put(caller, model).result()
    importer = services.transfers.importer(caller)
    under_way = importer.feed(declared(f"{SAMPLE}/relationships.ndjson"))
    if under_way is not None:
        under_way.result()
    importer.finish().result()
    return True


def _curl(url: str, key: str | None, body: dict[str, str]) -> str:
    return (
        f'curl -s {url} -H "X-API-Key: {key or "$ZERATUL_KEY"}" '
        f"-H 'Content-Type: application/json' -d '{orjson.dumps(body).decode()}'; echo"
    )
