"""python3 -m evaluation.refresh --model models/NAME: what refreshes of the cache cost, and what they are good for.

It writes refresh-NAME.json, in the schema of bench/README.md: the full width with a refresh at every n-th step and with
none but the first, and the same for 'paper', which refreshes at every new width anyway. A model that predicts frames
continues test videos, whose true frames say more than a class does; the others generate samples.
"""

import json

from bench.peers import results
from training.config import prediction_frames

from .compare import checkpoint, compare, description, parser_of
from .measurements import MeasurementCache
from .methods import refresh_methods
from .quality import Evaluator
from .report import tables


def main() -> None:
    arguments = parser_of(__doc__, samples=1000).parse_args()
    model = arguments.model = checkpoint(arguments.model)
    evaluator = Evaluator.from_arguments(arguments, "test")
    cache = MeasurementCache(arguments.cache, evaluator)
    frames = prediction_frames(json.loads((model / "config.json").read_text()))
    methods = refresh_methods(model)
    device, rows = compare(cache, methods, arguments.samples, arguments.seeds, frames)
    report = {**description(model, device, "refresh"), "samples": arguments.samples, "seeds": arguments.seeds}
    results.write(arguments.out / f"refresh-{model.name}.json", report, rows)
    print(tables(rows))


if __name__ == "__main__":
    main()
