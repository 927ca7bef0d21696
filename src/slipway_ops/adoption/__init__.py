"""Adopting a repository: what is there, what will be checked and what not, and writing it down."""
