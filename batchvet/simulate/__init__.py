"""Simulated target pixel files with known truth."""

from batchvet.simulate.detector import simulate_stamp
from batchvet.simulate.draw import draw_scene
from batchvet.simulate.scene import Scene
from batchvet.simulate.settings import KINDS, SimulationSettings
from batchvet.simulate.survey import SimulatedSurvey, simulate
from batchvet.simulate.timeline import mission_sectors

__all__ = [
    "KINDS",
    "Scene",
    "SimulatedSurvey",
    "SimulationSettings",
    "draw_scene",
    "mission_sectors",
    "simulate",
    "simulate_stamp",
]
