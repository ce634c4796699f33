"""Build an image from a Dockerfile, and watch it being built.

Prints:
    [2/3] RUN echo "built for $WHO" > /greeting; echo working
    it wrote: working
    [3/3] COPY suffix /
    the image says: built for you , and you alone
    the second time nothing was left to do
    it failed with exit code 7, at: RUN exit 7
"""

from __future__ import annotations

import os
import sys
import tempfile

from proa import BuildFailed, Engine
from proa.build.events import Event, StepFinished, StepOutput, StepStarted

DOCKERFILE = b"""\
FROM busybox
ARG WHO=nobody
RUN echo "built for $WHO" > /greeting; echo working
COPY suffix /
CMD ["sh", "-c", "echo $(cat /greeting) $(cat /suffix)"]
"""


def show(event: Event) -> None:
    """Print what happens; there are more kinds of events than these."""
    if isinstance(event, StepStarted) and event.name.startswith(("[2/", "[3/")):
        print(event.name)
    elif isinstance(event, StepOutput):
        print("it wrote:", event.data.decode().rstrip())


def main(engine: Engine) -> None:
    """Build, run the result, build again, and fail."""
    with tempfile.TemporaryDirectory() as context:
        with open(os.path.join(context, "suffix"), "w", encoding="ascii") as file:
            file.write(", and you alone\n")

        arguments = {"WHO": "you"}
        image = engine.images.build(
            context, dockerfile=DOCKERFILE, tag="greeting", buildargs=arguments, on_event=show
        )
        output = engine.containers.run("greeting", remove=True)
        print("the image says:", output.decode().rstrip())

        # What was done before, with the same files, is not done again.
        done: list[Event] = []
        again = engine.images.build(
            context, dockerfile=DOCKERFILE, buildargs=arguments, on_event=done.append
        )
        ran = [event for event in done if isinstance(event, StepFinished) and event.cached]
        if again.id == image.id and len(ran) == 3:
            print("the second time nothing was left to do")

        try:
            engine.images.build(context, dockerfile=b"FROM busybox\nRUN exit 7\n")
        except BuildFailed as error:
            step = error.step.partition("] ")[2]
            print(f"it failed with exit code {error.exit_code}, at: {step}")
        image.remove(force=True)


if __name__ == "__main__":
    with Engine(*sys.argv[1:2]) as engine:
        main(engine)
