"""Train a model on texts: prepare them, run the training loop, evaluate the result and write its folder."""

import os

# PyTorch's threads wait by spinning, which makes a step six times as slow beside other busy programs
# (docs/log.md#why-does-training-stop-beside-other-programs). PyTorch reads the variable when it is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
