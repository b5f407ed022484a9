"""What a training would do, told before anything is spent.

>>> (found,) = forecasts(workspace, ["zh"])
>>> found.rows, found.steps, found.memory.total_bytes, found.disk.total_bytes
>>> (found,) = forecasts(workspace, ["zh"], probed=True)
>>> found.probe.hours, found.memory.measured_activations_bytes

Shapes are read off the model on the meta device (``shapes``), memory follows by a formula
(``activations``, ``memory``), and two steps on the real weights say how far off it is, and how fast
this machine is (``probe``, whose work is done by ``steps`` in a process of its own).
"""

from bactrian.train.forecast.whole import Forecast, forecast, forecasts

__all__ = ["Forecast", "forecast", "forecasts"]
