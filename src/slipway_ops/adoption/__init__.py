"""Adopting a repository: finds its members, plans what to add, and writes that."""
