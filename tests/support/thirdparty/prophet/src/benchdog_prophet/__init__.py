"""A plugin for contract 7, which imports names that this api lacks."""

from benchdog.api import OracleInfo, hookimpl

CONTRACT = 7


@hookimpl
def benchdog_oracles():
    """Return components of an unknown kind."""
    return [OracleInfo(name="delphi", summary="From the future.", target="benchdog_prophet.oracle:Oracle")]
