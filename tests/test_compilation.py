"""What is compiled before the first frame is what the frames need."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

PROGRAM = """
import importlib, pkgutil
import vio.backend
from vio import compilation
from vio.config import Config
from vio.io.euroc_rig import euroc_rig
from vio.kernels import Kernel

modules = [importlib.import_module(f"vio.backend.{found.name}") for found in pkgutil.iter_modules(vio.backend.__path__)]
def compiled():
    return {f"{k.__module__}.{k.__name__}{s}" for m in modules for k in vars(m).values() if isinstance(k, Kernel) and k.__module__ == m.__name__ for s in k.overloads}

compilation._back_end_alone()
compilation._refinement_alone()
alone = compiled()
compilation.warm_up(euroc_rig(), Config())
print(len(alone), *sorted(compiled() - alone), sep="\\n")
"""


def test_both_processes_together_compile_every_kernel_of_the_back_end() -> None:
    """Oracle: what the back end's kernels were compiled for after a whole odometry in the same process."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, check=True)
    count, *missing = done.stdout.split("\n")
    assert int(count) > 15 and not list(filter(None, missing))
