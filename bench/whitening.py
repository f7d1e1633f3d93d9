"""Mean, covariance and eigendecomposition against scikit-learn's IncrementalPCA, in interleaved pairs.

    python bench/whitening.py [--rows 1000000] [--features 256] [--pairs 3] [--batch 1280]
    python bench/whitening.py --cifar10 ROOT        # ZCA of CIFAR-10: seconds, memory beyond the data, κ

Both get the same float32 rows in memory. ``--batch`` is IncrementalPCA's batch size (its default is 5 · features);
"same" gives it the rows that we read at once. Prints every pair and the median of the ratios.
"""

import argparse
import statistics
import threading
import time
from dataclasses import replace

import numpy as np

from trainwell.data import Splits, fit_scaling, from_arrays, load
from trainwell.data.streamed_covariance import CHUNK_BYTES


def rows_of(count: int, features: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    mix = rng.standard_normal((features, features), dtype=np.float32) / features**0.5
    X = np.empty((count, features), dtype=np.float32)
    for start in range(0, count, 50_000):
        block = X[start : start + 50_000]
        block[:] = rng.standard_normal(block.shape, dtype=np.float32) @ mix + 3
    return X


def compare(rows: int, features: int, pairs: int, batch: int) -> None:
    from sklearn.decomposition import IncrementalPCA

    dataset = from_arrays(rows_of(rows, features), np.arange(rows) % 2)
    train = np.arange(rows)
    dataset = replace(dataset, splits=Splits(train, train[:0], train[:0]))
    ratios = []
    for pair in range(pairs):
        begin = time.perf_counter()
        fit_scaling(dataset, "pca")
        middle = time.perf_counter()
        IncrementalPCA(batch_size=batch).fit(dataset.X)
        end = time.perf_counter()
        ours, theirs = middle - begin, end - middle
        ratios.append(theirs / ours)
        print(f"pair {pair + 1}: ours {ours:.2f} s, IncrementalPCA {theirs:.2f} s, ratio {ratios[-1]:.1f}", flush=True)
    print(f"{rows} x {features} float32, batches of {batch}: median ratio {statistics.median(ratios):.1f}")


def resident() -> int:
    """Bytes of memory that are this process's own."""
    with open("/proc/self/status", encoding="ascii") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("RssAnon"))


def cifar10(root: str) -> None:
    dataset = load("cifar10", data_root=root)
    before, peak, done = resident(), [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            peak[0] = max(peak[0], resident())

    watcher = threading.Thread(target=watch)
    watcher.start()
    begin = time.perf_counter()
    scaling = fit_scaling(dataset, "zca")
    seconds = time.perf_counter() - begin
    done.set()
    watcher.join()
    print(f"CIFAR-10, {len(dataset.splits.train)} x 3072, zca: {seconds:.1f} s, {(peak[0] - before) / 2**20:.0f} MiB")
    print(f"condition number {scaling.condition_before:.4g} -> {scaling.condition_after:.6g}, ", end="")
    print(f"{scaling.zero_directions} directions numerically zero")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--features", type=int, default=256)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--batch", default="same")
    parser.add_argument("--cifar10", metavar="ROOT")
    chosen = parser.parse_args()
    if chosen.cifar10:
        cifar10(chosen.cifar10)
        return
    same = CHUNK_BYTES // (4 * chosen.features)
    compare(chosen.rows, chosen.features, chosen.pairs, same if chosen.batch == "same" else int(chosen.batch))


if __name__ == "__main__":
    main()
