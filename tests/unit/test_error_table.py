"""`schema/errors.yaml` says what every error means: a row for each leaf class, as in the code."""

import yaml

from zeratul import errors
from zeratul.api.authaz.problems import LIMIT_STATUSES, STATUSES, STORE_STATUSES
from zeratul.language.declared import declared

ROWS = {row["class"]: row for row in yaml.safe_load(declared("errors.yaml"))["errors"]}


def leaves(root: type[errors.ZeratulError]) -> set[type[errors.ZeratulError]]:
    below = [leaf for child in root.__subclasses__() for leaf in leaves(child)]
    return set(below) or {root}


LEAVES = {
    leaf.__name__: leaf
    for leaf in leaves(errors.ZeratulError)
    if leaf.__module__ == errors.__name__
}


def test_every_leaf_has_a_row_and_every_row_a_leaf():
    assert set(LEAVES) == set(ROWS)


def test_codes_are_those_of_the_classes():
    assert {name: leaf.code for name, leaf in LEAVES.items()} == {
        name: row["code"] for name, row in ROWS.items()
    }


def test_statuses_are_those_of_the_contract():
    assert {name: STATUSES[leaf][0] for name, leaf in LEAVES.items()} == {
        name: row["status"] for name, row in ROWS.items()
    }
    assert LIMIT_STATUSES == ROWS["LimitError"]["statuses"]
    unlike = {reason: status for reason, status in STORE_STATUSES.items() if status != 503}
    assert unlike == ROWS["StoreError"]["statuses"]


def test_every_row_explains_itself():
    for name, row in ROWS.items():
        assert {"class", "code", "meaning", "status", "retry"} <= set(row), name
        assert row["meaning"].endswith("."), name
        assert row["retry"].endswith("."), name
