"""Sizes at which the engine changes its way of working, set so that a dozen rows reach them.

The answers may not depend on any of them. Small data never meets the ways meant for large data,
and large data is too slow to compare with the reference: so the sizes are made small instead.
"""

from __future__ import annotations

CLOSURES = "zeratul.dispatch.closures"
ROLES = "zeratul.dispatch.roles"
BASIS = "zeratul.dispatch.basis"
ADJACENCY = "zeratul.store.lmdb.adjacency"
MEETS = "zeratul.store.lmdb.meets"

Thresholds = dict[tuple[str, str], int]

AS_SHIPPED: Thresholds = {}

EVERYTHING_IS_LARGE: Thresholds = {
    (CLOSURES, "_HELD_USERSETS_FEW"): 0,
    (CLOSURES, "_COMPOSED_USERSETS_MAX"): 0,
    (CLOSURES, "_WALKS_BEFORE_WIDE"): 0,
    ("zeratul.graph.check", "FOLLOWED_USERSETS_MAX"): 1,
    ("zeratul.graph.roles", "HELD_FEW"): 0,
    ("zeratul.graph.roles", "COMPARED_FEW"): 0,
    ("zeratul.graph.roles", "GOALS_FEW"): 0,
    (ROLES, "SORTED_GRANTS_MAX"): 0,
    (ROLES, "DOCUMENTS_MAX"): 1,
    (ROLES, "GRANTS_KEPT_MAX"): 0,
    ("zeratul.dispatch.memos", "LOOP_ROWS_MAX"): 0,
    (BASIS, "LOOP_ROWS_MAX"): 0,
    ("zeratul.dispatch.memos", "_LOG_LENGTH_MAX"): 1,
    (ADJACENCY, "FEW"): 0,
    (MEETS, "FEW"): 0,
    (MEETS, "GALLOP_SEEKS_MAX"): 0,
    ("zeratul.store.lmdb.codec", "_FEW_BYTES"): 0,
    ("zeratul.store.lmdb.prepare", "BULK_ROWS_MIN"): 0,
    ("zeratul.store.lmdb.transaction", "_PART_SIZE"): 36,
}

SOME_IS_LARGE: Thresholds = {
    (CLOSURES, "_HELD_USERSETS_FEW"): 1,
    (CLOSURES, "_COMPOSED_USERSETS_MAX"): 1,
    (CLOSURES, "_WALKS_BEFORE_WIDE"): 1,
    (CLOSURES, "_WIDE_READS_FEW"): 4,
    (CLOSURES, "_WALKS_BEFORE_LAST"): 1,
    (CLOSURES, "_WIDE_READS_MAX"): 8,
    (CLOSURES, "_WIDE_AT_ONCE_MAX"): 2,
    ("zeratul.graph.check", "FOLLOWED_USERSETS_MAX"): 0,
    ("zeratul.graph.roles", "HELD_FEW"): 2,
    ("zeratul.graph.roles", "COMPARED_FEW"): 1,
    ("zeratul.graph.roles", "GOALS_FEW"): 1,
    (ROLES, "SORTED_GRANTS_MAX"): 3,
    (ROLES, "DOCUMENTS_MAX"): 2,
    (ROLES, "GRANTS_KEPT_MAX"): 2,
    ("zeratul.dispatch.memos", "_LOG_LENGTH_MAX"): 2,
    (BASIS, "RESOURCES_MAX"): 2,
    (ADJACENCY, "FEW"): 1,
    (MEETS, "FEW"): 1,
    (MEETS, "GALLOP_SEEKS_MAX"): 1,
    ("zeratul.store.lmdb.prepare", "BULK_ROWS_MIN"): 2,
}

COMPOSED_IS_WIDE: Thresholds = {(CLOSURES, "_WALKS_BEFORE_WIDE"): 0}

ALL = {
    "as shipped": AS_SHIPPED,
    "everything is large": EVERYTHING_IS_LARGE,
    "some is large": SOME_IS_LARGE,
    "composed is wide": COMPOSED_IS_WIDE,
}
