"""kithdb: an embedded vector retrieval database for recommendation.

Give it interactions (*user u touched item i*). It stores them durably, learns binary embeddings from them in the background, and answers "which items are
nearest to this user, item or basket" inside your process, exactly.

    import kithdb

    with kithdb.open("shop.kith") as db:
        db.insert_many(frame)                                   # columns user and item, and, where there are such, weight and time
        db.train().wait()
        db.recommend("alice", k=10)                             # a list of (id, score)
        ids, scores = db.recommend(users=db.users(), k=10)      # two arrays
"""

from . import exceptions
from ._kithdb import ItemSet, __version__
from .database import Database, Inserted, Replica, open, open_snapshot
from .exceptions import (
    CancelledError,
    DamagedError,
    InvalidArgumentError,
    JobError,
    KithdbError,
    NoCodeError,
    NotTrainedError,
    StorageError,
    UnknownIdError,
)
from .job import Job

__all__ = [
    "CancelledError",
    "DamagedError",
    "Database",
    "Inserted",
    "InvalidArgumentError",
    "ItemSet",
    "Job",
    "JobError",
    "KithdbError",
    "NoCodeError",
    "NotTrainedError",
    "Replica",
    "StorageError",
    "UnknownIdError",
    "__version__",
    "exceptions",
    "open",
    "open_snapshot",
]
