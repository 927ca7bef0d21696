"""Everything that noxfile.py and tasks.py of a project use."""
