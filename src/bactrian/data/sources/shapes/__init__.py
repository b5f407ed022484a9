"""The shapes that published collections have; one file a family."""
