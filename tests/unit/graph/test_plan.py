"""Plans: actions of the same relations share what they rest on, and nothing else."""

from zeratul.domain.catalog import Catalog, CatalogResource
from zeratul.domain.limits import Limits
from zeratul.domain.vocabulary import Vocabulary
from zeratul.graph.plan import compile_plan
from zeratul.language.application import application_schema
from zeratul.service.ground.stored_model import slot_names

EMPTY = {"schema_version": "1.1", "type_definitions": []}
ALIKE = ("approve", "archive", "assign")


def plan_of(*actions):
    catalog = Catalog({"documents": CatalogResource("documents", actions=actions)})
    schema = application_schema(EMPTY, catalog, roles=False, limits=Limits())
    slots = {name: number for number, name in enumerate(slot_names(schema), 1)}
    names = {number: name for name, number in slots.items()}
    return compile_plan(schema, Vocabulary(1, slots, names)), slots


def test_actions_alike_rest_on_the_same_and_cover_only_themselves():
    plan, slots = plan_of(*ALIKE, "read")
    owner = slots["documents", "owner"]
    for action in ALIKE:
        slot = slots["documents", action]
        body = plan.bodies[slot]
        assert body.direct == [owner]
        assert body.covers == {slot, owner}
        assert slot in plan.union_only
        assert plan.strata[slot] == plan.strata[slots["documents", ALIKE[0]]]
    shared = {id(plan.bodies[slots["documents", action]].plain) for action in ALIKE}
    assert len(shared) == 1
    read = plan.bodies[slots["documents", "read"]]
    assert set(read.direct) == {
        slots["documents", name] for name in ("owner", "editor", "viewer", "commenter")
    }


def test_an_action_compiled_with_others_is_what_it_is_alone():
    together, slots = plan_of(*ALIKE)
    for action in ALIKE:
        alone, own = plan_of(action)
        one, other = (
            together.bodies[slots["documents", action]],
            alone.bodies[own["documents", action]],
        )
        names = {number: name for name, number in own.items()}
        assert {names[slot] for slot in other.covers} == {
            name for name, slot in slots.items() if slot in one.covers
        }
        assert len(one.plain) == len(other.plain)
