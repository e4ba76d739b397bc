"""FAISS beside kithdb, on codes and vectors that kithdb trained, in turn.

    pip install faiss-cpu
    kithdb train DB --preset balanced; kithdb export DB FOLDER --npy
    python benches/faiss_peer.py latency FOLDER --kithdb target/release/kithdb
    python benches/faiss_peer.py bytes FOLDER --train train.txt --test test.txt
    python benches/faiss_peer.py grow FOLDER OUT --items 1000000

`latency`: median microseconds of one query on one thread, k = 20, nothing excluded, kithdb and FAISS alternating, each in a process of its own. kithdb
searches its codes, exactly and for a recall; `IndexBinaryFlat` the same codes without scalers; HNSW and IVF-PQ fast scan the exported vectors, with
the smallest efSearch or nprobe that finds the recall asked for of *their own* exact list; where there are no vectors (a folder from `grow`), HNSW the
codes by Hamming distance.

`bytes`: recall@20 of what fits about as many bytes an item, made of the exported vectors; training items masked, averaged over users with test items.
Files are in LightGCN's format. Microseconds of a query on one thread, at the median, beside it, of FAISS with nothing excluded; with `--db` of the database that
was exported, with what a user has excluded.

`grow`: more items, each with the code of one that exists, bits of which are drawn anew with a probability of up to a fifth, and a scaler that differs a
little: a catalogue that is as clustered as what was trained, or more. With `--vectors` the vectors grow alike, turned by as much of a half circle as there
are bits that differ. What FAISS builds of a folder is kept there, with the seconds it took, since a graph of a million vectors takes its time.
"""
import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

import numpy as np

QUERIES = 2000
K = 20


def load(folder, name):
    return np.load(os.path.join(folder, f"{name}.npy"))


def numbers(folder, name):
    """Ids, which files in LightGCN's format number, whether they are stored as numbers or as what was read."""
    path = os.path.join(folder, f"{name}.npy")
    return np.load(path) if os.path.exists(path) else np.loadtxt(os.path.join(folder, f"{name}.txt"), dtype=np.int64)


def median_us(search, queries, rounds=1000):
    times = []
    for i in range(rounds + 20):
        row = queries[i % len(queries)][None]
        start = time.perf_counter()
        search(row)
        times.append(time.perf_counter() - start)
    return float(np.median(times[20:]) * 1e6)


def recall_of(found, exact):
    return float(np.mean([len(np.intersect1d(a, b)) / len(b) for a, b in zip(found, exact)]))


def tuned(graph, queries, recall, target, build_s):
    """What the smallest efSearch takes with which `recall` of distances and rows is the target, the largest where none is."""
    for value in EF:
        graph.hnsw.efSearch = value
        share = recall(*graph.search(queries, K))
        if share >= target:
            break
    p50 = median_us(lambda row: graph.search(row, K), queries)
    return {"p50_us": p50, "efSearch": value, "recall": share, "build_s": build_s}


def built(folder, name, make):
    """An index made on all threads, or before and kept in `folder`, and the seconds that took."""
    import faiss

    path = os.path.join(folder, f"{name}.faiss")
    read, write = (faiss.read_index_binary, faiss.write_index_binary) if "binary" in name else (faiss.read_index, faiss.write_index)
    if os.path.exists(path):
        with open(path + ".json") as file:
            return read(path), json.load(file)
    faiss.omp_set_num_threads(os.cpu_count())
    start = time.perf_counter()
    index = make()
    seconds = time.perf_counter() - start
    faiss.omp_set_num_threads(1)
    write(index, path)
    with open(path + ".json", "w") as file:
        json.dump(seconds, file)
    return index, seconds


EF = [16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 1024, 2048, 4096]


def faiss_child(folder, target, links):
    """Peers of the vectors where there are any, of the codes alone elsewhere."""
    import faiss

    faiss.omp_set_num_threads(1)
    codes, query_codes = load(folder, "items_codes"), load(folder, "queries_codes")
    pick = np.random.default_rng(1).permutation(len(query_codes))[:QUERIES]
    query_codes = np.ascontiguousarray(query_codes[pick])
    result = {}
    flat = faiss.IndexBinaryFlat(codes.shape[1] * 8)
    flat.add(codes)
    result["IndexBinaryFlat"] = {"p50_us": median_us(lambda row: flat.search(row, K), query_codes, 200)}
    if os.path.exists(os.path.join(folder, "items_float.npy")):
        items = load(folder, "items_float")
        queries = np.ascontiguousarray(load(folder, "queries_float")[pick])
        result |= of_vectors(folder, items, queries, target, links)
    else:
        few = query_codes[:500]
        # Many codes are as far as the last of a list: any of them will do.
        last = flat.search(few, K)[0][:, -1:]
        for links in links:

            def graph():
                graph = faiss.IndexBinaryHNSW(codes.shape[1] * 8, links)
                graph.hnsw.efConstruction = 100
                graph.add(codes)
                return graph

            graph, build = built(folder, f"binary_hnsw{links}", graph)
            result[f"IndexBinaryHNSW{links}"] = tuned(graph, few, lambda found, _: float(np.mean(found <= last)), target, build)
    print(json.dumps(result))


def of_vectors(folder, items, queries, target, links):
    import faiss

    result = {}
    inner = faiss.IndexFlatIP(items.shape[1])
    inner.add(items)
    exact = inner.search(queries, K)[1]
    result["IndexFlatIP"] = {"p50_us": median_us(lambda row: inner.search(row, K), queries, 200)}
    del inner
    for links in links:

        def graph():
            graph = faiss.IndexHNSWFlat(items.shape[1], links, faiss.METRIC_INNER_PRODUCT)
            graph.hnsw.efConstruction = 200 if len(items) < 500_000 else 80
            graph.add(items)
            return graph

        graph, build = built(folder, f"hnsw{links}", graph)
        result[f"HNSW{links}"] = tuned(graph, queries, lambda _, found: recall_of(found, exact), target, build)
    lists = int(4 * len(items) ** 0.5)

    def inverted():
        ivf = faiss.index_factory(items.shape[1], f"IVF{lists},PQ{items.shape[1] // 4}x4fs,RFlat", faiss.METRIC_INNER_PRODUCT)
        ivf.train(items)
        ivf.add(items)
        return ivf

    ivf, build = built(folder, "ivf", inverted)
    ivf.k_factor = 10
    base = faiss.downcast_index(ivf.base_index)
    for probes in [4, 8, 16, 32, 64, 128, 256, 512]:
        base.nprobe = min(probes, lists)
        share = recall_of(ivf.search(queries, K)[1], exact)
        if share >= target:
            break
    p50 = median_us(lambda row: ivf.search(row, K), queries)
    result["IVF-PQ fast scan, refined"] = {"p50_us": p50, "nprobe": base.nprobe, "recall": share, "build_s": build}
    return result


def latency(args):
    with tempfile.TemporaryDirectory() as temp:
        db = os.path.join(temp, "db")
        subprocess.run([args.kithdb, "import-codes", db, "--dir", args.folder], check=True, stdout=subprocess.DEVNULL)
        own = {}
        for bits in ([1, 4] if os.path.exists(os.path.join(args.folder, "queries_planes.npy")) else [1]):
            own[f"exact, {bits}-bit queries"] = ["--query-bits", str(bits)]
            own[f"recall {args.recall}, {bits}-bit queries"] = ["--query-bits", str(bits), "--recall", str(args.recall)]
        seen = {}
        for _ in range(args.rounds):
            for name, flags in own.items():
                command = [args.kithdb, "bench", db, "-k", str(K), "--threads", "1", "--queries", str(QUERIES), "--json", *flags]
                seen.setdefault(name, []).append(json.loads(subprocess.run(command, check=True, capture_output=True).stdout))
            child = [sys.executable, __file__, "child", args.folder, "--recall", str(args.recall), "--links", args.links]
            if not args.no_faiss:
                told = json.loads(subprocess.run(child, check=True, capture_output=True).stdout)
                for name, row in told.items():
                    seen.setdefault("FAISS " + name, []).append(row)
    for name, rows in seen.items():
        best = min(rows, key=lambda row: row["p50_us"])
        facts = [f"{key} {best[key]:.4g}" for key in ("p99_us", "recall", "recall_of_lowest_tenth", "scored_per_query", "efSearch", "nprobe", "build_s") if best.get(key) is not None]
        p50s = sorted(row["p50_us"] for row in rows)
        print(f"{name:40} p50 {p50s[0]:9.1f} to {p50s[-1]:9.1f} us  {', '.join(facts)}")


def lists(path):
    held = {}
    with open(path) as file:
        for line in file:
            ids = line.split()
            if len(ids) > 1:
                held.setdefault(ids[0], set()).update(ids[1:])
    return held


def test_recall(search, query_ids, item_ids, train, test):
    """`search(rows, k)` gives the rows of the best items of some queries."""
    row_of = {str(id): row for row, id in enumerate(item_ids)}
    hits = []
    users = [(row, str(id)) for row, id in enumerate(query_ids) if str(id) in test]
    # By the length of what is masked, so that a batch asks for no more than it needs.
    users.sort(key=lambda user: len(train.get(user[1], ())))
    for start in range(0, len(users), 512):
        batch = users[start : start + 512]
        most = min(K + max(len(train.get(user, ())) for _, user in batch), len(item_ids))
        for (_, user), found in zip(batch, search([row for row, _ in batch], most)):
            masked = {row_of[item] for item in train.get(user, ()) if item in row_of}
            best = [row for row in found if row >= 0 and row not in masked][:K]
            wanted = {row_of.get(item, -1) for item in test[user]}
            hits.append(len(wanted.intersection(best)) / len(test[user]))
    return float(np.mean(hits))


def of_bytes(args):
    import faiss

    items, queries = load(args.folder, "items_float"), load(args.folder, "queries_float")
    item_ids, query_ids = numbers(args.folder, "items_ids"), numbers(args.folder, "queries_ids")
    codes, scalers = load(args.folder, "items_codes"), load(args.folder, "items_scalers")
    train, test = lists(args.train), lists(args.test)
    bits = codes.shape[1] * 8

    faiss.omp_set_num_threads(1)

    def told(name, size, recall, us=None):
        p50 = "" if us is None else f"  p50 {us:7.1f} us"
        print(f"{name:45} {size:6.0f} bytes  recall@20 {recall:.4f}{p50}", flush=True)

    def measure(name, size, search, one=None):
        recall = test_recall(search, query_ids, item_ids, train, test)
        told(name, size, recall, one and median_us(one, queries))

    def served(planes, flags):
        """A query of a trained user by the database, whoever it leaves out left out."""
        command = [args.kithdb, "bench", args.db, "-k", str(K), "--threads", "1", "--queries", str(QUERIES)]
        command += ["--query-bits", str(planes), "--json", *flags]
        return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)["p50_us"]

    if args.db:
        size = codes.shape[1] + 4 * scalers.reshape(len(codes), -1).shape[1]
        for planes in [1, 4]:
            command = [args.kithdb, "eval", args.db, "--test", args.test, "--format", "lightgcn", "-k", "20"]
            command += ["--query-bits", str(planes), "--json"]
            found = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
            told(f"kithdb, {planes}-bit queries", size, found["recall@20"], served(planes, []))
            print(f"{'':45}    with recall(0.99): p50 {served(planes, ['--recall', '0.99']):7.1f} us", flush=True)

    def ranked(scores, k):
        part = np.argpartition(-scores, min(k, scores.shape[1] - 1), axis=1)[:, :k]
        order = np.take_along_axis(scores, part, 1).argsort(axis=1)[:, ::-1]
        return np.take_along_axis(part, order, 1)

    flat = faiss.IndexFlatIP(items.shape[1])
    flat.add(items)
    measure("the vectors, exact", items.shape[1] * 4, lambda some, k: ranked(queries[some] @ items.T, k), lambda row: flat.search(row, K))
    signs = np.unpackbits(codes, axis=1, bitorder="little").astype(np.float32) * 2 - 1
    signs *= scalers.reshape(len(codes), -1)[:, :1]
    own = np.unpackbits(load(args.folder, "queries_codes"), axis=1, bitorder="little").astype(np.float32) * 2 - 1
    if scalers.reshape(len(codes), -1).shape[1] == 1:
        measure("kithdb's codes, 1-bit queries", codes.shape[1] + 1, lambda some, k: ranked(own[some] @ signs.T, k))
    # As many directions as bits: a frame, whose signs keep the angles.
    frame = np.linalg.qr(np.random.default_rng(1).standard_normal((max(bits, items.shape[1]),) * 2))[0].astype(np.float32)
    frame = frame[:bits, : items.shape[1]]
    turned, asked = items @ frame.T, queries @ frame.T
    scale = np.abs(turned).mean(1, keepdims=True)
    binary = np.sign(turned) * scale
    measure("signs of the vectors, 1-bit queries", bits / 8 + 4, lambda some, k: ranked(np.sign(asked[some]) @ binary.T, k))
    measure("signs of the vectors, float queries", bits / 8 + 4, lambda some, k: ranked(asked[some] @ binary.T, k))
    d = items.shape[1]
    wide = -(-d // (bits // 4)) * (bits // 4)
    pad = lambda vectors: np.ascontiguousarray(np.pad(vectors, ((0, 0), (0, wide - d))))
    pq = faiss.IndexPQFastScan(wide, bits // 4, 4, faiss.METRIC_INNER_PRODUCT)
    pq.train(pad(items))
    pq.add(pad(items))
    measure("FAISS PQ fast scan, 4 bits a part", bits / 8, lambda some, k: pq.search(pad(queries[some]), k)[1], lambda row: pq.search(pad(row), K))
    rabits = [faiss.IndexRaBitQ(d, faiss.METRIC_INNER_PRODUCT, planes) for planes in range(1, 9)]
    fitting = sum(rabit.code_size <= bits / 8 + 4 for rabit in rabits)
    for planes in sorted({1, max(1, fitting), min(8, fitting + 1)}):
        rabit = rabits[planes - 1]
        rotated = faiss.IndexPreTransform(faiss.RandomRotationMatrix(d, d), rabit)
        rotated.train(items)
        rotated.add(items)
        measure(f"FAISS RaBitQ, {planes} bit", rabit.code_size, lambda some, k: rotated.search(queries[some], k)[1], lambda row: rotated.search(row, K))


def grow(args):
    rng = np.random.default_rng(1)
    codes, scalers = load(args.folder, "items_codes"), load(args.folder, "items_scalers")
    os.makedirs(args.out, exist_ok=True)
    floats = load(args.folder, "items_float") if args.vectors else None
    made, sizes, vectors = [], [], []
    for start in range(0, args.items, 100_000):
        which = rng.integers(0, len(codes), min(100_000, args.items - start))
        noise = rng.random((len(which), 1, 1), dtype=np.float32) * 0.1
        flips = rng.random((len(which), codes.shape[1], 8), dtype=np.float32) < noise
        made.append(codes[which] ^ np.packbits(flips, axis=2, bitorder="little")[:, :, 0])
        jitter = np.exp(rng.standard_normal((len(which), 1), dtype=np.float32) * 0.05)
        sizes.append(scalers[which].reshape(len(which), -1) * jitter)
        if args.vectors:
            norms = np.linalg.norm(floats[which], axis=1, keepdims=True)
            aside = rng.standard_normal((len(which), floats.shape[1]), dtype=np.float32)
            aside *= norms / np.linalg.norm(aside, axis=1, keepdims=True)
            angles = np.pi * noise[:, :, 0]
            vectors.append((np.cos(angles) * floats[which] + np.sin(angles) * aside) * jitter)
    np.save(os.path.join(args.out, "items_codes.npy"), np.concatenate(made))
    np.save(os.path.join(args.out, "items_scalers.npy"), np.concatenate(sizes).astype(scalers.dtype))
    if args.vectors:
        np.save(os.path.join(args.out, "items_float.npy"), np.concatenate(vectors).astype(np.float32))
    for name in ["queries_codes", "queries_planes", "queries_scalers", "layer_weights"] + ["queries_float"] * args.vectors:
        if os.path.exists(os.path.join(args.folder, f"{name}.npy")):
            shutil.copy(os.path.join(args.folder, f"{name}.npy"), args.out)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["latency", "bytes", "grow", "child"])
    parser.add_argument("folder")
    parser.add_argument("out", nargs="?")
    parser.add_argument("--kithdb", default="target/release/kithdb")
    parser.add_argument("--db")
    parser.add_argument("--train")
    parser.add_argument("--test")
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--recall", type=float, default=0.985)
    parser.add_argument("--links", default="16,32")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--vectors", action="store_true")
    parser.add_argument("--no-faiss", action="store_true")
    args = parser.parse_args()
    match args.what:
        case "latency":
            latency(args)
        case "bytes":
            of_bytes(args)
        case "grow":
            grow(args)
        case "child":
            faiss_child(args.folder, args.recall, [int(links) for links in args.links.split(",")])


if __name__ == "__main__":
    main()
