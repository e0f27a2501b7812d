"""One process of a server, started by the supervisor."""

import sys

from zeratul.server.process import main

if __name__ == "__main__":
    sys.exit(main())
