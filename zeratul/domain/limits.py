"""Every number that bounds something, in one place, with the reason beside it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Named limits; a ``LimitError`` names the field and its value."""

    # LIMIT: contract authaz §5; a 5,000-row upload holds the writers' lock about 60 ms.
    bulk_writes_max: int = 5_000
    # LIMIT: contract authaz §6.
    bulk_checks_max: int = 5_000
    # LIMIT: contract authaz §5, deletion by filter; one commit stays well under a second.
    filter_deletes_max: int = 100_000
    # LIMIT: contract authaz §1, paging.
    page_size_default: int = 50
    page_size_max: int = 1_000
    # LIMIT: 5,000 writes of the longest ids allowed fit; a stranger's body does not fill memory.
    body_bytes_max: int = 24 * 1024 * 1024
    # LIMIT: a small JSON body is a single question or relationship; two ids of 1,024 characters
    # fit.
    small_body_bytes_max: int = 256 * 1024
    # LIMIT: 2 MB of model is a program, not a model; a thousand types of fifty relations fit.
    model_bytes_max: int = 1024 * 1024
    model_types_max: int = 1_000
    model_relations_max: int = 200
    # LIMIT: rewrites nest by hand; the compiler walks them with a work list, this bounds its
    # output.
    model_rewrite_nodes_max: int = 100_000
    model_rewrite_depth_max: int = 64
    # LIMIT: contract authaz §2.
    catalog_resources_max: int = 1_000
    catalog_actions_max: int = 100
    catalog_relations_max: int = 50
    # LIMIT: what compiling a catalog costs: a thousand resources of a hundred actions fit.
    catalog_pairs_max: int = 250_000
    # LIMIT: a catalog, sent or stored; two of them fit into an audit event (before and after).
    catalog_bytes_max: int = 6 * 1024 * 1024
    # LIMIT: names that resources ever had; each rename keeps two for good (``Catalog.segments``).
    catalog_segments_max: int = 10_000
    # LIMIT: orjson refuses deeper documents itself (1,024); ours need far less.
    json_depth_max: int = 64
    # LIMIT: a slow body holds a connection, never a thread; this frees it.
    body_timeout_s: float = 30.0
    # LIMIT: longest answer a client plausibly waits for before it retries.
    request_timeout_s: float = 60.0
    # LIMIT: adjacency rows one question may read; some seconds of work, above any honest check.
    check_reads_max: int = 2_000_000
    # LIMIT: a lookup may touch a whole large application.
    lookup_reads_max: int = 200_000_000
    # LIMIT: an explanation is read by a person; past this it says it was cut.
    explain_nodes_max: int = 2_000
    explain_reads_max: int = 200_000
    # LIMIT: an NDJSON line holds one relationship: two ids and their JSON escapes.
    import_line_bytes_max: int = 64 * 1024
    # LIMIT: rows of an import per commit; single writes get between (design §4).
    import_commit_rows: int = 10_000
    # LIMIT: rejected lines an import's answer lists; the count is always exact.
    import_rejects_listed_max: int = 1_000
    # LIMIT: `resource:*` stands for all actions, so that even the largest catalog allowed fits.
    policy_permissions_max: int = 2_000
    # LIMIT: a role is a handful of policies; each is looked at when a question is asked.
    role_policies_max: int = 100
    # LIMIT: roles that lose a deleted policy in one commit, 25 us each.
    policy_detach_max: int = 100_000
    # LIMIT: assignments that go with a role or a resource in one commit: 10 us each where they
    # share scopes, 35 where each has a scope of its own; other writes wait meanwhile.
    role_unassign_max: int = 500_000
    # LIMIT: contract authaz §3, bulk assignment.
    bulk_assignments_max: int = 5_000
    # LIMIT: names (node numbers) one application may hold; numbers are 32 bits for the whole
    # store.
    names_per_application_max: int = 1_000_000_000
    # LIMIT: contextual relationships are read on every step of their question.
    contextual_relationships_max: int = 100
    # LIMIT: contract authaz §1, retries.
    idempotency_ttl_s: int = 24 * 3600
    idempotency_key_length_max: int = 255
    # LIMIT: how long history, tombstones, audit events and therefore cursors last.
    retention_s: int = 7 * 24 * 3600
    # LIMIT: a target before and after a change, models of the longest body allowed, fit.
    audit_event_bytes_max: int = 16 * 1024 * 1024
    # LIMIT: events one page of the audit log looks at; what is left stands behind its cursor.
    audit_examined_max: int = 50_000
    # LIMIT: bytes of events a page shows; events of large models fill it early.
    audit_page_bytes_max: int = 4 * 1024 * 1024
    # LIMIT: decisions one process records at a time, and so in a second: more would cost checks
    # their processor. What is over it is dropped and counted.
    decision_log_batch_max: int = 1_000
    # LIMIT: how long an old secret may go on beside the new one; longer is two keys.
    key_grace_s_max: int = 30 * 24 * 3600
    # LIMIT: removed in one commit with an application; more follow in steps of as many.
    application_keys_step: int = 1_000
    # LIMIT: an application has a few identity providers; all are read when one of them changes.
    issuers_max: int = 20
    # LIMIT: a token with dozens of claims has 2 to 4 KiB; a header line has at most 16 KiB.
    token_bytes_max: int = 8 * 1024
    # LIMIT: a key its issuer took away is trusted no longer than this while the issuer answers.
    issuer_keys_refresh_s: int = 600
    # LIMIT: keys of an issuer that does not answer are trusted no longer than this.
    issuer_keys_stale_s: int = 24 * 3600
    # LIMIT: pause between two fetches of one issuer's keys: whatever strangers send, not more.
    issuer_keys_cooldown_s: int = 10
    # LIMIT: memory for memos in one process (closures and large bitmaps).
    memo_bytes_max: int = 256 * 1024 * 1024
