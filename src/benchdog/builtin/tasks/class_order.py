"""The order of classes. No torch: an export answers without it."""

from __future__ import annotations

from benchdog.api import BadUsage, nearest


def ranks_of(classes: tuple[str, ...], order: tuple[str, ...]) -> tuple[list[int], bool]:
    """Return the rank of each class, and whether that is sure: told, or all of them are numbers.

    Raises:
        BadUsage: the order is not one of these classes.
    """
    if order:
        for name in order:
            if name not in classes:
                raise BadUsage(f"order of 'ordinal' names {name!r}, which is not a class.", nearest(name, classes))
        if sorted(order) != sorted(classes):
            missing = [name for name in classes if name not in order] or ["each class once"]
            raise BadUsage("order of 'ordinal' doesn't name every class once.", f"It lacks: {', '.join(missing)}.")
        return [order.index(name) for name in classes], True
    try:
        values = [float(name) for name in classes]
    except ValueError:
        return list(range(len(classes))), False
    places = sorted(range(len(classes)), key=lambda code: values[code])
    return [places.index(code) for code in range(len(classes))], True
