"""The steps of the set-up. Standard library only: nothing is installed yet when this runs."""
