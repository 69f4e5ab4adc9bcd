"""Run the benchmarks named on the command line, or all of them."""

import importlib
import pkgutil
import sys

import tests.bench


def main(wanted: list[str]) -> None:
    names = [module.name for module in pkgutil.iter_modules(tests.bench.__path__) if not module.name.startswith("_")]
    unknown = set(wanted) - set(names)
    if unknown:
        sys.exit(f"No benchmark {', '.join(sorted(unknown))}. There are: {', '.join(names)}")
    for name in wanted or names:
        module = importlib.import_module(f"tests.bench.{name}")
        print(f"\n{name}: {(module.__doc__ or '').strip().splitlines()[0]}", flush=True)
        for row, value, aim in module.run():
            print(f"  {row:<58} {value:>14}   {aim}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
