"""What Amaranth's Yosys, in WebAssembly, compiles for ten seconds and keeps in a cache."""

from pathlib import Path

FOLDER = "wasmtime"


def link_webassembly(kept: Path, cache: Path) -> None:
    """Let ``cache`` have what the cache ``kept`` has, or will have, of it."""
    (kept / FOLDER).mkdir(parents=True, exist_ok=True)
    cache.mkdir(parents=True, exist_ok=True)
    (cache / FOLDER).symlink_to(kept / FOLDER)
