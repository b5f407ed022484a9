"""A Ray cluster: what is taken of it, and how it is joined. Knows nothing of what runs there."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import NamedTuple

from bactrian import errors
from bactrian.errors import BactrianError, ConfigError, MissingExtra, ProviderError


@dataclass(frozen=True, slots=True)
class Cluster:
    """What each of those that compute is given of a Ray cluster."""

    address: str = ""
    """Without one it is $RAY_ADDRESS, else a cluster of this machine alone."""
    num_cpus: float = 1.0
    """Also the threads that it computes with."""
    num_gpus: float = 0.0
    restarts: int = 3
    """How often what was begun by a worker that died is begun again."""

    def __post_init__(self) -> None:
        if self.num_cpus <= 0 or self.num_gpus < 0 or self.restarts < 0:
            raise ConfigError(
                f"a worker of {self.num_cpus:g} CPU and {self.num_gpus:g} GPU with "
                f"{self.restarts} restarts has no meaning",
                "give it one CPU at least: --num-cpus 1",
            )

    @property
    def threads(self) -> int:
        """How many threads a worker computes with."""
        return max(1, int(self.num_cpus))


class Refused(NamedTuple):
    """An error of ours that came up in another process, in a form that travels."""

    kind: str
    problem: str
    hint: str

    def error(self) -> BactrianError:
        """Return the error as it was."""
        made: type[BactrianError] = getattr(errors, self.kind, BactrianError)
        return made(self.problem, self.hint)


def connect(address: str) -> bool:
    """Join the cluster, or begin one here; return whether it is ours to leave again.

    Without an address it is ``$RAY_ADDRESS``, else one of this machine alone, on the loopback.
    Raises MissingExtra without Ray, ProviderError where the cluster cannot be joined.
    """
    address = address or os.environ.get("RAY_ADDRESS", "")
    # it would report to its makers, which nothing here does unless it is asked to
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if not address:  # else a cluster of one machine listens to the whole network
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    try:
        import ray
    except ImportError:
        raise MissingExtra(
            "--engine ray needs ray, which is not installed", "pip install 'bactrian[ray]'"
        ) from None
    if ray.is_initialized():
        return False
    quiet = {"log_to_driver": False, "configure_logging": False}
    if not address:
        ray.init(address="local", include_dashboard=False, **quiet)
        return True
    try:
        ray.init(address=address, **quiet)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise ProviderError(
            f"the Ray cluster {address} cannot be joined: {first_line(error)}",
            "check the address (--address, options.ray.address), and that Ray and Python are of "
            "the same versions there",
        ) from error
    return True


def first_line(error: BaseException) -> str:
    """Return what an error says in its first line, its kind where it says nothing."""
    return str(error).strip().partition("\n")[0][:200] or type(error).__name__
