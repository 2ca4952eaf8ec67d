"""Train a model on texts: prepare the texts, run the training loop, evaluate the result and write its folder."""

import os

# PyTorch's threads wait for each other by spinning. Beside other busy programs that makes a training step six times as
# slow (docs/log.md#why-does-training-stop-beside-other-programs); asleep they lose nothing. The variable is read when
# PyTorch is loaded, so it is set before that.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
