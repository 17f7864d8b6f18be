"""Tests that need a CUDA device: collected only where there is one, in the trainer's own environment.

PYTHONPATH=contracts/src:storage/src:evaluator/src:trainer-image/src python -m pytest tests/gpu -s
"""

import importlib.util


def _has_cuda():
    if importlib.util.find_spec("torch") is None or importlib.util.find_spec("unsloth") is None:
        return False
    import torch

    return torch.cuda.is_available()


# Without a device these files do not exist for pytest: a skipped test would look like one that might have run.
collect_ignore_glob = [] if _has_cuda() else ["test_*.py"]
