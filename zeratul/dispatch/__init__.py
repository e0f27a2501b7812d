"""Drives the expander against a snapshot; keeps memos; holds budgets and deadlines.

    engine.py       opens views; owns what is kept between them
    view.py         one snapshot, one application, every question
    state.py        an application's rules: schema, numbers, plan
    naming.py       names to numbers and back
    driver.py       the loop that answers an evaluation's reads
    overlay.py      a snapshot with rows added and taken away
    closures.py     a subject's usersets, from a memo or made
    memos.py        closures kept, and the rule by which they die
    recent.py       answers kept until anything is committed
    explaining.py   proofs, made minimal; suggestions, tried out

Knows the interface of stores, never an engine.
"""
