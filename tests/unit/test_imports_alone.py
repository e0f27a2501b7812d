"""Every module can be imported first: none counts on another having been imported before."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Forking a warm interpreter per module costs a fraction of starting one. Libraries are imported
# before the fork, nothing of zeratul is: each child sees the module alone.
PROGRAM = """
import importlib, os, sys, traceback
import aiohttp.web, click, lmdb, msgspec, networkx, numpy, orjson, prometheus_client, pyroaring
import rich.progress, structlog

sys.path.insert(0, sys.argv[1])
broken = 0
for name in sys.argv[2:]:
    child = os.fork()
    if child == 0:
        try:
            importlib.import_module(name)
        except BaseException:
            print(f"--- {name}", flush=True)
            traceback.print_exc(file=sys.stdout)
            sys.stdout.flush()
            os._exit(1)
        os._exit(0)
    broken += os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 0
sys.exit(broken != 0)
"""

# The floors that must stay usable where nothing can be opened: importing them loads none of these.
PURE = ("errors", "domain", "conditions", "graph", "language")
HEAVY = {"aiohttp", "lmdb", "asyncio", "orjson"}


def module_names() -> list[str]:
    names = []
    for path in sorted((ROOT / "zeratul").rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if parts[-1] == "__main__" or "_schema" in parts:
            continue
        names.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    return names


@pytest.mark.slow
def test_each_module_imports_alone():
    """A fresh interpreter per module; every failure is listed with its traceback."""
    names = module_names()

    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM, str(ROOT), *names],
        capture_output=True,
        text=True,
        check=False,
    )

    assert "zeratul.errors" in names
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("floor", PURE)
def test_pure_floors_load_no_engine_and_no_server(floor: str):
    """Not even through the package's own front door."""
    names = [name for name in module_names() if name.split(".")[1:2] == [floor]]
    program = (
        "import importlib, sys; sys.path.insert(0, sys.argv[1]); "
        "[importlib.import_module(name) for name in sys.argv[2:]]; "
        "print('\\n'.join(sys.modules))"
    )

    done = subprocess.run(
        [sys.executable, "-c", program, str(ROOT), *names],
        capture_output=True,
        text=True,
        check=True,
    )

    assert set() == HEAVY & set(done.stdout.split())
