"""Rules that need no user database: anyone, this person, these persons, whom a parameter names.

====================  =====================  =====================================================
rule                  value of the actor     allows
====================  =====================  =====================================================
Anyone                none                   everybody, also a call without an identity
Identity              ``bob``                exactly this identity
IdentityIn            ``bob, alice``         each identity of the list
IdentityInParameter   ``Author``             whom the process parameter names: one, or a list
====================  =====================  =====================================================

Identities are compared exactly. Rules that know roles (CheckRole) come from the host, which has the users.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workflow_runtime.core.process import Process
from workflow_runtime.hooks import hookimpl
from workflow_runtime.registry import RuleSpec


def anyone(process: Process, identity: str | None, parameter: str | None) -> bool:
    return True


def is_identity(process: Process, identity: str | None, parameter: str | None) -> bool:
    return identity is not None and identity in the_identity(process, parameter)


def the_identity(process: Process, parameter: str | None) -> list[str]:
    return [parameter.strip()] if parameter and parameter.strip() else []


def is_in_list(process: Process, identity: str | None, parameter: str | None) -> bool:
    return identity is not None and identity in the_list(process, parameter)


def the_list(process: Process, parameter: str | None) -> list[str]:
    return [name for part in (parameter or "").split(",") if (name := part.strip())]


def is_in_parameter(process: Process, identity: str | None, parameter: str | None) -> bool:
    return identity is not None and identity in named_by_parameter(process, parameter)


def named_by_parameter(process: Process, parameter: str | None) -> list[str]:
    value: Any = process.parameters.get((parameter or "").strip())
    listed = value if isinstance(value, (list, tuple)) else [value]
    return [name for name in listed if isinstance(name, str) and name]


@hookimpl
def register_rules() -> Mapping[str, RuleSpec]:
    return {
        "Anyone": RuleSpec(name="Anyone", check=anyone),
        "Identity": RuleSpec(name="Identity", check=is_identity, identities=the_identity),
        "IdentityIn": RuleSpec(name="IdentityIn", check=is_in_list, identities=the_list),
        "IdentityInParameter": RuleSpec(name="IdentityInParameter", check=is_in_parameter, identities=named_by_parameter),
    }
