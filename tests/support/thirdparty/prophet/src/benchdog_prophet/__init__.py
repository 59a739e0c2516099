"""Written for contract 7, whose api has what this one lacks."""

from benchdog.api import OracleInfo, hookimpl

CONTRACT = 7


@hookimpl
def benchdog_oracles():
    """Offer what nobody knows yet."""
    return [OracleInfo(name="delphi", summary="Answers before it is asked.", target="benchdog_prophet.oracle:Oracle")]
