"""A file that is replaced as a whole."""

import os


def replace(path: str | os.PathLike[str], content: bytes, durable: bool = False) -> None:
    """Write beside, then rename: a reader, and whoever is left after a kill, finds the old content or the new one.
    ``durable``: after a loss of power, too. Only this user can read it; a link in its place is not followed. `OSError`
    when the disk is full or the directory is gone: then the old content stays."""
    beside = f"{os.fspath(path)}.new"
    fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with open(fd, "wb") as file:
        file.write(content)
        if durable:
            file.flush()
            os.fsync(fd)
    os.replace(beside, path)
    if durable:
        _sync_directory(os.path.dirname(path) or ".")


def _sync_directory(path: str) -> None:
    """The new name must survive, too."""
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
