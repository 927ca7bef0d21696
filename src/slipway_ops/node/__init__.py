"""Web members: their package manager, their version of Node, and the commands of their stages."""
