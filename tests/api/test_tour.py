"""The README's tour, as it stands there, against a server."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.api.servers import serving
from zeratul.domain.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.api.client import Client

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="the tour needs curl")
README = Path(__file__).parents[2] / "README.md"


def tour() -> str:
    blocks = re.findall(r"^```sh\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL)
    return next(block for block in blocks if "# 9. " in block)


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[dict]]:
    """What the requests that print their answers were answered, in order."""
    with serving(tmp_path_factory.mktemp("tour") / "data", limits=Limits()) as client:
        yield run(client)


def run(client: Client) -> list[dict]:
    script = tour().replace("export KEY=…", f"export KEY={client.key}")
    script = script.replace("127.0.0.1:8080", f"127.0.0.1:{client.port}")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines() if line]


def test_it_has_nine_requests():
    assert re.findall(r"^# (\d+)\. ", tour(), re.MULTILINE) == [str(n) for n in range(1, 10)]
    assert len(re.findall(r"\bcall (?:GET|POST|PUT) ", tour())) == 9


def test_the_catalog_has_the_permissions(answers):
    catalog = answers[0]
    assert catalog["count"] == 1
    assert sorted(catalog["added"]) == ["documents"]
    assert "documents:delete" in catalog["permissions"]


def test_the_role_and_the_share_are_there(answers):
    assert answers[1]["tenantId"] == "acme"
    assert answers[2]["created"] is True


def test_carol_may_by_her_role_and_bob_may_not(answers):
    carol, bob = answers[3], answers[4]
    assert (carol["allowed"], carol["viaRole"]) == (True, True)
    assert bob["allowed"] is False
    assert (bob["viaRole"], bob["viaDirectGrant"]) == (False, False)


def test_the_explanation_says_why_not_and_what_would_do(answers):
    why = answers[5]
    assert why["allowed"] is False
    assert why["suggestions"]
    assert "owner" not in json.dumps(why["suggestions"][0])
    assert "delete" in why["text"]


def test_both_can_read_it_each_in_their_way(answers):
    rows = {row["subject"]: row["via"] for row in answers[6]["data"]}
    assert rows == {"user:bob": ["direct"], "user:carol": ["role"]}
    assert answers[6]["total"] == 2
    assert answers[6]["complete"] is True
