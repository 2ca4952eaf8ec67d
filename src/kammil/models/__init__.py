"""What a model is: a folder a family, and the registry that names them."""
