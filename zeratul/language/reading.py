"""Reads OpenFGA's JSON form into a draft: shapes and fields only, no meaning.

Whatever the document holds, it ends in a draft and findings, never in a crash: each value is
looked at before it is used, nesting is a work list, and depth and size are findings.

Three things are taken and dropped, so that what another server hands out can be put in here
unchanged: ``id``, ``module`` and ``source_info``. A ``null`` field is an absent one, as in
protobuf's JSON; so is empty text in ``object`` and in a subject's ``relation`` and ``condition``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeGuard, cast

from zeratul.language.draft import Draft, DraftRelation, DraftSubject, DraftType, Node
from zeratul.language.findings import Findings, Place, shown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from zeratul.domain.limits import Limits

# 1.2 is 1.1 with modules, and those only leave notes (`module`, `source_info`) in the JSON form.
VERSIONS = ("1.1", "1.2")

_MODEL = ("schema_version", "type_definitions", "conditions", "id")
_TYPE = ("type", "relations", "metadata")
_TYPE_METADATA = ("relations", "module", "source_info")
_RELATION_METADATA = ("directly_related_user_types", "module", "source_info")
_SUBJECT = ("type", "relation", "wildcard", "condition")
_REWRITES = (
    "this",
    "computedUserset",
    "tupleToUserset",
    "union",
    "intersection",
    "difference",
)


def read(document: object, limits: Limits, findings: Findings) -> Draft:
    """A draft of the model, with a finding for everything that could not be read."""
    return _Reader(limits, findings).model(document)


class _Reader:
    def __init__(self, limits: Limits, findings: Findings) -> None:
        self._limits = limits
        self._findings = findings
        self._nodes_count = 0

    def model(self, document: object) -> Draft:
        draft = Draft()
        root = Place()
        fields = self._object(document, root, _MODEL)
        if fields is None:
            return draft
        self._version(fields.get("schema_version"), root / "schema_version")
        self._types(fields.get("type_definitions"), root / "type_definitions", draft)
        self._conditions(fields.get("conditions"), root / "conditions", draft)
        return draft

    def _version(self, value: object, place: Place) -> None:
        if value is None:
            self._findings.add(place, 'is missing; it must be "1.1"')
        elif value == "1.0":
            self._findings.add(
                place,
                "1.0 has no subject types and is not supported; list them under"
                ' `metadata` and make it "1.1"',
            )
        elif value not in VERSIONS:
            self._findings.add(place, 'must be "1.1" (or "1.2")')

    def _types(self, value: object, place: Place, draft: Draft) -> None:
        if value is None:
            self._findings.add(place, "is missing; it lists the types of the model")
            return
        items = self._list(value, place)
        if items is None:
            return
        limit = self._limits.model_types_max
        if len(items) > limit:
            self._findings.stop(place, f"more than {limit:,} types (model_types_max)")
            return
        for index, item in enumerate(items):
            if self._findings.stopped:
                return
            definition = self._type(item, place / index)
            if definition is None:
                continue
            first = draft.types.setdefault(definition.name, definition)
            if first is not definition:
                self._findings.add(
                    definition.place / "type",
                    f"`{shown(definition.name)}` is declared twice, first at {first.place}",
                )

    def _type(self, value: object, place: Place) -> DraftType | None:
        fields = self._object(value, place, _TYPE)
        if fields is None:
            return None
        name = self._name(fields.get("type"), place / "type")
        # A type without a name is read all the same: what is wrong inside it is worth knowing.
        definition = DraftType(name, place)
        relations = self._optional_object(fields.get("relations"), place / "relations")
        if relations is None:
            definition.relations_broken = True
            return definition if name else None
        limit = self._limits.model_relations_max
        if len(relations) > limit:
            self._findings.stop(
                place / "relations", f"more than {limit:,} relations (model_relations_max)"
            )
            return None
        metadata_place = place / "metadata"
        for relation_name, rewrite in relations.items():
            relation_place = place / "relations" / relation_name
            definition.relations[relation_name] = DraftRelation(
                relation_name,
                relation_place,
                self._rewrite(rewrite, relation_place),
                metadata_place / "relations" / relation_name / "directly_related_user_types",
            )
        self._type_metadata(fields.get("metadata"), metadata_place, definition)
        return definition if name else None

    def _type_metadata(self, value: object, place: Place, definition: DraftType) -> None:
        fields = self._optional_object(value, place, _TYPE_METADATA)
        relations = (
            None
            if fields is None
            else self._optional_object(fields.get("relations"), place / "relations")
        )
        if relations is None:
            for relation in definition.relations.values():
                relation.subjects_broken = True
            return
        for name, metadata in relations.items():
            metadata_place = place / "relations" / name
            known = definition.relations.get(name)
            if known is None:
                where = f" on type `{shown(definition.name)}`"
                self._findings.unknown(
                    metadata_place, "relation", name, definition.relations, where
                )
                continue
            fields = self._optional_object(metadata, metadata_place, _RELATION_METADATA)
            if fields is None:
                known.subjects_broken = True
            else:
                self._subjects(fields.get("directly_related_user_types"), known)

    def _subjects(self, value: object, relation: DraftRelation) -> None:
        if value is None:
            return
        items = self._list(value, relation.subjects_place)
        if items is None:
            relation.subjects_broken = True
            return
        for index, item in enumerate(items):
            subject = self._subject(item, relation.subjects_place / index)
            if subject is None:
                relation.subjects_broken = True
            else:
                relation.subjects.append(subject)

    def _subject(self, value: object, place: Place) -> DraftSubject | None:
        fields = self._object(value, place, _SUBJECT)
        if fields is None:
            return None
        name = self._name(fields.get("type"), place / "type")
        relation = self._optional_text(fields.get("relation"), place / "relation")
        condition = self._optional_text(fields.get("condition"), place / "condition")
        wildcard = fields.get("wildcard")
        if wildcard is not None and self._object(wildcard, place / "wildcard", ()) is None:
            return None
        if wildcard is not None and relation:
            self._findings.add(place, "takes a relation or a wildcard, not both")
            return None
        if not name or relation is None or condition is None:
            return None
        return DraftSubject(place, name, relation, wildcard is not None, condition)

    def _rewrite(self, value: object, place: Place) -> Node:
        root = Node(place)
        stack: list[tuple[Node, object, int]] = [(root, value, 1)]
        nodes_max, depth_max = (
            self._limits.model_rewrite_nodes_max,
            self._limits.model_rewrite_depth_max,
        )
        while stack and not self._findings.stopped:
            node, content, depth = stack.pop()
            self._nodes_count += 1
            if self._nodes_count > nodes_max:
                self._findings.stop(
                    node.place,
                    f"more than {nodes_max:,} rewrites in the model (model_rewrite_nodes_max)",
                )
            elif depth > depth_max:
                self._findings.add(
                    node.place,
                    f"rewrites nest deeper than {depth_max} (model_rewrite_depth_max)",
                )
            else:
                inner = self._rewrite_node(content, node)
                node.children = [child for child, _ in inner]
                stack.extend((child, value, depth + 1) for child, value in reversed(inner))
        return root

    def _rewrite_node(self, value: object, node: Node) -> list[tuple[Node, object]]:
        """Makes ``node`` what ``value`` says; its children, each with what to read into it."""
        fields = self._object(value, node.place, _REWRITES)
        if fields is None:
            return []
        names = [name for name in _REWRITES if name in fields]
        if len(names) != 1:
            listed = ", ".join(f"`{name}`" for name in (names or _REWRITES))
            problem = "more than one rewrite" if names else "expected one of"
            self._findings.add(node.place, f"{problem}: {listed}")
            return []
        place, content = node.place / names[0], fields[names[0]]
        match names[0]:
            case "this":
                if self._object(content, place, ()) is not None:
                    node.kind = "direct"
            case "computedUserset":
                node.kind, node.relation = "computed", self._reference(content, place)
            case "tupleToUserset":
                self._arrow(content, place, node)
            case "difference":
                return self._exclusion(content, place, node)
            case _:  # A union or an intersection.
                return self._children(content, place, node)
        return []

    def _arrow(self, value: object, place: Place, node: Node) -> None:
        fields = self._object(value, place, ("tupleset", "computedUserset"))
        if fields is None:
            return
        node.kind = "arrow"
        node.tupleset = self._reference(fields.get("tupleset"), place / "tupleset")
        node.relation = self._reference(fields.get("computedUserset"), place / "computedUserset")

    def _children(self, value: object, place: Place, node: Node) -> list[tuple[Node, object]]:
        fields = self._object(value, place, ("child",))
        if fields is None:
            return []
        if "child" not in fields:
            self._findings.add(place / "child", "is missing")
            return []
        items = self._list(fields["child"], place / "child")
        if items is None:
            return []
        if not items:
            self._findings.add(place / "child", "must not be empty")
            return []
        node.kind = "union" if place.step == "union" else "intersection"
        return [(Node(place / "child" / index), item) for index, item in enumerate(items)]

    def _exclusion(self, value: object, place: Place, node: Node) -> list[tuple[Node, object]]:
        parts = ("base", "subtract")
        fields = self._object(value, place, parts)
        if fields is None:
            return []
        missing = [part for part in parts if part not in fields]
        for part in missing:
            self._findings.add(place / part, "is missing")
        if missing:
            return []
        node.kind = "exclusion"
        return [(Node(place / part), fields[part]) for part in parts]

    def _reference(self, value: object, place: Place) -> str:
        """The relation of ``{"relation": …}``; empty when there is none to be read."""
        if value is None:
            self._findings.add(place, "is missing")
            return ""
        fields = self._object(value, place, ("relation", "object"))
        if fields is None:
            return ""
        if fields.get("object") not in (None, ""):
            self._findings.add(place / "object", "must be empty: a rewrite names relations only")
        return self._name(fields.get("relation"), place / "relation")

    def _conditions(self, value: object, place: Place, draft: Draft) -> None:
        for name in self._optional_object(value, place) or ():
            draft.conditions[name] = place / name

    def _object(
        self, value: object, place: Place, allowed: Sequence[str] | None = None
    ) -> Mapping[str, object] | None:
        """``value`` as an object; None with a finding if it is none. Names unknown fields."""
        if not isinstance(value, dict):
            self._findings.add(place, f"expected an object, got {_shape(value)}")
            return None
        if not _has_text_names(value):
            self._findings.add(place, "the names of an object's fields are text")
            return None
        if allowed is not None:
            for name in value:
                if name not in allowed:
                    self._findings.unknown(place / name, "field", name, allowed)
        return value

    def _optional_object(
        self, value: object, place: Place, allowed: Sequence[str] | None = None
    ) -> Mapping[str, object] | None:
        return {} if value is None else self._object(value, place, allowed)

    def _list(self, value: object, place: Place) -> Sequence[object] | None:
        if isinstance(value, list):
            return cast("list[object]", value)
        self._findings.add(place, f"expected a list, got {_shape(value)}")
        return None

    def _name(self, value: object, place: Place) -> str:
        """A required text; empty with a finding when it is missing or not one."""
        if value is None:
            self._findings.add(place, "is missing")
        elif not isinstance(value, str):
            self._findings.add(place, f"expected text, got {_shape(value)}")
        elif not value:
            self._findings.add(place, "must not be empty")
        else:
            return value
        return ""

    def _optional_text(self, value: object, place: Place) -> str | None:
        if value is None or isinstance(value, str):
            return value or ""
        self._findings.add(place, f"expected text, got {_shape(value)}")
        return None


def _has_text_names(value: dict[object, object]) -> TypeGuard[dict[str, object]]:
    # Always so in JSON; a caller in this process may hand over any dictionary.
    return all(isinstance(name, str) for name in value)


def _shape(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "text"
        case list():
            return "a list"
        case _:
            return "an object"
