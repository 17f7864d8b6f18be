"""Tests that need a CUDA device. They are collected only where there is one, and need the trainer's Python packages.

PYTHONPATH=contracts/src:storage/src:evaluator/src:trainer-image/src python -m pytest tests/gpu -s
"""

import importlib.util


def _has_cuda():
    if importlib.util.find_spec("torch") is None or importlib.util.find_spec("unsloth") is None:
        return False
    import torch

    return torch.cuda.is_available()


# Without a device, pytest does not see these files. They do not show up as skipped tests.
collect_ignore_glob = [] if _has_cuda() else ["test_*.py"]
