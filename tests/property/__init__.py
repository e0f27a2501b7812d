"""Properties: facts that hold for every model and all relationships, each a test.

test_agreement.py     check, check_many and both lookups equal the reference, memos cold and warm
test_laws.py          order and repetition do not matter; without exclusion more relationships
                      never take access away; cycles end; chains of any depth; relationships sent
                      along with a question count like stored ones
test_expand.py        the leaves of an expansion explain every check
test_proofs.py        a proof alone gives the same yes, none of it can be missed; a suggestion
                      turns a no
test_stateful.py      all of it while two processes write, expire, change the model and read
                      past revisions
test_late_views.py    what a view derives after commits have overtaken it ends with it
test_truth_tables.py  every small rewrite over every combination of leaves (exhaustive)
test_sample_stores.py, test_github_org.py
                      known answers of other people's models and of a real organisation
test_documents.py     arbitrary documents as models, arbitrary text as relationships
"""
