"""Solving a graph: what is in the cache is taken from there, the rest is done, in parallel.

One thread looks things up and keeps the books; the work is done by others. What two vertices have
in common is one vertex; what two builds do at the same time is done by one of them, for which the
other one waits.
"""

from __future__ import annotations

import queue
import time
from typing import TYPE_CHECKING

from proa.build import events
from proa.build.cache import Step, key_of
from proa.build.graph import NOTHING, ContextOp, FetchOp, ImageOp
from proa.build.steps import Result
from proa.errors import BuildFailed, Cancelled, DockerfileError, ProaError
from proa.image.view import Layer
from proa.lean import clock
from proa.oci.digest import Digest
from proa.store.leases import BLOB, LAYER
from proa.store.lock import FileLock

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from concurrent.futures import ThreadPoolExecutor

    from proa.build.cache import BuildCache, Parts
    from proa.build.dockerfile.source import Source
    from proa.build.graph import Graph, Vertex
    from proa.build.options import BuildOptions
    from proa.build.run import Runner
    from proa.build.steps import Selection, Steps
    from proa.store.leases import Lease
    from proa.store.store import Store

    _Work = tuple[str, Parts, Selection | None]
    """what is needed to do a vertex: its key, what that was made of, what is to be copied"""

_WORKERS = 8


class Solver:
    """Solves one graph."""

    def __init__(
        self,
        store: Store,
        lease: Lease,
        graph: Graph,
        *,
        steps: Steps,
        cache: BuildCache,
        runner: Runner,
        options: BuildOptions,
        source: Source,
        place: str,
        tell: Callable[[events.Event], None],
        first_number: int = 1,
    ) -> None:
        """`place`: what tells this Dockerfile from others. `tell` gets events, in any thread."""
        self._store = store
        self._lease = lease
        self._graph = graph
        self._steps = steps
        self._cache = cache
        self._runner = runner
        self._options = options
        self._source = source
        self._place = place
        self._tell = tell
        self._results: dict[int, Result] = {}
        self._finished: queue.Queue[tuple[Vertex, Result | BaseException]] = queue.Queue()
        self.next_number = first_number
        self._numbers: dict[int, int] = {}

    def solve(self, target: int) -> dict[int, Result]:
        """The results of all that `target` needs, by vertex.

        Raises BuildFailed and what steps raise, as soon as one does; the others are stopped.
        """
        vertices = self._graph.needed(target)
        waiting = {
            vertex.number: {number for number in vertex.inputs if number != NOTHING}
            for vertex in vertices
        }
        pending = {vertex.number: vertex for vertex in vertices}
        running: set[int] = set()
        failure: BaseException | None = None
        pool: ThreadPoolExecutor | None = None

        def submit(vertex: Vertex, work: _Work) -> None:
            nonlocal pool
            if pool is None:
                # not needed, nor imported, where all is in the cache
                from concurrent.futures import ThreadPoolExecutor

                pool = ThreadPoolExecutor(_WORKERS, "proa-build")
            running.add(vertex.number)
            pool.submit(self._work, vertex, *work)

        try:
            while True:
                if failure is None and self._begin_ready(pending, waiting, submit):
                    continue
                if not running:
                    break
                vertex, outcome = self._finished.get()
                running.discard(vertex.number)
                if isinstance(outcome, Result):
                    self._results[vertex.number] = outcome
                elif failure is None:
                    failure = outcome
                    self._runner.cancel()
        except BaseException:
            self._runner.cancel()
            raise
        finally:
            if pool is not None:
                pool.shutdown(wait=True)
        if failure is not None:
            raise failure
        return self._results

    def _begin_ready(
        self,
        pending: dict[int, Vertex],
        waiting: Mapping[int, set[int]],
        submit: Callable[[Vertex, _Work], None],
    ) -> bool:
        """Begin with all that has what it needs; whether some of it was over at once, so that
        others may have what they need now.
        """
        progressed = False
        for number in [number for number in pending if waiting[number] <= self._results.keys()]:
            vertex = pending.pop(number)
            found = self._begin(vertex)
            if isinstance(found, Result):
                self._results[number] = found
                progressed = True
            else:
                submit(vertex, found)
        return progressed

    def result(self, number: int) -> Result | None:
        """The result of a vertex, if it has one by now."""
        return self._results.get(number)

    def _begin(self, vertex: Vertex) -> Result | _Work:
        """The result, where it need not be worked for; otherwise what is needed to."""
        self._start(vertex)
        try:
            match vertex.op:
                case ImageOp() as op:
                    result = self._image(op)
                    self._finish(vertex, cached=True)
                    return result
                case ContextOp() as op:
                    result = Result(context=self._steps.context(op))
                    self._finish(vertex)
                    return result
                case FetchOp():
                    return "", {}, None
                case _:
                    return self._look_up(vertex)
        except ProaError as error:
            self._finish(vertex, error=str(error))
            raise self._located(vertex, error) from None

    def _look_up(self, vertex: Vertex) -> Result | _Work:
        parts, selection = self._steps.parts(vertex, self._inputs(vertex))
        key = key_of(parts)
        step = None if vertex.no_cache else self._cache.find(key, self._lease)
        if step is not None:
            if selection is not None:
                selection.close()
            self._finish(vertex, cached=True)
            return self._result(vertex, step)
        if self._options.explain:
            reason = (
                "the cache is not to be used (--no-cache)"
                if vertex.no_cache
                else self._cache.explain(
                    place=self._place_of(vertex), text=vertex.text, parts=parts
                )
            )
            self._tell(events.StepExplained(self._numbers[vertex.number], reason))
        return key, parts, selection

    def _work(self, vertex: Vertex, key: str, parts: Parts, selection: Selection | None) -> None:
        """Do a vertex, in a thread of the pool."""
        outcome: Result | BaseException
        cached = False
        try:
            if isinstance(vertex.op, FetchOp):
                outcome = Result(context=self._steps.fetch(vertex.op))
                self._finish(vertex)
                return
            with FileLock(self._store.path("run", "locks", f"build-{key}"), remove=True):
                # another build may have done it meanwhile
                step = None if vertex.no_cache else self._cache.find(key, self._lease)
                cached = step is not None
                if step is None:
                    layer = self._steps.execute(
                        vertex,
                        self._inputs(vertex),
                        selection,
                        self._lease,
                        lambda stream, data: self._output(vertex, stream, data),
                    )
                    step = Step(layer, clock.now())
                    self._cache.add(
                        key, step, place=self._place_of(vertex), text=vertex.text, parts=parts
                    )
            outcome = self._result(vertex, step)
            self._finish(vertex, cached=cached)
        except BaseException as error:
            canceled = isinstance(error, Cancelled)
            self._finish(vertex, error=str(error), canceled=canceled)
            outcome = self._located(vertex, error)
        finally:
            if selection is not None:
                selection.close()
            self._store.database.close()
            self._finished.put((vertex, outcome))

    def _image(self, op: ImageOp) -> Result:
        from proa.image.view import from_store

        self._lease.protect(LAYER, *(Digest.trusted(layer) for layer in op.layers))
        record = self._store.images.resolve(op.id)
        self._lease.protect(BLOB, *record.content)
        return Result(layers=from_store(self._store, record).layers)

    def _result(self, vertex: Vertex, step: Step) -> Result:
        base = self._inputs(vertex)[0]
        below: tuple[Layer, ...] = base.layers if base is not None else ()
        layers = below if step.layer is None else (*below, step.layer)
        return Result(layers=layers, own=step.layer, created=step.created)

    def _inputs(self, vertex: Vertex) -> list[Result | None]:
        return [None if number == NOTHING else self._results[number] for number in vertex.inputs]

    def _place_of(self, vertex: Vertex) -> str:
        return f"{self._place}\n{vertex.name.partition(']')[0]}"

    def _located(self, vertex: Vertex, error: BaseException) -> BaseException:
        """The error with the lines of the Dockerfile that it is about."""
        if vertex.span is None or not isinstance(error, ProaError):
            return error
        excerpt = self._source.excerpt(vertex.span)
        if isinstance(error, BuildFailed):
            error.step, error.excerpt = vertex.name, excerpt
            return error
        if isinstance(error, Cancelled | DockerfileError):
            return error
        located = BuildFailed(str(error), step=vertex.name, excerpt=excerpt)
        located.__cause__ = error
        return located

    # -- events

    def _start(self, vertex: Vertex) -> None:
        self._numbers[vertex.number] = self.next_number
        self.next_number += 1
        self._tell(events.StepStarted(self._numbers[vertex.number], vertex.name, time.time()))

    def _output(self, vertex: Vertex, stream: int, data: bytes) -> None:
        self._tell(events.StepOutput(self._numbers[vertex.number], stream, data, time.time()))

    def _finish(
        self,
        vertex: Vertex,
        *,
        cached: bool = False,
        error: str = "",
        canceled: bool = False,
    ) -> None:
        self._tell(
            events.StepFinished(self._numbers[vertex.number], time.time(), cached, error, canceled)
        )
