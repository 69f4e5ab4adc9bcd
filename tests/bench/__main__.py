"""Run the benchmarks named on the command line, or all of them; `--deep` for the long way."""

import importlib
import pkgutil
import sys

import tests.bench

DEEP = "--deep"


def main(words: list[str]) -> None:
    wanted = [word for word in words if word != DEEP]
    names = [module.name for module in pkgutil.iter_modules(tests.bench.__path__) if not module.name.startswith("_")]
    unknown = set(wanted) - set(names)
    if unknown:
        sys.exit(f"No benchmark {', '.join(sorted(unknown))}. There are: {', '.join(names)}; and {DEEP}.")
    for name in wanted or names:
        module = importlib.import_module(f"tests.bench.{name}")
        print(f"\n{name}: {(module.__doc__ or '').strip().splitlines()[0]}", flush=True)
        for row, value, aim in module.run(DEEP in words):
            print(f"  {row:<58} {value:>14}   {aim}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
