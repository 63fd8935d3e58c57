"""Stage `report`: one tidy table of all results, and from it every table, every figure and the page."""
