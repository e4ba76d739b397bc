"""What the door costs: a query of one user through Python, of the live database and of a snapshot, and in the library; and a durable load of 1 M rows from Arrow.

    python benches/door.py FOLDER [--kithdb ../../target/release/kithdb]

FOLDER has train.txt in LightGCN's format. The library's p50 is `kithdb bench`'s on the same database, of single queries on one thread. The load is beside a plain write and fsync of as many bytes as the database has then.
"""
import argparse
import json
import os
import subprocess
import tempfile
import time

import numpy as np
import pyarrow as pa
from ml1m import read

import kithdb


def times(db, users, **options):
    """Nanoseconds of each query."""
    taken = []
    for user in users:
        start = time.perf_counter_ns()
        db.recommend(user, k=20, **options)
        taken.append(time.perf_counter_ns() - start)
    return taken


def p50(taken):
    return np.median(taken) / 1000


def beside(live, replica, users, bits):
    """p50 of both, asked in turns of a thousand, so that both have the machine as it is."""
    taken = [], []
    for start in range(0, len(users), 1000):
        for own, db in zip(taken, (live, replica)):
            own += times(db, users[start : start + 1000], query_bits=bits)
    return tuple(map(p50, taken))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--kithdb", help="the program, for the library's own p50")
    options = parser.parse_args()
    train = read(os.path.join(options.folder, "train.txt"))
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "ml.kith")
        with kithdb.open(path, background=False) as db:
            db.insert_many(train)
            db.train("fast").wait(progress=False)
            users = np.random.default_rng(1).choice(db.users(), 20_000).tolist()
            db.snapshot_to(os.path.join(folder, "fleet"))
            with kithdb.open_snapshot(os.path.join(folder, "fleet")) as replica:
                beside(db, replica, users[:2000], 1)
                through = {bits: beside(db, replica, users, bits) for bits in (1, 4)}
            nothing = p50(times(db, users, allow=db.item_set([])))
        for bits, (live, replica) in through.items():
            print(f"one user, {bits}-bit query, p50 through Python      {live:8.2f} us, of a snapshot {replica:.2f} us")
            if options.kithdb:
                arguments = ["bench", path, "-k", "20", "--threads", "1", "--query-bits", str(bits), "--json"]
                own = json.loads(subprocess.run([options.kithdb, *arguments], check=True, capture_output=True, text=True).stdout)["p50_us"]
                print(f"one user, {bits}-bit query, p50 in the library      {own:8.2f} us, the door {live - own:.2f} us")
        print(f"one user, nothing allowed, p50 through Python   {nothing:8.2f} us")

        random = np.random.default_rng(2)
        rows = 1_000_000
        for name, table in {
            "int64 ids": pa.table({"user": random.integers(0, 100_000, rows), "item": random.integers(0, 20_000, rows)}),
            "string ids": pa.table({"user": [f"u{n}" for n in random.integers(0, 100_000, rows)], "item": [f"i{n}" for n in random.integers(0, 20_000, rows)]}),
            "dictionary ids": pa.table({"user": pa.array([f"u{n}" for n in random.integers(0, 100_000, rows)]).dictionary_encode(), "item": random.integers(0, 20_000, rows)}),
        }.items():
            rates = []
            for round in range(3):
                with kithdb.open(os.path.join(folder, f"{name} {round}"), background=False) as db:
                    start = time.perf_counter()
                    db.insert_many(table)
                    rates.append(rows / (time.perf_counter() - start) / 1e6)
            print(f"insert_many of {rows} rows, {name:15} {max(rates):8.2f} M rows a second, durable")


if __name__ == "__main__":
    main()
