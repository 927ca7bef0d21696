"""A library that the services of this project share."""


def shorten(text: str, limit: int) -> str:
    """Return `text` in at most `limit` characters, cut between words where that is possible.

    White space is reduced to single spaces, and a cut is marked by an ellipsis.

    Raises:
        ValueError: the limit is below 1.
    """
    if limit < 1:
        raise ValueError(f"The limit is {limit}: give at least 1 character.")
    words = " ".join(text.split())
    if len(words) <= limit:
        return words
    start = words[: limit - 1]
    if words[limit - 1] != " " and " " in start:
        start = start.rpartition(" ")[0]
    return f"{start.rstrip()}…"
