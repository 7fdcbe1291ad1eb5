"""What a user can mend."""


class UserError(Exception):
    """A mistake of input or setup. Its message is one line that names the value and the mend; exit code 2."""
