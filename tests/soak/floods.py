def floods(run):
    pass
