"""How much memory this machine, or the container it runs in, can still give."""

from __future__ import annotations

from pathlib import Path


def free_memory() -> int:
    """Return the bytes that can still be had; more than any machine has where nothing says it."""
    free = 1 << 62
    for line in _lines(Path("/proc/meminfo")):
        if line.startswith("MemAvailable:"):
            free = int(line.split()[1]) * 1024
    limit, used = (_lines(Path(f"/sys/fs/cgroup/memory.{one}")) for one in ("max", "current"))
    if limit and used and limit[0].isdigit():
        free = min(free, int(limit[0]) - int(used[0]))
    return free


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
