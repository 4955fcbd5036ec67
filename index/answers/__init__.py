"""Rows, JSON, CSV, DataFrame, Parquet, terminal and notebook of any answer. Knows no question and no bundle."""
