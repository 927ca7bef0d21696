"""What noxfile.py and tasks.py are made of."""
