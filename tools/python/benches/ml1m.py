"""Ten lines on ML-1M from a pandas frame, seconds of each, beside `implicit` on the same frame.

    pip install implicit
    OPENBLAS_NUM_THREADS=1 python benches/ml1m.py FOLDER [--preset fast] [--factors 128]

FOLDER has train.txt and test.txt in LightGCN's format. `implicit`'s ALS has the settings of benches/implicit_peer.py. Recall@20 is `kithdb eval`'s on both sides. Lists are made for all users of the training data, ids and scores as
arrays; the best of five rounds, after one that is not counted. Processor
time is of all threads, and tells more where the machine does other work too.
"""
import argparse
import os
import tempfile
import time

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix

import kithdb


def read(path):
    pairs = []
    with open(path) as file:
        for line in file:
            user, *items = map(int, line.split())
            pairs.extend((user, item) for item in items)
    return pd.DataFrame(pairs, columns=["user", "item"])


def timed(what, call, rounds=1):
    best = processor = float("inf")
    for _ in range(rounds):
        start, before = time.perf_counter(), time.process_time()
        value = call()
        best, processor = min(best, time.perf_counter() - start), min(processor, time.process_time() - before)
    print(f"{what:44} {best:8.3f} s, {processor:8.3f} s of processor time", flush=True)
    return value, (best, processor)


def recall(ids, users, held, k=20):
    return np.mean([len(held[user].intersection(row[:k].tolist())) / len(held[user]) for user, row in zip(users.tolist(), ids) if user in held])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--preset", default="fast")
    parser.add_argument("--factors", type=int, default=128)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    train, test = (read(os.path.join(options.folder, name)) for name in ("train.txt", "test.txt"))
    held = test.groupby("user").item.agg(set).to_dict()
    print(f"{len(train)} interactions, {train.user.nunique()} users, {train.item.nunique()} items")

    with tempfile.TemporaryDirectory() as folder:
        db, _ = timed("kithdb: open", lambda: kithdb.open(os.path.join(folder, "ml.kith"), background=False))
        timed("kithdb: insert_many(frame)", lambda: db.insert_many(train))
        timed(f"kithdb: train({options.preset!r})", lambda: db.train(options.preset, threads=options.threads).wait(progress=False))
        users = db.users()
        db.recommend(users=users, k=20)
        for bits in (1, 4):
            (ids, _), ours = timed(f"kithdb: recommend(all users, query_bits={bits})", lambda: db.recommend(users=users, k=20, query_bits=bits), 5)
            print(f"{'kithdb: recall@20 of these lists':44} {recall(ids, users, held):8.4f}")
        measured, _ = timed("kithdb: evaluate(test)", lambda: db.evaluate(test, k=20))
        print(f"{'kithdb: recall@20, evaluate':44} {measured['recall@20']:8.4f}")
        db.close()

    from implicit.als import AlternatingLeastSquares

    def matrix():
        user_codes, user_ids = pd.factorize(train.user)
        item_codes, item_ids = pd.factorize(train.item)
        return csr_matrix((np.ones(len(train), np.float32), (user_codes, item_codes))), user_ids.to_numpy(), item_ids.to_numpy()

    (sparse, user_ids, item_ids), _ = timed("implicit: factorize, csr_matrix", matrix)
    model = AlternatingLeastSquares(options.factors, 100, 10, iterations=15, num_threads=options.threads, random_state=1)
    timed(f"implicit: fit, {options.factors} factors", lambda: model.fit(sparse, show_progress=False))
    everybody = np.arange(sparse.shape[0])
    model.recommend(everybody, sparse, N=20)
    (rows, _), theirs = timed("implicit: recommend(all users)", lambda: model.recommend(everybody, sparse, N=20), 5)
    print(f"{'implicit: recall@20 of these lists':44} {recall(item_ids[rows], user_ids, held):8.4f}")
    for time_of, own, other in zip(("time", "processor time"), ours, theirs):
        print(f"{f'implicit / kithdb, recommend (4 bits), {time_of}':44} {other / own:8.1f}")


if __name__ == "__main__":
    main()
