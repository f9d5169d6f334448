"""A call board: place, see and control phone calls on one web page."""
