"""The image is built from what the wheel is built from: no more is sent, no less is copied."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def copied() -> set[str]:
    """What the Dockerfile copies out of the context; from another stage is something else."""
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    copies = [line.split()[1:] for line in lines if line.startswith("COPY ")]
    return {
        source for words in copies if not words[0].startswith("--from") for source in words[:-1]
    }


def test_only_what_is_copied_is_sent():
    """What nobody copies (data, keys, history) must not reach the builder either."""
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()

    assert "*" == next(line for line in lines if not line.startswith("#"))
    assert copied() == {line.removeprefix("!") for line in lines if line.startswith("!")}


def test_everything_the_wheel_needs_is_copied():
    """A file the build reads and the image lacks is found here, not by whoever builds it."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        settings = tomllib.load(file)
    project, wheel = settings["project"], settings["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = {"pyproject.toml", project["readme"], *project["license-files"]}
    needed |= {*wheel["packages"], *wheel["force-include"]}

    assert needed == copied()
