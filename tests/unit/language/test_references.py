"""Types and relations that nobody declared."""

from tests.builders import model
from tests.unit.language.refused import findings_of, one_finding


def test_an_unknown_subject_type_is_named_with_the_nearest():
    assert one_finding(model({"document": {"viewer": "[user, gruop#member]"}})) == (
        "type_definitions[0].metadata.relations.viewer.directly_related_user_types[1].type",
        "unknown type `gruop`; did you mean `group`?",
    )


def test_an_unknown_relation_of_a_subject_type_is_named_with_the_nearest():
    assert one_finding(model({"document": {"viewer": "[user, group#members]"}})) == (
        "type_definitions[0].metadata.relations.viewer.directly_related_user_types[1].relation",
        "unknown relation `members` on type `group`; did you mean `member`?",
    )


def test_an_unknown_computed_relation_is_found_deep_inside():
    rules = {"owner": "[user]", "viewer": "owner or (owner and ownr)"}

    place, message = one_finding(model({"document": rules}))

    assert place.startswith("type_definitions[0].relations.viewer.union.child[1].intersection")
    assert place.endswith(".intersection.child[1].computedUserset.relation")
    assert "unknown relation `ownr` on type `document`; did you mean `owner`?" == message


def test_an_unknown_tupleset_is_found():
    rules = {"parent": "[document]", "owner": "[user]", "viewer": "owner from parents"}

    assert one_finding(model({"document": rules})) == (
        "type_definitions[0].relations.viewer.tupleToUserset.tupleset.relation",
        "unknown relation `parents` on type `document`; did you mean `parent`?",
    )


def test_nothing_is_suggested_where_nothing_is_near():
    _, message = one_finding(model({"document": {"viewer": "[zzzzzz]"}}))

    assert "unknown type `zzzzzz`" == message


def test_unknown_names_do_not_cause_findings_about_their_consequences():
    """One mistake, one finding: an unknown part counts as one that may have members."""
    rules = {"viewer": "[group#nobody]", "can_read": "viewer but not nowhere"}

    assert {
        "type_definitions[0].metadata.relations.viewer.directly_related_user_types[0].relation",
        "type_definitions[0].relations.can_read.difference.subtract.computedUserset.relation",
    } == set(findings_of(model({"document": rules})))
