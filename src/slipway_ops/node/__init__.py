"""Web members: their package manager, Node version, and stage commands."""
