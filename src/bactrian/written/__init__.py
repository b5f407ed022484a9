"""What can be told of a written text: its language, whether it refuses, whether it loops."""
