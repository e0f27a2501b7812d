"""Drives the expander against a snapshot; keeps memos; holds budgets and deadlines.

    engine.py       opens views; owns what is kept between them
    view.py         one snapshot, one application, every question
    opened.py       what a view stands on
    state.py        an application's rules: schema, numbers, plan
    naming.py       names to numbers and back
    driver.py       the loop that answers an evaluation's reads
    deciding.py     many questions at once: relationships, then roles
    roles.py        what documents say of roles and policies, kept until one changes
    holding.py      what roles give on whole types
    overlay.py      a snapshot with rows added and taken away
    closures.py     a subject's usersets, from a memo or made
    memos.py        closures kept, and the rule by which they die
    recent.py       answers kept until what they rest on is touched
    basis.py        what an answer rests on, and what commits touched
    explaining.py   proofs; suggestions, tried out; explaining_roles.py, roles one by one
    minimal.py      proofs made minimal

Knows the interface of stores, never an engine.
"""
