"""A worker: takes questions from its queue and has a language model answer them."""
