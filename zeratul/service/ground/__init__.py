"""What every service stands on: callers, views, cursors, entity tags, audit events, answers."""
