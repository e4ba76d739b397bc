"""Spark's and DuckDB's lists against the library's, ids and score bits, for every user of a data set.

    python benches/sql_equality.py FOLDER [--engine spark] [--bits 1,4] [--users N] [--preset fast]
    python benches/sql_equality.py --db DATABASE [...]

FOLDER has train.txt in LightGCN's format; DATABASE is trained already. Ends with an error where a bit differs. Prints seconds, and nanoseconds of processor time for a pair of a user and an item, and for a word of it:
of this process and, for Spark, of its Java, compilation and garbage collection included.
"""
import argparse
import os
import tempfile
import time

import numpy as np
from ml1m import read

import kithdb
from kithdb import duck


def lists_of(engine, folder, k, bits, users, threads, shards):
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
    return lambda: on_spark.recommend_all(session, folder, k, query_bits=bits, users=users, item_shards=shards).toPandas()


def processor_seconds(engine):
    """What this process has taken, and the Java that it has started."""
    own = time.process_time()
    if engine == "duckdb":
        return own
    from pyspark import SparkContext

    java = SparkContext._active_spark_context
    if java is None:
        return own
    with open(f"/proc/{java._jvm.java.lang.ProcessHandle.current().pid()}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return own + (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", nargs="?")
    parser.add_argument("--db")
    parser.add_argument("--engine", default="spark", choices=["spark", "duckdb"])
    parser.add_argument("--bits", default="1,4")
    parser.add_argument("--users", type=int)
    parser.add_argument("--preset", default="fast")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--shards", type=int, default=1)
    parser.add_argument("-k", type=int, default=20)
    options = parser.parse_args()
    if (options.folder is None) == (options.db is None):
        parser.error("pass a folder, or a database as --db")
    with tempfile.TemporaryDirectory() as folder, kithdb.open(options.db or os.path.join(folder, "db"), background=False) as db:
        if options.folder:
            db.insert_many(read(os.path.join(options.folder, "train.txt")))
            db.train(options.preset, threads=options.threads).wait(progress=False)
        codes = os.path.join(folder, "codes")
        start = time.perf_counter()
        manifest = db.export_parquet(codes)
        print(f"{options.engine}: exported in {time.perf_counter() - start:.1f} s: {manifest['rows']}", flush=True)
        users = np.sort(db.users())[: options.users]
        words = sum(layer["words"] for layer in manifest["layers"])
        for bits in map(int, options.bits.split(",")):
            lists = lists_of(options.engine, codes, options.k, bits, options.users, options.threads, options.shards)
            start, before = time.perf_counter(), processor_seconds(options.engine)
            frame = lists()
            seconds, processor = time.perf_counter() - start, processor_seconds(options.engine) - before
            frame = frame.sort_values(["user", "position"])
            ids, scores = db.recommend(users=users, k=options.k, query_bits=bits)
            there = ~np.isnan(scores)
            same_ids = frame.item.tolist() == ids[there].tolist()
            same_bits = np.array_equal(frame.score.to_numpy(np.float32).view(np.uint32), scores[there].view(np.uint32))
            pairs = len(users) * manifest["rows"]["items"]
            pair = processor / pairs * 1e9
            print(
                f"{options.engine}, {bits}-bit queries: {len(users)} users x {manifest['rows']['items']} items in {seconds:.1f} s, {pairs / seconds / 1e6:.1f} M pairs a second, "
                f"{processor:.1f} s of processor time, {pair:.1f} ns a pair, {pair / words / bits:.2f} a word and plane; "
                f"ids {'equal' if same_ids else 'DIFFER'}, score bits {'equal' if same_bits else 'DIFFER'}",
                flush=True,
            )
            if not (same_ids and same_bits):
                raise SystemExit(1)


if __name__ == "__main__":
    main()
