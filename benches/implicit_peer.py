"""ALS and BPR of the `implicit` package beside kithdb's, on the same files, in turn.

    pip install implicit
    OPENBLAS_NUM_THREADS=1 python benches/implicit_peer.py FOLDER --kithdb target/release/kithdb [--factors 64,128,256]

FOLDER has train.txt and test.txt in LightGCN's format. Recall@20 is as `kithdb eval` has it: training items masked, all others ranked, hits over the
user's test items, averaged over users with test items; of full precision on both sides, of 1-bit codes for the recipe.

`implicit` minimises `sum c (p - xy)^2 + reg (|x|^2 + |y|^2)` with c = alpha where p = 1, else 1. But for a constant and for the scale of x and y
that is kithdb's objective with `unobserved = 1 / (alpha - 1)`, `regularisation = reg / alpha` and `exponent = 0`. Both take three steps of conjugate gradients a solve. Seconds an epoch are of fits alone; kithdb's are the difference between trainings of many
sweeps and of one, each of which fits twice. Seconds of processor time stand beside those of the clock, for machines that do other work.
"""
import argparse
import json
import os
import resource
import subprocess
import tempfile
import time

os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np  # noqa: E402
from implicit.als import AlternatingLeastSquares  # noqa: E402
from implicit.bpr import BayesianPersonalizedRanking  # noqa: E402
from scipy.sparse import csr_matrix  # noqa: E402


def read(path):
    with open(path) as file:
        lines = [[int(id) for id in line.split()] for line in file]
    return [(line[0], item) for line in lines if line for item in line[1:]]


def recall(model, train, test, k=20):
    """Mean share of the test items among the k best."""
    users = np.unique([user for user, _ in test])
    held = {user: set() for user in users}
    for user, item in test:
        held[user].add(item)
    shares = []
    for block in np.array_split(users, max(1, len(users) // 1000)):
        scores = model.user_factors[block] @ model.item_factors.T
        scores[:, np.diff(train.tocsc().indptr) == 0] = -np.inf
        for row, user in enumerate(block):
            scores[row, train[user].indices] = -np.inf
            best = np.argpartition(-scores[row], k)[:k]
            shares.append(len(held[user].intersection(best.tolist())) / len(held[user]))
    return np.mean(shares)


def clocks(usage=resource.RUSAGE_SELF):
    used = resource.getrusage(usage)
    return np.array([time.monotonic(), used.ru_utime + used.ru_stime])


def line(name, factors, seconds, epoch, recall):
    times = "  ".join(f"{wall:8.3f} {processor:8.3f}" for wall, processor in [seconds, epoch])
    print(f"{name:14} {factors:7}  {times}  {recall:.4f}", flush=True)


def implicit(name, model, epochs, train, test):
    start = clocks()
    model.fit(train, show_progress=False)
    seconds = clocks() - start
    line(name, model.factors, seconds, seconds / epochs, recall(model, train, test))


def kithdb(program, *args):
    out = subprocess.run([program, *args, "--json"], check=True, capture_output=True, text=True).stdout
    return json.loads(out)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--kithdb", default="target/release/kithdb")
    parser.add_argument("--factors", default="64,128,256")
    parser.add_argument("--sweeps", type=int, default=15)
    parser.add_argument("--alpha", type=float, default=10)
    parser.add_argument("--regularization", type=float, default=100)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--bpr-epochs", type=int, default=100, help="0 leaves BPR out")
    parser.add_argument("--recipe", default="fast,balanced", help="presets, or an empty list")
    options = parser.parse_args()
    files = [os.path.join(options.folder, name) for name in ("train.txt", "test.txt")]
    train, test = map(read, files)
    shape = 1 + np.max(np.array(train + test), axis=0)
    users, items = np.array(train).T
    matrix = csr_matrix((np.ones(len(train), np.float32), (users, items)), shape=shape)
    threads, sweeps = options.threads, options.sweeps
    lightgcn = ["--format", "lightgcn"]
    with tempfile.TemporaryDirectory() as folder:
        db = os.path.join(folder, "db.kith")
        kithdb(options.kithdb, "load", db, files[0], "--id-type", "u64", *lightgcn)

        def trained(*flags):
            start = clocks(resource.RUSAGE_CHILDREN)
            kithdb(options.kithdb, "train", db, "--threads", str(threads), *flags)
            return clocks(resource.RUSAGE_CHILDREN) - start

        def measured(*flags):
            return kithdb(options.kithdb, "eval", db, "--test", files[1], "-k", "20", *lightgcn, *flags)["recall@20"]

        print("               factors   seconds  of cpu     an epoch  of cpu  recall@20")
        for factors in map(int, options.factors.split(",")):
            settings = {
                "factors": factors,
                "exponent": 0,
                "unobserved": 1 / (options.alpha - 1),
                "regularisation": options.regularization / options.alpha,
            }
            flags = [flag for name, value in settings.items() for flag in ("--set", f"teacher.{name}={value}")]
            for seed in range(1, options.rounds + 1):
                als = AlternatingLeastSquares(
                    factors, options.regularization, options.alpha,
                    iterations=sweeps, num_threads=threads, random_state=seed,
                )
                implicit("implicit ALS", als, sweeps, matrix, test)
                flags_of = lambda sweeps: [  # noqa: E731
                    "--model", "ials", "--seed", str(seed), "--set", f"teacher.sweeps={sweeps}", *flags,
                ]
                once, all_of = trained(*flags_of(1)), trained(*flags_of(sweeps))
                epoch = (all_of - once) / (sweeps - 1) / 2
                line("kithdb ials", factors, epoch * sweeps, epoch, measured("--full-precision"))
            if options.bpr_epochs:
                # The best of ten settings on a tenth held out of ML-1M's train; the package's own rate of 0.01 is behind.
                bpr = BayesianPersonalizedRanking(
                    factors, 0.003, 0.01, iterations=options.bpr_epochs, num_threads=threads, random_state=1
                )
                implicit("implicit BPR", bpr, options.bpr_epochs, matrix, test)
        for preset in filter(None, options.recipe.split(",")):
            seconds = trained("--preset", preset)
            line(f"kithdb {preset}", "-", seconds, seconds * np.nan, measured("--query-bits", "1"))


if __name__ == "__main__":
    main()
