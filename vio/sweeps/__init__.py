"""Everything of a sweep but its cluster: the file, the points, one point's run, the store, the table, the plots. dask is in vio/sweep.py."""
