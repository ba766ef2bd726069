"""Where the nets of shifts run."""

import torch
from torch.utils.data import get_worker_info


def device_at_hand() -> torch.device:
    """Return the GPU if there is one, but the CPU in a process that decodes images, where CUDA cannot start."""
    return torch.device("cuda" if torch.cuda.is_available() and get_worker_info() is None else "cpu")
