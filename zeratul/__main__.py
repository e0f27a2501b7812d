"""`python -m zeratul` is the command line `zeratul`."""

from zeratul.cli.main import main

if __name__ == "__main__":
    main()
