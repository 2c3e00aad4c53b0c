"""What all tests share: no network, ever."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"
