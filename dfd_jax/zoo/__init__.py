"""Small trained networks that ship with the package: NAME.safetensors, and its card NAME.json."""
