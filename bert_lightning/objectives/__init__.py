"""Hidden states -> loss: objectives as plain modules that own their heads."""
