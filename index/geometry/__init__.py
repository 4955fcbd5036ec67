"""Arrays only: covariance, M, the maps of rows to points, twins."""
