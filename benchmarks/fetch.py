"""Fetching against img2dataset: `python -m benchmarks.fetch`.

Draws pictures like studio photographs (1274×1580, progressive JPEG) and baseline JPEGs of 600×900, serves them on
loopback with nginx, and fetches each corpus with img2dataset (an environment of its own, 2 processes × 32 threads) and
with the engine up to the finished HDF5 files, in turns, whole processes from start to last byte. Prints pictures a
second, the ratios (also to decoding and resizing the same bytes from memory on all cores), and the worst PSNR. Where
others use the machine too, the ratios by processor time are the ones to trust.

Needs nginx on the PATH (Debian: apt-get install nginx-light), and for the reference img2dataset from the package index.
"""

import argparse
import importlib.metadata
import json
import math
import os
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from benchmarks.corpus import BASELINE, STUDIO, Corpus, make_corpus, psnr_db
from benchmarks.engine import IMAGE, write_sample
from model.picture import decode, decode_with_size
from tasks.pictures.fetcher import available_cores

REFERENCE = "img2dataset==1.47.0"
NGINX = """
worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log;
{user}
events {{ worker_connections 1024; }}
http {{
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000; types {{ image/jpeg jpg; }}
  client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
  uwsgi_temp_path {folder}; scgi_temp_path {folder};
  server {{ listen 127.0.0.1:{port}; root {root}; }}
}}
"""


@contextmanager
def nginx(root: Path, folder: Path) -> Iterator[str]:
    """Serve a folder on loopback; gives the URL."""
    folder.mkdir(parents=True, exist_ok=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    user = "user root;" if os.geteuid() == 0 else ""
    configuration = folder / "nginx.conf"
    configuration.write_text(NGINX.format(folder=folder, root=root, port=port, user=user))
    server = subprocess.Popen(["nginx", "-c", str(configuration), "-p", str(folder)], stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()


def reference_program(folder: Path) -> Path | None:
    """img2dataset in an environment of its own, made when it is not there; None if it cannot be had."""
    program = folder / "img2dataset" / "bin" / "img2dataset"
    if not program.is_file():
        print(f"Installing {REFERENCE} ...", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", str(folder / "img2dataset")], check=True)
        pip = [str(program.with_name("python")), "-m", "pip", "install", "--quiet", REFERENCE]
        if subprocess.run(pip, check=False).returncode:
            return None
    return program


def run_reference(program: Path, urls: list[str], folder: Path) -> None:
    """Fetch with img2dataset to 256×256 as its users do. It cannot squash; `border`, its default, costs it least."""
    folder.mkdir(parents=True)
    (folder / "urls.txt").write_text("\n".join(urls))
    command = [
        str(program), f"--url_list={folder / 'urls.txt'}", f"--output_folder={folder / 'out'}",
        "--processes_count=2", "--thread_count=32", "--image_size=256", "--resize_mode=border",
        "--number_sample_per_shard=500", "--enable_wandb=False",
    ]  # fmt: skip
    quiet = {**os.environ, "NO_ALBUMENTATIONS_UPDATE": "1"}
    subprocess.run(command, check=True, env=quiet, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    stats = [json.loads(path.read_text()) for path in (folder / "out").glob("*_stats.json")]
    done = sum(one["successes"] for one in stats)
    assert done == len(urls), f"img2dataset fetched {done} of {len(urls)}"


def run_engine(urls: list[str], folder: Path) -> float:
    """Fetch with the engine in a process of its own; returns its peak memory in MB."""
    write_sample(folder, urls)
    command = [sys.executable, "-m", "benchmarks.engine", str(folder)]
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    facts = json.loads(answer.stdout)
    assert facts["rows"] == len(urls), f"the engine fetched {facts['rows']} of {len(urls)}"
    return float(facts["peak_mb"])


def decode_from_memory(files: list[bytes]) -> None:
    """Decode and resize on all cores, with nothing else to do."""
    with ThreadPoolExecutor(available_cores()) as pool:
        for _ in pool.map(lambda data: decode(data, IMAGE), files):
            pass


def worst_psnr_db(files: list[bytes]) -> float:
    """The worst picture's PSNR against its full decode."""

    def against_full(data: bytes) -> float:
        return psnr_db(decode_with_size(data, IMAGE, margin=math.inf).pixels, decode(data, IMAGE))

    with ThreadPoolExecutor(available_cores()) as pool:
        return min(pool.map(against_full, files))


def seconds(work: Callable[[], object]) -> tuple[float, float]:
    """How long it takes, by the clock and in processor time of this process and its children."""
    started, busy = time.perf_counter(), processor_s()
    work()
    return time.perf_counter() - started, processor_s() - busy


def processor_s() -> float:
    """Processor time used so far, by this process and the children that have ended."""
    return sum(
        usage.ru_utime + usage.ru_stime
        for usage in (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    )


def measure(corpus: Corpus, arguments: argparse.Namespace, program: Path | None) -> None:
    """One corpus: prints a line."""
    folder: Path = arguments.folder
    root = make_corpus(corpus, arguments.pictures, folder)
    names = [f"{number:05}.jpg" for number in range(arguments.pictures)]
    files = [(root / name).read_bytes() for name in names]
    times: dict[str, list[tuple[float, float]]] = {"img2dataset": [], "engine": [], "memory": []}
    peak_mb = 0.0

    def ours() -> None:
        nonlocal peak_mb
        peak_mb = max(peak_mb, run_engine(urls, folder / "engine"))

    with nginx(root, folder / "nginx") as base:
        urls = [f"{base}/{name}" for name in names]
        for _ in range(arguments.rounds):
            for name in ("engine", "reference"):  # what the round before left, which costs nobody's time
                shutil.rmtree(folder / name, ignore_errors=True)
            if program is not None:
                times["img2dataset"].append(seconds(lambda: run_reference(program, urls, folder / "reference")))
            times["engine"].append(seconds(ours))
            times["memory"].append(seconds(lambda: decode_from_memory(files)))
    print(
        f"\n{corpus.name}: {corpus.width_px}×{corpus.height_px}, {len(names)} pictures of "
        f"{statistics.mean(map(len, files)) / 1000:.0f} kB, worst PSNR {worst_psnr_db(files):.1f} dB, "
        f"engine's peak memory {peak_mb:.0f} MB"
    )
    for name, some in times.items():
        if not some:
            continue
        wall_s, busy_s = (statistics.median(values) for values in zip(*some, strict=True))
        pairs = list(zip(some, times["engine"], strict=True))
        print(
            f"  {name:12} {len(names) / wall_s:6.1f} pictures/s, {busy_s / len(names) * 1000:5.1f} ms processor each; "
            f"engine {ratios(pairs, 0)} as fast by the clock, {ratios(pairs, 1)} by processor time",
            flush=True,
        )


def ratios(pairs: list[tuple[tuple[float, float], tuple[float, float]]], which: int) -> str:
    """The median of the rounds' ratios, and all of them."""
    values = [theirs[which] / ours[which] for theirs, ours in pairs]
    return f"×{statistics.median(values):.2f} ({', '.join(f'{value:.2f}' for value in values)})"


def main() -> None:
    """Measure both corpora."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    # Of shards of 500, img2dataset's two processes then have three each: with 1,500, one of them idles for a third.
    parser.add_argument("--pictures", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=Path("workspace/benchmarks/fetch"), help="kept between runs")
    arguments = parser.parse_args()
    arguments.folder = arguments.folder.resolve()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    if shutil.which("nginx") is None:
        sys.exit("nginx is missing: it serves the pictures (Debian: apt-get install nginx-light)")
    program = reference_program(arguments.folder)
    if program is None:
        print(f"{REFERENCE} cannot be installed: the ratio is not measured", file=sys.stderr)
    pillow = importlib.metadata.version("pillow")
    print(f"{available_cores()} cores, load {os.getloadavg()[0]:.1f}, Python {sys.version.split()[0]}, Pillow {pillow}")
    for corpus in (STUDIO, BASELINE):
        measure(corpus, arguments, program)


if __name__ == "__main__":
    main()
