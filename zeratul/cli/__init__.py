"""The command line `zeratul`: one verb a file in `commands/`.

    main.py      the group of all verbs; the one door where errors become text and exit codes
    console.py   what is printed where: answers to standard output, the rest to standard error
    options.py   options that name what a command talks to
    target.py    what that is, a data directory or a server, as one port
    local.py     the services in-process, on a data directory
    remote.py    the same through a server's HTTP contract

Exit codes: 0 yes or done; 1 the answer is "no" (denied, not valid, some lines rejected); 2 error.

*Decision: exit codes.* A script asks ``if zeratul check …``; a typo must not read as "denied" (1),
so whatever is not an answer is 2: unknown names, no such directory, a server that cannot be
reached or breaks off. For the same reason a question never makes a data directory: an empty store
would answer "no" to everything. Only `serve`, `import`, `model put` and `restore` begin one.
"""
