"""What can go wrong, told apart by what the caller can do about it. Messages are the library's and name the remedy."""


class KithdbError(Exception):
    """Every failure of the package."""


class InvalidArgumentError(KithdbError, ValueError):
    """An argument, an option or a row is out of its range, or an id of another kind than the database's."""


class UnknownIdError(KithdbError, LookupError):
    """Nobody has ever heard of this user, this item, or any item of this basket."""


class NotTrainedError(KithdbError):
    """There are no embeddings yet: train, or ask for ``or_popular=True``."""


class NoCodeError(KithdbError):
    """Who is asked about is known, but there is nothing to place them by."""


class JobError(KithdbError):
    """A training or compaction failed; what was published before it goes on answering."""


class CancelledError(JobError):
    """A job was cancelled by its owner."""


class StorageError(KithdbError, OSError):
    """The database cannot be opened, read or written."""


class DamagedError(StorageError):
    """Stored data are damaged: what helps is a backup, not another try."""
