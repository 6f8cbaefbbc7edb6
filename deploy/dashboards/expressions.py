"""Expressions as dashboards write them: each selects by the dashboard's variables."""

# Of every series of a service; recorded ones have no job.
OF = 'namespace=~"$namespace",job=~"$job"'
RECORDED = 'namespace=~"$namespace"'


def series(name, matchers="", *, of=OF):
    """A selector."""
    return f"{name}{{{','.join(part for part in (of, matchers) if part)}}}"


def rate(name, by="", matchers=""):
    """Increase each second, summed."""
    return _summed(f"rate({series(name, matchers)}[$__rate_interval])", by)


def total(name, by="", matchers=""):
    """A gauge, summed."""
    return _summed(series(name, matchers), by)


def most(name, by="", matchers=""):
    """The highest of a gauge."""
    return f"max{f' by ({by})' if by else ''} ({series(name, matchers)})"


def within(name, window, by="", matchers=""):
    """Increase within a window, summed."""
    return _summed(f"increase({series(name, matchers)}[{window}])", by)


def quantile(share, name, by="", matchers=""):
    """What a share of a histogram's observations stays below."""
    buckets = f"sum by (le{', ' + by if by else ''}) (rate({series(name + '_bucket', matchers)}[$__rate_interval]))"
    return f"histogram_quantile({share}, {buckets})"


def quantiles(name, by="", matchers=""):
    """The median and the slowest of a hundred, with their legends."""
    legend = f" {{{{{by}}}}}" if by else ""
    return [(f"p{digits}{legend}", quantile(share, name, by, matchers)) for share, digits in ((0.5, 50), (0.99, 99))]


def recorded(name, matchers=""):
    """A recorded series."""
    return series(name, matchers, of=RECORDED)


def _summed(inner, by):
    return f"sum{f' by ({by})' if by else ''} ({inner})"
