"""Other names for slots: which number is called what afterwards. Rows and nodes stay as they are.

Names are what people type, numbers what rows hold. A number whose name another one takes is dead,
but the past still shows its rows: it is moved aside, under a name that nobody can type.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zeratul.domain.vocabulary import SELF, WILDCARD_SLOT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Set as AbstractSet

Name = tuple[str, str]  # type, relation


def plan_renames(
    slots: Mapping[Name, int], mapping: Mapping[Name, Name], revision: int
) -> dict[int, Name]:
    """The new name of every number that gets one.

    All at once, so names can be swapped. A type's own slot takes along the type's other slots,
    unless the mapping names them; and a type that is moved aside goes with all of its slots.

    Args:
        slots: the application's names as they are.
        mapping: name -> new name; names without a number count, too: theirs is free afterwards.
        revision: tells what is moved aside now from what was before.

    Raises:
        ValueError: two names become one, a relation becomes a type's own slot or wildcard, or a
            slot leaves its type.
    """
    types = {old[0]: new[0] for old, new in mapping.items() if old[1] == SELF}
    _require_sound(mapping, types)
    taken = set(mapping.values())
    gone = _marker(taken.union(slots), revision)
    renames: dict[int, Name] = {}
    for name, number in slots.items():
        type_name, relation = name
        if name in mapping:
            renames[number] = mapping[name]
        elif type_name in types:
            carried = types[type_name], relation
            renames[number] = (carried[0], gone + relation) if carried in taken else carried
        elif type_name in types.values():
            renames[number] = gone + type_name, relation
        elif name in taken:
            renames[number] = type_name, gone + relation
    names = {number: name for name, number in slots.items()}
    return {number: name for number, name in renames.items() if names[number] != name}


def _require_sound(mapping: Mapping[Name, Name], types: Mapping[str, str]) -> None:
    if len(set(mapping.values())) != len(mapping):
        raise ValueError("two slots would have one name")
    for (old_type, old), (new_type, new) in mapping.items():
        if any((old == special) != (new == special) for special in (SELF, WILDCARD_SLOT)):
            raise ValueError(
                "a relation's slot stays one, and so do a type's own and its wildcard"
            )
        if new_type != types.get(old_type, old_type):
            raise ValueError("a slot goes where its type goes")


def _marker(names: AbstractSet[Name], revision: int) -> str:
    """What names that are moved aside begin with; none does yet."""
    marker, again = f"⟨gone {revision}⟩", 1
    while any(part.startswith(marker) for name in names for part in name):
        again += 1
        marker = f"⟨gone {revision}.{again}⟩"
    return marker
