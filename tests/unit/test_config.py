"""Settings of a start: durations, ranges, and whose word counts."""

from __future__ import annotations

import pytest

from zeratul.config import RETENTION_S_MAX, Config, from_environment, parse_duration
from zeratul.errors import InputError, MalformedError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0), ("30", 30), ("30s", 30), ("90m", 5_400), ("24h", 86_400), ("7d", 604_800),
        (" 7d ", 604_800),
    ],
)  # fmt: skip
def test_a_duration_is_read(text, seconds):
    assert seconds == parse_duration(text)


@pytest.mark.parametrize(
    "text", ["", " ", "d", "7 d", "7w", "1.5h", "-1", "+1", "7D", "1h30m", "٧d", "9" * 13, "inf"]
)
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(MalformedError) as caught:
        parse_duration(text)
    assert "7d" in caught.value.help


def test_the_retention_comes_from_the_option_before_the_variable():
    environment = {"ZERATUL_RETENTION": "2d"}
    assert 172_800 == from_environment(environment).retention_s
    assert 60 == from_environment(environment, retention_s=60).retention_s
    assert None is from_environment({}).retention_s
    config = from_environment(environment)
    assert config == Config.from_json(config.to_json())


@pytest.mark.parametrize("text", ["soon", "7w", "-1"])
def test_a_bad_variable_is_named(text):
    with pytest.raises(MalformedError) as caught:
        from_environment({"ZERATUL_RETENTION": text})
    assert "retention" == caught.value.field
    assert "ZERATUL_RETENTION" in caught.value.message


@pytest.mark.parametrize("seconds", [-1, RETENTION_S_MAX + 1])
def test_a_retention_out_of_range_is_refused(seconds):
    with pytest.raises(InputError) as caught:
        from_environment({}, retention_s=seconds)
    assert "retention" == caught.value.field
