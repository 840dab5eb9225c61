"""Hardware model of the odometry as a chip: memory map, work per event, technology, energy, area, timing, drone budget.

Pure functions of (config, counts, technology): no pictures, no clock, replayable on a stored run. `memory.memory_map`,
`work.work_per_event` and `energy.evaluate` are the way in. A kB is 1024 bytes.
"""

from hwmodel.energy import Report, evaluate
from hwmodel.memory import memory_map
from hwmodel.work import work_per_event

__all__ = ["Report", "evaluate", "memory_map", "work_per_event"]
