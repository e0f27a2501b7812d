"""Names to numbers and back, for one view. Nothing is ever interned here.

A name that no commit knows gets a number of the request's own, the same one each time it is named,
so that an unknown subject still matches a wildcard and a contextual relationship meets its
question.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyroaring import BitMap

from zeratul.domain.relationship import WILDCARD, ObjectRef, Relationship, SubjectRef
from zeratul.domain.vocabulary import REQUEST_NODES_FIRST, SELF, WILDCARD_SLOT
from zeratul.errors import InternalError, ZeratulError
from zeratul.graph.answers import ExpandNode, ResourceAnswer, SubjectAnswer
from zeratul.graph.requests import Subject

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zeratul.dispatch.state import ApplicationState
    from zeratul.graph.answers import CheckQuestion
    from zeratul.graph.expand import Branch
    from zeratul.store.interface import HasKey, Snapshot


class Naming:
    """Numbers of the names that one question speaks of."""

    __slots__ = ("_known", "_own", "_slots", "_snapshot", "_state", "_wildcards")

    def __init__(self, snapshot: Snapshot, state: ApplicationState) -> None:
        self._snapshot = snapshot
        self._state = state
        self._slots = state.vocabulary.slots
        self._wildcards = state.plan.wildcards
        self._known: dict[tuple[int, str], int] = {}
        self._own: dict[int, tuple[int, str]] = {}

    def _number(self, name: tuple[int, str], found: int | None) -> int:
        if found is None:
            found = REQUEST_NODES_FIRST + len(self._own)
            self._own[found] = name
        self._known[name] = found
        return found

    def _node(self, type_slot: int, object_id: str) -> int:
        name = (type_slot, object_id)
        known = self._known.get(name)
        if known is None:
            known = self._number(name, self._snapshot.node(type_slot, object_id))
        return known

    def _type_slot(self, type_name: str, field: str) -> int:
        found = self._state.type_slots.get(type_name)
        if found is None:
            self._state.schema.type(type_name, field=field)
            raise InternalError(f"the type `{type_name}` has no slot")
        return found

    def node(self, type_name: str, object_id: str) -> int:
        """The object's node.

        Raises:
            UnknownNameError: the type is not declared.
        """
        return self._node(self._type_slot(type_name, "resource"), object_id)

    def subject(self, reference: SubjectRef) -> Subject:
        """The subject in numbers.

        Raises:
            UnknownNameError: its type or relation is not declared.
        """
        type_name, object_id, relation = reference
        type_slot = self._type_slot(type_name, "subject")
        node = self._node(type_slot, object_id)
        if relation:
            self._state.schema.relation(type_name, relation, field="subject", type_field="subject")
            return Subject(node, self._slots[type_name, relation])
        if object_id == WILDCARD:
            return Subject(node, self._slots[type_name, WILDCARD_SLOT])
        wildcard_slot = self._wildcards.get(type_slot)
        if wildcard_slot is None:
            return Subject(node, type_slot)
        return Subject(node, type_slot, self._wildcard_node(type_slot), wildcard_slot)

    def _wildcard_node(self, type_slot: int) -> int:
        known = self._state.wildcard_nodes.get(type_slot)
        if known is None:
            known = self._node(type_slot, WILDCARD)
            if known not in self._own:
                self._state.wildcard_nodes[type_slot] = known  # names never change their numbers
        return known

    def question(self, question: CheckQuestion) -> tuple[Subject, int | None]:
        """(subject, resource node) of a question whose relation is known to be declared.

        The node is None where it is asked about a type as a whole.

        Raises:
            UnknownNameError: the subject's type or relation is not declared.
        """
        type_name, resource_id = question.resource
        subject = self.subject(question.subject)
        if not resource_id:
            return subject, None
        return subject, self._node(self._slots[type_name, SELF], resource_id)

    def many(
        self, questions: Sequence[CheckQuestion]
    ) -> list[tuple[Subject, int | None, int] | ZeratulError]:
        """(subject, resource node, slot) of each question as by ``question``, or its error."""
        state = self._state
        type_slots, slots = state.type_slots, state.slots
        # One look for all names; most questions of a call are about few subjects.
        references = list(dict.fromkeys([question.subject for question in questions]))
        self._look_up(
            [
                (type_slots[type_name], object_id)
                for type_name, object_id, _ in references
                if object_id and type_name in type_slots
            ]
        )
        subjects: dict[SubjectRef, Subject | ZeratulError] = {}
        for reference in references:
            try:
                subjects[reference] = self.subject(reference)
            except ZeratulError as error:
                subjects[reference] = error
        places = [(type_slots.get(name, 0), id_) for _, (name, id_), _, _ in questions]
        nodes: Sequence[int | None] = self._snapshot.nodes(places)
        found: list[tuple[Subject, int | None, int] | ZeratulError] = []
        for (reference, (type_name, resource_id), relation, _), place, node in zip(
            questions, places, nodes, strict=True
        ):
            slot = slots.get((type_name, relation))
            subject = subjects[reference]
            if slot is None:
                found.append(self._undeclared(type_name, relation))
            elif isinstance(subject, ZeratulError):
                found.append(subject)
            elif not resource_id:
                found.append((subject, None, slot))
            else:
                if node is None:
                    # No commit named it: a number of this request's own stands for it.
                    node = self._known.get(place) or self._number(place, None)  # noqa: PLW2901
                found.append((subject, node, slot))
        return found

    def _undeclared(self, type_name: str, relation: str) -> ZeratulError:
        try:
            self._state.slot(type_name, relation)
        except ZeratulError as error:
            return error
        raise InternalError(f"`{type_name}#{relation}` is declared and has no slot")

    def _look_up(self, names: Sequence[tuple[int, str]]) -> None:
        """Number many names at once."""
        known = self._known
        for name, found in zip(names, self._snapshot.nodes(names), strict=True):
            if name not in known:
                self._number(name, found)

    def row(self, relationship: Relationship) -> HasKey:
        """A relationship as a row key.

        Raises:
            UnknownNameError: a type or relation is not declared.
        """
        slot = self._state.slot(relationship.resource_type, relationship.relation)
        subject = self.subject(relationship.subject)
        node = self.node(relationship.resource_type, relationship.resource_id)
        return node, slot, subject.slot, subject.node

    def objects(self, nodes: Sequence[int]) -> dict[int, ObjectRef]:
        """Node -> reference, the request's own included."""
        stored = [node for node in nodes if node not in self._own]
        found = dict(zip(stored, self._snapshot.names(stored), strict=True))
        names = self._state.vocabulary.names
        return {
            node: ObjectRef(names[type_slot][0], object_id)
            for node in nodes
            for type_slot, object_id in (self._own.get(node) or found[node],)
        }

    def relation(self, slot: int) -> str:
        """The relation part of a slot."""
        return self._state.vocabulary.names[slot][1]

    def subjects(self, subjects: Sequence[tuple[int, int]]) -> list[SubjectRef]:
        """(subject slot, node) as references, in their order."""
        objects = self.objects(sorted({node for _, node in subjects}))
        names = self._state.vocabulary.names
        return [
            SubjectRef(*objects[node], "" if part in (SELF, WILDCARD_SLOT) else part)
            for slot, node in subjects
            for part in (names[slot][1],)
        ]

    def relationships(self, rows: Sequence[HasKey]) -> list[Relationship]:
        """Rows as relationships, in their order."""
        nodes = sorted({node for row in rows for node in (row[0], row[3])})
        objects = self.objects(nodes)
        names = self._state.vocabulary.names
        result = []
        for resource, slot, subject_slot, subject in rows:
            part = names[subject_slot][1]
            relation = "" if part in (SELF, WILDCARD_SLOT) else part
            result.append(
                Relationship(*objects[resource], names[slot][1], *objects[subject], relation)
            )
        return result

    def expansion(self, root: Branch) -> ExpandNode:
        """An expansion with names for its numbers."""
        branches: list[Branch] = [root]
        for branch in branches:  # grows while it is walked
            branches.extend(branch.children)
        nodes = {branch.node for branch in branches}
        nodes.update(node for branch in branches for _, node in branch.subjects)
        objects = self.objects(sorted(nodes))
        names = self._state.vocabulary.names
        made: dict[int, ExpandNode] = {}
        for branch in reversed(branches):
            made[id(branch)] = ExpandNode(
                kind=branch.kind,
                resource=objects[branch.node],
                relation=names[branch.slot][1],
                subjects=[
                    SubjectRef(*objects[node], "" if part in (SELF, WILDCARD_SLOT) else part)
                    for subject_slot, node in branch.subjects
                    for part in (names[subject_slot][1],)
                ],
                subjects_total=branch.subjects_total,
                children=[made[id(child)] for child in branch.children],
            )
        return made[id(root)]

    def without_own_resources(self, answer: ResourceAnswer) -> ResourceAnswer:
        """The answer without the request's own nodes: an unknown userset is in itself only."""
        own = BitMap(self._own)
        if not answer.nodes.intersect(own):
            return answer
        stored = answer.nodes - own
        via = {kind: part & stored for kind, part in answer.via.items()}
        return ResourceAnswer(stored, via, answer.scopes)

    def without_own_subjects(self, answer: SubjectAnswer) -> SubjectAnswer:
        """The answer without the request's own nodes."""
        own = BitMap(self._own)
        if not (answer.nodes | answer.exceptions).intersect(own):
            return answer
        return SubjectAnswer(
            nodes=answer.nodes - own,
            wildcard=answer.wildcard,
            exceptions=answer.exceptions - own,
            via={kind: part - own for kind, part in answer.via.items()},
            wildcard_via=answer.wildcard_via,
        )
