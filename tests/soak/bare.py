def bare(run):
    pass
