"""One verb a file; each module's `command` is what `main.COMMANDS` names."""
