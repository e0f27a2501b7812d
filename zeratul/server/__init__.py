"""A running server: a supervisor, processes that answer on one port, one for heavy calls.

    supervisor.py  starts, watches, restarts and stops the processes; opens no store itself
    process.py     one process: services, application, sockets
    housekeeping.py  behind the requests: collects history, sweeps deleted applications
    sockets.py     the port, reserved once and shared by all (SO_REUSEPORT)
    logs.py        structured logs, JSON lines on stderr

*Theory of operation.* The supervisor is small: it imports no store and answers nothing, so little
can break it. Each process is started fresh (never forked: LMDB and threads do not survive that),
is told what to do by one line on its standard input, and says by one line on its standard output
that it is ready. Standard input stays open as a lifeline: when the supervisor dies, however it
dies, every process sees the end of it and stops in order.

The first process (for heavy calls, or the first worker without one) opens the store first: it
names the size of the map and makes the root key; the others join.

*Decision: secrets.* Nothing secret goes on a command line (others on the machine see it) and
nothing is left in the environment of a process: the line on standard input carries it.
"""

from zeratul.server.supervisor import run

__all__ = ["run"]
