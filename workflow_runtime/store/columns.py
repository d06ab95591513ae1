"""Types of columns whose text differs between databases. Tables and migrations share them.

Names compare by character: case, accents and blanks at the end count, and order is that of the bytes.

============  ===========================  =================================================
database      collation of names           why not the default one
============  ===========================  =================================================
SQLite        its default, BINARY          it is exact
PostgreSQL    "C"                          others order by language, and are slower
MariaDB       utf8mb4_nopad_bin            'A', 'a', 'á' and 'a ' would be equal
MySQL         utf8mb4_0900_bin             the same; it does not know the name above
============  ===========================  =================================================
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Integer, String, Text
from sqlalchemy.ext.compiler import compiles


class Exact(String):
    """A short text that is compared character by character."""


class Long(Text):
    """A text of any length."""


#: SQLite numbers only INTEGER keys by itself.
COUNTER = BigInteger().with_variant(Integer(), "sqlite")


def collation(dialect: Any) -> str:
    return "utf8mb4_nopad_bin" if dialect.is_mariadb else "utf8mb4_0900_bin"


@compiles(Exact, "mysql", "mariadb")
def _exact_mysql(type_: Exact, compiler: Any, **_: Any) -> str:
    return f"VARCHAR({type_.length}) CHARACTER SET utf8mb4 COLLATE {collation(compiler.dialect)}"


@compiles(Exact, "postgresql")
def _exact_postgresql(type_: Exact, compiler: Any, **_: Any) -> str:
    return f'VARCHAR({type_.length}) COLLATE "C"'


@compiles(Long, "mysql", "mariadb")
def _long_mysql(type_: Long, compiler: Any, **_: Any) -> str:
    return f"LONGTEXT CHARACTER SET utf8mb4 COLLATE {collation(compiler.dialect)}"
