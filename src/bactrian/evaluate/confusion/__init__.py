"""The task ``confusion``: whether models answer in the language asked for, and at all."""
