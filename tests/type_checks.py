"""The checker that jaxtyping's import hook puts on every function of the project in the tests."""

import typing

import beartype

check = beartype.beartype(
    conf=beartype.BeartypeConf(
        is_pep484_tower=True,  # an int is a float
        # the hook decorates methods, not classes, so beartype cannot tell what Self is
        hint_overrides=beartype.FrozenDict({typing.Self: object}),
    )
)
