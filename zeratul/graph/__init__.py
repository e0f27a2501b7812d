"""The expander: sans-I/O generators that decide membership and list it.

    requests.py           what an evaluation may ask for; its budget
    plan.py               a schema compiled into what evaluations walk
    check.py              one question; check_many.py, many in shared rounds
    solver.py             goals whose rules subtract or intersect
    roles.py              the role part of a question; scopes.py, which scopes cover a path
    trace.py              a check that tells why
    lookup_resources.py   everything a subject reaches; its closure
    lookup_subjects.py    everyone who reaches a resource; subject_set.py, their sets
    expand.py             the tree behind a userset
    answers.py            questions and answers as values

No store, no clock, no asyncio, no logging.
"""
