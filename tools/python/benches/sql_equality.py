"""Spark's and DuckDB's lists against the library's, ids and score bits, for every user of a data set.

    python benches/sql_equality.py FOLDER [--engine spark] [--bits 1,4] [--users N] [--preset fast]

FOLDER has train.txt in LightGCN's format. Ends with an error where a bit differs. Prints seconds, and nanoseconds of a core for a pair of a user and an item, and for a word of it.
"""
import argparse
import os
import tempfile
import time

import numpy as np
from ml1m import read

import kithdb
from kithdb import duck


def lists_of(engine, folder, k, bits, users, threads):
    if engine == "duckdb":
        import duckdb

        connection = duckdb.connect(config={"threads": threads})
        return lambda: duck.recommend_all(connection, folder, k, query_bits=bits, users=users).df()
    from pyspark.sql import SparkSession

    from kithdb import spark as on_spark

    session = (
        SparkSession.builder.master(f"local[{threads}]")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.memory", "4g")
        .config("spark.sql.shuffle.partitions", str(4 * threads))
        .getOrCreate()
    )
    session.sparkContext.setLogLevel("ERROR")
    return lambda: on_spark.recommend_all(session, folder, k, query_bits=bits, users=users).toPandas()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--engine", default="spark", choices=["spark", "duckdb"])
    parser.add_argument("--bits", default="1,4")
    parser.add_argument("--users", type=int)
    parser.add_argument("--preset", default="fast")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("-k", type=int, default=20)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, kithdb.open(os.path.join(folder, "db"), background=False) as db:
        db.insert_many(read(os.path.join(options.folder, "train.txt")))
        db.train(options.preset, threads=options.threads).wait(progress=False)
        codes = os.path.join(folder, "codes")
        start = time.perf_counter()
        manifest = db.export_parquet(codes)
        print(f"{options.engine}: exported in {time.perf_counter() - start:.1f} s: {manifest['rows']}", flush=True)
        users = np.sort(db.users())[: options.users]
        words = sum(layer["words"] for layer in manifest["layers"])
        for bits in map(int, options.bits.split(",")):
            start = time.perf_counter()
            frame = lists_of(options.engine, codes, options.k, bits, options.users, options.threads)().sort_values(["user", "position"])
            seconds = time.perf_counter() - start
            ids, scores = db.recommend(users=users, k=options.k, query_bits=bits)
            there = ~np.isnan(scores)
            same_ids = np.array_equal(frame.item.to_numpy(np.int64), ids[there])
            same_bits = np.array_equal(frame.score.to_numpy(np.float32).view(np.uint32), scores[there].view(np.uint32))
            pair = seconds * options.threads / (len(users) * manifest["rows"]["items"]) * 1e9
            print(
                f"{options.engine}, {bits}-bit queries: {len(users)} users x {manifest['rows']['items']} items in {seconds:.1f} s, {pair:.1f} ns of a core a pair, "
                f"{pair / words / bits:.2f} a word and plane; ids {'equal' if same_ids else 'DIFFER'}, score bits {'equal' if same_bits else 'DIFFER'}",
                flush=True,
            )
            if not (same_ids and same_bits):
                raise SystemExit(1)


if __name__ == "__main__":
    main()
