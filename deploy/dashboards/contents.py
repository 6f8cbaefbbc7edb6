"""The dashboards, by the name of their file."""

import director
import distributor
import executor
import pipeline
import receiver

DASHBOARDS = {
    "overview": pipeline.overview,
    "receiver": receiver.receiver,
    "director": director.director,
    "distributor": distributor.distributor,
    "executor": executor.executor,
    "engines": pipeline.engines,
}
