"""The stages that make a dataset. They meet on disk and import no other stage."""
