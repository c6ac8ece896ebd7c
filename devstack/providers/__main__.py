"""`python -m devstack.providers`: serve the doubles until interrupted."""

import argparse

from devstack.providers.app import make_providers
from devstack.providers.server import make_server
from devstack.providers.world import ProviderRules


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(prog="python -m devstack.providers", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to bind (default: %(default)s)")
    parser.add_argument("--port", type=int, default=54331, help="port to bind (default: %(default)s)")
    parser.add_argument(
        "--processing-polls",
        type=int,
        default=1,
        help='polls that answer "still processing" before a post is ready (default: %(default)s)',
    )
    parser.add_argument(
        "--latency-ms",
        type=float,
        default=0,
        help="milliseconds that every step of a platform takes before it begins (default: %(default)s)",
    )
    arguments = parser.parse_args()
    rules = ProviderRules(
        processing_polls=arguments.processing_polls, latency_seconds=max(0, arguments.latency_ms) / 1000
    )
    make_server(make_providers(rules), arguments.host, arguments.port).run()


if __name__ == "__main__":
    main()
