"""ONNX graphs of GRUs and blends, written without the library `onnx`, and the class that runs them."""
