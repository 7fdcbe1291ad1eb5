"""Register, validate, compose and build configs."""
