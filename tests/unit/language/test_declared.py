"""Declared files are found wherever they were installed."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from zeratul.errors import InternalError
from zeratul.language.declared import declared

ROOT = Path(__file__).resolve().parents[3]


def test_the_source_tree_is_read():
    assert (ROOT / "schema" / "builtin.json").read_bytes() == declared("builtin.json")


@pytest.mark.parametrize(
    "name", ["", "nothing.json", "../pyproject.toml", "models//x", "/etc", "models"]
)
def test_other_names_are_refused(name):
    with pytest.raises(InternalError):
        declared(name)


def test_an_installed_package_reads_its_own_copy(tmp_path):
    """The wheel's layout: `zeratul/_schema`, and no `schema` beside the package."""
    ignored = shutil.ignore_patterns("__pycache__", "_schema")
    shutil.copytree(ROOT / "zeratul", tmp_path / "zeratul", ignore=ignored)
    shutil.copytree(ROOT / "schema", tmp_path / "zeratul" / "_schema")
    program = (
        "from zeratul.language.declared import declared; print(declared('builtin.json').decode())"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    )

    assert json.loads(declared("builtin.json")) == json.loads(done.stdout)
