"""Use cases, one file each: who may do what, transactions, answers as plain values.

    caller.py         who asks: application, key, management permissions
    services.py       `Services`, the bundle every contract and the command line hold
    applications.py   create, list, look up by id, delete; settings.py: what one is set to
    keys.py           API keys: made, rotated, verified (directory.py: those this process knows;
                      key_*.py: documents, permissions, when they were last used)
    audit.py          events of changes, recorded with them; audit_log.py: reading them
    decisions.py      events of decisions, where an application wants them
    models.py         get and put an application's model (orphans.py: what a change leaves behind)
    relationships.py  write, delete; bulk.py, deletion.py, reading.py: its larger parts
    access.py         check, bulk check, explain, expand; lookups.py: who-can, what-can
    explanations.py   roles, direct grants, suggestions and text of an explanation
                      (direct_grants.py, suggestions.py, text.py)
    groups.py         groups and their members (members.py, stored_groups.py)
    transfers.py      streaming import and export (importing.py, exporting.py)
    answers.py        what they are asked with and answer (plain dataclasses and NamedTuples)

    foundation.py     what all of them stand on: confirmed views, zookies, write tables
    validation.py     what a schema lets be written, as one table
    cursors.py        opaque page cursors, bound to their query and revision
    idempotency.py    retries that are answered like the first time
    later.py          work that may wait, behind the requests

Reads are plain functions that finish in the caller's thread. Writes answer a
`concurrent.futures.Future` that resolves when the write is durable: the event loop wraps it,
scripts call ``.result()``. What can be refused is refused before the future is made.
"""
